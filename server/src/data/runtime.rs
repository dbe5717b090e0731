//! SQL of `runtime` and `runtime_step`.

use super::{
    Connection,
    listen::{Change, notify},
};
use crate::Result;
use contract::{DesiredState, PersonId, Phase, Problem, ProfileId, Retention, RuntimeId, SleepDepth, StartStep, TaskKind, TaskStatus};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// A runtime that is there, with what is needed of its owner.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub person_id: PersonId,
    /// The owner's address.
    pub person_email: String,
    /// The owner's name.
    pub owner: String,
    /// The name its owner gave it.
    pub name: String,
    /// The first label of its host name.
    pub host_label: String,
    /// Its port, where it has no host name of its own.
    pub port: Option<i32>,
    /// What was asked for.
    pub desired_state: DesiredState,
    /// What becomes of the workspace, once it is to be deleted.
    pub retention: Option<Retention>,
    /// Grows with every wish.
    pub generation: i64,
    /// Grows when a new container is asked for.
    pub revision: i64,
    /// Which key of that container: grows when it is rotated.
    pub key_number: i64,
    /// From which master key they are derived; none where that was not noted yet.
    pub master_key_id: Option<String>,
    /// Where it stood when it was last looked at.
    pub phase: Phase,
    /// Since when.
    pub phase_since: OffsetDateTime,
    /// What was wrong then.
    pub problem: Option<Json<Problem>>,
    /// Failed tries since the last wish.
    pub attempts: i32,
    /// When the next try may begin.
    pub retry_at: Option<OffsetDateTime>,
    /// Its profile. What the runtime was given is below, and may be older.
    pub profile_id: ProfileId,
    /// Its profile's name.
    pub profile: String,
    /// The models that its profile allows; none allows all that are offered.
    pub models: Option<Vec<Uuid>>,
    /// What its profile says of its sleep, in minutes without use; 0 is never, none is what the settings say.
    pub profile_sleep_minutes: Option<i32>,
    /// And in minutes of sleep until it gives its memory back.
    pub profile_sleep_stop_minutes: Option<i32>,
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes.
    pub pids: i64,
    /// What its workspace may grow to, in bytes.
    pub workspace_bytes: i64,
    /// Whether it gets this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime below its container; none takes the engine's default.
    pub oci_runtime: Option<String>,
    /// The image.
    pub image: String,
    /// The workspace's name.
    pub volume: String,
    /// The memory that is held for it since its admission, in bytes.
    pub held_bytes: i64,
    /// What is under way for it.
    pub open_task: Option<TaskKind>,
    /// Since when it waits its turn.
    pub queued_at: Option<OffsetDateTime>,
    /// Since when its memory is held for it.
    pub admitted_at: Option<OffsetDateTime>,
    /// What was changed by hand and is being put right, in words.
    pub changed: Option<String>,
    /// What only its next start brings, in words.
    pub restart_brings: Option<String>,
    /// The hash of the configuration that was written last; none while one is being written.
    pub configuration_hash: Option<String>,
    /// The life of the machine and the engine in which its container was started, or last seen to run.
    pub ran_in: Option<String>,
    /// When somebody was last there.
    pub used_at: OffsetDateTime,
    /// Not asked before this whether it may sleep.
    pub awake_until: Option<OffsetDateTime>,
    /// How deep it is to sleep; means something while it sleeps or wakes, as do the next five.
    pub sleep_depth: Option<SleepDepth>,
    /// What OpenClaw's agreement is given back by.
    pub suspension_id: Option<String>,
    /// Until when the agreement may be used.
    pub agreed_until: Option<OffsetDateTime>,
    /// When the next of its schedules is due.
    pub schedule_at: Option<OffsetDateTime>,
    /// The name of that schedule.
    pub schedule_name: Option<String>,
    /// When it is woken for that.
    pub wakes_at: Option<OffsetDateTime>,
    /// When it was last woken.
    pub woken_at: Option<OffsetDateTime>,
    /// Its owner's choice, in minutes without use; 0 is never.
    pub sleep_minutes: Option<i32>,
    /// Until when running turns may finish before its container ends.
    pub drain_until: Option<OffsetDateTime>,
    /// When the last wish was made.
    pub wished_at: OffsetDateTime,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

macro_rules! rows {
    ($tail:literal $(, $argument:expr)*) => { rows_that!("deleted_at is null ", $tail $(, $argument)*) };
}

macro_rules! rows_that {
    ($are:literal, $tail:literal $(, $argument:expr)*) => {
        rows_with!(r#"runtime_models(person_id, profile_id) as "models?","#, [], $are, $tail $(, $argument)*)
    };
}

macro_rules! rows_with {
    ($models:literal, [$($beside:literal)*], $are:literal, $tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select runtime_id as "runtime_id: RuntimeId", person_id as "person_id: PersonId", person.email as person_email, person.name as owner,
                      runtime.name, host_label, port, desired_state as "desired_state: DesiredState", retention as "retention: Retention",
                      generation, revision, key_number, master_key_id, phase as "phase: Phase", phase_since, problem as "problem: Json<Problem>", attempts, retry_at,
                      profile_id as "profile_id: ProfileId", profile.name as "profile!", "# + $models + r#"
                      profile.sleep_after_minutes as profile_sleep_minutes, profile.sleep_stop_after_minutes as profile_sleep_stop_minutes,
                      runtime.memory_bytes, runtime.cpu_millis, runtime.pids, runtime.workspace_bytes, runtime.gpu, runtime.oci_runtime,
                      runtime.image, volume, held_bytes,
                      (select kind from task where task.runtime_id = runtime.runtime_id and ended_at is null) as "open_task: TaskKind",
                      queued_at, admitted_at, changed, restart_brings, configuration_hash, ran_in,
                      used_at, awake_until, sleep_depth as "sleep_depth: SleepDepth", suspension_id, agreed_until, schedule_at, schedule_name,
                      wakes_at, woken_at, sleep_minutes, drain_until, wished_at, runtime.created_at
                 from runtime join person using (person_id) join profile using (profile_id) "# $(+ $beside)* + r#"
                where "# + $are + $tail
            $(, $argument)*
        )
    };
}

/// A runtime to insert. It is wished to run.
pub struct NewRuntime<'a> {
    /// Which.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub person_id: PersonId,
    /// Its name.
    pub name: &'a str,
    /// The first label of its host name.
    pub host_label: &'a str,
    /// Its profile.
    pub profile_id: ProfileId,
    /// What it is given.
    pub given: &'a super::given::Given,
    /// The workspace's name.
    pub volume: &'a str,
}

/// Inserts a runtime. Violates `runtime_person_name_key` or `runtime_host_label_key` where a name is taken.
pub async fn insert(connection: &mut Connection, new: &NewRuntime<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "insert into runtime (runtime_id, person_id, name, host_label, desired_state, phase, phase_since, profile_id, memory_bytes, cpu_millis, pids,
                              workspace_bytes, image, gpu, oci_runtime, volume, used_at, wished_at, created_at, master_key_id)
         values ($1, $2, $3, $4, 'running', 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $5, $5, $5,
                 (select value from setting where name = $15))",
        new.runtime_id.0,
        new.person_id.0,
        new.name,
        new.host_label,
        now,
        new.profile_id.0,
        new.given.memory_bytes,
        new.given.cpu_millis,
        new.given.pids,
        new.given.workspace_bytes,
        new.given.image,
        new.given.gpu,
        new.given.oci_runtime,
        new.volume,
        super::master_key::PRESENT
    )
    .execute(&mut *connection)
    .await?;
    notify(connection, Change::Runtime { runtime_id: new.runtime_id, person_id: new.person_id }).await
}

/// One runtime.
pub async fn get(connection: &mut Connection, runtime_id: RuntimeId) -> Result<Option<Row>> {
    Ok(rows!("and runtime_id = $1", runtime_id.0).fetch_optional(connection).await?)
}

/// One runtime that was deleted, as it was last.
pub async fn gone(connection: &mut Connection, runtime_id: RuntimeId) -> Result<Option<Row>> {
    Ok(rows_that!("deleted_at is not null ", "and runtime_id = $1", runtime_id.0).fetch_optional(connection).await?)
}

/// The runtime behind a host name.
pub async fn by_host_label(connection: &mut Connection, host_label: &str) -> Result<Option<Row>> {
    Ok(rows!("and host_label = $1", host_label).fetch_optional(connection).await?)
}

/// The runtime at a port.
pub async fn by_port(connection: &mut Connection, port: u16) -> Result<Option<Row>> {
    Ok(rows!("and port = $1", i32::from(port)).fetch_optional(connection).await?)
}

/// A person's runtimes, by name.
pub async fn of_person(connection: &mut Connection, person_id: PersonId) -> Result<Vec<Row>> {
    Ok(rows!("and person_id = $1 order by lower(runtime.name)", person_id.0).fetch_all(connection).await?)
}

/// Many at once: the models that one may call are asked once for each of these profiles, and for itself only where its person is in a group that has some.
macro_rules! many_rows {
    ($profiles:literal, $tail:literal $(, $argument:expr)*) => {
        rows_with!(
            r#"case when is_grouped then runtime_models(person_id, profile_id) else for_everyone.models end as "models?","#,
            [
                "join (select profile_id, runtime_models(null, profile_id) as models from " $profiles " offset 0) for_everyone using (profile_id)
                 left join (select distinct person_id, true as is_grouped from person_group_member join model_group using (group_id)) grouped using (person_id)"
            ],
            "deleted_at is null ", $tail $(, $argument)*
        )
    };
}

/// Everyone's runtimes, by owner and name.
pub async fn all(connection: &mut Connection) -> Result<Vec<Row>> {
    Ok(many_rows!("profile", "order by lower(person.name), lower(runtime.name)").fetch_all(connection).await?)
}

/// Everyone's runtimes, in no order: a pass needs none, and sorting costs as much as reading.
pub async fn in_no_order(connection: &mut Connection) -> Result<Vec<Row>> {
    Ok(many_rows!("profile", "").fetch_all(connection).await?)
}

/// Those of these runtimes that are there, in no order.
pub async fn some(connection: &mut Connection, runtime_ids: &[RuntimeId]) -> Result<Vec<Row>> {
    let ids: Vec<Uuid> = runtime_ids.iter().map(|id| id.0).collect();
    let theirs = many_rows!(
        "profile where profile_id in (select profile_id from runtime where runtime_id = any($1))",
        "and runtime_id = any($1)",
        &ids
    );
    Ok(theirs.fetch_all(connection).await?)
}

/// The workspace that a person's last runtime of this name left behind.
pub async fn kept_volume(connection: &mut Connection, person_id: PersonId, name: &str) -> Result<Option<String>> {
    let last = sqlx::query!(
        r#"select volume, retention as "retention: Retention" from runtime
            where person_id = $1 and lower(name) = lower($2) and deleted_at is not null
            order by deleted_at desc, runtime_id desc limit 1"#,
        person_id.0,
        name
    );
    let last = last.fetch_optional(connection).await?;
    Ok(last.filter(|last| last.retention != Some(Retention::WipeWorkspace)).map(|last| last.volume))
}

/// A wish.
pub struct Wish {
    /// What is asked for.
    pub desired_state: DesiredState,
    /// What becomes of the workspace, with `Deleted`.
    pub retention: Option<Retention>,
    /// Whether a new container is wanted.
    pub renew: bool,
    /// What the page shows until the reconciler looks.
    pub phase: Phase,
    /// Until when running turns may finish before the present container ends; the past where nothing is waited for.
    pub drain_until: OffsetDateTime,
}

/// Writes a wish over the one of this generation: a new generation with a clean history, told when the transaction commits. False when another
/// wish came in between.
pub async fn wish(connection: &mut Connection, runtime_id: RuntimeId, generation: i64, wish: &Wish, now: OffsetDateTime) -> Result<bool> {
    let person_id = sqlx::query_scalar!(
        r#"update runtime
              set desired_state = $2, retention = $3, generation = generation + 1, revision = revision + $4, phase = $5,
                  phase_since = case when phase = $5 then phase_since else $6 end,
                  problem = null, attempts = 0, retry_at = null, queued_at = null, changed = null, restart_brings = null, wished_at = $6,
                  used_at = $6, awake_until = null, drain_until = $8, woken_at = case when $5 = 'waking' then $6 else woken_at end
            where runtime_id = $1 and generation = $7 and deleted_at is null
        returning person_id as "person_id: PersonId""#,
        runtime_id.0,
        wish.desired_state as DesiredState,
        wish.retention as Option<Retention>,
        i64::from(wish.renew),
        wish.phase as Phase,
        now,
        generation,
        wish.drain_until
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(person_id) = person_id else { return Ok(false) };
    sqlx::query!("delete from runtime_step where runtime_id = $1", runtime_id.0).execute(&mut *connection).await?;
    notify(connection, Change::Runtime { runtime_id, person_id }).await?;
    Ok(true)
}

/// Wishes all of a person's running runtimes stopped. Answers which.
pub async fn stop_all_of(connection: &mut Connection, person_id: PersonId, now: OffsetDateTime) -> Result<Vec<RuntimeId>> {
    let stopped = sqlx::query_scalar!(
        r#"update runtime
              set desired_state = 'stopped', generation = generation + 1, phase = 'stopping', phase_since = $2,
                  problem = null, attempts = 0, retry_at = null, queued_at = null, changed = null, restart_brings = null, wished_at = $2,
                  drain_until = $2
            where person_id = $1 and deleted_at is null and desired_state = 'running'
        returning runtime_id as "runtime_id: RuntimeId""#,
        person_id.0,
        now
    )
    .fetch_all(&mut *connection)
    .await?;
    for runtime_id in &stopped {
        let task = super::task::NewTask { task_id: crate::clock::new_id(), runtime_id: *runtime_id, person_id: None, kind: TaskKind::Stop };
        super::task::accept(connection, &task, now).await?;
        notify(connection, Change::Runtime { runtime_id: *runtime_id, person_id }).await?;
    }
    Ok(stopped)
}

/// Counts a rotation of its key, which is derived from this master key, if the row is still the one that was read: what it is wished to be. Told when the
/// transaction commits.
pub async fn count_key(connection: &mut Connection, row: &Row, master_key_id: &str) -> Result<Option<DesiredState>> {
    let counted = sqlx::query_scalar!(
        r#"update runtime set key_number = key_number + 1, master_key_id = $4
            where runtime_id = $1 and revision = $2 and key_number = $3 and deleted_at is null
        returning desired_state as "desired_state: DesiredState""#,
        row.runtime_id.0,
        row.revision,
        row.key_number,
        master_key_id
    );
    let Some(desired_state) = counted.fetch_optional(&mut *connection).await? else { return Ok(None) };
    notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id: row.person_id }).await?;
    Ok(Some(desired_state))
}

/// Some of the runtimes whose keys are derived from another master key than this one.
pub async fn under_another_master_key(connection: &mut Connection, master_key_id: &str) -> Result<Vec<Row>> {
    // Not `<>`: that reads every row to find none.
    Ok(rows!("and (master_key_id < $1 or master_key_id > $1) order by runtime_id limit 50", master_key_id).fetch_all(connection).await?)
}

/// Holds a runtime until the transaction ends, if its container and its key are still those of the row.
pub async fn hold_key(connection: &mut Connection, row: &Row) -> Result<bool> {
    let held = sqlx::query_scalar!(
        "select runtime_id from runtime where runtime_id = $1 and revision = $2 and key_number = $3 and deleted_at is null for share",
        row.runtime_id.0,
        row.revision,
        row.key_number
    );
    Ok(held.fetch_optional(connection).await?.is_some())
}

/// Of these workspaces, those that were to be wiped with their runtimes, which are gone, and that no other runtime uses.
pub async fn wiped_volumes(connection: &mut Connection, present: &[String]) -> Result<Vec<String>> {
    let wiped = sqlx::query_scalar!(
        r#"select distinct volume from runtime gone
            where volume = any($1) and deleted_at is not null and retention = 'wipe_workspace'
              and not exists (select from runtime lives where lives.volume = gone.volume and lives.deleted_at is null)"#,
        present
    );
    Ok(wiped.fetch_all(connection).await?)
}

/// What the reconciler saw.
pub struct Noted<'a> {
    /// Where the runtime stands.
    pub phase: Phase,
    /// What is wrong.
    pub problem: Option<&'a Problem>,
    /// Failed tries so far.
    pub attempts: i32,
    /// When the next may begin.
    pub retry_at: Option<OffsetDateTime>,
    /// Whether memory is still held for it; false once nothing is left of its container.
    pub holds: bool,
}

impl Noted<'_> {
    /// Whether it says anything that the row does not say already.
    #[must_use]
    pub fn is_news(&self, row: &Row) -> bool {
        row.open_task.is_some()
            || (self.phase, self.problem, self.attempts, self.retry_at)
                != (row.phase, row.problem.as_ref().map(|problem| &problem.0), row.attempts, row.retry_at)
            || (!self.holds && row.admitted_at.is_some())
    }

    /// What the wish's task becomes by it. What runs and has a problem all the same is not as it was asked for yet.
    #[must_use]
    pub fn task_status(&self) -> TaskStatus {
        match (self.phase, self.problem) {
            (Phase::Ready, Some(_)) => TaskStatus::Running,
            (phase, _) => TaskStatus::after(phase),
        }
    }
}

/// Writes what was seen, if it was seen under the present wish and is new. Told when the transaction commits. Whether it was written.
pub async fn note(
    connection: &mut Connection,
    runtime_id: RuntimeId,
    generation: i64,
    noted: &Noted<'_>,
    now: OffsetDateTime,
) -> Result<bool> {
    let problem =
        noted.problem.map(serde_json::to_value).transpose().map_err(|error| crate::Error::internal("writing a problem", error))?;
    let changed = sqlx::query_scalar!(
        r#"update runtime
              set phase = $3, problem = $4, attempts = $5, retry_at = $6, phase_since = case when phase = $3 then phase_since else $7 end,
                  admitted_at = case when $8 then admitted_at end, held_bytes = case when $8 then held_bytes else 0 end,
                  -- who was given up waits for nothing, and nobody behind it
                  queued_at = case when $3 = 'failed' then null else queued_at end,
                  restarts = restarts + case when $3 = 'retrying' and phase <> 'retrying' then 1 else 0 end,
                  last_error = case when $9 and (phase, problem) is distinct from ($3, $4) then $4->>'message' else last_error end,
                  last_error_at = case when $9 and (phase, problem) is distinct from ($3, $4) then $7 else last_error_at end,
                  woken_at = case when $3 = 'waking' and phase <> 'waking' then $7 else woken_at end
            where runtime_id = $1 and generation = $2 and deleted_at is null
              -- who sleeps may have been woken since it was seen
              and ($3 <> 'asleep' or phase = 'asleep')
              and ((phase, problem, attempts, retry_at) is distinct from ($3, $4, $5, $6) or (not $8 and admitted_at is not null))
        returning person_id as "person_id: PersonId""#,
        runtime_id.0,
        generation,
        noted.phase as Phase,
        problem,
        noted.attempts,
        noted.retry_at,
        now,
        noted.holds,
        noted.problem.is_some() && matches!(noted.phase, Phase::Retrying | Phase::Failed)
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(person_id) = changed else { return Ok(false) };
    notify(connection, Change::Runtime { runtime_id, person_id }).await?;
    Ok(true)
}

/// Writes what was found beside the wish, if it was found under the present one. Answers what was known to be changed before; `None` when another
/// wish came in between.
pub async fn compare(
    connection: &mut Connection,
    runtime_id: RuntimeId,
    generation: i64,
    changed: Option<&str>,
    restart_brings: Option<&str>,
) -> Result<Option<Option<String>>> {
    let before = sqlx::query!(
        r#"update runtime set changed = $3, restart_brings = $4
             from (select runtime_id, changed from runtime where runtime_id = $1 and generation = $2 and deleted_at is null for update) before
            where runtime.runtime_id = before.runtime_id
        returning before.changed as "before?", person_id as "person_id: PersonId""#,
        runtime_id.0,
        generation,
        changed,
        restart_brings
    );
    let Some(found) = before.fetch_optional(&mut *connection).await? else { return Ok(None) };
    notify(connection, Change::Runtime { runtime_id, person_id: found.person_id }).await?;
    Ok(Some(found.before))
}

/// The runtime is gone, if that is still wished. Whether it is.
pub async fn finish(connection: &mut Connection, runtime_id: RuntimeId, generation: i64, now: OffsetDateTime) -> Result<bool> {
    let gone = sqlx::query_scalar!(
        r#"update runtime set phase = 'deleted', phase_since = $3, deleted_at = $3, problem = null, queued_at = null, admitted_at = null,
                              held_bytes = 0
            where runtime_id = $1 and generation = $2 and deleted_at is null
        returning person_id as "person_id: PersonId""#,
        runtime_id.0,
        generation,
        now
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(person_id) = gone else { return Ok(false) };
    notify(connection, Change::Runtime { runtime_id, person_id }).await?;
    Ok(true)
}

/// Says of every runtime that is on its way that the engine does not answer; `None` takes that back, and nothing else that was said.
pub async fn say_of_moving(connection: &mut Connection, problem: Option<&Problem>) -> Result<()> {
    let problem = problem.map(serde_json::to_value).transpose().map_err(|error| crate::Error::internal("writing a problem", error))?;
    let changed = sqlx::query!(
        r#"update runtime set problem = $1
            where deleted_at is null and phase in ('pending', 'queued', 'creating', 'starting', 'waiting', 'waking', 'draining', 'stopping',
                                                     'deleting')
              and problem is distinct from $1 and ($1::jsonb is not null or problem->>'code' = 'UNAVAILABLE')
        returning runtime_id as "runtime_id: RuntimeId", person_id as "person_id: PersonId""#,
        problem
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in changed {
        notify(connection, Change::Runtime { runtime_id: row.runtime_id, person_id: row.person_id }).await?;
    }
    Ok(())
}

/// A step of the present start.
pub struct Step {
    /// Of which runtime.
    pub runtime_id: RuntimeId,
    /// Which.
    pub step: StartStep,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// The steps of these runtimes' present starts.
pub async fn steps(connection: &mut Connection, runtime_ids: &[RuntimeId]) -> Result<Vec<Step>> {
    let ids: Vec<Uuid> = runtime_ids.iter().map(|id| id.0).collect();
    let steps = sqlx::query_as!(
        Step,
        r#"select runtime_id as "runtime_id: RuntimeId", step as "step: StartStep", began_at, ended_at
             from runtime_step where runtime_id = any($1)"#,
        &ids
    );
    Ok(steps.fetch_all(connection).await?)
}

/// Ends the steps before this one and begins it, if the wish is still the same. What an earlier try had reached from here on is forgotten; a try
/// that makes the place anew forgets all.
pub async fn begin_step(
    connection: &mut Connection,
    runtime_id: RuntimeId,
    generation: i64,
    step: StartStep,
    now: OffsetDateTime,
) -> Result<()> {
    if step == StartStep::Place {
        sqlx::query!("delete from runtime_step where runtime_id = $1", runtime_id.0).execute(&mut *connection).await?;
    } else {
        // This step stays if it was cut off half-way: then it goes on.
        sqlx::query!(
            "delete from runtime_step
              where runtime_id = $1 and (step <> $2 or ended_at is not null)
                and array_position(array['place', 'create', 'start', 'wait'], step) >= array_position(array['place', 'create', 'start', 'wait'], $2::text)",
            runtime_id.0,
            step as StartStep
        )
        .execute(&mut *connection)
        .await?;
    }
    end_steps(connection, runtime_id, step, now).await?;
    sqlx::query!(
        "insert into runtime_step (runtime_id, step, began_at)
         select runtime_id, $3, $4 from runtime where runtime_id = $1 and generation = $2 and deleted_at is null
         on conflict do nothing",
        runtime_id.0,
        generation,
        step as StartStep,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_steps(connection: &mut Connection, runtime_id: RuntimeId, but: StartStep, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update runtime_step set ended_at = $3 where runtime_id = $1 and step <> $2 and ended_at is null",
        runtime_id.0,
        but as StartStep,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the last step: the start is done. Answers when it began.
pub async fn end_start(connection: &mut Connection, runtime_id: RuntimeId, now: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
    sqlx::query!("update runtime_step set ended_at = $2 where runtime_id = $1 and ended_at is null", runtime_id.0, now)
        .execute(&mut *connection)
        .await?;
    let began = sqlx::query_scalar!("select began_at from runtime_step where runtime_id = $1 and step = 'place'", runtime_id.0);
    Ok(began.fetch_optional(connection).await?)
}
