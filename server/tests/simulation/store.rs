//! The orchestrator's memory, in memory: the rules of the real one, with answers that come late, are lost, or are refused.

use crate::{
    breaks::Break,
    dice::Dice,
    tables::{Kept, Tables},
    world::{Changed, Life},
};
use async_trait::async_trait;
use contract::{
    Caller, Code, DesiredState, ModelView, PersonId, Phase, Problem, ProfileView, Retention, RuntimeId, SleepDepth, StartStep, TaskKind,
    TaskStatus,
};
use server::{
    Error, Result,
    data::{
        container::Memory,
        listen::Change,
        runtime::{Noted, Row},
        sleep::Nap,
        transition_history::{Lesson, Transition},
    },
    manager::epoch::Restarted,
    orchestrator::{
        decide::drift::Drift,
        profile,
        store::{Admission, Creation, Lead, Room, RuntimeKey, Store, Wish, Written},
    },
    platform::{audit::Actor, profiles, quotas},
};
use sqlx::types::Json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::OffsetDateTime;

/// The database: one for all servers.
pub struct Database {
    tables: Mutex<Tables>,
    pub broken: Break,
    pub dice: Arc<Dice>,
    pub changed: Changed,
}

impl Database {
    pub fn new(dice: Arc<Dice>, changed: Changed, broken: Break) -> Arc<Self> {
        Arc::new(Self { tables: Mutex::default(), broken, dice, changed })
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock of a server that died is free.
    pub fn free_lead(&self, term: Option<u64>) {
        let mut tables = self.tables();
        if term.is_some() && tables.leader == term {
            tables.leader = None;
        }
    }

    /// An administrator disables a person: a transaction of its own, of which the servers hear.
    pub fn disable(&self, person_id: PersonId, now: OffsetDateTime) {
        let mut tables = self.tables();
        tables.disable(person_id, now, self.broken);
        let theirs: Vec<RuntimeId> =
            tables.rows.values().filter(|kept| kept.row.person_id == person_id).map(|kept| kept.row.runtime_id).collect();
        drop(tables);
        for runtime_id in theirs {
            self.changed.tell(Change::Runtime { runtime_id, person_id }, &self.dice);
        }
    }

    /// Whoever leads is thrown out, and does not know it yet.
    pub fn drop_lead(&self) {
        self.tables().leader = None;
    }
}

/// One server's way to the database.
pub struct SimStore {
    pub database: Arc<Database>,
    pub life: Arc<Life>,
}

fn lost() -> Error {
    Error::Database(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)))
}

impl SimStore {
    /// A call: late, perhaps refused, perhaps done and its answer lost; never returning for a server that is dead.
    async fn call<T>(&self, act: impl FnOnce(&mut Tables) -> Result<T> + Send) -> Result<T> {
        let dice = &self.database.dice;
        tokio::time::sleep(dice.delay()).await;
        self.life.check().await;
        if dice.fault(150) {
            return Err(lost());
        }
        let (answer, told) = {
            let mut tables = self.database.tables();
            let before: Vec<(RuntimeId, i64, Phase)> =
                tables.rows.values().map(|kept| (kept.row.runtime_id, kept.row.generation, kept.row.phase)).collect();
            let answer = act(&mut tables);
            let after = tables.rows.values().map(|kept| (kept.row.runtime_id, kept.row.generation, kept.row.phase));
            let told: Vec<RuntimeId> = after.filter(|row| !before.contains(row)).map(|row| row.0).collect();
            if !told.is_empty() && (tables.old.len() < 8 || dice.once_in(4)) {
                let now = tables.alive();
                tables.old.push(now);
            }
            (answer, told)
        };
        for runtime_id in told {
            self.database.changed.tell(Change::Runtime { runtime_id, person_id: PersonId(uuid::Uuid::nil()) }, dice);
        }
        if dice.fault(20) {
            tokio::time::sleep(dice.delay()).await;
        }
        self.life.check().await;
        if dice.fault(150) {
            return Err(lost());
        }
        answer
    }
}

/// The lead of one term.
struct SimLead {
    database: Arc<Database>,
    life: Arc<Life>,
    term: u64,
}

#[async_trait]
impl Lead for SimLead {
    async fn holds(&mut self) -> bool {
        tokio::time::sleep(self.database.dice.delay()).await;
        self.life.check().await;
        self.database.tables().leader == Some(self.term)
    }

    async fn yield_up(self: Box<Self>) -> Result<()> {
        self.life.check().await;
        let mut tables = self.database.tables();
        if tables.leader == Some(self.term) {
            tables.leader = None;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for SimStore {
    async fn take_lead(&self) -> Result<Option<Box<dyn Lead>>> {
        let life = Arc::clone(&self.life);
        let taken = self
            .call(|tables| {
                if tables.leader.is_some() {
                    return Ok(None);
                }
                tables.terms += 1;
                tables.leader = Some(tables.terms);
                life.leads(tables.terms);
                Ok(tables.leader)
            })
            .await;
        // A lock goes with its connection: if the answer is lost, so is the lock.
        let term = taken.inspect_err(|_| self.database.free_lead(self.life.term()))?;
        Ok(term.map(|term| Box::new(SimLead { database: Arc::clone(&self.database), life: Arc::clone(&self.life), term }) as Box<dyn Lead>))
    }

    async fn get(&self, runtime_id: RuntimeId) -> Result<Option<Row>> {
        self.call(|tables| Ok(tables.rows.get(&runtime_id).filter(|kept| !kept.gone).map(|kept| tables.seen(&kept.row)))).await
    }

    async fn by_host_label(&self, host_label: &str) -> Result<Option<Row>> {
        self.call(|tables| Ok(tables.alive().into_iter().find(|row| row.host_label == host_label))).await
    }

    async fn by_port(&self, port: u16) -> Result<Option<Row>> {
        self.call(|tables| Ok(tables.alive().into_iter().find(|row| row.port == Some(port.into())))).await
    }

    async fn all(&self) -> Result<Vec<Row>> {
        let dice = Arc::clone(&self.database.dice);
        self.call(|tables| {
            // A stale view: what was true a while ago.
            if !tables.old.is_empty() && dice.fault(15) {
                let at = usize::try_from(dice.below(tables.old.len() as u64)).unwrap_or_default();
                return Ok(tables.old[at].clone());
            }
            Ok(tables.alive())
        })
        .await
    }

    async fn some(&self, runtime_ids: &[RuntimeId]) -> Result<Vec<Row>> {
        self.call(|tables| Ok(tables.alive().into_iter().filter(|row| runtime_ids.contains(&row.runtime_id)).collect())).await
    }

    async fn offered(&self) -> Result<Vec<ModelView>> {
        self.call(|_| Ok(Vec::new())).await
    }

    async fn profiles(&self) -> Result<Vec<ProfileView>> {
        self.call(|tables| Ok(tables.profiles.clone())).await
    }

    async fn lesson(&self, _transition: Transition, _image: &str) -> Result<Lesson> {
        Ok(Lesson { median_ms: Some(8_000), p95_ms: Some(12_000) })
    }

    async fn create(&self, creation: &Creation<'_>, now: OffsetDateTime) -> Result<()> {
        let broken = self.database.broken;
        self.call(|tables| {
            let caller = creation.caller;
            tables.refuses(caller, DesiredState::Running, broken)?;
            let chosen = profiles::choose(tables.offers(broken), creation.profile_id)?;
            let given = profiles::gives(&chosen, creation.house.image);
            let mine = tables.alive().into_iter().filter(|row| row.person_id == caller.person_id).collect::<Vec<_>>();
            if mine.iter().any(|row| row.name == creation.name) {
                return Err(Error::problem(Code::Conflict, "you have one of this name"));
            }
            let last =
                tables.rows.values().rfind(|kept| kept.gone && kept.row.person_id == caller.person_id && kept.row.name == creation.name);
            let kept = last.filter(|kept| kept.row.retention != Some(Retention::WipeWorkspace)).map(|kept| kept.row.volume.clone());
            let others = tables.used(caller.person_id, None, kept.as_deref());
            let measured = kept.as_deref().and_then(|volume| tables.measure_of(volume));
            if broken != Break::QuotaNotCounted {
                quotas::judge(&creation.house.quota, &profile::taking(None, &given, true, others, measured))?;
            }
            let row = Row {
                runtime_id: creation.runtime_id,
                person_id: caller.person_id,
                person_email: caller.email.clone(),
                owner: caller.name.clone(),
                name: creation.name.to_owned(),
                host_label: creation.runtime_id.to_string(),
                port: None,
                desired_state: DesiredState::Running,
                retention: None,
                generation: 1,
                revision: 1,
                key_number: 0,
                master_key_id: None,
                phase: Phase::Pending,
                phase_since: now,
                problem: None,
                attempts: 0,
                retry_at: None,
                profile_id: chosen.profile_id,
                profile: chosen.name,
                models: None,
                profile_sleep_minutes: chosen.sleep_after_minutes,
                profile_sleep_stop_minutes: chosen.sleep_stop_after_minutes,
                memory_bytes: given.memory_bytes,
                cpu_millis: given.cpu_millis,
                pids: given.pids,
                workspace_bytes: given.workspace_bytes,
                gpu: given.gpu,
                oci_runtime: given.oci_runtime,
                image: given.image,
                held_bytes: 0,
                open_task: None,
                volume: kept.unwrap_or_else(|| creation.volume.to_owned()),
                queued_at: None,
                admitted_at: None,
                changed: None,
                restart_brings: None,
                configuration_hash: None,
                ran_in: None,
                used_at: now,
                awake_until: None,
                sleep_depth: None,
                suspension_id: None,
                agreed_until: None,
                schedule_at: None,
                schedule_name: None,
                wakes_at: None,
                woken_at: None,
                sleep_minutes: None,
                drain_until: None,
                wished_at: now,
                created_at: now,
            };
            tables.workspaces.entry(row.volume.clone()).or_insert((caller.person_id, None));
            tables.rows.insert(creation.runtime_id, Kept { row, gone: false });
            tables.accept(creation.runtime_id, TaskKind::Create, 1, broken);
            Ok(())
        })
        .await
    }

    async fn wish(&self, wish: &Wish<'_>, now: OffsetDateTime) -> Result<Written> {
        let broken = self.database.broken;
        self.call(|tables| {
            let same = |kept: &&Kept| !kept.gone && (kept.row.generation == wish.row.generation || broken == Break::WishesOverwrite);
            if tables.rows.get(&wish.row.runtime_id).filter(same).is_none() {
                return Ok(Written::Moved);
            }
            tables.refuses(wish.caller, wish.desired_state, broken)?;
            let taken = tables.take(wish, broken)?;
            let Some(kept) = tables.rows.get_mut(&wish.row.runtime_id) else { return Ok(Written::Moved) };
            let row = &mut kept.row;
            if let Some((profile, given)) = taken.filter(|_| broken != Break::ForgetsTheProfile) {
                (row.profile_id, row.profile) = (profile.profile_id, profile.name);
                (row.profile_sleep_minutes, row.profile_sleep_stop_minutes) =
                    (profile.sleep_after_minutes, profile.sleep_stop_after_minutes);
                (row.memory_bytes, row.cpu_millis, row.pids) = (given.memory_bytes, given.cpu_millis, given.pids);
                row.workspace_bytes = given.workspace_bytes;
            }
            if row.phase != wish.phase {
                row.phase_since = now;
            }
            (row.desired_state, row.retention, row.phase) = (wish.desired_state, wish.retention, wish.phase);
            row.generation += 1;
            row.revision += i64::from(wish.renew);
            (row.problem, row.attempts, row.retry_at, row.queued_at, row.wished_at) = (None, 0, None, None, now);
            (row.changed, row.restart_brings) = (None, None);
            (row.used_at, row.awake_until, row.drain_until) = (now, None, Some(wish.drain_until));
            let generation = row.generation;
            tables.accept(wish.row.runtime_id, wish.kind, generation, broken);
            Ok(Written::Done)
        })
        .await
    }

    async fn admit(&self, row: &Row, room: Room, now: OffsetDateTime) -> Result<Admission> {
        if row.memory_bytes > room.memory_bytes {
            return Ok(Admission::TooLarge);
        }
        let broken = self.database.broken;
        self.call(|tables| {
            let Some(kept) = tables.under(row).filter(|kept| kept.row.desired_state == DesiredState::Running) else {
                return Ok(Admission::Moved);
            };
            if kept.row.held_bytes != kept.row.memory_bytes {
                (kept.row.admitted_at, kept.row.held_bytes) = (None, 0);
            }
            let (queued_at, wants) = (*kept.row.queued_at.get_or_insert(now), kept.row.memory_bytes);
            let place = (queued_at, row.runtime_id);
            let others: Vec<Row> = tables.alive().into_iter().filter(|other| other.runtime_id != row.runtime_id).collect();
            let ahead = others.iter().filter(|other| other.queued_at.is_some_and(|at| (at, other.runtime_id) < place)).count();
            let held: Vec<&Row> = others.iter().filter(|other| other.admitted_at.is_some()).collect();
            let memory: i64 = held.iter().map(|other| other.held_bytes).sum();
            let boots = held.iter().filter(|other| matches!(other.phase, Phase::Creating | Phase::Starting | Phase::Waiting)).count();
            let fits = memory + wants <= room.memory_bytes || broken == Break::MemoryNotCounted;
            if ahead > 0 || !fits || boots as i64 >= room.starts {
                return Ok(Admission::Queued { ahead: ahead as i64 });
            }
            if let Some(kept) = tables.under(row) {
                (kept.row.admitted_at, kept.row.queued_at, kept.row.phase) = (Some(now), None, Phase::Creating);
                kept.row.held_bytes = wants;
            }
            Ok(Admission::Admitted)
        })
        .await
    }

    async fn note(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        let broken = self.database.broken;
        self.call(|tables| {
            tables.note(row, noted, now, broken);
            Ok(())
        })
        .await
    }

    async fn compare(&self, row: &Row, drift: &Drift, _now: OffsetDateTime) -> Result<()> {
        let broken = self.database.broken;
        self.call(|tables| {
            if let Some(kept) = tables.under(row) {
                let said = kept.row.changed.take().filter(|_| broken == Break::SaysItForever);
                (kept.row.changed, kept.row.restart_brings) = (drift.changed.clone().or(said), drift.restart_brings.clone());
            }
            Ok(())
        })
        .await
    }

    async fn remember(&self, row: &Row, memory: Memory<'_>) -> Result<()> {
        self.call(|tables| {
            if let Some(kept) = tables.rows.get_mut(&row.runtime_id).filter(|kept| !kept.gone) {
                kept.row.configuration_hash = memory.configuration_hash.map(str::to_owned);
                kept.row.ran_in = memory.ran_in.map(str::to_owned);
            }
            Ok(())
        })
        .await
    }

    async fn interrupt(&self, row: &Row, noted: &Noted<'_>, _restarted: Restarted, now: OffsetDateTime) -> Result<Written> {
        let broken = self.database.broken;
        self.call(|tables| {
            let is_under = tables.under(row).is_some();
            tables.note(row, noted, now, broken);
            Ok(if is_under { Written::Done } else { Written::Moved })
        })
        .await
    }

    async fn begin_step(&self, row: &Row, _step: StartStep, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        self.note(row, noted, now).await
    }

    async fn end_start(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        self.note(row, noted, now).await
    }

    async fn visit(&self, runtime_ids: &[RuntimeId], now: OffsetDateTime) -> Result<()> {
        let broken = self.database.broken;
        self.call(|tables| {
            for kept in tables.rows.values_mut().filter(|kept| !kept.gone && runtime_ids.contains(&kept.row.runtime_id)) {
                let row = &mut kept.row;
                if broken != Break::OverlooksVisitors {
                    row.used_at = now;
                }
                if row.phase == Phase::Asleep && row.desired_state == DesiredState::Running && broken != Break::NeverWakes {
                    (row.phase, row.phase_since, row.woken_at) = (Phase::Waking, now, Some(now));
                }
            }
            Ok(())
        })
        .await
    }

    async fn fall_asleep(&self, row: &Row, nap: &Nap, now: OffsetDateTime) -> Result<bool> {
        self.call(|tables| {
            let wanted = |kept: &&mut Kept| {
                kept.row.desired_state == DesiredState::Running && (kept.row.phase, kept.row.used_at) == (row.phase, row.used_at)
            };
            let Some(kept) = tables.under(row).filter(wanted) else { return Ok(false) };
            let row = &mut kept.row;
            if row.phase != Phase::Asleep {
                (row.phase, row.phase_since) = (Phase::Asleep, now);
            }
            (row.problem, row.awake_until, row.sleep_depth) = (None, None, Some(nap.depth));
            (row.suspension_id, row.agreed_until) = (Some(nap.suspension_id.clone()), Some(nap.agreed_until));
            (row.schedule_at, row.schedule_name) = nap.schedule.clone().unzip();
            row.wakes_at = nap.wakes_at;
            Ok(true)
        })
        .await
    }

    async fn froze(&self, row: &Row) -> Result<()> {
        self.call(|tables| {
            let frozen = |kept: &&mut Kept| kept.row.phase == Phase::Asleep && kept.row.sleep_depth == Some(SleepDepth::Frozen);
            if let Some(kept) = tables.under(row).filter(frozen) {
                kept.row.agreed_until = None;
            }
            Ok(())
        })
        .await
    }

    async fn sink(&self, row: &Row, wakes_at: Option<OffsetDateTime>) -> Result<()> {
        self.call(|tables| {
            if let Some(kept) = tables.under(row).filter(|kept| kept.row.phase == Phase::Asleep) {
                (kept.row.sleep_depth, kept.row.agreed_until, kept.row.wakes_at) = (Some(SleepDepth::Stopped), None, wakes_at);
            }
            Ok(())
        })
        .await
    }

    async fn stay_awake(&self, row: &Row, until: OffsetDateTime) -> Result<()> {
        self.call(|tables| {
            if let Some(kept) = tables.under(row) {
                kept.row.awake_until = Some(until);
            }
            Ok(())
        })
        .await
    }

    async fn choose_sleep(&self, _caller: &Caller, row: &Row, minutes: Option<i32>) -> Result<()> {
        self.call(|tables| {
            if let Some(kept) = tables.rows.get_mut(&row.runtime_id) {
                kept.row.sleep_minutes = minutes;
            }
            Ok(())
        })
        .await
    }

    async fn hurry(&self, _caller: &Caller, row: &Row, now: OffsetDateTime) -> Result<()> {
        self.call(|tables| {
            if let Some(kept) = tables.under(row) {
                kept.row.drain_until = kept.row.drain_until.map(|until| until.min(now));
            }
            Ok(())
        })
        .await
    }

    async fn finish(&self, row: &Row, _now: OffsetDateTime) -> Result<()> {
        let broken = self.database.broken;
        self.call(|tables| {
            if let Some(kept) = tables.under(row) {
                (kept.gone, kept.row.phase, kept.row.admitted_at, kept.row.queued_at) = (true, Phase::Deleted, None, None);
                kept.row.held_bytes = 0;
                let wiped = (kept.row.retention == Some(Retention::WipeWorkspace)).then(|| kept.row.volume.clone());
                if let Some(volume) = wiped {
                    tables.workspaces.remove(&volume);
                }
            }
            tables.advance(row, TaskStatus::Succeeded, broken);
            Ok(())
        })
        .await
    }

    async fn give_key(&self, row: &Row, key: &RuntimeKey<'_>, _now: OffsetDateTime) -> Result<Written> {
        self.call(|tables| {
            if !tables.bears(row) {
                return Ok(Written::Moved);
            }
            tables.keys.insert(row.runtime_id, key.public_id.to_owned());
            Ok(Written::Done)
        })
        .await
    }

    async fn rotate_key(
        &self,
        _by: Actor<'_>,
        row: &Row,
        key: &RuntimeKey<'_>,
        master_key_id: &str,
        _ends_at: OffsetDateTime,
        _now: OffsetDateTime,
    ) -> Result<Written> {
        let broken = self.database.broken;
        self.call(|tables| {
            if !tables.bears(row) || row.desired_state != DesiredState::Running {
                return Ok(Written::Moved);
            }
            tables.keys.insert(row.runtime_id, key.public_id.to_owned());
            if let Some(kept) = tables.rows.get_mut(&row.runtime_id).filter(|_| broken != Break::ForgetsTheKey) {
                kept.row.key_number += 1;
                kept.row.master_key_id = Some(master_key_id.to_owned());
            }
            Ok(Written::Done)
        })
        .await
    }

    async fn keep_key(&self, _row: &Row, _key: &RuntimeKey<'_>, _now: OffsetDateTime) -> Result<bool> {
        self.call(|_| Ok(false)).await
    }

    async fn with_keys(&self, keys: &[(RuntimeId, RuntimeKey<'_>)]) -> Result<BTreeSet<RuntimeId>> {
        self.call(|_| Ok(keys.iter().map(|(runtime_id, _)| *runtime_id).collect())).await
    }

    async fn under_another_master_key(&self, master_key_id: &str) -> Result<Vec<Row>> {
        let is_under = |row: &Row| row.master_key_id.as_deref().is_some_and(|id| id != master_key_id);
        self.call(|tables| Ok(tables.alive().into_iter().filter(is_under).collect())).await
    }

    async fn say_of_moving(&self, problem: Option<&Problem>) -> Result<()> {
        let problem = problem.cloned().map(Json);
        self.call(|tables| {
            for kept in
                tables.rows.values_mut().filter(|kept| !kept.gone && kept.row.phase.is_moving() && kept.row.phase != Phase::Retrying)
            {
                let said = kept.row.problem.as_ref().is_none_or(|said| said.code == Code::Unavailable);
                if said || problem.is_some() {
                    kept.row.problem.clone_from(&problem);
                }
            }
            Ok(())
        })
        .await
    }

    async fn stalest_workspace(&self, _before: OffsetDateTime) -> Result<Option<String>> {
        self.call(|tables| Ok(tables.workspaces.iter().find(|(_, (_, bytes))| bytes.is_none()).map(|(volume, _)| volume.clone()))).await
    }

    async fn measured(&self, workspace: &str, bytes: Option<i64>, _now: OffsetDateTime) -> Result<()> {
        self.call(|tables| {
            if let Some((_, held)) = tables.workspaces.get_mut(workspace) {
                *held = bytes.or(*held);
            }
            Ok(())
        })
        .await
    }

    async fn wiped_workspaces(&self, present: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        // A server that never wipes does not find them later either.
        if self.database.broken == Break::NeverWipes {
            return Ok(BTreeSet::new());
        }
        self.call(|tables| {
            let wiped =
                |kept: &&Kept| kept.gone && kept.row.retention == Some(Retention::WipeWorkspace) && present.contains(&kept.row.volume);
            let used = |volume: &String| tables.rows.values().any(|kept| !kept.gone && kept.row.volume == *volume);
            Ok(tables.rows.values().filter(wiped).map(|kept| kept.row.volume.clone()).filter(|volume| !used(volume)).collect())
        })
        .await
    }
}
