//! SQL of `invitation`.

use super::Connection;
use crate::Result;
use contract::{InvitationId, PersonId, Role};
use time::OffsetDateTime;

/// An invitation, with its inviter's name.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Which.
    pub invitation_id: InvitationId,
    /// For whom.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// The inviter's name.
    pub invited_by: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When its link ends.
    pub expires_at: OffsetDateTime,
    /// Whether it was accepted.
    pub consumed: bool,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// Adds an invitation. The constraint `invitation_open_email_key` says no to a second open one of an address.
pub async fn insert(conn: &mut Connection, invitation: &Invitation, invited_by: PersonId, token_hash: &[u8; 32]) -> Result<()> {
    sqlx::query!(
        "insert into invitation (invitation_id, email, role, token_hash, invited_by, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        invitation.invitation_id.0,
        invitation.email,
        invitation.role as Role,
        token_hash.as_slice(),
        invited_by.0,
        invitation.created_at,
        invitation.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The invitation with this token hash.
pub async fn find(conn: &mut Connection, token_hash: &[u8; 32]) -> Result<Option<Invitation>> {
    let found = sqlx::query_as!(
        Invitation,
        r#"select invitation_id as "invitation_id: InvitationId", i.email, i.role as "role: Role", p.name as invited_by,
               i.created_at, expires_at, consumed_at is not null as "consumed!", revoked_at is not null as "revoked!"
           from invitation i join person p on p.person_id = i.invited_by
           where token_hash = $1"#,
        token_hash.as_slice(),
    );
    Ok(found.fetch_optional(conn).await?)
}

/// The invitation with this token hash, locked until the transaction ends.
pub async fn lock_by_token(conn: &mut Connection, token_hash: &[u8; 32]) -> Result<Invitation> {
    let found = sqlx::query_as!(
        Invitation,
        r#"select invitation_id as "invitation_id: InvitationId", i.email, i.role as "role: Role", p.name as invited_by,
               i.created_at, expires_at, consumed_at is not null as "consumed!", revoked_at is not null as "revoked!"
           from invitation i join person p on p.person_id = i.invited_by
           where token_hash = $1 for update of i"#,
        token_hash.as_slice(),
    );
    Ok(found.fetch_one(conn).await?)
}

/// An invitation, locked until the transaction ends.
pub async fn lock(conn: &mut Connection, invitation: InvitationId) -> Result<Invitation> {
    let found = sqlx::query_as!(
        Invitation,
        r#"select invitation_id as "invitation_id: InvitationId", i.email, i.role as "role: Role", p.name as invited_by,
               i.created_at, expires_at, consumed_at is not null as "consumed!", revoked_at is not null as "revoked!"
           from invitation i join person p on p.person_id = i.invited_by
           where invitation_id = $1 for update of i"#,
        invitation.0,
    );
    Ok(found.fetch_one(conn).await?)
}

/// All invitations that were not consumed, newest first.
pub async fn unconsumed(conn: &mut Connection) -> Result<Vec<Invitation>> {
    let found = sqlx::query_as!(
        Invitation,
        r#"select invitation_id as "invitation_id: InvitationId", i.email, i.role as "role: Role", p.name as invited_by,
               i.created_at, expires_at, false as "consumed!", revoked_at is not null as "revoked!"
           from invitation i join person p on p.person_id = i.invited_by
           where consumed_at is null
           order by i.created_at desc, invitation_id desc"#,
    );
    Ok(found.fetch_all(conn).await?)
}

/// Notes that a person accepted it.
pub async fn consume(conn: &mut Connection, invitation: InvitationId, by: PersonId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update invitation set consumed_at = $2, consumed_by = $3 where invitation_id = $1", invitation.0, now, by.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes it back.
pub async fn revoke(conn: &mut Connection, invitation: InvitationId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update invitation set revoked_at = $2 where invitation_id = $1", invitation.0, now).execute(conn).await?;
    Ok(())
}

/// Takes back those of an address that are too old.
pub async fn revoke_expired(conn: &mut Connection, email: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update invitation set revoked_at = $2
         where lower(email) = lower($1) and consumed_at is null and revoked_at is null and expires_at <= $2",
        email,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives it a new token and a new end.
pub async fn renew(conn: &mut Connection, invitation: InvitationId, token_hash: &[u8; 32], expires_at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update invitation set token_hash = $2, expires_at = $3 where invitation_id = $1",
        invitation.0,
        token_hash.as_slice(),
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes all open invitations that a person made.
pub async fn revoke_of(conn: &mut Connection, inviter: PersonId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update invitation set revoked_at = $2 where invited_by = $1 and consumed_at is null and revoked_at is null",
        inviter.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
