//! SQL of `ticket` and `runtime_session`: how a session gets into a runtime's own host.

use super::Connection;
use crate::Result;
use contract::{Access, PersonId, RuntimeId, SessionId};
use time::OffsetDateTime;

/// A ticket that was just used up.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// The session it was made for.
    pub session_id: SessionId,
    /// The runtime it opens.
    pub runtime_id: RuntimeId,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// A browser on a runtime's host, as its cookie there tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The session behind it.
    pub session_id: SessionId,
    /// The person behind that.
    pub person_id: PersonId,
    /// The runtime that it may visit.
    pub runtime_id: RuntimeId,
    /// What it may do there as somebody whom the runtime is shared with; none for its owner.
    pub access: Option<Access>,
    /// When the share ends.
    pub ends_at: Option<OffsetDateTime>,
}

impl Visit {
    /// Whether it changes nothing.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.access == Some(Access::Watch)
    }
}

/// Keeps a ticket, and clears away those that ended unused.
pub async fn put(
    connection: &mut Connection,
    token_hash: &[u8; 32],
    session_id: SessionId,
    runtime_id: RuntimeId,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!("delete from ticket where expires_at <= $1", now).execute(&mut *connection).await?;
    sqlx::query!(
        "insert into ticket (token_hash, session_id, runtime_id, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        token_hash.as_slice(),
        session_id as SessionId,
        runtime_id as RuntimeId,
        now,
        expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a ticket: whoever comes second finds none.
pub async fn take(connection: &mut Connection, token_hash: &[u8; 32]) -> Result<Option<Ticket>> {
    Ok(sqlx::query_as!(
        Ticket,
        r#"delete from ticket where token_hash = $1
           returning session_id as "session_id: SessionId", runtime_id as "runtime_id: RuntimeId", expires_at"#,
        token_hash.as_slice()
    )
    .fetch_optional(connection)
    .await?)
}

/// Keeps what a ticket became. A browser holds one such cookie a host, so earlier ones of the same session and runtime go, but for those of
/// the last minute: two tabs may be entering at once.
pub async fn admit(
    connection: &mut Connection,
    token_hash: &[u8; 32],
    session_id: SessionId,
    runtime_id: RuntimeId,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "delete from runtime_session where session_id = $1 and runtime_id = $2 and created_at < $3",
        session_id as SessionId,
        runtime_id as RuntimeId,
        now - time::Duration::minutes(1)
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into runtime_session (token_hash, session_id, runtime_id, created_at) values ($1, $2, $3, $4)",
        token_hash.as_slice(),
        session_id as SessionId,
        runtime_id as RuntimeId,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Who is behind a cookie on a runtime's host: none when the session ended (by its owner, by age, by `idle_since`), the person was disabled, or
/// the runtime is neither theirs nor
/// shared with them now.
pub async fn visit(
    connection: &mut Connection,
    token_hash: &[u8; 32],
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Option<Visit>> {
    Ok(sqlx::query_as!(
        Visit,
        r#"select session_id as "session_id: SessionId", session.person_id as "person_id: PersonId", runtime.runtime_id as "runtime_id: RuntimeId",
                  share.access as "access?: Access", share.ends_at as "ends_at?"
           from runtime_session
           join session using (session_id)
           join person on person.person_id = session.person_id
           join runtime using (runtime_id)
           left join runtime_share share
             on share.runtime_id = runtime.runtime_id and share.person_id = session.person_id and share.revoked_at is null and share.ends_at > $2
           where runtime_session.token_hash = $1
             and session.expires_at > $2 and session.last_seen_at > $3
             and person.status = 'active' and runtime.deleted_at is null
             and (runtime.person_id = session.person_id or share.share_id is not null)"#,
        token_hash.as_slice(),
        now,
        idle_since
    )
    .fetch_optional(connection)
    .await?)
}

/// Working in a runtime keeps the session awake: its last use is now, written at most once a minute.
pub async fn touch_session(connection: &mut Connection, session_id: SessionId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update session set last_seen_at = $2 where session_id = $1 and last_seen_at < $3",
        session_id as SessionId,
        now,
        now - time::Duration::minutes(1)
    )
    .execute(connection)
    .await?;
    Ok(())
}
