//! SQL of the start queue, as it is told to those who wait.

use super::Connection;
use crate::Result;
use contract::RuntimeId;

/// Who waits, and for what.
pub struct Waiting {
    /// Who, in order.
    pub runtime_ids: Vec<RuntimeId>,
    /// Memory that the first of them asks for, in bytes.
    pub wanted: i64,
    /// Memory that is held by those that run or boot, in bytes.
    pub held: i64,
}

/// The queue as it stands.
pub async fn waiting(connection: &mut Connection) -> Result<Waiting> {
    let queue = sqlx::query!(
        r#"select runtime_id as "runtime_id: RuntimeId", memory_bytes from runtime
            where deleted_at is null and queued_at is not null order by queued_at, runtime_id"#
    );
    let queue = queue.fetch_all(&mut *connection).await?;
    let held = sqlx::query_scalar!(
        r#"select coalesce(sum(held_bytes), 0)::bigint as "held!" from runtime where deleted_at is null and admitted_at is not null"#
    );
    Ok(Waiting {
        wanted: queue.first().map_or(0, |first| first.memory_bytes),
        runtime_ids: queue.into_iter().map(|row| row.runtime_id).collect(),
        held: held.fetch_one(connection).await?,
    })
}
