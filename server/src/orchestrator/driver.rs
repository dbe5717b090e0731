//! The loop: woken by changes and engine events, and on a period. One server of a database leads; the others wait for the lead.

use super::{Orchestrator, logs::Keeping, memory, reconcile::Next, reconcile::silent_engine, store::Lead};
use crate::{
    Result,
    data::{listen::Change, runtime::Row},
    error::chain,
    manager::{ContainerState, EngineEvent, Seen, World},
};
use contract::{DesiredState, ModelView, Phase, RuntimeId, SleepDepth};
use futures::{StreamExt as _, stream::BoxStream};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often everything is looked at, woken or not: what catches lost events.
const PERIOD: Duration = Duration::from_secs(5);
/// How often a ready runtime is looked at closely.
const ROUND: Duration = Duration::from_secs(30);
/// How many are looked at closely in one pass, at most.
const CLOSE_LOOKS: usize = 32;
/// How often a server without the lead asks for it.
const ASK_FOR_LEAD: Duration = Duration::from_secs(2);
/// How often a workspace is measured, one at a time.
const MEASURE: Duration = Duration::from_secs(10);
/// How old a measure may become while its runtime runs.
const MEASURE_HOLDS: time::Duration = time::Duration::minutes(5);
/// How long steps in progress may take to end at shutdown. Cut off, they are found half done by the next run.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Runtimes that are being attended to, each by one task.
#[derive(Default)]
pub(super) struct Attended(std::sync::Mutex<HashMap<RuntimeId, Arc<Wake>>>);

/// Wakes the task that attends to a runtime.
#[derive(Default)]
struct Wake {
    notify: Notify,
    woken: std::sync::atomic::AtomicBool,
}

impl Attended {
    /// Begins to attend, or wakes whoever does already.
    fn begin(&self, runtime_id: RuntimeId) -> Option<Arc<Wake>> {
        let mut attended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = attended.get(&runtime_id) {
            wake.woken.store(true, std::sync::atomic::Ordering::Release);
            wake.notify.notify_one();
            return None;
        }
        let wake = Arc::new(Wake::default());
        attended.insert(runtime_id, Arc::clone(&wake));
        Some(wake)
    }

    /// Ends, unless somebody woke us since the last look.
    fn end(&self, runtime_id: RuntimeId, wake: &Wake) -> bool {
        let mut attended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if wake.woken.swap(false, std::sync::atomic::Ordering::AcqRel) {
            return false;
        }
        attended.remove(&runtime_id);
        true
    }

    fn leave(&self, runtime_id: RuntimeId, wake: &Arc<Wake>) {
        let mut attended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have begun since.
        if attended.get(&runtime_id).is_some_and(|present| Arc::ptr_eq(present, wake)) {
            attended.remove(&runtime_id);
        }
    }
}

/// What a pass found.
struct Surveyed {
    /// Not as they should be.
    restless: Vec<RuntimeId>,
    /// Ready, as far as a list shows.
    ready: Vec<RuntimeId>,
}

/// When each ready runtime was looked at closely: a list shows neither limits nor capabilities, nor whether OpenClaw answers.
#[derive(Default)]
struct Rounds(HashMap<RuntimeId, Instant>);

impl Rounds {
    /// Whose turn it is: never more than a few at a time, so that a pass stays cheap however many there are.
    fn due(&mut self, ready: &[RuntimeId]) -> Vec<RuntimeId> {
        let now = Instant::now();
        let present: BTreeSet<&RuntimeId> = ready.iter().collect();
        self.0.retain(|runtime_id, _| present.contains(runtime_id));
        let mut due: Vec<(Option<Instant>, RuntimeId)> =
            ready.iter().map(|id| (self.0.get(id).copied(), *id)).filter(|(at, _)| at.is_none_or(|at| now - at >= ROUND)).collect();
        due.sort_unstable();
        due.truncate(CLOSE_LOOKS);
        self.0.extend(due.iter().map(|(_, id)| (*id, now)));
        due.into_iter().map(|(_, id)| id).collect()
    }
}

/// Takes a runtime off the list also when its task is cut off or fails.
struct Leave<'a>(&'a Attended, RuntimeId, Arc<Wake>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1, &self.2);
    }
}

impl Orchestrator {
    /// Reconciles until `stop`. Runtimes keep running.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.store.take_lead().await {
                Ok(Some(lead)) => self.lead(lead, &stop).await,
                Ok(None) => tracing::debug!("another server reconciles"),
                Err(error) => tracing::warn!(error = %chain(&error), "the lead could not be asked for"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(ASK_FOR_LEAD) => {}
            }
        }
    }

    async fn lead(self: &Arc<Self>, mut lead: Box<dyn Lead>, stop: &CancellationToken) {
        let ours = stop.child_token();
        let tasks = TaskTracker::new();
        let _keeping = Keeping(self.logs.clone());
        // Heard from now on, before the first look: nothing falls in between.
        let mut changes = self.changes.subscribe();
        let mut events: BoxStream<'static, EngineEvent> = futures::stream::pending().boxed();
        let mut has_events = false;
        self.measure_by_and_by(&tasks, &ours);
        let mut rounds = Rounds::default();
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let whole = tokio::select! {
                biased;
                () = ours.cancelled() => break,
                _ = tick.tick() => {
                    if !lead.holds().await {
                        tracing::warn!("the lead is lost");
                        break;
                    }
                    true
                }
                change = changes.recv() => match change {
                    Ok(Change::Runtime { runtime_id, .. }) => {
                        self.attend(runtime_id, &tasks, &ours);
                        false
                    }
                    Ok(Change::Catalog | Change::Anything) | Err(RecvError::Lagged(_)) => true,
                    Ok(
                        Change::SessionEnded { .. }
                        | Change::PersonClosed { .. }
                        | Change::Usage { .. }
                        | Change::Keys { .. }
                        | Change::People,
                    ) => false,
                    Err(RecvError::Closed) => break,
                },
                event = events.next() => {
                    match event {
                        Some(event) => self.attend(event.runtime_id, &tasks, &ours),
                        None => {
                            events = futures::stream::pending().boxed();
                            has_events = false;
                        }
                    }
                    false
                }
            };
            if !whole {
                continue;
            }
            if !has_events && let Ok(stream) = self.engine.events().await {
                events = stream;
                has_events = true;
            }
            tokio::select! {
                biased;
                () = ours.cancelled() => break,
                passed = self.survey() => match passed {
                    Ok(found) => {
                        let due = rounds.due(&found.ready);
                        found.restless.into_iter().chain(due).for_each(|runtime_id| self.attend(runtime_id, &tasks, &ours));
                    }
                    Err(error) => tracing::warn!(error = %chain(&error), "a pass over all runtimes failed, the next comes by itself"),
                },
            }
        }
        ours.cancel();
        tasks.close();
        if tokio::time::timeout(LAST_STEPS, tasks.wait()).await.is_err() {
            tracing::info!("a step was cut off; the next run finds it");
        }
        self.leave_nothing().await;
        drop(lead.yield_up().await);
    }

    /// Where no runtime is left, the host's firewall is left as it was found.
    async fn leave_nothing(&self) {
        if self.engine.survey().await.is_ok_and(|world| world.is_empty())
            && let Err(error) = self.engine.lift_walls().await
        {
            tracing::warn!(error = %chain(&error), "the firewall rules could not be taken away");
        }
    }

    /// Looks at everything once: tidies what has no row, holds walls and doors, and answers which runtimes are not as they should be.
    pub async fn pass(&self) -> Result<Vec<RuntimeId>> {
        Ok(self.survey().await?.restless)
    }

    async fn survey(&self) -> Result<Surveyed> {
        // The engine first: whatever it shows then has a row, or had one.
        let world = match self.engine.survey().await {
            Ok(world) => world,
            Err(error) => {
                self.store.say_of_moving(Some(&silent_engine())).await?;
                return Err(error);
            }
        };
        self.store.say_of_moving(None).await?;
        let (rows, models) = (self.store.all().await?, self.store.offered().await?);
        self.tidy(&world, &rows).await;
        if let Err(error) = self.tidy_workspaces().await {
            tracing::warn!(error = %chain(&error), "workspaces that were to be wiped could not be looked for");
        }
        self.hold(&world).await;
        if let Err(error) = self.keep_logs(&world, &rows).await {
            tracing::warn!(error = %chain(&error), "the logs of runtimes could not be looked after");
        }
        let nothing = Seen::default();
        let at_rest = |row: &Row| self.is_at_rest(row, world.get(&row.runtime_id).unwrap_or(&nothing), &models);
        let (resting, restless): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(at_rest);
        let ready = resting.into_iter().filter(|row| row.phase == Phase::Ready).map(|row| row.runtime_id).collect();
        Ok(Surveyed { restless: restless.into_iter().map(|row| row.runtime_id).collect(), ready })
    }

    fn is_at_rest(&self, row: &Row, seen: &Seen, models: &[ModelView]) -> bool {
        // What was asked for and is there already has an end to be noted.
        if row.open_task.is_some() {
            return false;
        }
        match (row.desired_state, row.phase) {
            (DesiredState::Running, Phase::Ready) => match (&seen.container, seen.isolation) {
                (Some(container), Some(isolation)) => {
                    !self.rest(row).is_tired(self.clock.now())
                        && matches!(container.state, ContainerState::Running { .. })
                        && container.revision == row.revision
                        && container.breaches.is_empty()
                        && memory::is_of_now(row, seen)
                        && seen.configuration.as_deref() == Some(&self.render(row, isolation.gateway, models))
                }
                (_, _) => false,
            },
            (DesiredState::Running, Phase::Asleep) => self.sleeps_well(row, seen),
            (DesiredState::Running, Phase::Failed) | (DesiredState::Stopped, Phase::Stopped) => {
                seen.container.is_none() && seen.isolation.is_none() && seen.configuration.is_none() && row.admitted_at.is_none()
            }
            (_, _) => false,
        }
    }

    /// Whether a runtime sleeps as deep as it is to, and nothing is due.
    fn sleeps_well(&self, row: &Row, seen: &Seen) -> bool {
        let (rest, now) = (self.rest(row), self.clock.now());
        let deep_enough = match (&seen.container, row.sleep_depth) {
            (Some(container), Some(SleepDepth::Frozen)) => {
                matches!(container.state, ContainerState::Frozen { .. })
                    && container.revision == row.revision
                    && container.breaches.is_empty()
                    && seen.isolation.is_some()
                    && row.agreed_until.is_none()
                    && !rest.sinks(now)
            }
            (None, Some(SleepDepth::Stopped)) => seen.isolation.is_none() && seen.configuration.is_none() && row.admitted_at.is_none(),
            (_, _) => false,
        };
        deep_enough && !rest.is_due(now)
    }

    /// What bears our labels and has no row is left over from a crash: it goes. Workspaces never do.
    async fn tidy(&self, world: &World, rows: &[Row]) {
        let known: BTreeSet<RuntimeId> = rows.iter().map(|row| row.runtime_id).collect();
        for runtime_id in world.keys().filter(|runtime_id| !known.contains(runtime_id)) {
            // A list may be old; the row itself is asked before anything is removed.
            if !matches!(self.store.get(*runtime_id).await, Ok(None)) {
                continue;
            }
            tracing::info!(runtime = %runtime_id, "something of a runtime that is gone was left over");
            let removed = match self.engine.remove(*runtime_id).await {
                Ok(()) => self.engine.release(*runtime_id).await,
                error => error,
            };
            if let Err(error) = removed {
                tracing::warn!(runtime = %runtime_id, error = %chain(&error), "what was left over could not be removed");
            }
        }
    }

    /// A workspace whose wiping failed, or was said to be done and was not, is wiped now: its owner asked for it.
    async fn tidy_workspaces(&self) -> Result<()> {
        let present = self.engine.workspaces().await?;
        for workspace in self.store.wiped_workspaces(&present).await? {
            tracing::info!(workspace, "a workspace that was to be wiped was left over");
            self.engine.wipe_workspace(&workspace).await?;
        }
        Ok(())
    }

    async fn hold(&self, world: &World) {
        let gateways: Vec<_> = world.values().filter_map(|seen| seen.isolation).map(|isolation| isolation.gateway).collect();
        if !gateways.is_empty()
            && let Err(error) = self.engine.hold_walls().await
        {
            tracing::error!(error = %chain(&error), "the walls around runtimes do not hold");
        }
        for gateway in gateways {
            if let Err(error) = self.doors.open(gateway).await {
                tracing::warn!(%gateway, error = %chain(&error), "the internal listener could not be opened");
            }
        }
    }

    fn measure_by_and_by(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        let (this, stop) = (Arc::clone(self), stop.clone());
        tasks.spawn(async move {
            let mut tick = tokio::time::interval(MEASURE);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let measuring = async {
                loop {
                    tick.tick().await;
                    if let Err(error) = this.measure().await {
                        tracing::debug!(error = %chain(&error), "a workspace could not be measured");
                    }
                }
            };
            stop.run_until_cancelled(measuring).await.unwrap_or(())
        });
    }

    /// Measures the workspace whose measure is the oldest, where it is too old. Its disk is judged by that at the next start.
    pub async fn measure(&self) -> Result<()> {
        let Some(workspace) = self.store.stalest_workspace(self.clock.now() - MEASURE_HOLDS).await? else { return Ok(()) };
        let measured = self.engine.measure_workspace(&workspace).await;
        // One that cannot be measured has its turn again later, after the others.
        self.store.measured(&workspace, measured.as_ref().ok().copied().flatten(), self.clock.now()).await?;
        measured.map(drop)
    }

    fn attend(self: &Arc<Self>, runtime_id: RuntimeId, tasks: &TaskTracker, stop: &CancellationToken) {
        let Some(wake) = self.attended.begin(runtime_id) else { return };
        let (this, stop) = (Arc::clone(self), stop.clone());
        tasks.spawn(async move {
            let _leave = Leave(&this.attended, runtime_id, Arc::clone(&wake));
            while !stop.is_cancelled() {
                match this.step(runtime_id).await {
                    Ok(Next::Again) => {}
                    Ok(Next::After(time)) => tokio::select! {
                    biased;
                            () = stop.cancelled() => {}
                            () = wake.notify.notified() => {}
                            () = tokio::time::sleep(time) => {}
                        },
                    Ok(Next::Rest) => {
                        if this.attended.end(runtime_id, &wake) {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(runtime = %runtime_id, error = %chain(&error), "a step failed, the next pass goes on");
                        break;
                    }
                }
            }
        });
    }
}
