//! SQL of what a runtime is given of its profile, and of the memory that is held for it.

use super::Connection;
use crate::Result;
use contract::{ProfileId, RuntimeId};

/// What a runtime is given of its profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes.
    pub pids: i64,
    /// What its workspace may grow to, in bytes.
    pub workspace_bytes: i64,
    /// The image.
    pub image: String,
    /// Whether it gets this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime below its container; none takes the engine's default.
    pub oci_runtime: Option<String>,
}

/// Gives a runtime what its profile says. It holds until the next start, or at once where it can be changed while it runs.
pub async fn give(connection: &mut Connection, runtime_id: RuntimeId, profile_id: ProfileId, given: &Given) -> Result<()> {
    sqlx::query!(
        "update runtime
            set profile_id = $2, memory_bytes = $3, cpu_millis = $4, pids = $5, workspace_bytes = $6, image = $7, gpu = $8, oci_runtime = $9
          where runtime_id = $1",
        runtime_id.0,
        profile_id.0,
        given.memory_bytes,
        given.cpu_millis,
        given.pids,
        given.workspace_bytes,
        given.image,
        given.gpu,
        given.oci_runtime
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Holds more memory for a runtime that has its turn already, where that fits beside what is held and nobody waits. Whether it does.
pub async fn hold_more(connection: &mut Connection, runtime_id: RuntimeId, bytes: i64, memory_bytes: i64) -> Result<bool> {
    sqlx::query!("select pg_advisory_xact_lock($1)", super::queue::QUEUE).execute(&mut *connection).await?;
    let held = sqlx::query!(
        "update runtime set held_bytes = $2
          where runtime_id = $1 and admitted_at is not null and deleted_at is null
            and not exists (select from runtime waits where waits.queued_at is not null and waits.deleted_at is null)
            and (select coalesce(sum(held_bytes), 0)::bigint from runtime held
                  where held.admitted_at is not null and held.deleted_at is null and held.runtime_id <> $1) + $2 <= $3",
        runtime_id.0,
        bytes,
        memory_bytes
    );
    Ok(held.execute(connection).await?.rows_affected() == 1)
}
