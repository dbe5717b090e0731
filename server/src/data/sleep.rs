//! SQL of the sleep of `runtime`.

use super::{
    Connection,
    listen::{Change, notify},
    runtime::Row,
};
use crate::Result;
use contract::{PersonId, RuntimeId, SleepDepth};
use time::OffsetDateTime;

/// How a runtime falls asleep.
#[derive(Clone, Debug)]
pub struct Nap {
    /// How deep.
    pub depth: SleepDepth,
    /// What OpenClaw's agreement is given back by.
    pub suspension_id: String,
    /// Until when the agreement may be used.
    pub agreed_until: OffsetDateTime,
    /// What is due next, and its name.
    pub schedule: Option<(OffsetDateTime, String)>,
    /// When it is woken for that.
    pub wakes_at: Option<OffsetDateTime>,
}

/// Somebody is there: what sleeps is woken. Told where something was.
pub async fn visit(connection: &mut Connection, runtime_ids: &[RuntimeId], now: OffsetDateTime) -> Result<()> {
    let ids: Vec<uuid::Uuid> = runtime_ids.iter().map(|id| id.0).collect();
    let visited = sqlx::query!(
        r#"update runtime
              set used_at = $2,
                  phase = case when before.sleeps then 'waking' else phase end,
                  phase_since = case when before.sleeps then $2 else phase_since end,
                  woken_at = case when before.sleeps then $2 else woken_at end
             from (select runtime_id, phase = 'asleep' and desired_state = 'running' as sleeps
                     from runtime where runtime_id = any($1) and deleted_at is null for update) before
            where runtime.runtime_id = before.runtime_id
        returning runtime.runtime_id as "runtime_id: RuntimeId", person_id as "person_id: PersonId", before.sleeps as "slept!""#,
        &ids,
        now
    )
    .fetch_all(&mut *connection)
    .await?;
    for found in visited.into_iter().filter(|found| found.slept) {
        notify(connection, Change::Runtime { runtime_id: found.runtime_id, person_id: found.person_id }).await?;
    }
    Ok(())
}

/// Falls asleep, or deeper, if nobody was there and nothing was wished since the row was read. Whether it did.
pub async fn fall_asleep(connection: &mut Connection, row: &Row, nap: &Nap, now: OffsetDateTime) -> Result<bool> {
    let (schedule_at, schedule_name) = nap.schedule.as_ref().map(|(at, name)| (*at, name.as_str())).unzip();
    let person_id = sqlx::query_scalar!(
        r#"update runtime
              set phase = 'asleep', phase_since = case when phase = 'asleep' then phase_since else $6 end, problem = null, awake_until = null,
                  sleep_depth = $7, suspension_id = $8, agreed_until = $9, schedule_at = $10, schedule_name = $11, wakes_at = $12
            where runtime_id = $1 and generation = $2 and deleted_at is null and desired_state = 'running'
              and phase = $3 and used_at = $4 and sleep_minutes is not distinct from $5
        returning person_id as "person_id: PersonId""#,
        row.runtime_id.0,
        row.generation,
        row.phase as contract::Phase,
        row.used_at,
        row.sleep_minutes,
        now,
        nap.depth as SleepDepth,
        nap.suspension_id,
        nap.agreed_until,
        schedule_at,
        schedule_name,
        nap.wakes_at
    )
    .fetch_optional(&mut *connection)
    .await?;
    match person_id {
        Some(person_id) => notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id }).await.map(|()| true),
        None => Ok(false),
    }
}

/// It was seen to stand still: the agreement was used.
pub async fn froze(connection: &mut Connection, row: &Row) -> Result<()> {
    sqlx::query!(
        "update runtime set agreed_until = null
          where runtime_id = $1 and generation = $2 and deleted_at is null and phase = 'asleep' and sleep_depth = 'frozen'",
        row.runtime_id.0,
        row.generation
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// It is to sleep without a container, and is woken earlier for that.
pub async fn sink(connection: &mut Connection, row: &Row, wakes_at: Option<OffsetDateTime>) -> Result<()> {
    sqlx::query!(
        "update runtime set sleep_depth = 'stopped', agreed_until = null, wakes_at = $3
          where runtime_id = $1 and generation = $2 and deleted_at is null and phase = 'asleep'",
        row.runtime_id.0,
        row.generation,
        wakes_at
    )
    .execute(&mut *connection)
    .await?;
    notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id: row.person_id }).await
}

/// It is not asked before this whether it may sleep.
pub async fn stay_awake(connection: &mut Connection, row: &Row, until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update runtime set awake_until = $3 where runtime_id = $1 and generation = $2 and deleted_at is null",
        row.runtime_id.0,
        row.generation,
        until
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Its owner chooses when it goes to sleep; none is what is usual.
pub async fn choose(connection: &mut Connection, row: &Row, minutes: Option<i32>) -> Result<()> {
    sqlx::query!("update runtime set sleep_minutes = $2 where runtime_id = $1 and deleted_at is null", row.runtime_id.0, minutes)
        .execute(&mut *connection)
        .await?;
    notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id: row.person_id }).await
}

/// What finishes its work is waited for no longer. Whether it was.
pub async fn hurry(connection: &mut Connection, row: &Row, now: OffsetDateTime) -> Result<bool> {
    let hurried = sqlx::query!(
        "update runtime set drain_until = $3 where runtime_id = $1 and generation = $2 and deleted_at is null and drain_until > $3",
        row.runtime_id.0,
        row.generation,
        now
    );
    if hurried.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id: row.person_id }).await?;
    Ok(true)
}
