//! What must hold, judged: at every moment, and once it is quiet.

use super::{Heard, QUOTA, World};
use crate::{
    claw::Claw,
    invariants::{Invariant, Wrong},
    tables::Kept,
};
use contract::{DesiredState, Phase, ProfileId, Retention, RuntimeId, SleepDepth};
use server::{data::runtime::Row, manager::ContainerState, runtime::spec::Limits};
use std::{collections::BTreeSet, sync::PoisonError};

impl World {
    /// Everything that must hold once it is quiet.
    pub(super) fn judge(&self) -> Result<(), Wrong> {
        self.judge_always()?;
        let (tables, held) = (self.database.tables(), self.machine.held());
        let fail = |invariant: Invariant, told: &str| Err(invariant.broken(told));
        let held_memory: i64 = tables.rows.values().filter(|kept| kept.row.admitted_at.is_some()).map(|kept| kept.row.held_bytes).sum();
        // First come, first served: who is first waits for memory, all others for who is first.
        let queue = tables.rows.values().filter(|kept| !kept.gone).map(|kept| &kept.row).filter(|row| row.queued_at.is_some());
        let first = queue.min_by_key(|row| (row.queued_at, row.runtime_id));
        let full = first.is_some_and(|row| held_memory + row.memory_bytes > self.machine.memory_bytes);
        let waits = |id: RuntimeId| tables.rows.get(&id).is_some_and(|kept| !kept.gone && kept.row.phase == Phase::Queued);
        for kept in tables.rows.values() {
            let row = &kept.row;
            let scheduled = held.claws.get(&row.runtime_id).is_some_and(Claw::has_schedules);
            if scheduled && !kept.gone && row.desired_state == DesiredState::Running && row.phase != Phase::Queued {
                return fail(Invariant::SchedulesRun, "something is still scheduled");
            }
            let containers: Vec<_> = held.containers.values().filter(|container| container.spec.runtime_id == row.runtime_id).collect();
            let isolated = held.isolations.contains(&row.runtime_id);
            if !kept.gone && row.desired_state == DesiredState::Running && row.phase == Phase::Queued && full {
                // It waits rightly: there is no memory for it.
                if !containers.is_empty() || row.queued_at.is_none() {
                    return fail(Invariant::QueuedHaveAPlace, "a runtime that waits its turn has a container, or no place");
                }
            } else if !kept.gone && row.desired_state == DesiredState::Running && row.phase == Phase::Asleep {
                let frozen = containers.len() == 1
                    && containers[0].spec.revision == row.revision
                    && matches!(containers[0].state, ContainerState::Frozen { .. });
                let nothing = containers.is_empty() && !isolated && !held.configurations.contains_key(&row.runtime_id);
                let sleeps = match row.sleep_depth {
                    Some(SleepDepth::Frozen) => frozen && isolated && row.admitted_at.is_some(),
                    Some(SleepDepth::Stopped) => nothing && row.admitted_at.is_none(),
                    None => false,
                };
                if !sleeps {
                    let told = format!("it ought to sleep {:?}, and has {} containers", row.sleep_depth, containers.len());
                    return fail(Invariant::SleepsAsAgreed, &told);
                }
            } else if !kept.gone && row.desired_state == DesiredState::Running {
                let runs = containers.len() == 1
                    && containers[0].spec.revision == row.revision
                    && matches!(containers[0].state, ContainerState::Running { .. });
                let (memory_bytes, cpu_millis, pids) = (row.memory_bytes, row.cpu_millis, row.pids);
                let given = Limits { memory_bytes, swap_bytes: 0, cpu_millis, pids, restarts: false };
                if runs && (containers[0].limits != given || !containers[0].breaches.is_empty()) {
                    return fail(Invariant::HandsArePutRight, "what was changed by hand stays changed");
                }
                if runs && held.configurations.get(&row.runtime_id) != held.written.get(&row.runtime_id) {
                    return fail(Invariant::HandsArePutRight, "a configuration that was edited by hand stays so");
                }
                let has = |key: &String| held.configurations.get(&row.runtime_id).is_some_and(|text| text.contains(key));
                if runs && !tables.keys.get(&row.runtime_id).is_some_and(has) {
                    return fail(Invariant::KeysAsGiven, "its configuration has another key than it was given last");
                }
                if let Some(said) = &row.changed {
                    return fail(Invariant::RepairsAreOver, &format!("it is put right, and still said: {said}"));
                }
                if row.phase != Phase::Ready || !runs || !isolated || row.admitted_at.is_none() {
                    let told = format!("wants to run, {:?}, {} containers, runs {runs}", row.phase, containers.len());
                    return fail(Invariant::EndsAsDesired, &told);
                }
            } else {
                if !containers.is_empty() || isolated || held.configurations.contains_key(&row.runtime_id) {
                    return fail(Invariant::NothingLeft, &format!("something is left of a runtime that is {:?}", row.phase));
                }
                if row.admitted_at.is_some() {
                    return fail(Invariant::NoMemoryForNothing, "memory is held for one that does not run");
                }
                let wanted = if row.desired_state == DesiredState::Deleted { Phase::Deleted } else { Phase::Stopped };
                if row.phase != wanted {
                    return fail(Invariant::EndsAsDesired, &format!("{wanted:?} is {:?}", row.phase));
                }
            }
            if kept.gone && row.retention == Some(Retention::WipeWorkspace) {
                let used = tables.rows.values().any(|other| !other.gone && other.row.volume == row.volume);
                if held.workspaces.contains(&row.volume) && !used {
                    return fail(Invariant::WipedIsGone, "a workspace that was to be wiped is there");
                }
            }
            if !kept.gone
                && row.desired_state == DesiredState::Running
                && row.phase == Phase::Ready
                && !held.workspaces.contains(&row.volume)
            {
                return fail(Invariant::WorkspacesStay, "a workspace is missing");
            }
            if let Some(heard) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&row.runtime_id) {
                judge_wishes(heard, row)?;
            }
        }
        let alive: BTreeSet<RuntimeId> = tables.rows.values().filter(|kept| !kept.gone).map(|kept| kept.row.runtime_id).collect();
        let known = |id: &RuntimeId| alive.contains(id);
        if !held.containers.values().all(|container| known(&container.spec.runtime_id)) {
            return fail(Invariant::NothingWithoutARow, "a container has no row");
        }
        if !held.isolations.iter().all(known) || !held.configurations.keys().all(known) {
            return fail(Invariant::NothingWithoutARow, "a network or a configuration has no row");
        }
        // A workspace that is kept outlives its runtime: a row that is gone knows of it.
        let had: BTreeSet<&String> = tables.rows.values().map(|kept| &kept.row.volume).collect();
        if !held.workspaces.iter().all(|workspace| had.contains(workspace)) {
            return fail(Invariant::NoWorkspaceWithoutARow, "a workspace has no row");
        }
        if let Some(task) = tables.tasks.iter().find(|task| !task.status.is_end() && !waits(task.runtime_id)) {
            let told = format!("{:?} of generation {} is {:?}", task.kind, task.generation, task.status);
            return fail(Invariant::TasksEnd, &told);
        }
        Ok(())
    }

    /// What must hold at every moment.
    pub(super) fn judge_always(&self) -> Result<(), Wrong> {
        if let Some(wrong) = self.machine.held().wrongs.first() {
            return Err(wrong.clone());
        }
        let tables = self.database.tables();
        if let Some(wrong) = tables.wrongs.first() {
            return Err(wrong.clone());
        }
        for caller in &self.people {
            let mut used = tables.used(caller.person_id, None, None);
            // What workspaces turn out to hold is measured; what they may grow to is promised.
            let promised = tables.rows.values().filter(|kept| !kept.gone && kept.row.person_id == caller.person_id);
            used.workspace_bytes = promised.map(|kept| kept.row.workspace_bytes).sum();
            let within = used.runtimes <= QUOTA.runtimes
                && used.memory_bytes <= QUOTA.memory_bytes
                && used.cpu_millis <= QUOTA.cpu_millis
                && used.workspace_bytes <= QUOTA.workspace_bytes;
            if !within {
                return Err(Invariant::QuotaHolds.broken(format!("a person uses {used:?}, and may use {QUOTA:?}")));
            }
        }
        if tables.rows.values().any(|kept| kept.row.profile == "withdrawn") {
            return Err(Invariant::OfferedProfilesOnly.broken("a runtime has a profile that is not offered"));
        }
        let runs = |kept: &&Kept| !kept.gone && kept.row.desired_state == DesiredState::Running;
        if tables.rows.values().filter(runs).any(|kept| tables.disabled.contains(&kept.row.person_id)) {
            return Err(Invariant::NothingRunsForTheDisabled.broken("a runtime of one who is disabled is to run"));
        }
        for id in tables.rows.keys() {
            if tables.tasks.iter().filter(|task| task.runtime_id == *id && !task.status.is_end()).count() > 1 {
                return Err(Invariant::OneTask.broken("two tasks of one runtime are under way"));
            }
        }
        Ok(())
    }
}

/// Of two wishes at once, the last one written stands; a deletion stands against all, and a wiped workspace against a kept one.
fn judge_wishes(heard: &[Heard], row: &Row) -> Result<(), Wrong> {
    if heard.is_empty() {
        return Ok(());
    }
    let wiped = heard.iter().any(|(_, retention, _)| *retention == Some(Retention::WipeWorkspace));
    let deleted = heard.iter().any(|(state, ..)| *state == DesiredState::Deleted);
    let stands = heard.iter().any(|(state, ..)| *state == row.desired_state);
    let profiles: Vec<ProfileId> = heard.iter().filter_map(|(.., profile)| *profile).collect();
    let changed = profiles.is_empty() || profiles.contains(&row.profile_id);
    if (deleted && row.desired_state != DesiredState::Deleted)
        || !stands
        || !changed
        || (wiped && row.retention != Some(Retention::WipeWorkspace))
    {
        let stands = format!("{:?} {:?} of {}", row.desired_state, row.retention, row.profile);
        return Err(Invariant::NoWishLost.broken(format!("{heard:?} were heard, and {stands} stands")));
    }
    Ok(())
}
