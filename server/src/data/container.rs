//! SQL of what is remembered of a runtime's container.

use super::{Connection, runtime::Row};
use crate::Result;
use contract::RuntimeId;

/// What is remembered of a container, whatever is wished of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory<'a> {
    /// The hash of the configuration that was written last; none while one is being written.
    pub configuration_hash: Option<&'a str>,
    /// The life of the machine and the engine in which it was started, or last seen to run.
    pub ran_in: Option<&'a str>,
}

/// Remembers this of the runtime's container.
pub async fn remember(connection: &mut Connection, row: &Row, memory: Memory<'_>) -> Result<()> {
    sqlx::query!(
        "update runtime set configuration_hash = $2, ran_in = $3 where runtime_id = $1 and deleted_at is null",
        row.runtime_id.0,
        memory.configuration_hash,
        memory.ran_in
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the present wish is this one. It stays so until the transaction ends.
pub async fn is_under(connection: &mut Connection, runtime_id: RuntimeId, generation: i64) -> Result<bool> {
    let found = sqlx::query!(
        "select runtime_id from runtime where runtime_id = $1 and generation = $2 and deleted_at is null for update",
        runtime_id.0,
        generation
    );
    Ok(found.fetch_optional(connection).await?.is_some())
}
