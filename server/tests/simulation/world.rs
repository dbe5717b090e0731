//! One schedule: people, servers that die, an engine and a database that fail, and then peace. What must hold stands in [`crate::invariants`]; it is judged
//! while it goes on in [`Machine::held`]'s and [`Tables`](crate::tables::Tables)' `wrongs`, and at the end in [`World::judge`].

mod judge;

use crate::{
    breaks::Break,
    claw::SimOpenclaw,
    dice::Dice,
    engine::{Machine, SimEngine},
    invariants::Wrong,
    store::{Database, SimStore},
};
use async_trait::async_trait;
use contract::{Caller, DesiredState, PersonId, Phase, ProfileId, ProfileView, Resources, Retention, Role, RuntimeId, SessionId};
use server::{
    clock::Clock,
    config::Config,
    data::listen::{Change, Changes},
    orchestrator::{Doors, Orchestrator, rest::Policy},
    platform::keyring::Keyring,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// What a small runtime may use, in bytes.
pub const PERSON_MEMORY: i64 = 2 << 30;
/// What a person may use: two runtimes, of which one may be large.
const QUOTA: Resources = Resources { runtimes: 2, memory_bytes: 3 * PERSON_MEMORY, cpu_millis: 3000, workspace_bytes: 30 << 30 };
/// How long things go wrong.
const STORM: Duration = Duration::from_secs(90);
/// How long everything may take to come right afterwards: four tries that are too slow, with all their waits.
const PEACE: Duration = Duration::from_secs(1500);

/// How far apart passes over everything are where there are thousands of runtimes: then what has its time must come without one.
const RARE_PASSES: Duration = Duration::from_secs(60);

/// When runtimes sleep here: soon, so that a schedule holds many sleeps.
const REST: Policy = Policy {
    sleep_after: Some(time::Duration::seconds(25)),
    stop_after: Some(time::Duration::seconds(20)),
    worth: time::Duration::seconds(5),
    ask_again: time::Duration::seconds(6),
};
/// How often a visitor is heard.
const HEARD: Duration = Duration::from_secs(5);

/// The simulation's time: tokio's, which moves on only when nobody has anything to do.
pub struct SimClock(tokio::time::Instant);

impl Clock for SimClock {
    fn now(&self) -> OffsetDateTime {
        time::macros::datetime!(2026-11-22 12:00 UTC) + self.0.elapsed()
    }
}

/// Whether a server lives. A dead one's calls have no effect and never return, wherever it was.
#[derive(Default)]
pub struct Life {
    dead: AtomicBool,
    term: Mutex<Option<u64>>,
}

impl Life {
    pub async fn check(&self) {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// It took the lead for the last time in this term.
    pub fn leads(&self, term: u64) {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
    }

    pub fn term(&self) -> Option<u64> {
        *self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The change stream of every server that lives.
#[derive(Clone, Default)]
pub struct Changed(Arc<Mutex<Vec<Changes>>>);

impl Changed {
    pub fn tell(&self, change: Change, dice: &Dice) {
        for changes in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // An event never seen.
            if !dice.fault(10) {
                changes.tell(change);
            }
        }
    }
}

struct NoDoors;

#[async_trait]
impl Doors for NoDoors {
    async fn open(&self, _gateway: IpAddr) -> server::Result<()> {
        Ok(())
    }
}

struct Server {
    orchestrator: Arc<Orchestrator>,
    life: Arc<Life>,
    stop: CancellationToken,
}

/// What a person may have asked for last: all that was answered well.
type Heard = (DesiredState, Option<Retention>, Option<ProfileId>);
type Asked = BTreeMap<RuntimeId, Vec<Heard>>;

/// A small profile, a large one that the machine has room for, and one that was withdrawn.
fn profiles(room: i64) -> Vec<ProfileView> {
    let profile = |number: u128, name: &str, memory_bytes: i64, cpu_millis, gib: i64, offered| ProfileView {
        profile_id: ProfileId(uuid::Uuid::from_u128(number)),
        name: name.to_owned(),
        description: String::new(),
        image: None,
        memory_bytes,
        cpu_millis,
        pids: 512,
        workspace_bytes: gib << 30,
        models: None,
        gpu: false,
        oci_runtime: None,
        sleep_after_minutes: None,
        sleep_stop_after_minutes: None,
        position: 0,
        offered,
        runtimes: 0,
    };
    vec![
        profile(1, "small", PERSON_MEMORY, 1000, 10, true),
        profile(2, "large", (2 * PERSON_MEMORY).min(room), 2000, 20, true),
        profile(3, "withdrawn", PERSON_MEMORY, 1000, 10, false),
    ]
}

/// Everything of one schedule.
pub struct World {
    dice: Arc<Dice>,
    clock: Arc<dyn Clock>,
    database: Arc<Database>,
    machine: Arc<Machine>,
    changed: Changed,
    broken: Break,
    config: Arc<Config>,
    rest: Policy,
    rare_passes: bool,
    people: Vec<Caller>,
    servers: Vec<Server>,
    asked: Mutex<Asked>,
}

impl World {
    fn new(seed: u64, broken: Break) -> Self {
        let dice = Arc::new(Dice::of(seed));
        let clock: Arc<dyn Clock> = Arc::new(SimClock(tokio::time::Instant::now()));
        let changed = Changed::default();
        let database = Database::new(Arc::clone(&dice), changed.clone(), broken);
        let room = PERSON_MEMORY * i64::try_from(1 + dice.below(4)).unwrap_or(1);
        let machine = Machine::new(Arc::clone(&database), Arc::clone(&clock), Arc::clone(&dice), broken, room, dice.once_in(2));
        let mut config = Config::for_tests();
        config.runtimes.runtimes_per_person = QUOTA.runtimes;
        config.runtimes.memory_per_person_mib = Some(QUOTA.memory_bytes >> 20);
        config.runtimes.cpu_per_person_millis = Some(QUOTA.cpu_millis);
        config.runtimes.disk_per_person_mib = Some(QUOTA.workspace_bytes >> 20);
        database.tables().profiles = profiles(room);
        database.tables().one_leader = machine.one_leader;
        config.runtimes.memory_budget_mib = Some(room / (1 << 20));
        // Where nothing sleeps, nothing is put right by sleeping over it.
        let (sleeps, rare_passes) = (dice.once_in(2), dice.once_in(2));
        let people = (0..=dice.below(2)).map(|number| person(&format!("p{number}"))).collect();
        Self {
            dice,
            clock,
            database,
            machine,
            changed,
            broken,
            config: Arc::new(config),
            rest: if sleeps { REST } else { Policy::of(0, 0) },
            rare_passes,
            people,
            servers: Vec::new(),
            asked: Mutex::default(),
        }
    }

    fn begin_server(&mut self) {
        let (changes, life, stop) = (Changes::new(), Arc::new(Life::default()), CancellationToken::new());
        self.changed.0.lock().unwrap_or_else(PoisonError::into_inner).push(changes.clone());
        let store = SimStore { database: Arc::clone(&self.database), life: Arc::clone(&life) };
        let engine = SimEngine { machine: Arc::clone(&self.machine), life: Arc::clone(&life) };
        let orchestrator = Orchestrator::with_store(
            Arc::new(store),
            Arc::clone(&self.clock),
            Arc::new(engine),
            Arc::clone(&self.config),
            Keyring::of(&[[7; 32]]),
            Arc::new(NoDoors),
            changes,
        );
        let openclaw = SimOpenclaw { machine: Arc::clone(&self.machine), life: Arc::clone(&life) };
        let mut orchestrator = orchestrator.deciding(self.broken.decide()).speaking(Arc::new(openclaw)).resting(self.rest);
        if self.rare_passes {
            orchestrator = orchestrator.passing_every(RARE_PASSES);
        }
        let orchestrator = Arc::new(orchestrator);
        drop(tokio::spawn(Arc::clone(&orchestrator).run(stop.clone())));
        self.servers.push(Server { orchestrator, life, stop });
    }

    /// A server dies where it stands; PostgreSQL notices a little later that its lock is free.
    fn kill_server(&mut self) {
        let at = usize::try_from(self.dice.below(self.servers.len() as u64)).unwrap_or_default();
        let server = self.servers.swap_remove(at);
        server.life.dead.store(true, Ordering::Relaxed);
        let (database, life) = (Arc::clone(&self.database), server.life);
        let notices = Duration::from_millis(self.dice.below(3000));
        drop(tokio::spawn(async move {
            tokio::time::sleep(notices).await;
            database.free_lead(life.term());
        }));
    }

    /// One thing that happens.
    async fn happen(&mut self) {
        match self.dice.below(19) {
            0 | 2 | 3 if self.machine.one_leader => {}
            0 if self.servers.len() < 3 => self.begin_server(),
            1 => {
                self.kill_server();
                if self.servers.is_empty() {
                    self.begin_server();
                }
            }
            2 if self.servers.len() > 1 => {
                let server = self.servers.remove(0);
                server.stop.cancel();
            }
            3 => self.database.drop_lead(),
            4 if self.dice.once_in(2) => self.restart_machine(),
            4 => self.machine.go_down(Duration::from_millis(self.dice.below(20_000))),
            5 if self.dice.once_in(4) => self.machine.leave_over(RuntimeId(uuid::Uuid::from_u128(self.dice.below(1000).into()))),
            5 | 6 => self.machine.harm(),
            7 | 8 => self.visit(),
            9 if self.dice.once_in(4) => self.disable_or_enable(),
            _ => self.press(),
        }
    }

    /// The engine ends what it runs; or the whole machine does, and all servers with it.
    fn restart_machine(&mut self) {
        let machine = self.dice.once_in(2);
        self.machine.restart(machine);
        if machine {
            while !self.servers.is_empty() {
                self.kill_server();
            }
            self.begin_server();
        }
    }

    /// An administrator disables somebody, or lets them in again.
    fn disable_or_enable(&self) {
        let person_id = self.people[usize::try_from(self.dice.below(self.people.len() as u64)).unwrap_or_default()].person_id;
        if !self.database.tables().disabled.remove(&person_id) {
            self.database.disable(person_id, self.clock.now());
        }
    }

    /// Somebody opens a runtime, and stays for a while. In peace it is one that sleeps, where there is one.
    fn visit(&self) {
        let dice = &self.dice;
        let (mut ids, mut asleep) = (Vec::new(), Vec::new());
        for kept in self.database.tables().rows.values().filter(|kept| !kept.gone) {
            ids.push(kept.row.runtime_id);
            if (kept.row.phase, kept.row.desired_state) == (Phase::Asleep, DesiredState::Running) {
                asleep.push(kept.row.runtime_id);
            }
        }
        if dice.is_quiet() && !asleep.is_empty() {
            ids = asleep;
        }
        if ids.is_empty() {
            return;
        }
        let (id, from) = (dice.pick(&ids), self.clock.now());
        let until = from + Duration::from_secs(5 + dice.below(60));
        let server = Arc::clone(&self.servers[usize::try_from(dice.below(self.servers.len() as u64)).unwrap_or_default()].orchestrator);
        // In the storm the server that they came through may die, and they with it.
        if dice.is_quiet() {
            self.machine.held().claws.entry(id).or_default().visit(from, until);
        }
        let clock = Arc::clone(&self.clock);
        drop(tokio::spawn(async move {
            drop(server.wake(&[id]).await);
            while clock.now() < until {
                tokio::time::sleep(HEARD).await;
                drop(server.visit(&[id]).await);
            }
        }));
    }

    /// Somebody presses a button, and does not wait.
    fn press(&self) {
        let dice = &self.dice;
        let caller = self.people[usize::try_from(dice.below(self.people.len() as u64)).unwrap_or_default()].clone();
        let server = Arc::clone(&self.servers[usize::try_from(dice.below(self.servers.len() as u64)).unwrap_or_default()].orchestrator);
        let ids: Vec<RuntimeId> = {
            let tables = self.database.tables();
            tables
                .rows
                .values()
                .filter(|kept| !kept.gone && kept.row.person_id == caller.person_id)
                .map(|kept| kept.row.runtime_id)
                .collect()
        };
        let (verb, profile) = (dice.below(15), ProfileId(uuid::Uuid::from_u128(u128::from(1 + dice.below(3)))));
        if ids.is_empty() || verb == 0 {
            let (name, profile) = (dice.pick(&["a", "b", "c"]), dice.once_in(2).then_some(profile));
            drop(tokio::spawn(async move { server.create(&caller, name, profile).await }));
            return;
        }
        let id = dice.pick(&ids);
        drop(tokio::spawn(async move {
            match verb {
                1..=3 => server.start(&caller, id).await,
                4..=6 => server.stop(&caller, id).await,
                7 => server.restart(&caller, id).await,
                8 => server.delete(&caller, id, Retention::PreserveWorkspace).await,
                9 | 10 => server.change_profile(&caller, id, profile, false).await,
                11 => server.change_profile(&caller, id, profile, true).await,
                12 => server.hurry(&caller, id).await,
                13 => server.rotate_key(&caller, id, time::Duration::ZERO).await,
                _ => server.delete(&caller, id, Retention::WipeWorkspace).await,
            }
        }));
    }

    /// In peace: the last wish of everybody, one after the other, each answered. From here on it is known what everything must come to.
    async fn settle_wishes(&self) {
        let server = &self.servers[0].orchestrator;
        let ids: Vec<(RuntimeId, PersonId)> = {
            let tables = self.database.tables();
            tables.rows.values().filter(|kept| !kept.gone).map(|kept| (kept.row.runtime_id, kept.row.person_id)).collect()
        };
        for (id, person_id) in ids {
            let Some(caller) = self.people.iter().find(|caller| caller.person_id == person_id) else { continue };
            // Two at the same moment: one of them is the last, and both know that they were heard.
            let verbs = [0; 2].map(|_| (self.dice.below(7), ProfileId(uuid::Uuid::from_u128(u128::from(1 + self.dice.below(2))))));
            let pressed = futures::future::join_all(verbs.map(|(verb, profile)| async move {
                let (keep, wipe) = (Retention::PreserveWorkspace, Retention::WipeWorkspace);
                match verb {
                    0 | 1 => ((DesiredState::Running, None, None), server.start(caller, id).await),
                    2 => ((DesiredState::Stopped, None, None), server.stop(caller, id).await),
                    3 => ((DesiredState::Deleted, Some(keep), None), server.delete(caller, id, keep).await),
                    4 => ((DesiredState::Deleted, Some(wipe), None), server.delete(caller, id, wipe).await),
                    _ => ((DesiredState::Running, None, Some(profile)), server.change_profile(caller, id, profile, true).await),
                }
            }))
            .await;
            let heard: Vec<Heard> = pressed.into_iter().filter(|(_, answer)| answer.is_ok()).map(|(wish, _)| wish).collect();
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(id, heard);
        }
    }

    /// In peace: what is ready gets another key. What sleeps is left alone, or it would be woken for the key and not for its schedule.
    async fn rotate_keys(&self) {
        let runs: Vec<(RuntimeId, PersonId)> = {
            let tables = self.database.tables();
            let runs = tables.rows.values().filter(|kept| !kept.gone && kept.row.phase == Phase::Ready);
            runs.map(|kept| (kept.row.runtime_id, kept.row.person_id)).collect()
        };
        for (id, person_id) in runs {
            if let Some(caller) = self.people.iter().find(|caller| caller.person_id == person_id) {
                drop(self.servers[0].orchestrator.rotate_key(caller, id, time::Duration::ZERO).await);
            }
        }
    }

    /// What there is, to be read by whoever looks for the reason.
    fn tell(&self) -> String {
        let (tables, held) = (self.database.tables(), self.machine.held());
        let rows = tables.rows.values().map(|kept| {
            let row = &kept.row;
            let problem = row.problem.as_ref().map(|problem| problem.message.as_str()).unwrap_or_default();
            format!(
                "{} {}: {:?} {:?} {:?}, generation {} revision {}, gone {}, held {}, {} tries, {} {problem}",
                row.runtime_id,
                row.name,
                row.desired_state,
                row.retention,
                row.phase,
                row.generation,
                row.revision,
                kept.gone,
                row.admitted_at.is_some(),
                row.attempts,
                row.volume
            )
        });
        let containers = held.containers.values().map(|container| format!("{} {:?}", container.spec.runtime_id, container.state));
        rows.chain(containers).collect::<Vec<_>>().join("\n")
    }

    /// Waits until a runtime stands in one of these phases. How long it took.
    async fn stands(&self, id: RuntimeId, phases: &[Phase]) -> Duration {
        let begun = tokio::time::Instant::now();
        while !self.database.tables().rows.get(&id).is_some_and(|kept| phases.contains(&kept.row.phase)) {
            assert!(begun.elapsed() < Duration::from_secs(120), "never {phases:?}\n{}", self.tell());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    /// Whoever was given up is started again, as a person would.
    async fn start_again(&self) {
        let failed: Vec<(RuntimeId, PersonId)> = {
            let tables = self.database.tables();
            let failed = tables.rows.values().filter(|kept| !kept.gone && kept.row.phase == Phase::Failed);
            failed.map(|kept| (kept.row.runtime_id, kept.row.person_id)).collect()
        };
        for (id, person_id) in failed {
            if let Some(caller) = self.people.iter().find(|caller| caller.person_id == person_id) {
                drop(self.servers[0].orchestrator.start(caller, id).await);
            }
        }
    }
}

/// How long until the crash of a runtime that is well is seen, and until its next try is begun: in the simulation's time, where nothing else goes wrong.
pub fn crash(seed: u64) -> (Duration, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, Break::None);
        world.dice.quieten();
        world.begin_server();
        let id = world.servers[0].orchestrator.create(&world.people[0], "a", None).await.unwrap();
        world.stands(id, &[Phase::Ready]).await;
        // At any time between two passes.
        tokio::time::sleep(Duration::from_millis(world.dice.below(15_000))).await;
        world.machine.crash(id);
        let seen = world.stands(id, &[Phase::Retrying]).await;
        let begun = world.stands(id, &[Phase::Creating, Phase::Starting, Phase::Waiting, Phase::Ready]).await;
        (seen, seen + begun)
    })
}

fn person(name: &str) -> Caller {
    Caller {
        person_id: PersonId(uuid::Uuid::now_v7()),
        session_id: SessionId(uuid::Uuid::now_v7()),
        email: format!("{name}@example.org"),
        name: name.to_owned(),
        role: Role::Person,
        time_zone: "UTC".to_owned(),
    }
}

/// Plays one schedule. `Err` says which invariant does not hold.
pub fn play(seed: u64, broken: Break) -> Result<(), Wrong> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, broken);
        world.begin_server();
        let (machine, strict) = (Arc::clone(&world.machine), Arc::new(AtomicBool::new(false)));
        let peaceful = Arc::clone(&strict);
        drop(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                machine.live(peaceful.load(Ordering::Relaxed));
            }
        }));
        let end = tokio::time::Instant::now() + STORM;
        while tokio::time::Instant::now() < end {
            let pause = if world.dice.once_in(3) { 12_000 } else { 1500 };
            tokio::time::sleep(Duration::from_millis(world.dice.below(pause))).await;
            world.happen().await;
            world.judge_always()?;
        }
        world.dice.quieten();
        // What was pressed in the storm is answered before the last wishes are made.
        tokio::time::sleep(Duration::from_secs(70)).await;
        // Some of those who were disabled stay so to the end.
        if world.dice.once_in(2) {
            world.database.tables().disabled.clear();
        }
        world.settle_wishes().await;
        world.rotate_keys().await;
        strict.store(true, Ordering::Relaxed);
        let mut visited = false;
        let end = tokio::time::Instant::now() + PEACE;
        let mut last = world.judge();
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(5)).await;
            world.start_again().await;
            last = world.judge();
            match &last {
                // And it stays so, whoever comes.
                Ok(()) => {
                    if !std::mem::replace(&mut visited, true) {
                        world.visit();
                    }
                    tokio::time::sleep(Duration::from_secs(11)).await;
                    last = world.judge();
                    if last.is_ok() {
                        return last;
                    }
                }
                Err(wrong) if !wrong.invariant.may_come_right() => return last,
                Err(_) => {}
            }
        }
        last.map_err(|wrong| wrong.invariant.broken(format!("{}\n{}", wrong.told, world.tell())))
    })
}
