//! SQL of `task`: wishes that are followed until they end.

use super::Connection;
use crate::Result;
use contract::{OthersWish, PersonId, RuntimeId, TaskId, TaskKind, TaskStatus, TaskView};
use time::OffsetDateTime;

/// A task to write down.
#[derive(Clone, Copy, Debug)]
pub struct NewTask {
    /// Which.
    pub task_id: TaskId,
    /// Of which runtime.
    pub runtime_id: RuntimeId,
    /// Who asked; none when the platform did.
    pub person_id: Option<PersonId>,
    /// What was asked for.
    pub kind: TaskKind,
}

/// Writes a task down for the runtime's present wish. Whatever was under way is superseded, and says by what.
pub async fn accept(connection: &mut Connection, new: &NewTask, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update task set status = 'superseded', ended_at = $2, message = $3 where runtime_id = $1 and ended_at is null",
        new.runtime_id.0,
        now,
        superseded_by(new.kind)
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into task (task_id, runtime_id, person_id, kind, status, generation, created_at)
         select $1, runtime_id, $3, $4, 'accepted', generation, $5 from runtime where runtime_id = $2",
        new.task_id.0,
        new.runtime_id.0,
        new.person_id.map(|person_id| person_id.0),
        new.kind as TaskKind,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a superseded task says.
#[must_use]
pub fn superseded_by(kind: TaskKind) -> String {
    format!("Superseded by a newer wish: {}.", kind.label().to_lowercase())
}

/// Moves the open task of this wish on. One that ended stays as it ended.
pub async fn advance(
    connection: &mut Connection,
    runtime_id: RuntimeId,
    generation: i64,
    status: TaskStatus,
    message: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update task set status = $3, message = $4, ended_at = $5
          where runtime_id = $1 and generation = $2 and ended_at is null and status is distinct from $3",
        runtime_id.0,
        generation,
        status as TaskStatus,
        message,
        status.is_end().then_some(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest tasks of a runtime, newest first.
pub async fn of_runtime(connection: &mut Connection, runtime_id: RuntimeId, most: i64) -> Result<Vec<TaskView>> {
    let tasks = sqlx::query_as!(
        TaskView,
        r#"select task_id as "task_id: TaskId", runtime_id as "runtime_id: RuntimeId", person.name as "asked_by?", kind as "kind: TaskKind",
                  task.status as "status: TaskStatus", message, task.created_at, ended_at
             from task left join person using (person_id)
            where runtime_id = $1 order by task.created_at desc, task_id desc limit $2"#,
        runtime_id.0,
        most
    );
    Ok(tasks.fetch_all(connection).await?)
}

/// The newest wishes of these runtimes, where they were not their owners'.
pub async fn of_others(connection: &mut Connection, runtime_ids: &[RuntimeId]) -> Result<Vec<(RuntimeId, OthersWish)>> {
    let ids: Vec<uuid::Uuid> = runtime_ids.iter().map(|id| id.0).collect();
    let newest = sqlx::query!(
        r#"select runtime_id as "runtime_id!: RuntimeId", person.name as "asked_by?", kind as "kind!: TaskKind", newest.created_at as "created_at!"
             from (select distinct on (runtime_id) runtime_id, task.person_id, kind, task.created_at,
                          task.person_id is distinct from runtime.person_id as others
                     from task join runtime using (runtime_id)
                    where runtime_id = any($1) order by runtime_id, task.created_at desc, task_id desc) newest
                  left join person using (person_id)
            where others"#,
        &ids
    );
    let wish = |asked_by, kind, at| OthersWish { asked_by, kind, at };
    Ok(newest.fetch_all(connection).await?.into_iter().map(|row| (row.runtime_id, wish(row.asked_by, row.kind, row.created_at))).collect())
}

/// One task.
pub async fn get(connection: &mut Connection, task_id: TaskId) -> Result<Option<TaskView>> {
    let task = sqlx::query_as!(
        TaskView,
        r#"select task_id as "task_id: TaskId", runtime_id as "runtime_id: RuntimeId", person.name as "asked_by?", kind as "kind: TaskKind",
                  task.status as "status: TaskStatus", message, task.created_at, ended_at
             from task left join person using (person_id)
            where task_id = $1"#,
        task_id.0
    );
    Ok(task.fetch_optional(connection).await?)
}

/// Ended tasks older than this are forgotten.
pub async fn forget(connection: &mut Connection, before: OffsetDateTime) -> Result<()> {
    sqlx::query!("delete from task where ended_at < $1", before).execute(connection).await?;
    Ok(())
}
