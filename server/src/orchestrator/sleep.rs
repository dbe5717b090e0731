//! Sleep by agreement: what the rules of [`super::rest`] and [`super::decide`] ask for, done. OpenClaw is asked first and believed.

use super::{
    Orchestrator,
    reconcile::Next,
    rest::{self, Plan, Policy, Rest},
};
use crate::{
    Result,
    data::{runtime::Row, sleep::Nap, transition_history::Transition},
    manager::{
        ContainerState, Seen,
        rpc::{Consent, Mute, Outlook, Purpose},
    },
};
use contract::{Phase, RuntimeId, SleepDepth, SleepRule};
use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::PoisonError,
};
use time::OffsetDateTime;

/// A visit is written down this often, at most: a page is many requests.
const WRITTEN_EVERY: time::Duration = time::Duration::seconds(10);

/// What takes longer than this is not asked about in one go: a short turn would fit in between.
const AT_ONCE: time::Duration = time::Duration::seconds(2);

/// When this server last wrote down that somebody was there.
pub(super) type Visits = std::sync::Mutex<HashMap<RuntimeId, OffsetDateTime>>;

impl Orchestrator {
    /// Somebody is at these runtimes, or holds something open towards them: what sleeps is woken, what is awake stays so.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn visit(&self, runtime_ids: &[RuntimeId]) -> Result<()> {
        let now = self.clock.now();
        let new: BTreeSet<RuntimeId> = {
            let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            let stale = |id: &&RuntimeId| visits.get(id).is_none_or(|at| now - *at >= WRITTEN_EVERY);
            runtime_ids.iter().filter(stale).copied().collect()
        };
        let new: Vec<RuntimeId> = new.into_iter().collect();
        self.wake(&new).await
    }

    /// As [`Orchestrator::visit`], however lately it was written: for whoever stands before one that sleeps.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn wake(&self, runtime_ids: &[RuntimeId]) -> Result<()> {
        if runtime_ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        self.store.visit(runtime_ids, now).await?;
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.retain(|_, at| now - *at < WRITTEN_EVERY);
        visits.extend(runtime_ids.iter().map(|id| (*id, now)));
        Ok(())
    }

    /// When this runtime goes to sleep, and what its owner may choose: as its profile says, or else the settings.
    #[must_use]
    pub fn sleep_rule(&self, row: &Row) -> SleepRule {
        let limits = &self.config.runtimes;
        let house = SleepRule {
            chosen_minutes: row.sleep_minutes,
            usual_minutes: limits.sleep_after_minutes,
            most_minutes: limits.sleep_most_minutes,
            stop_after_minutes: limits.sleep_stop_after_minutes,
        };
        SleepRule::of_profile(house, row.profile_sleep_minutes, row.profile_sleep_stop_minutes)
    }

    fn policy(&self, row: &Row) -> Policy {
        self.policy.unwrap_or_else(|| {
            let rule = self.sleep_rule(row);
            Policy::of(rule.minutes(), rule.stop_after_minutes)
        })
    }

    /// What is known of a runtime's rest.
    pub(super) fn rest(&self, row: &Row) -> Rest {
        Rest {
            policy: self.policy(row),
            idle_since: row.used_at.max(row.phase_since).max(self.began),
            awake_until: row.awake_until,
            asleep_since: row.phase_since,
            depth: row.sleep_depth,
            agreed_until: row.agreed_until,
            wakes_at: row.wakes_at,
        }
    }

    /// Asks OpenClaw whether it may sleep. Whatever is not a clear yes keeps it awake, or wakes it.
    pub(super) async fn doze(&self, row: &Row, seen: &Seen, depth: SleepDepth) -> Result<Next> {
        let asked = self.clock.now();
        let policy = self.policy(row);
        let p95_ms = self.store.lesson(Transition::Start, &row.image).await?.p95_ms;
        let later = asked + policy.ask_again;
        let Some(address) = address(seen) else { return self.stay_awake(row, later).await };
        let (due, wakes_at, suspension_id) = match self.agree(address).await {
            Ok(Some((outlook, suspension_id))) => match rest::plan(outlook, depth, &policy, p95_ms, asked) {
                Plan::Sleep { due, wakes_at } if self.clock.now() - asked < AT_ONCE => (due, wakes_at, suspension_id),
                Plan::Sleep { .. } => {
                    self.give_back(row, address, &suspension_id).await;
                    return self.stay_awake(row, later).await;
                }
                Plan::StayAwake(until) => {
                    self.give_back(row, address, &suspension_id).await;
                    return self.stay_awake(row, until).await;
                }
            },
            Ok(None) => return self.stay_awake(row, later).await,
            Err(mute) => {
                tracing::info!(runtime = %row.runtime_id, error = %mute, "whether a runtime may sleep is not known, so it does not");
                return self.stay_awake(row, later).await;
            }
        };
        let nap =
            Nap { depth, suspension_id, agreed_until: rest::agreed_until(asked), schedule: due.map(|due| (due.at, due.name)), wakes_at };
        let asleep = self.store.fall_asleep(row, &nap, self.clock.now()).await;
        if let Ok(true) = asleep {
            tracing::info!(runtime = %row.runtime_id, name = row.name, ?depth, wakes_at = ?nap.wakes_at, "a runtime that nobody uses goes to sleep");
        } else {
            // Somebody came in between, or it could not be written down.
            self.give_back(row, address, &nap.suspension_id).await;
        }
        asleep.map(|_| Next::Again)
    }

    /// OpenClaw's agreement, with what is scheduled; none while it is at work. Under an agreement it tells nothing else, so it agrees twice: what was idle
    /// before the question about schedules, and is idle at once after it, has scheduled nothing in between.
    async fn agree(&self, address: SocketAddr) -> Result<Option<(Outlook, String)>, Mute> {
        let Consent::Given { suspension_id } = self.openclaw.prepare(address, Purpose::Sleep).await? else { return Ok(None) };
        self.openclaw.resume(address, &suspension_id).await?;
        let outlook = self.openclaw.outlook(address).await?;
        match self.openclaw.prepare(address, Purpose::Sleep).await? {
            Consent::Given { suspension_id } => Ok(Some((outlook, suspension_id))),
            Consent::Busy(_) => Ok(None),
        }
    }

    async fn give_back(&self, row: &Row, address: SocketAddr, suspension_id: &str) {
        if let Err(mute) = self.openclaw.resume(address, suspension_id).await {
            tracing::warn!(runtime = %row.runtime_id, error = %mute, "an agreement to sleep could not be given back; it runs out by itself");
        }
    }

    async fn stay_awake(&self, row: &Row, until: OffsetDateTime) -> Result<Next> {
        self.store.stay_awake(row, until).await?;
        if row.phase == Phase::Asleep {
            self.note(row, Phase::Waking, None).await?;
            return Ok(Next::Again);
        }
        self.watched.note(row.runtime_id, row.phase, Rest { awake_until: Some(until), ..self.rest(row) });
        Ok(Next::Rest)
    }

    /// Lets it stand still. An engine that cannot do that keeps it awake.
    pub(super) async fn freeze(&self, row: &Row) -> Result<Next> {
        match self.engine.freeze(row.runtime_id).await {
            Err(crate::Error::Problem(problem)) => {
                tracing::warn!(runtime = %row.runtime_id, "a runtime could not be frozen: {}", problem.message);
                self.stay_awake(row, self.clock.now() + self.policy(row).ask_again).await
            }
            done => done.map(|()| Next::Again),
        }
    }

    /// It sleeps without a container from now on, and is woken as early as a whole start needs.
    pub(super) async fn sink(&self, row: &Row) -> Result<()> {
        let p95_ms = self.store.lesson(Transition::Start, &row.image).await?.p95_ms;
        self.store.sink(row, row.schedule_at.map(|at| rest::wakes_at(at, SleepDepth::Stopped, p95_ms))).await
    }

    /// Gives the agreement back. Whether that was heard.
    pub(super) async fn resume(&self, row: &Row, seen: &Seen) -> bool {
        let (Some(suspension_id), Some(address)) = (&row.suspension_id, address(seen)) else { return true };
        match self.openclaw.resume(address, suspension_id).await {
            Ok(()) => true,
            Err(mute) => {
                tracing::info!(runtime = %row.runtime_id, error = %mute, "a runtime that was woken does not answer yet");
                false
            }
        }
    }

    /// Whether OpenClaw has finished what it does. One that does not answer has nothing that could be waited for.
    pub(super) async fn drained(&self, row: &Row, seen: &Seen) -> Result<bool> {
        let Some(address) = address(seen) else { return Ok(true) };
        match self.openclaw.prepare(address, Purpose::End).await {
            Ok(Consent::Given { .. }) => Ok(true),
            Ok(Consent::Busy(work)) => {
                if row.phase != Phase::Draining {
                    tracing::info!(runtime = %row.runtime_id, work, "a runtime finishes what it does before it ends");
                    self.note(row, Phase::Draining, None).await?;
                }
                Ok(false)
            }
            Err(mute) => {
                tracing::info!(runtime = %row.runtime_id, error = %mute, "a runtime that is to end cannot be asked to finish");
                Ok(true)
            }
        }
    }
}

fn address(seen: &Seen) -> Option<SocketAddr> {
    match seen.container.as_ref().map(|container| &container.state) {
        Some(ContainerState::Running { address, .. }) => *address,
        Some(ContainerState::Frozen { .. } | ContainerState::Created | ContainerState::Ended { .. }) | None => None,
    }
}
