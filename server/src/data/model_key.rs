//! SQL of `model_key`, `model_key_secret` and `model_key_model`.

use super::Connection;
use crate::{Result, clock};
use contract::{KeyId, ModelId, PersonId, RuntimeId};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A secret to add to a key, as far as it is stored.
#[derive(Clone, Copy)]
pub struct NewSecret<'a> {
    /// The part that may be known.
    pub public_id: &'a str,
    /// SHA-256 of the part that proves it.
    pub secret_hash: [u8; 32],
}

/// A key that was found by its secret, with what decides whether it opens the door.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub key_id: KeyId,
    /// Which of its secrets.
    pub secret_id: Uuid,
    /// That secret's public part.
    pub public_id: String,
    /// Whose.
    pub person_id: PersonId,
    /// The runtime it belongs to; none for a person's own.
    pub runtime_id: Option<RuntimeId>,
    /// When the secret was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// When the secret ends; none for the newest.
    pub ends_at: Option<OffsetDateTime>,
    /// When the key ends.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether the key was revoked.
    pub revoked: bool,
    /// Whether its person may sign in.
    pub person_active: bool,
    /// Whether its runtime is meant to run; true for a person's own key.
    pub runtime_running: bool,
}

/// Finds a key by the hash of its secret.
pub async fn find(connection: &mut Connection, secret_hash: &[u8; 32]) -> Result<Option<Found>> {
    Ok(sqlx::query_as!(
        Found,
        r#"select key_id as "key_id: KeyId", secret_id, public_id, person_id as "person_id: PersonId", runtime_id as "runtime_id: RuntimeId",
                  last_used_at, ends_at, expires_at, revoked_at is not null as "revoked!", person.status = 'active' as "person_active!",
                  (model_key.runtime_id is null or exists (
                      select from runtime where runtime.runtime_id = model_key.runtime_id and desired_state = 'running'
                  )) as "runtime_running!"
           from model_key_secret join model_key using (key_id) join person using (person_id) where secret_hash = $1"#,
        &secret_hash[..]
    )
    .fetch_optional(connection)
    .await?)
}

/// Notes that a secret was used, unless that was noted since `before`: of calls that come at once, one writes.
pub async fn touch(connection: &mut Connection, secret_id: Uuid, before: OffsetDateTime, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update model_key_secret set last_used_at = $3 where secret_id = $1 and (last_used_at is null or last_used_at <= $2)",
        secret_id,
        before,
        now
    )
    .execute(connection)
    .await?;
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
    /// Its first secret.
    pub secret: NewSecret<'a>,
    /// The models it may call; none allows all that are offered.
    pub models: Option<&'a [ModelId]>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
}

/// Adds a person's own key.
pub async fn add(connection: &mut Connection, key: &New<'_>) -> Result<()> {
    sqlx::query!(
        "insert into model_key (key_id, person_id, name, all_models, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)",
        key.key_id.0,
        key.person_id.0,
        key.name,
        key.models.is_none(),
        key.created_at,
        key.expires_at
    )
    .execute(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = key.models.unwrap_or_default().iter().map(|id| id.0).collect();
    // One that left the catalog meanwhile is left out.
    sqlx::query!(
        "insert into model_key_model (key_id, model_id) select $1, model_id from model where model_id = any($2)",
        key.key_id.0,
        &ids
    )
    .execute(&mut *connection)
    .await?;
    add_secret(connection, key.key_id, key.secret, key.created_at).await
}

async fn add_secret(connection: &mut Connection, key_id: KeyId, secret: NewSecret<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "insert into model_key_secret (secret_id, key_id, public_id, secret_hash, created_at) values ($1, $2, $3, $4, $5)",
        clock::new_id::<Uuid>(),
        key_id.0,
        secret.public_id,
        &secret.secret_hash[..],
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a key a new secret. Those before it end at `ends_at`, if not sooner; those that ended before `forget` are forgotten.
pub async fn rotate(
    connection: &mut Connection,
    key_id: KeyId,
    secret: NewSecret<'_>,
    ends_at: OffsetDateTime,
    forget: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!("delete from model_key_secret where key_id = $1 and ends_at < $2", key_id.0, forget).execute(&mut *connection).await?;
    sqlx::query!("update model_key_secret set ends_at = $2 where key_id = $1 and (ends_at is null or ends_at > $2)", key_id.0, ends_at)
        .execute(&mut *connection)
        .await?;
    add_secret(connection, key_id, secret, now).await
}

/// A runtime whose key is meant.
#[derive(Clone, Copy)]
pub struct OfRuntime<'a> {
    /// Whose.
    pub person_id: PersonId,
    /// Which.
    pub runtime_id: RuntimeId,
    /// Its name, which is the key's.
    pub name: &'a str,
}

/// Makes this the newest secret of a runtime's key, which is made with its first. Those before it end at `ends_at`. A secret that it has already stays
/// what it is.
pub async fn put_runtime_secret(
    connection: &mut Connection,
    runtime: OfRuntime<'_>,
    secret: NewSecret<'_>,
    ends_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    let open = sqlx::query_scalar!(
        r#"select key_id as "key_id: KeyId" from model_key where runtime_id = $1 and revoked_at is null for update"#,
        runtime.runtime_id.0
    );
    let key_id = match open.fetch_optional(&mut *connection).await? {
        Some(key_id) => key_id,
        None => {
            let key_id = clock::new_id::<KeyId>();
            sqlx::query!(
                "insert into model_key (key_id, person_id, runtime_id, name, created_at) values ($1, $2, $3, $4, $5)",
                key_id.0,
                runtime.person_id.0,
                runtime.runtime_id.0,
                runtime.name,
                now
            )
            .execute(&mut *connection)
            .await?;
            key_id
        }
    };
    let known = sqlx::query_scalar!(
        r#"select exists (select from model_key_secret where key_id = $1 and public_id = $2) as "known!""#,
        key_id.0,
        secret.public_id
    );
    if known.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    // Nobody asks of a container that is gone what became of its secret.
    rotate(connection, key_id, secret, ends_at, now, now).await
}

/// Whether this is the newest secret of the runtime's key, and opens its door.
pub async fn is_runtime_secret(connection: &mut Connection, runtime_id: RuntimeId, secret: NewSecret<'_>) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select exists (select from model_key_secret join model_key using (key_id)
                           where runtime_id = $1 and public_id = $2 and secret_hash = $3 and ends_at is null and revoked_at is null) as "held!""#,
        runtime_id.0,
        secret.public_id,
        &secret.secret_hash[..]
    );
    Ok(held.fetch_one(connection).await?)
}

/// Those of these runtimes of whose key the secret beside them is the newest, and opens its door.
pub async fn with_secrets(connection: &mut Connection, secrets: &[(RuntimeId, NewSecret<'_>)]) -> Result<Vec<RuntimeId>> {
    let ids: Vec<uuid::Uuid> = secrets.iter().map(|(runtime_id, _)| runtime_id.0).collect();
    let public_ids: Vec<String> = secrets.iter().map(|(_, secret)| secret.public_id.to_owned()).collect();
    let hashes: Vec<Vec<u8>> = secrets.iter().map(|(_, secret)| secret.secret_hash.to_vec()).collect();
    let held = sqlx::query_scalar!(
        r#"select runtime_id as "runtime_id!: RuntimeId"
             from unnest($1::uuid[], $2::text[], $3::bytea[]) as wanted (runtime_id, public_id, secret_hash)
             join model_key using (runtime_id) join model_key_secret using (key_id, public_id, secret_hash)
            where ends_at is null and revoked_at is null"#,
        &ids,
        &public_ids,
        &hashes
    );
    Ok(held.fetch_all(connection).await?)
}

/// Forgets what became of a runtime's secret: it may be given again.
pub async fn forget_runtime_secret(connection: &mut Connection, runtime_id: RuntimeId, public_id: &str) -> Result<()> {
    sqlx::query!(
        "delete from model_key_secret using model_key where model_key.key_id = model_key_secret.key_id and runtime_id = $1 and public_id = $2",
        runtime_id.0,
        public_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A key as it is stored.
pub struct Row {
    /// Which.
    pub key_id: KeyId,
    /// Its name.
    pub name: String,
    /// The runtime it belongs to; none for a person's own.
    pub runtime_id: Option<RuntimeId>,
    /// The names of the models it may call; none where it may call all that are offered.
    pub models: Option<Vec<String>>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// A person's keys, newest first. Of runtimes those that are there have one.
pub async fn of_person(connection: &mut Connection, person_id: PersonId) -> Result<Vec<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select key_id as "key_id: KeyId", name, runtime_id as "runtime_id: RuntimeId", created_at, expires_at, revoked_at,
                  case when all_models then null
                       else array(select model.name from model_key_model join model using (model_id)
                                   where model_key_model.key_id = model_key.key_id order by lower(model.name)) end as "models?"
           from model_key
           where person_id = $1
             and (runtime_id is null
                  or (revoked_at is null and exists (
                      select from runtime where runtime.runtime_id = model_key.runtime_id and deleted_at is null)))
           order by created_at desc, key_id desc"#,
        person_id.0
    )
    .fetch_all(connection)
    .await?)
}

/// One of a person's own keys, held until the transaction ends.
pub async fn lock(connection: &mut Connection, key_id: KeyId, person_id: PersonId) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select key_id as "key_id: KeyId", name, runtime_id as "runtime_id: RuntimeId", created_at, expires_at, revoked_at,
                  case when all_models then null
                       else array(select model.name from model_key_model join model using (model_id)
                                   where model_key_model.key_id = model_key.key_id order by lower(model.name)) end as "models?"
           from model_key where key_id = $1 and person_id = $2 and runtime_id is null for update"#,
        key_id.0,
        person_id.0
    )
    .fetch_optional(connection)
    .await?)
}

/// A secret, without what proves it.
pub struct Secret {
    /// Of which key.
    pub key_id: KeyId,
    /// The part that may be known.
    pub public_id: String,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends; none for the newest.
    pub ends_at: Option<OffsetDateTime>,
}

/// The secrets of these keys that still work: of each the newest first, then by when they end, the last first.
pub async fn secrets(connection: &mut Connection, key_ids: &[Uuid], now: OffsetDateTime) -> Result<Vec<Secret>> {
    Ok(sqlx::query_as!(
        Secret,
        r#"select key_id as "key_id: KeyId", public_id, last_used_at, ends_at from model_key_secret
            where key_id = any($1) and (ends_at is null or ends_at > $2)
            order by key_id, ends_at desc nulls first, created_at desc"#,
        key_ids,
        now
    )
    .fetch_all(connection)
    .await?)
}

/// The end of a day in a time zone.
pub async fn end_of_day(connection: &mut Connection, day: Date, time_zone: &str) -> Result<OffsetDateTime> {
    let end = sqlx::query_scalar!(r#"select ($1::date + 1)::timestamp at time zone $2 as "end!""#, day, time_zone);
    Ok(end.fetch_one(connection).await?)
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

/// Revokes a person's own key and answers its name. [`crate::Error::Missing`] when it is not there, another person's or a runtime's. Revoked twice is
/// revoked once.
pub async fn revoke(connection: &mut Connection, id: KeyId, person_id: PersonId, now: OffsetDateTime) -> Result<String> {
    Ok(sqlx::query_scalar!(
        "update model_key set revoked_at = coalesce(revoked_at, $3) where key_id = $1 and person_id = $2 and runtime_id is null returning name",
        id.0,
        person_id.0,
        now
    )
    .fetch_one(connection)
    .await?)
}

/// The models that a key allows; none allows all that are offered.
pub async fn allowed(connection: &mut Connection, key_id: KeyId) -> Result<Option<Vec<ModelId>>> {
    let ids = sqlx::query_scalar!(
        r#"select case when all_models then null
                       else array(select model_id from model_key_model where model_key_model.key_id = model_key.key_id) end as "ids?"
             from model_key where key_id = $1"#,
        key_id.0
    );
    Ok(ids.fetch_optional(connection).await?.flatten().map(|ids| ids.into_iter().map(ModelId).collect()))
}

/// Those of the keys that open nothing any more: revoked, over, or their person or runtime is closed.
pub async fn dead_among(connection: &mut Connection, keys: &[Uuid], now: OffsetDateTime) -> Result<Vec<KeyId>> {
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

/// Those of the secrets that work no more: replaced and over, or forgotten.
pub async fn ended_among(connection: &mut Connection, secrets: &[Uuid], now: OffsetDateTime) -> Result<Vec<Uuid>> {
    let ended = sqlx::query_scalar!(
        r#"select id as "id!" from unnest($1::uuid[]) id
            where not exists (select from model_key_secret where secret_id = id and (ends_at is null or ends_at > $2))"#,
        secrets,
        now
    );
    Ok(ended.fetch_all(connection).await?)
}
