//! An engine as bad as engines get: slow, silent, refusing, lying, forgetful. What it holds is judged at every effect.

mod calls;

use crate::{
    breaks::Break,
    claw::Claw,
    dice::Dice,
    invariants::{Invariant, Wrong},
    store::Database,
    tables::ENDED_WITH_ITS_MACHINE,
    world::{Life, PERSON_MEMORY},
};
use async_trait::async_trait;
use contract::{Code, DesiredState, Phase, Problem, Retention, RuntimeId, RuntimeStats};
use futures::{StreamExt as _, stream::BoxStream};
use server::{
    Error, Result,
    clock::Clock,
    manager::{Capacity, ContainerState, Engine, EngineEvent, Health, LogLine, Made, Seen, SeenContainer, World, epoch::Epoch},
    runtime::spec::{Isolation, Limits, OPENCLAW_PORT, RuntimeSpec},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::broadcast;

/// What every workspace holds, in bytes.
const WORKSPACE_HOLDS: i64 = 1 << 30;

/// A container.
#[derive(Clone)]
pub struct Container {
    pub spec: RuntimeSpec,
    pub state: ContainerState,
    /// What it may use: a hand may have changed it.
    pub limits: Limits,
    /// The memory that we gave it last, in bytes: a hand's is not ours to count.
    pub granted: i64,
    /// What a hand did to its walls.
    pub breaches: Vec<String>,
    /// When OpenClaw will be ready; never, in a bad container.
    pub ready_at: Option<OffsetDateTime>,
}

/// What the engine holds.
#[derive(Default)]
pub struct Held {
    /// By name.
    pub containers: BTreeMap<String, Container>,
    pub isolations: BTreeSet<RuntimeId>,
    pub configurations: BTreeMap<RuntimeId, String>,
    /// The configurations that we wrote last: a hand may have edited them since.
    pub written: BTreeMap<RuntimeId, String>,
    pub workspaces: BTreeSet<String>,
    /// What OpenClaw keeps in its workspace, and does.
    pub claws: BTreeMap<RuntimeId, Claw>,
    started: u32,
    /// How often the machine and its engine were restarted.
    restarts: (u32, u32),
    down_until: Option<OffsetDateTime>,
    old: World,
    pub wrongs: Vec<Wrong>,
}

/// The machine: one for all servers.
pub struct Machine {
    held: Mutex<Held>,
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    pub dice: Arc<Dice>,
    pub broken: Break,
    events: broadcast::Sender<EngineEvent>,
    pub memory_bytes: i64,
    /// Whether no two servers ever lead at once in this schedule: then nothing is excused by what the other one saw.
    pub one_leader: bool,
}

impl Machine {
    pub fn new(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        dice: Arc<Dice>,
        broken: Break,
        memory_bytes: i64,
        one_leader: bool,
    ) -> Arc<Self> {
        let (held, events) = (Mutex::default(), broadcast::channel(256).0);
        Arc::new(Self { held, database, clock, dice, broken, events, memory_bytes, one_leader })
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, spec: &RuntimeSpec) -> String {
        match self.broken {
            Break::NamesByChance => format!("{}-{}", spec.runtime_id, self.dice.below(u64::MAX)),
            _ => spec.runtime_id.to_string(),
        }
    }

    fn tell(&self, runtime_id: RuntimeId) {
        // An event never seen.
        if !self.dice.fault(4) {
            drop(self.events.send(EngineEvent { runtime_id }));
        }
    }

    /// Does not answer for a while.
    pub fn go_down(&self, time: Duration) {
        self.held().down_until = Some(self.clock.now() + time);
    }

    /// The machine or its engine is restarted, and ends what ran.
    pub fn restart(&self, machine: bool) {
        let mut held = self.held();
        let (machines, engines) = held.restarts;
        held.restarts = (machines + u32::from(machine), engines + 1);
        for container in held.containers.values_mut() {
            if matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. }) {
                container.state = ContainerState::Ended { code: ENDED_WITH_ITS_MACHINE, out_of_memory: false };
            }
        }
        drop(held);
        self.go_down(Duration::from_millis(self.dice.below(20_000)));
    }

    fn has_row(&self, runtime_id: RuntimeId) -> bool {
        self.database.tables().rows.get(&runtime_id).is_some_and(|kept| !kept.gone)
    }

    /// Something of a runtime that nobody knows is there: a database of yesterday, say.
    pub fn leave_over(&self, runtime_id: RuntimeId) {
        let mut held = self.held();
        if self.dice.once_in(2) {
            held.isolations.insert(runtime_id);
        } else {
            held.configurations.insert(runtime_id, "left over".to_owned());
        }
    }

    /// A container ends by itself.
    pub fn crash(&self, runtime_id: RuntimeId) {
        for container in self.held().containers.values_mut().filter(|container| container.spec.runtime_id == runtime_id) {
            container.state = ContainerState::Ended { code: 1, out_of_memory: false };
        }
        self.tell(runtime_id);
    }

    /// Something happens to a container behind our back.
    pub fn harm(&self) {
        let dice = &self.dice;
        let mut held = self.held();
        let names: Vec<String> = held.containers.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let name = names[usize::try_from(dice.below(names.len() as u64)).unwrap_or_default()].clone();
        let Some(container) = held.containers.get_mut(&name) else { return };
        let runtime_id = container.spec.runtime_id;
        match dice.below(9) {
            8 => drop(held.configurations.insert(runtime_id, "by hand".to_owned())),
            6 => container.state = still(&container.state, true),
            7 => container.state = still(&container.state, false),
            4 => {
                let limits = &mut container.limits;
                match dice.below(3) {
                    0 => limits.memory_bytes *= 2,
                    1 => limits.pids = 0,
                    _ => (limits.cpu_millis, limits.swap_bytes) = (0, -1),
                }
            }
            5 => container.breaches.push("somebody's folder is mounted at /host".to_owned()),
            0 => drop(held.containers.remove(&name)),
            1 => container.state = ContainerState::Ended { code: 137, out_of_memory: true },
            2 => container.state = ContainerState::Ended { code: 1, out_of_memory: false },
            _ => drop(held.isolations.remove(&runtime_id)),
        }
        drop(held);
        self.tell(runtime_id);
    }

    /// Whether there is no reason to stop this container, but perhaps a wish.
    fn is_well(&self, held: &Held, container: &Container) -> bool {
        let tables = self.database.tables();
        let wished = tables.rows.get(&container.spec.runtime_id).is_some_and(|kept| {
            let row = &kept.row;
            !kept.gone
                && row.desired_state == DesiredState::Running
                // Before one is ended it is noted that it will be.
                && matches!(row.phase, Phase::Ready | Phase::Stopping)
                && row.revision == container.spec.revision
        });
        wished
            && matches!(container.state, ContainerState::Running { .. })
            && container.breaches.is_empty()
            && held.isolations.contains(&container.spec.runtime_id)
    }

    fn ended_by_us(&self, held: &mut Held, name: &str) {
        if self.one_leader && held.containers.get(name).is_some_and(|container| self.is_well(held, container)) {
            held.wrongs.push(Invariant::TheWellRunOn.broken("a runtime that was well was ended without a wish"));
        }
    }

    /// Called when something is frozen, or ended while it sleeps: nothing may be under way in it, and nobody there.
    fn puts_to_sleep(&self, held: &mut Held, runtime_id: RuntimeId) {
        let phase = self.database.tables().rows.get(&runtime_id).filter(|kept| !kept.gone).map(|kept| kept.row.phase);
        if !self.one_leader || !matches!(phase, Some(Phase::Ready | Phase::Asleep)) {
            return;
        }
        let now = self.clock.now();
        let runs = held
            .containers
            .values()
            .any(|container| container.spec.runtime_id == runtime_id && matches!(container.state, ContainerState::Running { .. }));
        let Some(claw) = held.claws.get(&runtime_id).filter(|_| runs) else { return };
        if claw.works(now) {
            held.wrongs.push(Invariant::NothingAsleepAtWork.broken("a runtime was put to sleep while it works"));
        }
        if claw.has_visitor(now) {
            held.wrongs.push(Invariant::NothingAsleepBeforeVisitors.broken("a runtime was put to sleep before somebody who was there"));
        }
    }

    /// What OpenClaw does by itself from one second to the next, and what must not be slept through.
    pub fn live(&self, strict: bool) {
        let (now, dice) = (self.clock.now(), &self.dice);
        let phases: BTreeMap<RuntimeId, Phase> = {
            let tables = self.database.tables();
            let alive = tables.rows.values().filter(|kept| !kept.gone && kept.row.desired_state == DesiredState::Running);
            alive.map(|kept| (kept.row.runtime_id, kept.row.phase)).collect()
        };
        let mut held = self.held();
        let Held { containers, claws, wrongs, .. } = &mut *held;
        for container in containers.values() {
            let ready = container.ready_at.is_some_and(|at| at <= now);
            if matches!(container.state, ContainerState::Running { .. }) && ready {
                claws.entry(container.spec.runtime_id).or_default().live(now, dice);
            }
        }
        for (runtime_id, claw) in claws.iter().filter(|_| strict) {
            if phases.get(runtime_id) != Some(&Phase::Asleep) {
                continue;
            }
            if claw.is_overdue(now) {
                wrongs.push(Invariant::NoScheduleMissed.broken("a schedule was slept through"));
            }
            if claw.waits_long(now) {
                wrongs.push(Invariant::VisitorsWake.broken("a visitor stands before a runtime that sleeps on"));
            }
        }
    }

    fn judge(&self, held: &mut Held) {
        let mut seen = BTreeSet::new();
        for container in held.containers.values() {
            if !seen.insert(container.spec.runtime_id) {
                held.wrongs.push(Invariant::OneContainer.broken("two containers for one runtime"));
            }
        }
        let lives = |container: &&Container| matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. });
        let runs = held.containers.values().filter(lives);
        let memory: i64 = runs.map(|container| container.granted).sum();
        if memory > self.memory_bytes {
            let (runs, fits) = (memory / PERSON_MEMORY, self.memory_bytes / PERSON_MEMORY);
            held.wrongs.push(Invariant::MemoryFits.broken(format!("{runs} runtimes' memory runs in {fits}")));
        }
    }
}

/// One server's way to the machine.
pub struct SimEngine {
    pub machine: Arc<Machine>,
    pub life: Arc<Life>,
}

fn silent() -> Error {
    Error::Engine { context: "calling".to_owned(), source: Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)) }
}

impl SimEngine {
    async fn reach(&self) -> Result<()> {
        let machine = &self.machine;
        tokio::time::sleep(machine.dice.delay()).await;
        self.life.check().await;
        if !machine.dice.is_quiet() && machine.held().down_until.is_some_and(|until| until > machine.clock.now()) {
            return Err(silent());
        }
        Ok(())
    }

    async fn answer<T>(&self, answer: T) -> Result<T> {
        let dice = &self.machine.dice;
        if dice.fault(400) {
            // Never answers.
            std::future::pending::<()>().await;
        }
        if dice.fault(20) {
            tokio::time::sleep(dice.delay()).await;
        }
        self.life.check().await;
        if dice.fault(120) { Err(silent()) } else { Ok(answer) }
    }

    async fn effect<T>(&self, lie: Option<T>, act: impl FnOnce(&mut Held) -> Result<T> + Send) -> Result<T>
    where
        T: Send,
    {
        self.reach().await?;
        let dice = &self.machine.dice;
        if dice.fault(120) {
            return Err(Problem::new(Code::RuntimeStartFailed, "The engine says no.").into());
        }
        let done = {
            let mut held = self.machine.held();
            let done = match lie {
                // Says that it did, and did not.
                Some(lie) if dice.fault(200) => Ok(lie),
                _ => act(&mut held),
            };
            self.machine.judge(&mut held);
            done
        }?;
        self.answer(done).await
    }

    fn seen(&self, held: &Held, runtime_id: RuntimeId) -> Seen {
        Seen {
            container: held.containers.values().rfind(|container| container.spec.runtime_id == runtime_id).map(|container| SeenContainer {
                revision: container.spec.revision,
                spec_hash: container.spec.hash(),
                state: container.state.clone(),
                breaches: container.breaches.clone(),
                made: Some(Made {
                    image: container.spec.image.clone(),
                    image_id: "1".to_owned(),
                    newest_id: Some("1".to_owned()),
                    workspace: Some(container.spec.workspace.clone()),
                    limits: container.limits,
                    gpu: container.spec.gpu,
                    oci_runtime: container.spec.oci_runtime.clone(),
                }),
                out_of_memory: None,
            }),
            isolation: held.isolations.contains(&runtime_id).then(isolation),
            configuration: held.configurations.get(&runtime_id).cloned(),
            epoch: Some(Epoch { machine: held.restarts.0.to_string(), engine: Some(held.restarts.1.to_string()) }),
        }
    }

    async fn still(&self, runtime_id: RuntimeId, freezes: bool) -> Result<()> {
        self.effect(Some(()), |held| {
            if let Some(name) = self.find(held, runtime_id) {
                if freezes {
                    self.machine.puts_to_sleep(held, runtime_id);
                }
                if let Some(container) = held.containers.get_mut(&name) {
                    container.state = still(&container.state, freezes);
                }
            }
            Ok(())
        })
        .await?;
        self.machine.tell(runtime_id);
        Ok(())
    }

    fn find(&self, held: &Held, runtime_id: RuntimeId) -> Option<String> {
        held.containers.iter().rfind(|(_, container)| container.spec.runtime_id == runtime_id).map(|(name, _)| name.clone())
    }
}

/// The state of a container that is frozen or thawed.
fn still(state: &ContainerState, freezes: bool) -> ContainerState {
    match (state.clone(), freezes) {
        (ContainerState::Running { since, address }, true) => ContainerState::Frozen { since, address },
        (ContainerState::Frozen { since, address }, false) => ContainerState::Running { since, address },
        (other, _) => other,
    }
}

fn isolation() -> Isolation {
    Isolation { gateway: IpAddr::V4(Ipv4Addr::new(10, 213, 0, 1)) }
}
