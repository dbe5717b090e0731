//! SQL of `model_key`.

use super::Connection;
use crate::{Result, clock};
use contract::{KeyId, PersonId, RuntimeId};
use time::OffsetDateTime;

/// Gives a runtime its key and revokes its earlier one. The same key given twice stays as it is.
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
         on conflict (public_id) do nothing",
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
