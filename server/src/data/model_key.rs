//! SQL of `model_key`.

use super::Connection;
use crate::{Result, clock};
use contract::{KeyId, KeyView, PersonId, RuntimeId};
use time::OffsetDateTime;

/// Gives a runtime its key and revokes its earlier one. The same key given twice stays as it is; one that was revoked opens its door again.
pub async fn put_runtime_key(
    connection: &mut Connection,
    person_id: PersonId,
    runtime_id: RuntimeId,
    name: &str,
    public_id: &str,
    secret_hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update model_key set revoked_at = $3 where runtime_id = $1 and revoked_at is null and public_id <> $2",
        runtime_id.0,
        public_id,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into model_key (key_id, person_id, runtime_id, name, public_id, secret_hash, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (public_id) do update set revoked_at = null, secret_hash = excluded.secret_hash
         where model_key.runtime_id = excluded.runtime_id",
        clock::new_id::<KeyId>().0,
        person_id.0,
        runtime_id.0,
        name,
        public_id,
        &secret_hash[..],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether this is the runtime's key, and opens its door.
pub async fn is_runtime_key(connection: &mut Connection, runtime_id: RuntimeId, public_id: &str, secret_hash: &[u8; 32]) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select exists (select from model_key
                           where public_id = $2 and runtime_id = $1 and secret_hash = $3 and revoked_at is null) as "held!""#,
        runtime_id.0,
        public_id,
        &secret_hash[..]
    );
    Ok(held.fetch_one(connection).await?)
}

/// A key that was found by its public part, with what decides whether it opens the door.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub key_id: KeyId,
    /// Whose.
    pub person_id: PersonId,
    /// The runtime it belongs to; none for a person's own.
    pub runtime_id: Option<RuntimeId>,
    /// SHA-256 of the secret part.
    pub secret_hash: Vec<u8>,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether its person may sign in.
    pub person_active: bool,
    /// Whether its runtime is meant to run; true for a person's own key.
    pub runtime_running: bool,
}

/// Finds a key by its public part.
pub async fn find(connection: &mut Connection, public_id: &str) -> Result<Option<Found>> {
    Ok(sqlx::query_as!(
        Found,
        r#"select key_id as "key_id: KeyId", person_id as "person_id: PersonId", runtime_id as "runtime_id: RuntimeId", secret_hash,
                  last_used_at, expires_at, revoked_at is not null as "revoked!", person.status = 'active' as "person_active!",
                  (model_key.runtime_id is null or exists (
                      select from runtime where runtime.runtime_id = model_key.runtime_id and desired_state = 'running'
                  )) as "runtime_running!"
           from model_key join person using (person_id) where public_id = $1"#,
        public_id
    )
    .fetch_optional(connection)
    .await?)
}

/// Notes that a key was used.
pub async fn touch(connection: &mut Connection, id: KeyId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update model_key set last_used_at = $2 where key_id = $1", id.0, now).execute(connection).await?;
    Ok(())
}

/// A key to add.
pub struct New<'a> {
    /// Which.
    pub key_id: KeyId,
    /// Whose.
    pub person_id: PersonId,
    /// Its name.
    pub name: &'a str,
    /// Its public part.
    pub public_id: &'a str,
    /// SHA-256 of its secret part.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
}

/// Adds a person's own key.
pub async fn add(connection: &mut Connection, key: &New<'_>) -> Result<()> {
    sqlx::query!(
        "insert into model_key (key_id, person_id, name, public_id, secret_hash, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
        key.key_id.0,
        key.person_id.0,
        key.name,
        key.public_id,
        &key.secret_hash[..],
        key.created_at,
        key.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A person's keys, newest first. A runtime's earlier keys, which were replaced, are left out.
pub async fn of_person(connection: &mut Connection, person_id: PersonId) -> Result<Vec<KeyView>> {
    let rows = sqlx::query!(
        r#"select key_id, name, runtime_id, public_id, created_at, last_used_at, expires_at, revoked_at
           from model_key where person_id = $1 and (runtime_id is null or revoked_at is null)
           order by created_at desc, key_id desc"#,
        person_id.0
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| KeyView {
            key_id: row.key_id.into(),
            name: row.name,
            runtime_id: row.runtime_id.map(RuntimeId),
            hint: format!("{}{}…", if row.runtime_id.is_some() { "cl_rt_" } else { "cl_live_" }, row.public_id),
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        })
        .collect())
}

/// How many of a person's own keys are neither revoked nor over.
pub async fn open_count(connection: &mut Connection, person_id: PersonId, now: OffsetDateTime) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from model_key
           where person_id = $1 and runtime_id is null and revoked_at is null and (expires_at is null or expires_at > $2)"#,
        person_id.0,
        now
    )
    .fetch_one(connection)
    .await?)
}

/// Revokes a person's key and answers its name. [`crate::Error::Missing`] when it is not there or another person's. Revoked twice is revoked once.
pub async fn revoke(connection: &mut Connection, id: KeyId, person_id: PersonId, now: OffsetDateTime) -> Result<String> {
    Ok(sqlx::query_scalar!(
        "update model_key set revoked_at = coalesce(revoked_at, $3) where key_id = $1 and person_id = $2 returning name",
        id.0,
        person_id.0,
        now
    )
    .fetch_one(connection)
    .await?)
}

/// Those of the keys that open nothing any more: revoked, over, or their person or runtime is closed.
pub async fn dead_among(connection: &mut Connection, keys: &[uuid::Uuid], now: OffsetDateTime) -> Result<Vec<KeyId>> {
    Ok(sqlx::query_scalar!(
        r#"select key_id as "key_id: KeyId" from model_key join person using (person_id)
           left join runtime on runtime.runtime_id = model_key.runtime_id
           where key_id = any($1) and (revoked_at is not null or expires_at <= $2 or status <> 'active' or desired_state <> 'running')"#,
        keys,
        now
    )
    .fetch_all(connection)
    .await?)
}
