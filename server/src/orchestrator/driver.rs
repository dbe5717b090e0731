//! The loop: woken by changes and engine events, and on a period. One server of a database leads; the others wait for the lead.

use super::{
    Orchestrator,
    attended::Attending,
    glance::Glance,
    lease::Lease,
    logs::Keeping,
    pass::{PERIOD, Surveyed},
    reconcile::Next,
    store::Lead,
};
use crate::{Result, data::listen::Change, error::chain, manager::EngineEvent};
use contract::RuntimeId;
use futures::{StreamExt as _, stream::BoxStream};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, broadcast::error::RecvError, mpsc},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often a server without the lead asks for it.
const ASK_FOR_LEAD: Duration = Duration::from_secs(2);
/// How often a workspace is measured, one at a time.
const MEASURE: Duration = Duration::from_secs(10);
/// How old a measure may become while its runtime runs.
const MEASURE_HOLDS: time::Duration = time::Duration::minutes(5);
/// How long steps in progress may take to end at shutdown. Cut off, they are found half done by the next run.
const LAST_STEPS: Duration = Duration::from_secs(5);
/// How soon everything is looked at when the engine's events ended: some may be lost.
const AFTER_EVENTS: Duration = Duration::from_secs(1);
/// A pass that is called for comes at once, but never sooner after another than this part of the time in which they come by themselves.
const CALLED_SOONER: u32 = 10;
/// How many steps are done at once, at most: as many as the database serves without anybody else waiting long. Whoever waits between two steps takes no
/// place.
const STEPS_AT_ONCE: usize = 64;

type Events = BoxStream<'static, EngineEvent>;

/// What a server does while it leads.
struct Term {
    lease: Lease,
    stop: CancellationToken,
    tasks: TaskTracker,
    places: Semaphore,
}

/// When everything is looked at next.
struct Passes {
    /// The pass that is under way.
    under_way: Option<JoinHandle<Option<Passed>>>,
    /// Whether something called for one.
    called: bool,
    /// When the next one comes.
    next: Instant,
    /// When it may come, where something calls for it.
    soonest: Instant,
    /// How often they come by themselves.
    pause: Duration,
}

/// What comes of a pass.
struct Passed {
    surveyed: Result<Surveyed>,
    /// The number of the pass.
    number: u64,
    /// Whether something called for it: then everybody who waits looks again.
    called: bool,
}

impl Passes {
    fn begin() -> Self {
        let now = Instant::now();
        Self { under_way: None, called: false, next: now, soonest: now, pause: PERIOD }
    }

    /// Something may have changed that is not known.
    fn call(&mut self) {
        self.called = true;
        self.next = self.next.min(self.soonest);
    }

    /// It is over, and the next one comes after this long.
    fn over(&mut self, pause: Duration) {
        let now = Instant::now();
        (self.pause, self.soonest) = (pause, now + pause / CALLED_SOONER);
        self.next = if self.called { self.soonest } else { now + pause };
    }

    /// What the pass that is under way found. Never returns without one.
    async fn passed(&mut self) -> Option<Passed> {
        let Some(pass) = &mut self.under_way else { return std::future::pending().await };
        let passed = pass.await;
        self.under_way = None;
        passed.ok().flatten()
    }
}

impl Orchestrator {
    /// Reconciles until `stop`. Runtimes keep running.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let asked = Instant::now();
            match self.store.take_lead().await {
                Ok(Some(lead)) => self.lead(lead, Lease::since(asked), &stop).await,
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

    async fn lead(self: &Arc<Self>, mut lead: Box<dyn Lead>, lease: Lease, stop: &CancellationToken) {
        tracing::info!("this server reconciles");
        let term = Arc::new(Term { lease, stop: stop.child_token(), tasks: TaskTracker::new(), places: Semaphore::new(STEPS_AT_ONCE) });
        let leading = async {
            self.look_after_all(&term).await;
            term.stop.cancel();
            term.tasks.close();
            if tokio::time::timeout(LAST_STEPS, term.tasks.wait()).await.is_err() {
                tracing::info!("a step was cut off; the next run finds it");
            }
            term.lease.during(self.leave_nothing()).await;
        };
        tokio::select! {
            biased;
            () = term.lease.keep(&mut *lead) => tracing::warn!("the lead is lost: another server may have it"),
            () = leading => {}
        }
        term.stop.cancel();
        term.lease.end();
        if let Err(error) = lead.yield_up().await {
            tracing::debug!(error = %chain(&error), "the database did not hear that the lead was given up");
        }
    }

    /// Until the term is to stop.
    async fn look_after_all(self: &Arc<Self>, term: &Arc<Term>) {
        let _keeping = Keeping(self.logs.clone());
        self.watched.clear();
        // Heard from now on, before the first look: nothing falls in between.
        let mut changes = self.changes.subscribe();
        let mut events: Events = futures::stream::pending().boxed();
        let (hear, mut heard) = mpsc::channel(1);
        let (mut has_events, mut walled) = (false, false);
        self.measure_by_and_by(term);
        let mut passes = Passes::begin();
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (next_pass, is_between) = (passes.next, passes.under_way.is_none());
            tokio::select! {
                biased;
                () = term.stop.cancelled() => return,
                _ = tick.tick() => {
                    self.attend_to_due(term);
                    // Passes hold them, where they come as often.
                    if walled && passes.pause > PERIOD {
                        let (this, term_of) = (Arc::clone(self), Arc::clone(term));
                        term.tasks.spawn(async move { term_of.lease.during(term_of.stop.run_until_cancelled(this.hold_walls())).await });
                    }
                }
                change = changes.recv() => match change {
                    Ok(Change::Runtime { runtime_id, .. }) => self.wake_and_attend(runtime_id, term),
                    Ok(Change::Catalog | Change::Anything) | Err(RecvError::Lagged(_)) => passes.call(),
                    Ok(
                        Change::SessionEnded { .. }
                        | Change::PersonClosed { .. }
                        | Change::Usage { .. }
                        | Change::Keys { .. }
                        | Change::Limits
                        | Change::People,
                    ) => {}
                    Err(RecvError::Closed) => return,
                },
                event = events.next() => match event {
                    Some(event) => self.wake_and_attend(event.runtime_id, term),
                    None => {
                        events = futures::stream::pending().boxed();
                        has_events = false;
                        passes.next = passes.next.min(Instant::now() + AFTER_EVENTS);
                    }
                },
                Some(stream) = heard.recv() => {
                    events = stream;
                    has_events = true;
                }
                passed = passes.passed() => {
                    let Some(passed) = passed else {
                        passes.over(PERIOD);
                        continue;
                    };
                    match passed.surveyed {
                        Ok(found) => {
                            // Without the engine's events nothing is told.
                            passes.over(if has_events { self.pause.unwrap_or_else(|| found.pause()) } else { PERIOD });
                            walled = found.walled;
                            self.watched.learn(passed.number, found.resting);
                            self.attend_to_due(term);
                            for runtime_id in found.restless {
                                if passed.called {
                                    self.wake_and_attend(runtime_id, term);
                                } else {
                                    self.attend(runtime_id, term);
                                }
                            }
                        }
                        Err(error) => {
                            tracing::warn!(error = %chain(&error), "a pass over all runtimes failed, the next comes by itself");
                            passes.over(PERIOD);
                        }
                    }
                }
                () = tokio::time::sleep_until(next_pass), if is_between => {
                    let hear = (!has_events).then(|| hear.clone());
                    passes.under_way = Some(self.begin_pass(std::mem::take(&mut passes.called), hear, term));
                }
            }
        }
    }

    /// Looks at everything, beside the loop: whatever is told meanwhile is acted upon at once. The engine's events from before that look on go to `hear`.
    fn begin_pass(self: &Arc<Self>, called: bool, hear: Option<mpsc::Sender<Events>>, term: &Arc<Term>) -> JoinHandle<Option<Passed>> {
        let (this, term_of) = (Arc::clone(self), Arc::clone(term));
        let number = self.watched.begin_pass();
        term.tasks.spawn(async move {
            let pass = async {
                if let Some(hear) = hear
                    && let Ok(events) = this.engine.events().await
                {
                    drop(hear.send(events).await);
                }
                Passed { surveyed: this.survey().await, number, called }
            };
            term_of.lease.during(term_of.stop.run_until_cancelled(pass)).await.flatten()
        })
    }

    /// Where no runtime is left, the host's firewall is left as it was found.
    async fn leave_nothing(&self) {
        if self.engine.survey().await.is_ok_and(|world| world.is_empty())
            && let Err(error) = self.engine.lift_walls().await
        {
            tracing::warn!(error = %chain(&error), "the firewall rules could not be taken away");
        }
    }

    fn measure_by_and_by(self: &Arc<Self>, term: &Term) {
        let (this, stop) = (Arc::clone(self), term.stop.clone());
        term.tasks.spawn(async move {
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

    /// Something happened to it: whoever attends to it looks again.
    fn wake_and_attend(self: &Arc<Self>, runtime_id: RuntimeId, term: &Arc<Term>) {
        self.attended.wake(runtime_id);
        self.attend(runtime_id, term);
    }

    /// Attends to those at rest whose time has come. What their first steps ask the database is asked once for all of them.
    fn attend_to_due(self: &Arc<Self>, term: &Arc<Term>) {
        let due = self.watched.due(self.clock.now());
        let due: Vec<Attending> = due.into_iter().filter_map(|runtime_id| self.begin_to_attend(runtime_id)).collect();
        if due.is_empty() {
            return;
        }
        let (this, term_of) = (Arc::clone(self), Arc::clone(term));
        term.tasks.spawn(async move {
            let ids: Vec<RuntimeId> = due.iter().map(|attending| attending.runtime_id).collect();
            let mut glances = match term_of.lease.during(term_of.stop.run_until_cancelled(this.glance(&ids))).await.flatten() {
                Some(Ok(glances)) => glances,
                Some(Err(error)) => {
                    tracing::debug!(error = %chain(&error), "runtimes at rest could not be read together; each is read by itself");
                    HashMap::new()
                }
                None => return,
            };
            for attending in due {
                let glance = glances.remove(&attending.runtime_id);
                this.go_on(attending, glance, &term_of);
            }
        });
    }

    /// Attends to it until it is at rest, unless somebody does already.
    fn attend(self: &Arc<Self>, runtime_id: RuntimeId, term: &Arc<Term>) {
        if let Some(attending) = self.begin_to_attend(runtime_id) {
            self.go_on(attending, None, term);
        }
    }

    fn begin_to_attend(&self, runtime_id: RuntimeId) -> Option<Attending> {
        let attending = self.attended.begin(runtime_id)?;
        self.watched.forget(runtime_id);
        Some(attending)
    }

    fn go_on(self: &Arc<Self>, attending: Attending, mut glance: Option<Box<Glance>>, term: &Arc<Term>) {
        let (this, term_of) = (Arc::clone(self), Arc::clone(term));
        term.tasks.spawn(async move {
            let steps = async { while !term_of.stop.is_cancelled() && this.step_in_turn(&attending, glance.take(), &term_of).await {} };
            term_of.lease.during(steps).await
        });
    }

    /// Does a step when there is a place, and waits as long as it says. False when nothing is left to do.
    async fn step_in_turn(&self, attending: &Attending, glance: Option<Box<Glance>>, term: &Term) -> bool {
        let step = async {
            // On its own heap for as long as it lasts: ten thousand that wait are small.
            match term.places.acquire().await {
                Ok(_place) => Box::pin(self.step_after(attending.runtime_id, glance)).await,
                Err(closed) => Err(crate::Error::internal("waiting for a place", closed)),
            }
        };
        let pause = match step.await {
            Ok(Next::Again) => return true,
            Ok(Next::After(time)) => time,
            Ok(Next::Rest) => return !attending.end(),
            Err(error) => {
                tracing::warn!(runtime = %attending.runtime_id, error = %chain(&error), "a step failed, and is tried again");
                PERIOD
            }
        };
        tokio::select! {
            biased;
            () = term.stop.cancelled() => {}
            () = attending.wake.woken() => {}
            () = tokio::time::sleep(pause) => {}
        }
        true
    }
}
