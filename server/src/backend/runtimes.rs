//! Runtimes, as the pages see them.

use super::Backend;
use crate::{
    Error, Result,
    data::{self, past::Past, runtime::Row, transition_history::Transition},
    model,
    orchestrator::{commands, decide, profile},
    platform,
};
use app::ports::Runtimes;
use async_trait::async_trait;
use contract::{
    Act, Acted, Answer, Caller, Code, LastError, Leftover, LogView, ModelView, MoreMemory, OthersWish, PersonId, Phase, Problem, ProfileId,
    ProfileView, Progress, Retention, RuntimeId, RuntimeStats, RuntimeUse, RuntimeView, SleepView, StartStep, StepView, TaskView, Try,
    Turn,
};
use futures::StreamExt as _;
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};
use time::OffsetDateTime;

/// How many tasks a page shows.
const TASKS: i64 = 20;
/// How many runtimes are measured at once, and how long it may take for all of them.
const MEASURED_AT_ONCE: usize = 8;
const MEASURED_WITHIN: Duration = Duration::from_secs(8);

#[async_trait]
impl Runtimes for Backend {
    async fn list(&self, caller: &Caller) -> Answer<Vec<RuntimeView>> {
        Ok(self.views_of(caller, caller.person_id).await?)
    }

    async fn get(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        let row = self.there_or_gone(caller, runtime).await?;
        Ok(self.view_of(caller, row).await?)
    }

    async fn create(&self, caller: &Caller, name: &str, profile: Option<ProfileId>) -> Answer<RuntimeView> {
        let runtime = self.orchestrator.create(caller, name, profile).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn start(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.orchestrator.start(caller, runtime).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn stop(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.orchestrator.stop(caller, runtime).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn restart(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.orchestrator.restart(caller, runtime).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn change_profile(&self, caller: &Caller, runtime: RuntimeId, profile: ProfileId, restart: bool) -> Answer<RuntimeView> {
        self.orchestrator.change_profile(caller, runtime, profile, restart).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn delete(&self, caller: &Caller, runtime: RuntimeId, retention: Retention) -> Answer<()> {
        Ok(self.orchestrator.delete(caller, runtime, retention).await?)
    }

    async fn hurry(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.orchestrator.hurry(caller, runtime).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn choose_sleep(&self, caller: &Caller, runtime: RuntimeId, minutes: Option<i32>) -> Answer<RuntimeView> {
        self.orchestrator.choose_sleep(caller, runtime, minutes).await?;
        Ok(self.view(caller, runtime).await?)
    }

    async fn resume_calls(&self, caller: &Caller, runtime: RuntimeId) -> Answer<()> {
        let row = self.orchestrator.find(caller, runtime).await?;
        Ok(model::breaker::resume(&self.models, caller, row.runtime_id, row.person_id, &row.name).await?)
    }

    async fn rotate_key(&self, caller: &Caller, runtime: RuntimeId, minutes: u16) -> Answer<()> {
        Ok(self.orchestrator.rotate_key(caller, runtime, time::Duration::minutes(minutes.into())).await?)
    }

    async fn stats(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Option<RuntimeStats>> {
        let row = self.orchestrator.find(caller, runtime).await?;
        Ok(self.orchestrator.engine().stats(row.runtime_id).await?)
    }

    async fn logs(&self, caller: &Caller, runtime: RuntimeId, find: Option<&str>) -> Answer<LogView> {
        Ok(self.orchestrator.log(caller, runtime, find).await?)
    }

    async fn tasks(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Vec<TaskView>> {
        self.there_or_gone(caller, runtime).await?;
        Ok(self.tasks_of(runtime).await?)
    }

    async fn everyones_stats(&self, caller: &Caller) -> Answer<Vec<(RuntimeId, RuntimeUse)>> {
        for_administrators(caller)?;
        Ok(self.use_by_everyone().await?)
    }

    async fn act(&self, caller: &Caller, act: Act, runtimes: &[RuntimeId]) -> Answer<Vec<Acted>> {
        let answers = self.orchestrator.ask_many(caller, act, runtimes).await?;
        let acted = |(runtime_id, answer): (_, Result<()>)| Acted { runtime_id, problem: answer.err().map(Problem::from) };
        Ok(answers.into_iter().map(acted).collect())
    }

    async fn everyones(&self, caller: &Caller) -> Answer<Vec<RuntimeView>> {
        for_administrators(caller)?;
        Ok(self.views_of_everyone(caller).await?)
    }

    async fn of_person(&self, caller: &Caller, person: PersonId) -> Answer<Vec<RuntimeView>> {
        if person != caller.person_id {
            for_administrators(caller)?;
        }
        Ok(self.views_of(caller, person).await?)
    }
}

fn for_administrators(caller: &Caller) -> Answer<()> {
    if caller.is_administrator() {
        return Ok(());
    }
    Err(Problem::new(Code::AccessDenied, "Only an administrator may see other people's runtimes."))
}

impl Backend {
    async fn view(&self, caller: &Caller, runtime: RuntimeId) -> Result<RuntimeView> {
        let row = self.orchestrator.find(caller, runtime).await?;
        self.view_of(caller, row).await
    }

    async fn view_of(&self, caller: &Caller, row: Row) -> Result<RuntimeView> {
        self.views(caller, vec![row]).await?.pop().ok_or_else(|| commands::not_found().into())
    }

    /// A runtime that the caller may see, also one that was deleted.
    async fn there_or_gone(&self, caller: &Caller, runtime: RuntimeId) -> Result<Row> {
        match self.orchestrator.find(caller, runtime).await {
            Err(Error::Problem(problem)) if problem.code == Code::RuntimeNotFound => {
                let gone = data::runtime::gone(&mut *self.pool.acquire().await?, runtime).await?;
                gone.filter(|row| commands::may_see(caller, row)).ok_or(Error::Problem(problem))
            }
            found => found,
        }
    }

    async fn views_of(&self, caller: &Caller, person: PersonId) -> Result<Vec<RuntimeView>> {
        let rows = data::runtime::of_person(&mut *self.pool.acquire().await?, person).await?;
        self.views(caller, rows).await
    }

    async fn views_of_everyone(&self, caller: &Caller) -> Result<Vec<RuntimeView>> {
        let rows = data::runtime::all(&mut *self.pool.acquire().await?).await?;
        self.views(caller, rows).await
    }

    async fn tasks_of(&self, runtime: RuntimeId) -> Result<Vec<TaskView>> {
        data::task::of_runtime(&mut *self.pool.acquire().await?, runtime, TASKS).await
    }

    async fn use_by_everyone(&self) -> Result<Vec<(RuntimeId, RuntimeUse)>> {
        let rows = data::runtime::all(&mut *self.pool.acquire().await?).await?;
        let running = rows.into_iter().filter(|row| row.phase == Phase::Ready).map(|row| row.runtime_id);
        let engine = self.orchestrator.engine();
        let asked = futures::stream::iter(running).map(async |id| (id, engine.stats(id).await)).buffer_unordered(MEASURED_AT_ONCE);
        let measured = asked.filter_map(|(id, stats)| std::future::ready(stats.ok().flatten().map(|stats| (id, stats))));
        let measured: Vec<(RuntimeId, RuntimeStats)> = measured.take_until(tokio::time::sleep(MEASURED_WITHIN)).collect().await;
        let mut uses: HashMap<RuntimeId, RuntimeUse> = HashMap::new();
        for (id, stats) in measured {
            uses.entry(id).or_default().stats = Some(stats);
        }
        for (id, open) in self.open.open() {
            uses.entry(id).or_default().open = open;
        }
        Ok(uses.into_iter().collect())
    }

    /// The places in the start queue.
    async fn turns(&self, connection: &mut data::Connection) -> Result<HashMap<RuntimeId, Turn>> {
        let waiting = data::queue::waiting(connection).await?;
        // What cannot be known now is not said.
        let memory = self.orchestrator.room().await.is_ok_and(|room| waiting.held + waiting.wanted > room.memory_bytes);
        Ok(waiting.runtime_ids.into_iter().zip(0..).map(|(id, ahead)| (id, Turn { ahead, memory })).collect())
    }

    async fn views(&self, caller: &Caller, rows: Vec<Row>) -> Result<Vec<RuntimeView>> {
        let mut connection = self.pool.acquire().await?;
        let (told_at, mut ahead) = coming(&mut connection, caller, &rows, self.clock.now()).await?;
        let leftovers = leftovers(&mut connection, &rows).await?;
        let ids: Vec<RuntimeId> = rows.iter().filter(|row| is_starting(row.phase)).map(|row| row.runtime_id).collect();
        let steps = data::runtime::steps(&mut connection, &ids).await?;
        let mut usual: HashMap<(Transition, String), Option<i64>> = HashMap::new();
        for row in &rows {
            if let Some(transition) = Transition::of(row.phase)
                && let Entry::Vacant(unknown) = usual.entry((transition, row.image.clone()))
            {
                let lesson = data::transition_history::lesson(&mut connection, transition, &row.image).await?;
                unknown.insert(lesson.median_ms);
            }
        }
        let all: Vec<RuntimeId> = rows.iter().map(|row| row.runtime_id).collect();
        let mut pasts: HashMap<RuntimeId, Past> =
            data::past::of(&mut connection, &all).await?.into_iter().map(|past| (past.runtime_id, past)).collect();
        let mut others: HashMap<RuntimeId, OthersWish> = data::task::of_others(&mut connection, &all).await?.into_iter().collect();
        let queued = rows.iter().any(|row| row.phase == Phase::Queued);
        let turns = if queued { self.turns(&mut connection).await? } else { HashMap::new() };
        let models = model::catalog::offered_for_chat(&mut connection).await?;
        let model_of = |row: &Row| {
            let allowed = |model: &&ModelView| row.models.as_ref().is_none_or(|ids| ids.contains(&model.model_id.0));
            models.iter().find(allowed).map(|model| model.name.clone())
        };
        let profiles = data::profile::all(&mut connection).await?;
        let volumes: Vec<String> = rows.iter().map(|row| row.volume.clone()).collect();
        let measures: HashMap<String, i64> = data::quota::measures(&mut connection, &volumes).await?.into_iter().collect();
        let mut more = HashMap::new();
        for row in rows.iter().filter(|row| ran_out_of_memory(row)) {
            let measured = measures.get(&row.volume).copied();
            more.insert(row.runtime_id, self.more_memory(&mut connection, row, &profiles, measured).await?);
        }
        let views = rows.into_iter().map(|row| {
            let brings = profiles
                .iter()
                .find(|profile| profile.profile_id == row.profile_id)
                .and_then(|profile| profile::brings(&row, &platform::profiles::gives(profile, &self.config.runtimes.runtime_image)));
            // Of a container that is not there nothing is old.
            let brings = brings.filter(|_| row.phase == Phase::Ready);
            let restart_brings = [brings, row.restart_brings.clone()].into_iter().flatten().reduce(|all, more| format!("{all}, {more}"));
            let model = model_of(&row);
            let usual_ms = Transition::of(row.phase).and_then(|transition| *usual.get(&(transition, row.image.clone()))?);
            // What waits for its next try has not begun it.
            let progress = (is_starting(row.phase) && row.phase != Phase::Retrying).then(|| self.progress(&row, &steps, usual_ms));
            let past = pasts.remove(&row.runtime_id);
            let sleep_rule = self.orchestrator.sleep_rule(&row);
            let Coming { wakes_at, due_at, drain_until } = ahead.remove(&row.runtime_id).unwrap_or_default();
            let sleeps = matches!(row.phase, Phase::Asleep | Phase::Waking);
            let wakes_for = row.schedule_name.clone();
            let sleep = row.sleep_depth.filter(|_| sleeps).map(|depth| SleepView { depth, wakes_at, wakes_for, due_at });
            RuntimeView {
                turn: turns.get(&row.runtime_id).copied(),
                retry: (row.attempts > 0 && is_starting(row.phase)).then(|| Try {
                    number: row.attempts + 1,
                    of: decide::TRIES,
                    begins_at: row.retry_at.filter(|_| row.phase == Phase::Retrying),
                }),
                restarts: past.as_ref().map_or(0, |past| past.restarts),
                calls_paused: past
                    .as_ref()
                    .and_then(|past| Some(LastError { message: past.calls_paused_for.clone()?, at: past.calls_paused_at? })),
                last_error: past.and_then(|past| Some(LastError { message: past.last_error?, at: past.last_error_at? })),
                runtime_id: row.runtime_id,
                person_id: row.person_id,
                owner: row.owner,
                name: row.name,
                origin: self.orchestrator.origin(&row.host_label, row.port),
                desired_state: row.desired_state,
                phase: row.phase,
                phase_since: row.phase_since,
                told_at,
                others_wish: others.remove(&row.runtime_id),
                leftover: leftovers.get(&row.runtime_id).copied(),
                problem: row.problem.map(|problem| problem.0),
                progress,
                usual_ms,
                profile_id: row.profile_id,
                profile: row.profile,
                memory_bytes: row.memory_bytes,
                cpu_millis: row.cpu_millis,
                workspace_bytes: row.workspace_bytes,
                workspace_used_bytes: measures.get(&row.volume).copied(),
                image: row.image,
                more_memory: more.remove(&row.runtime_id),
                restart_brings,
                sleep,
                sleep_rule,
                drain_until,
                model,
                created_at: row.created_at,
            }
        });
        Ok(views.collect())
    }

    async fn more_memory(
        &self,
        connection: &mut data::Connection,
        row: &Row,
        profiles: &[ProfileView],
        measured: Option<i64>,
    ) -> Result<MoreMemory> {
        let quota = platform::quotas::of(connection, self.config.runtimes.quota(), row.person_id).await?;
        let whom = data::budget::whom_to_ask(connection).await?.into_iter().next();
        Ok(profile::more_memory(row, profiles, &quota.quota, quota.used, measured, whom))
    }

    fn progress(&self, row: &Row, steps: &[data::runtime::Step], expected_ms: Option<i64>) -> Progress {
        let millis = |time: time::Duration| i64::try_from(time.whole_milliseconds()).unwrap_or(i64::MAX).max(0);
        let find = |step: StartStep| steps.iter().find(|found| found.runtime_id == row.runtime_id && found.step == step);
        let of_step = |step: StartStep| {
            let found = find(step);
            StepView {
                step,
                began_at: found.map(|found| found.began_at),
                took_ms: found.and_then(|found| found.ended_at.map(|ended| millis(ended - found.began_at))),
            }
        };
        // A start that nobody pressed began when it was woken, and another try where its first step did.
        let began_at = match find(StartStep::Place).filter(|_| row.attempts > 0) {
            Some(place) => place.began_at,
            None => row.woken_at.map_or(row.wished_at, |woken_at| woken_at.max(row.wished_at)),
        };
        Progress {
            began_at,
            elapsed_ms: millis(self.clock.now() - began_at),
            expected_ms,
            steps: StartStep::ALL.into_iter().map(of_step).collect(),
        }
    }
}

/// What is to come for a runtime, as the asker's clocks show it.
#[derive(Default)]
struct Coming {
    wakes_at: Option<OffsetDateTime>,
    due_at: Option<OffsetDateTime>,
    drain_until: Option<OffsetDateTime>,
}

/// The time, and what is to come for these runtimes, both in the caller's zone. Where nothing is to come nobody's zone matters.
async fn coming(
    connection: &mut data::Connection,
    caller: &Caller,
    rows: &[Row],
    now: OffsetDateTime,
) -> Result<(OffsetDateTime, HashMap<RuntimeId, Coming>)> {
    let moments = |row: &Row| match row.phase {
        Phase::Asleep | Phase::Waking => [row.wakes_at, row.schedule_at, None],
        Phase::Draining => [None, None, row.drain_until],
        _ => [None; 3],
    };
    let told: Vec<(RuntimeId, [Option<OffsetDateTime>; 3])> =
        rows.iter().map(|row| (row.runtime_id, moments(row))).filter(|(_, moments)| moments.iter().any(Option::is_some)).collect();
    if told.is_empty() {
        return Ok((now, HashMap::new()));
    }
    let all: Vec<OffsetDateTime> =
        std::iter::once(now).chain(told.iter().flat_map(|(_, moments)| moments.iter().flatten().copied())).collect();
    let mut local = data::local_time::of(connection, &all, &caller.time_zone).await?.into_iter();
    let told_at = local.next().unwrap_or(now);
    let mut next = |moment: Option<OffsetDateTime>| moment.and_then(|_| local.next());
    let coming = told.into_iter().map(|(id, [wakes_at, due_at, drain_until])| {
        (id, Coming { wakes_at: next(wakes_at), due_at: next(due_at), drain_until: next(drain_until) })
    });
    Ok((told_at, coming.collect()))
}

/// What those of these runtimes leave behind that go, or are gone.
async fn leftovers(connection: &mut data::Connection, rows: &[Row]) -> Result<HashMap<RuntimeId, Leftover>> {
    let mut left = HashMap::new();
    for row in rows {
        let leaves = match (row.phase, row.retention) {
            (Phase::Deleted, _) => data::quota::leftover(connection, &row.volume).await?,
            (Phase::Deleting, Some(Retention::WipeWorkspace)) => Leftover::Nothing,
            (Phase::Deleting, _) => Leftover::Workspace,
            (_, _) => continue,
        };
        left.insert(row.runtime_id, leaves);
    }
    Ok(left)
}

/// Whether it broke for lack of memory, and what helps is to be said.
fn ran_out_of_memory(row: &Row) -> bool {
    matches!(row.phase, Phase::Failed | Phase::Retrying) && row.problem.as_ref().is_some_and(|problem| problem.0.code == Code::OutOfMemory)
}

/// Whether a start is under way.
fn is_starting(phase: Phase) -> bool {
    Transition::of(phase) == Some(Transition::Start)
}
