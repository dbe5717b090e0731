//! What the database of the simulation holds, and the rules that its transactions share.

use crate::{
    breaks::Break,
    invariants::{Invariant, Wrong},
};
use contract::{Caller, Code, DesiredState, PersonId, Phase, ProfileView, Resources, RuntimeId, TaskKind, TaskStatus};
use server::{
    Error, Result,
    data::{
        given::Given,
        runtime::{Noted, Row},
    },
    orchestrator::{
        profile,
        store::{Take, Wish},
    },
    platform::{profiles, quotas},
};
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// The exit code of a container that was ended with its machine, and of no other here.
pub const ENDED_WITH_ITS_MACHINE: i64 = 255;

/// A task, as far as its life is judged.
#[derive(Clone, Debug)]
pub struct Task {
    pub runtime_id: RuntimeId,
    pub kind: TaskKind,
    pub generation: i64,
    pub status: TaskStatus,
}

/// A row, with what the real table has beside it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub row: Row,
    pub gone: bool,
}

/// What the database holds.
#[derive(Default)]
pub struct Tables {
    pub rows: BTreeMap<RuntimeId, Kept>,
    /// What [`Store::all`] said at earlier times: an old one may be answered again.
    pub old: Vec<Vec<Row>>,
    pub tasks: Vec<Task>,
    pub profiles: Vec<ProfileView>,
    /// Who was disabled.
    pub disabled: BTreeSet<PersonId>,
    /// The public part of the key that a runtime was given last: only that one is good.
    pub keys: BTreeMap<RuntimeId, String>,
    /// Every workspace that exists: whose, and what it held when it was last measured.
    pub workspaces: BTreeMap<String, (PersonId, Option<i64>)>,
    /// Whether no two servers ever lead at once in this schedule.
    pub one_leader: bool,
    pub leader: Option<u64>,
    pub terms: u64,
    pub wrongs: Vec<Wrong>,
}

impl Tables {
    pub fn alive(&self) -> Vec<Row> {
        self.rows.values().filter(|kept| !kept.gone).map(|kept| self.seen(&kept.row)).collect()
    }

    /// A row as it is read: with what is under way.
    pub fn seen(&self, row: &Row) -> Row {
        let open = self.tasks.iter().rfind(|task| task.runtime_id == row.runtime_id && !task.status.is_end());
        Row { open_task: open.map(|task| task.kind), ..row.clone() }
    }

    /// Whether a runtime still has the container and the key of this row.
    pub fn bears(&self, row: &Row) -> bool {
        let same = |kept: &Kept| !kept.gone && kept.row.revision == row.revision && kept.row.key_number == row.key_number;
        self.rows.get(&row.runtime_id).is_some_and(same)
    }

    /// What a person uses, without one runtime and a workspace.
    pub fn used(&self, person_id: PersonId, but: Option<RuntimeId>, but_volume: Option<&str>) -> Resources {
        let lives = |row: &&Row| row.person_id == person_id;
        let alive: Vec<&Row> = self.rows.values().filter(|kept| !kept.gone).map(|kept| &kept.row).collect();
        let mine: Vec<&Row> = alive.iter().copied().filter(lives).filter(|row| Some(row.runtime_id) != but).collect();
        let counts = |row: &&&Row| row.desired_state == DesiredState::Running || row.admitted_at.is_some();
        let disk = self.workspaces.iter().filter(|(volume, (whose, _))| *whose == person_id && Some(volume.as_str()) != but_volume);
        let promised = |volume: &str| alive.iter().find(|row| row.volume == volume).map_or(0, |row| row.workspace_bytes);
        Resources {
            runtimes: mine.len() as i64,
            memory_bytes: mine.iter().filter(counts).map(|row| row.memory_bytes.max(row.held_bytes)).sum(),
            cpu_millis: mine.iter().filter(counts).map(|row| row.cpu_millis).sum(),
            workspace_bytes: disk.map(|(volume, (_, bytes))| promised(volume).max(bytes.unwrap_or(0))).sum(),
        }
    }

    pub fn measure_of(&self, volume: &str) -> Option<i64> {
        self.workspaces.get(volume).and_then(|(_, bytes)| *bytes)
    }

    /// What a wish takes of its profile, if the quota lets it.
    pub fn take(&mut self, wish: &Wish<'_>, broken: Break) -> Result<Option<(ProfileView, Given)>> {
        let (row, house) = (wish.row, wish.house);
        let (profile_id, live) = match wish.take {
            Take::Nothing => return Ok(None),
            Take::All(profile_id) => (profile_id, None),
            Take::Live(profile_id, room) => (profile_id, Some(room)),
        };
        let own = self.profiles.iter().find(|profile| profile.profile_id == profile_id && profile_id == row.profile_id).cloned();
        let chosen = match own {
            Some(own) => own,
            None => profiles::choose(self.offers(broken), Some(profile_id))?,
        };
        let mut given = profiles::gives(&chosen, house.image);
        let others = self.used(row.person_id, Some(row.runtime_id), Some(&row.volume));
        let runs = wish.desired_state == DesiredState::Running;
        let taking = profile::taking(Some(row), &given, runs, others, self.measure_of(&row.volume));
        if broken != Break::QuotaAskedOnce {
            quotas::judge(&house.quota, &quotas::Taking { starts: wish.renew, ..taking })?;
        }
        if let Some(room) = live {
            let mut grows = false;
            if let Some(room) = room.filter(|_| given.memory_bytes > row.memory_bytes) {
                let others: Vec<Row> = self.alive().into_iter().filter(|other| other.runtime_id != row.runtime_id).collect();
                let held: i64 = others.iter().filter(|other| other.admitted_at.is_some()).map(|other| other.held_bytes).sum();
                let waits = others.iter().any(|other| other.queued_at.is_some());
                let fits = (!waits && held + given.memory_bytes <= room.memory_bytes) || broken == Break::GrowsWithoutRoom;
                if let Some(kept) = self.rows.get_mut(&row.runtime_id).filter(|kept| fits && kept.row.admitted_at.is_some()) {
                    (kept.row.held_bytes, grows) = (given.memory_bytes, true);
                }
            }
            given = profile::live(row, given, grows);
        }
        Ok(Some((chosen, given)))
    }

    /// The profiles, as far as they may be chosen.
    pub fn offers(&self, broken: Break) -> Vec<ProfileView> {
        let offered = |profile: &ProfileView| profile.offered || broken == Break::OffersTheWithdrawn;
        self.profiles.iter().map(|profile| ProfileView { offered: offered(profile), ..profile.clone() }).collect()
    }

    /// The row, while its wish is this one.
    pub fn under(&mut self, row: &Row) -> Option<&mut Kept> {
        self.rows.get_mut(&row.runtime_id).filter(|kept| !kept.gone && kept.row.generation == row.generation)
    }

    /// Whoever is disabled wants nothing to run from here on, and what they had running stops.
    pub fn disable(&mut self, person_id: PersonId, now: OffsetDateTime, broken: Break) {
        self.disabled.insert(person_id);
        let runs = |kept: &&mut Kept| !kept.gone && kept.row.person_id == person_id && kept.row.desired_state == DesiredState::Running;
        let mut stopped = Vec::new();
        for Kept { row, .. } in self.rows.values_mut().filter(runs) {
            (row.desired_state, row.phase, row.phase_since) = (DesiredState::Stopped, Phase::Stopping, now);
            row.generation += 1;
            (row.problem, row.attempts, row.retry_at, row.queued_at, row.wished_at) = (None, 0, None, None, now);
            (row.changed, row.restart_brings, row.drain_until) = (None, None, Some(now));
            stopped.push((row.runtime_id, row.generation));
        }
        for (runtime_id, generation) in stopped {
            self.accept(runtime_id, TaskKind::Stop, generation, broken);
        }
    }

    /// Whether a person's wish that something runs is refused.
    pub fn refuses(&self, caller: &Caller, desired_state: DesiredState, broken: Break) -> Result<()> {
        let refused = desired_state == DesiredState::Running && self.disabled.contains(&caller.person_id);
        if refused && broken != Break::HearsTheDisabled {
            return Err(Error::problem(Code::PersonDisabled, "You were disabled by an administrator."));
        }
        Ok(())
    }

    pub fn accept(&mut self, runtime_id: RuntimeId, kind: TaskKind, generation: i64, broken: Break) {
        for task in self.tasks.iter_mut().filter(|task| task.runtime_id == runtime_id && !task.status.is_end()) {
            if broken != Break::NothingSuperseded {
                task.status = TaskStatus::Superseded;
            }
        }
        self.tasks.push(Task { runtime_id, kind, generation, status: TaskStatus::Accepted });
    }

    pub fn advance(&mut self, row: &Row, status: TaskStatus, broken: Break) {
        let of_this = |task: &&mut Task| {
            task.runtime_id == row.runtime_id
                && task.generation == row.generation
                && (!task.status.is_end() || broken == Break::TasksEndAgain)
        };
        for task in self.tasks.iter_mut().filter(of_this) {
            if task.status.is_end() && task.status != status {
                self.wrongs.push(Invariant::TasksEndOnce.broken(format!("{:?} became {status:?}", task.status)));
            }
            if !status.is_end() || broken != Break::TasksNeverEnd {
                task.status = status;
            }
        }
    }

    pub fn note(&mut self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime, broken: Break) {
        let mut counted = None;
        if let Some(kept) = self.under(row).filter(|kept| noted.phase != Phase::Asleep || kept.row.phase == Phase::Asleep) {
            let row = &mut kept.row;
            // What was ended with its machine says so by its exit code.
            let restart = noted.problem.is_some_and(|problem| problem.message.contains(&format!("exit code {ENDED_WITH_ITS_MACHINE}")));
            if restart && noted.phase != row.phase && matches!(noted.phase, Phase::Retrying | Phase::Failed) {
                counted = Some(format!("{:?} after {} tries, for a restart of its machine", noted.phase, noted.attempts));
            }
            if row.phase != noted.phase {
                row.phase_since = now;
                row.woken_at = if noted.phase == Phase::Waking { Some(now) } else { row.woken_at };
            }
            (row.phase, row.attempts, row.retry_at) = (noted.phase, noted.attempts, noted.retry_at);
            row.problem = noted.problem.cloned().map(Json);
            if noted.phase == Phase::Failed {
                row.queued_at = None;
            }
            if !noted.holds && broken != Break::KeepsItsMemory {
                (row.admitted_at, row.held_bytes) = (None, 0);
            }
        }
        if let Some(told) = counted.filter(|_| self.one_leader) {
            self.wrongs.push(Invariant::RestartsAreNoFailures.broken(told));
        }
        self.advance(row, noted.task_status(), broken);
    }
}
