//! SQL of `runtime_share`: who else may use a runtime.

use super::Connection;
use crate::Result;
use contract::{Access, PersonId, Phase, RuntimeId, ShareId, ShareView};
use time::OffsetDateTime;

/// A runtime that can be shared: what there is to know of it.
#[derive(Clone, Debug)]
pub struct Sharable {
    /// Whose it is.
    pub person_id: PersonId,
    /// Its name.
    pub name: String,
}

/// A share, as it is taken back.
#[derive(Clone, Debug)]
pub struct Share {
    /// Of which runtime.
    pub runtime_id: RuntimeId,
    /// That one's name.
    pub runtime: String,
    /// Whose that is.
    pub owner_id: PersonId,
    /// With whom.
    pub person_id: PersonId,
    /// Their address.
    pub email: String,
}

/// Somebody else's runtime, as the person has it whom it is shared with.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Which share.
    pub share_id: ShareId,
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// Its name.
    pub name: String,
    /// The first label of its host.
    pub host_label: String,
    /// Whose it is.
    pub owner: String,
    /// Where it stands.
    pub phase: Phase,
    /// What the person may do.
    pub access: Access,
    /// Until when.
    pub ends_at: OffsetDateTime,
}

/// Locks a runtime that is there; none where it is not, or is to go.
pub async fn lock_runtime(connection: &mut Connection, runtime_id: RuntimeId) -> Result<Option<Sharable>> {
    Ok(sqlx::query_as!(
        Sharable,
        r#"select person_id as "person_id: PersonId", name from runtime
           where runtime_id = $1 and deleted_at is null and desired_state <> 'deleted' for no key update"#,
        runtime_id as RuntimeId
    )
    .fetch_optional(connection)
    .await?)
}

/// Whose a runtime is; none where it is not there.
pub async fn owner(connection: &mut Connection, runtime_id: RuntimeId) -> Result<Option<PersonId>> {
    Ok(sqlx::query_scalar!(
        r#"select person_id as "person_id: PersonId" from runtime where runtime_id = $1 and deleted_at is null"#,
        runtime_id as RuntimeId
    )
    .fetch_optional(connection)
    .await?)
}

/// Keeps a share in place of an earlier one with the same person.
pub async fn put(
    connection: &mut Connection,
    share_id: ShareId,
    runtime_id: RuntimeId,
    person_id: PersonId,
    access: Access,
    now: OffsetDateTime,
    ends_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update runtime_share set revoked_at = $3 where runtime_id = $1 and person_id = $2 and revoked_at is null",
        runtime_id as RuntimeId,
        person_id as PersonId,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into runtime_share (share_id, runtime_id, person_id, access, created_at, ends_at) values ($1, $2, $3, $4, $5, $6)",
        share_id as ShareId,
        runtime_id as RuntimeId,
        person_id as PersonId,
        access as Access,
        now,
        ends_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A share in force, locked; none where it ended.
pub async fn lock(connection: &mut Connection, share_id: ShareId, now: OffsetDateTime) -> Result<Option<Share>> {
    Ok(sqlx::query_as!(
        Share,
        r#"select runtime_id as "runtime_id: RuntimeId", runtime.name as runtime, runtime.person_id as "owner_id: PersonId",
                  runtime_share.person_id as "person_id: PersonId", person.email
           from runtime_share
           join runtime using (runtime_id)
           join person on person.person_id = runtime_share.person_id
           where share_id = $1 and revoked_at is null and ends_at > $2
           for update of runtime_share"#,
        share_id as ShareId,
        now
    )
    .fetch_optional(connection)
    .await?)
}

/// Takes a share back.
pub async fn revoke(connection: &mut Connection, share_id: ShareId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update runtime_share set revoked_at = $2 where share_id = $1", share_id as ShareId, now).execute(connection).await?;
    Ok(())
}

/// With whom a runtime is shared now, by name.
pub async fn of_runtime(connection: &mut Connection, runtime_id: RuntimeId, now: OffsetDateTime) -> Result<Vec<ShareView>> {
    Ok(sqlx::query_as!(
        ShareView,
        r#"select share_id as "share_id: ShareId", name as person, email, access as "access: Access", ends_at
           from runtime_share join person using (person_id)
           where runtime_id = $1 and revoked_at is null and ends_at > $2
           order by lower(name), share_id"#,
        runtime_id as RuntimeId,
        now
    )
    .fetch_all(connection)
    .await?)
}

/// What others share with a person now, by name; with `runtime_id` that one alone.
pub async fn with_person(
    connection: &mut Connection,
    person_id: PersonId,
    runtime_id: Option<RuntimeId>,
    now: OffsetDateTime,
) -> Result<Vec<Shared>> {
    Ok(sqlx::query_as!(
        Shared,
        r#"select share_id as "share_id: ShareId", runtime_id as "runtime_id: RuntimeId", runtime.name, host_label, owner.name as owner,
                  phase as "phase: Phase", access as "access: Access", ends_at
           from runtime_share
           join runtime using (runtime_id)
           join person owner on owner.person_id = runtime.person_id
           where runtime_share.person_id = $1 and revoked_at is null and ends_at > $3 and deleted_at is null
             and ($2::uuid is null or runtime_id = $2)
           order by lower(runtime.name), share_id"#,
        person_id as PersonId,
        runtime_id.map(|id| id.0),
        now
    )
    .fetch_all(connection)
    .await?)
}
