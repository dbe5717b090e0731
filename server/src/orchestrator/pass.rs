//! A look at everything: what catches lost events, tidies what has no row, and holds walls and doors.

use super::{Orchestrator, memory, reconcile::silent_engine, rendered::Offer, rest::Rest};
use crate::{
    Result,
    data::runtime::Row,
    error::chain,
    manager::{ContainerState, Seen, World},
};
use contract::{Code, DesiredState, Phase, RuntimeId, SleepDepth};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    time::Duration,
};

/// How often everything is looked at, woken or not.
pub(super) const PERIOD: Duration = Duration::from_secs(5);
/// So many runtimes are looked at in a second, at most, when nothing calls for it: with more than fit into a period, passes come less often. What has its
/// time in between is known without one, and what happens is told.
const LOOKS_A_SECOND: u64 = 100;
/// After so many rows others have their turn: a pass over many is long, and an event should not wait for its end.
const ROWS_AT_ONCE: usize = 64;

/// What a pass found.
pub(super) struct Surveyed {
    /// Not as they should be.
    pub(super) restless: Vec<RuntimeId>,
    /// As they should be, ready or asleep.
    pub(super) resting: Vec<(RuntimeId, Phase, Rest)>,
    /// How many there are.
    runtimes: usize,
    /// Whether something stands behind our walls.
    pub(super) walled: bool,
}

impl Surveyed {
    /// How long after a pass over so many the next one comes by itself.
    pub(super) fn pause(&self) -> Duration {
        pause(self.runtimes)
    }
}

fn says_that_the_engine_is_silent(row: &Row) -> bool {
    row.phase.is_moving() && row.problem.as_ref().is_some_and(|problem| problem.code == Code::Unavailable)
}

fn pause(runtimes: usize) -> Duration {
    Duration::from_secs(runtimes as u64 / LOOKS_A_SECOND).max(PERIOD)
}

impl Orchestrator {
    /// Looks at everything once: tidies what has no row, holds walls and doors, and answers which runtimes are not as they should be.
    pub async fn pass(&self) -> Result<Vec<RuntimeId>> {
        Ok(self.survey().await?.restless)
    }

    pub(super) async fn survey(&self) -> Result<Surveyed> {
        // The engine first: whatever it shows then has a row, or had one.
        let world = match self.engine.survey().await {
            Ok(world) => world,
            Err(error) => {
                self.store.say_of_moving(Some(&silent_engine())).await?;
                return Err(error);
            }
        };
        let (rows, offer) = (self.store.all().await?, self.offer().await?);
        if rows.iter().any(says_that_the_engine_is_silent) {
            self.store.say_of_moving(None).await?;
        }
        let known: HashSet<RuntimeId> = rows.iter().map(|row| row.runtime_id).collect();
        self.rendered.keep(&known);
        self.tidy(&world, &known).await;
        if let Err(error) = self.tidy_workspaces(&rows).await {
            tracing::warn!(error = %chain(&error), "workspaces that were to be wiped could not be looked for");
        }
        let walled = self.hold(&world).await;
        if let Err(error) = self.keep_logs(&world, &known).await {
            tracing::warn!(error = %chain(&error), "the logs of runtimes could not be looked after");
        }
        let nothing = Seen::default();
        // Who waits behind others has nothing to do; whoever is first may not have been told.
        let first =
            rows.iter().filter(|row| row.queued_at.is_some()).min_by_key(|row| (row.queued_at, row.runtime_id)).map(|row| row.runtime_id);
        let mut found = Surveyed { restless: Vec::new(), resting: Vec::new(), runtimes: rows.len(), walled };
        for (number, row) in rows.iter().enumerate() {
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let waits = row.phase == Phase::Queued && row.queued_at.is_some() && first != Some(row.runtime_id);
            if waits && !world.contains_key(&row.runtime_id) {
                continue;
            }
            if !self.is_at_rest(row, world.get(&row.runtime_id).unwrap_or(&nothing), &offer) {
                found.restless.push(row.runtime_id);
            } else if matches!(row.phase, Phase::Ready | Phase::Asleep) {
                found.resting.push((row.runtime_id, row.phase, self.rest(row)));
            }
        }
        // Whoever was made first is attended to first.
        found.restless.sort_unstable();
        Ok(found)
    }

    fn is_at_rest(&self, row: &Row, seen: &Seen, offer: &Offer) -> bool {
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
                        && matches!(self.configuration(row, isolation.gateway, offer, seen.configuration.as_deref()), Ok(Cow::Borrowed(_)))
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
    async fn tidy(&self, world: &World, known: &HashSet<RuntimeId>) {
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
    async fn tidy_workspaces(&self, rows: &[Row]) -> Result<()> {
        let mut left = self.engine.workspaces().await?;
        // Those of runtimes that are there are nothing to ask about, and mostly all there are.
        for row in rows {
            left.remove(&row.volume);
        }
        if left.is_empty() {
            return Ok(());
        }
        for workspace in self.store.wiped_workspaces(&left).await? {
            tracing::info!(workspace, "a workspace that was to be wiped was left over");
            self.engine.wipe_workspace(&workspace).await?;
        }
        Ok(())
    }

    /// Holds the walls and opens the doors of whatever stands there. Whether something does.
    async fn hold(&self, world: &World) -> bool {
        let gateways: BTreeSet<_> = world.values().filter_map(|seen| seen.isolation).map(|isolation| isolation.gateway).collect();
        if gateways.is_empty() {
            return false;
        }
        self.hold_walls().await;
        for gateway in gateways {
            if let Err(error) = self.doors.open(gateway).await {
                tracing::warn!(%gateway, error = %chain(&error), "the internal listener could not be opened");
            }
        }
        true
    }

    pub(super) async fn hold_walls(&self) {
        if let Err(error) = self.engine.hold_walls().await {
            tracing::error!(error = %chain(&error), "the walls around runtimes do not hold");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_come_less_often_where_there_is_much_to_look_at() {
        assert_eq!([0, 1, 500].map(pause), [PERIOD; 3]);
        assert_eq!([1000, 10_000].map(pause), [10, 100].map(Duration::from_secs));
    }
}
