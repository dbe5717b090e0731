//! SQL of `quota` and `workspace`: what a person may use, and what is in use.

use super::Connection;
use crate::Result;
use contract::{Leftover, OwnQuota, PersonId, Resources, RuntimeId};
use time::OffsetDateTime;

/// What was set for a person alone.
pub async fn own(connection: &mut Connection, person_id: PersonId) -> Result<OwnQuota> {
    let own = sqlx::query_as!(
        OwnQuota,
        "select runtimes, memory_bytes, cpu_millis, workspace_bytes from quota where person_id = $1",
        person_id.0
    );
    Ok(own.fetch_optional(connection).await?.unwrap_or_default())
}

/// Sets it.
pub async fn set_own(connection: &mut Connection, person_id: PersonId, own: &OwnQuota) -> Result<()> {
    sqlx::query!(
        "insert into quota (person_id, runtimes, memory_bytes, cpu_millis, workspace_bytes) values ($1, $2, $3, $4, $5)
         on conflict (person_id) do update set runtimes = excluded.runtimes, memory_bytes = excluded.memory_bytes,
                                               cpu_millis = excluded.cpu_millis, workspace_bytes = excluded.workspace_bytes",
        person_id.0,
        own.runtimes,
        own.memory_bytes,
        own.cpu_millis,
        own.workspace_bytes
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a person uses, without what counts for one runtime and its workspace. Whoever judges by it holds the person (`data::person::lock`), so that
/// nothing is added meanwhile.
///
/// Memory and processor count while a runtime is to run, and until its container is gone. Disk counts for every workspace that exists.
pub async fn used(connection: &mut Connection, person_id: PersonId, but: Option<RuntimeId>, but_volume: Option<&str>) -> Result<Resources> {
    let used = sqlx::query_as!(
        Resources,
        r#"select count(*) as "runtimes!",
                  coalesce(sum(greatest(memory_bytes, held_bytes)) filter (where desired_state = 'running' or admitted_at is not null), 0)::bigint
                      as "memory_bytes!",
                  coalesce(sum(cpu_millis) filter (where desired_state = 'running' or admitted_at is not null), 0)::bigint as "cpu_millis!",
                  (select coalesce(sum(greatest(coalesce(bytes, 0), coalesce(lives.workspace_bytes, 0))), 0)::bigint
                     from workspace left join runtime lives on lives.volume = workspace.volume and lives.deleted_at is null
                    where workspace.person_id = $1 and workspace.volume is distinct from $3) as "workspace_bytes!"
             from runtime
            where person_id = $1 and deleted_at is null and runtime_id is distinct from $2"#,
        person_id.0,
        but.map(|id| id.0),
        but_volume
    );
    Ok(used.fetch_one(connection).await?)
}

/// Notes that a workspace exists.
pub async fn keep_workspace(connection: &mut Connection, person_id: PersonId, volume: &str) -> Result<()> {
    sqlx::query!("insert into workspace (volume, person_id) values ($1, $2) on conflict do nothing", volume, person_id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets the workspace of a runtime that went with it.
pub async fn forget_workspace(connection: &mut Connection, runtime_id: RuntimeId) -> Result<()> {
    sqlx::query!(
        "delete from workspace using runtime
          where runtime_id = $1 and retention = 'wipe_workspace' and deleted_at is not null and workspace.volume = runtime.volume",
        runtime_id.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is left of a workspace whose runtime was deleted.
pub async fn leftover(connection: &mut Connection, volume: &str) -> Result<Leftover> {
    let found = sqlx::query!(
        r#"select runtime_id as "runtime_id?: RuntimeId"
             from workspace left join runtime on runtime.volume = workspace.volume and deleted_at is null
            where workspace.volume = $1 limit 1"#,
        volume
    );
    Ok(match found.fetch_optional(connection).await?.map(|row| row.runtime_id) {
        None => Leftover::Nothing,
        Some(None) => Leftover::Workspace,
        Some(Some(runtime_id)) => Leftover::InUse(runtime_id),
    })
}

/// What a workspace held when it was last measured, in bytes.
pub async fn measured(connection: &mut Connection, volume: &str) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!("select bytes from workspace where volume = $1", volume).fetch_optional(connection).await?.flatten())
}

/// What these workspaces held when they were last measured, in bytes; without those that never were.
pub async fn measures(connection: &mut Connection, volumes: &[String]) -> Result<Vec<(String, i64)>> {
    let measures = sqlx::query!(r#"select volume, bytes as "bytes!" from workspace where volume = any($1) and bytes is not null"#, volumes);
    Ok(measures.fetch_all(connection).await?.into_iter().map(|row| (row.volume, row.bytes)).collect())
}

/// Notes what a workspace holds. Where it could not be measured, what was known of it stays.
pub async fn measure(connection: &mut Connection, volume: &str, bytes: Option<i64>, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update workspace set bytes = coalesce($2, bytes), measured_at = $3 where volume = $1", volume, bytes, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// A runtime goes: what its workspace holds at the end is what counts from now on, so it is measured once more.
pub async fn measure_again(connection: &mut Connection, runtime_id: RuntimeId) -> Result<()> {
    sqlx::query!(
        "update workspace set measured_at = null from runtime where runtime_id = $1 and deleted_at is null and workspace.volume = runtime.volume",
        runtime_id.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The workspace whose measure is the oldest of those that may have changed since: its runtime is to run or has a container, or its measure is from before
/// its runtime came to stand where it stands.
pub async fn stalest(connection: &mut Connection, before: OffsetDateTime) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        r#"select workspace.volume from workspace left join runtime on runtime.volume = workspace.volume and deleted_at is null
            where measured_at is null
               or (measured_at < $1 and (desired_state = 'running' or admitted_at is not null))
               or (runtime_id is not null and measured_at < phase_since and measured_at < $1)
            order by measured_at nulls first limit 1"#,
        before
    )
    .fetch_optional(connection)
    .await?)
}
