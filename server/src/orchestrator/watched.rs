//! What is known of runtimes at rest, which are ready or asleep. Between two whole passes only those are looked at whose time has come, so that it costs next to nothing to have many.

use super::rest::Rest;
use contract::{Phase, RuntimeId};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::time::Instant;

/// How often a ready runtime is looked at closely: a list shows neither limits nor capabilities, nor whether OpenClaw answers.
const ROUND: Duration = Duration::from_secs(30);
/// How many are looked at closely at a time, at most.
const CLOSE_LOOKS: usize = 32;

/// Runtimes that are ready or asleep, as they should be.
#[derive(Default)]
pub(super) struct Watched(Mutex<Held>);

#[derive(Default)]
struct Held {
    known: HashMap<RuntimeId, Known>,
    /// Counts the passes that began.
    passes: u64,
}

struct Known {
    phase: Phase,
    rest: Rest,
    /// When it was looked at closely.
    looked: Option<Instant>,
    /// After the beginning of which pass this was learned.
    learned: u64,
}

impl Watched {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is known any more.
    pub(super) fn clear(&self) {
        self.held().known.clear();
    }

    /// A pass begins. Answers its number, for [`Watched::learn`].
    pub(super) fn begin_pass(&self) -> u64 {
        let mut held = self.held();
        held.passes += 1;
        held.passes
    }

    /// A pass found these at rest, and no others. What a step saw since that pass began is newer, and stays.
    pub(super) fn learn(&self, pass: u64, resting: Vec<(RuntimeId, Phase, Rest)>) {
        let mut held = self.held();
        let mut before = std::mem::take(&mut held.known);
        let mut known = HashMap::with_capacity(resting.len());
        for (runtime_id, phase, rest) in resting {
            let older = before.remove(&runtime_id);
            let now = match older {
                Some(newer) if newer.learned >= pass => newer,
                older => Known { phase, rest, looked: older.and_then(|older| older.looked), learned: pass },
            };
            known.insert(runtime_id, now);
        }
        known.extend(before.into_iter().filter(|(_, left)| left.learned >= pass));
        held.known = known;
    }

    /// A step looked at it closely and found it at rest.
    pub(super) fn note(&self, runtime_id: RuntimeId, phase: Phase, rest: Rest) {
        let mut held = self.held();
        let learned = held.passes;
        held.known.insert(runtime_id, Known { phase, rest, looked: Some(Instant::now()), learned });
    }

    /// It is no longer at rest.
    pub(super) fn forget(&self, runtime_id: RuntimeId) {
        self.held().known.remove(&runtime_id);
    }

    /// Whose time has come: to fall asleep, deeper, or to wake; and a few of those that were looked at longest ago.
    pub(super) fn due(&self, now: OffsetDateTime) -> Vec<RuntimeId> {
        let (mut held, moment) = (self.held(), Instant::now());
        let is_due = |known: &Known| match known.phase {
            Phase::Ready => known.rest.is_tired(now),
            Phase::Asleep => known.rest.is_due(now) || known.rest.sinks(now),
            _ => false,
        };
        let mut due: Vec<RuntimeId> = held.known.iter().filter(|(_, known)| is_due(known)).map(|(id, _)| *id).collect();
        let stale = |known: &Known| known.phase == Phase::Ready && known.looked.is_none_or(|at| moment - at >= ROUND);
        let mut looks: Vec<(Option<Instant>, RuntimeId)> =
            held.known.iter().filter(|(_, known)| stale(known)).map(|(id, known)| (known.looked, *id)).collect();
        // The longest ago, whatever their order: of ten thousand a few are wanted.
        if looks.len() > CLOSE_LOOKS {
            looks.select_nth_unstable(CLOSE_LOOKS);
            looks.truncate(CLOSE_LOOKS);
        }
        for (_, runtime_id) in looks {
            if let Some(known) = held.known.get_mut(&runtime_id) {
                known.looked = Some(moment);
            }
            due.push(runtime_id);
        }
        due.sort_unstable();
        due.dedup();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::super::rest::Policy;
    use super::*;
    use contract::SleepDepth;
    use time::Duration as Span;

    fn noon() -> OffsetDateTime {
        time::macros::datetime!(2026-11-22 12:00 UTC)
    }

    fn rest() -> Rest {
        Rest {
            policy: Policy::of(30, 480),
            idle_since: noon(),
            awake_until: None,
            asleep_since: noon(),
            depth: Some(SleepDepth::Frozen),
            agreed_until: None,
            wakes_at: None,
        }
    }

    fn id(number: u128) -> RuntimeId {
        RuntimeId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn all_have_their_turn_and_few_at_a_time() {
        let watched = Watched::default();
        let many = CLOSE_LOOKS as u128 + 8;
        let resting = || (1..=many).map(|number| (id(number), Phase::Ready, rest())).collect();
        watched.learn(watched.begin_pass(), resting());
        let first = watched.due(noon());
        assert_eq!(first.len(), CLOSE_LOOKS);
        // Who was looked at is known to be so after the next pass, too.
        watched.learn(watched.begin_pass(), resting());
        let second = watched.due(noon());
        assert_eq!(second.len(), 8);
        assert!(second.iter().all(|id| !first.contains(id)));
        assert_eq!(watched.due(noon()), []);
        tokio::time::advance(ROUND).await;
        assert_eq!(watched.due(noon()).len(), CLOSE_LOOKS);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_tired_or_due_is_named_in_its_time() {
        let watched = Watched::default();
        let due = Rest { wakes_at: Some(noon() + Span::hours(1)), ..rest() };
        watched
            .learn(watched.begin_pass(), vec![(id(1), Phase::Ready, rest()), (id(2), Phase::Asleep, due), (id(3), Phase::Asleep, rest())]);
        assert_eq!(watched.due(noon()), [id(1)], "looked at closely for the first time");
        assert_eq!(watched.due(noon() + Span::minutes(29)), []);
        assert_eq!(watched.due(noon() + Span::minutes(30)), [id(1)]);
        assert_eq!(watched.due(noon() + Span::minutes(60)), [id(1), id(2)]);
        assert_eq!(watched.due(noon() + Span::hours(8)), [id(1), id(2), id(3)]);
        watched.forget(id(1));
        watched.note(id(2), Phase::Asleep, rest());
        assert_eq!(watched.due(noon() + Span::minutes(60)), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_step_saw_is_newer_than_a_pass_that_began_before() {
        let watched = Watched::default();
        watched.learn(watched.begin_pass(), vec![(id(1), Phase::Ready, rest()), (id(2), Phase::Ready, rest())]);
        let pass = watched.begin_pass();
        let awake = Rest { awake_until: Some(noon() + Span::hours(2)), ..rest() };
        watched.note(id(1), Phase::Ready, awake);
        watched.note(id(3), Phase::Ready, awake);
        // It read its rows before all that, and 2 was gone by then.
        watched.learn(pass, vec![(id(1), Phase::Ready, rest())]);
        assert_eq!(watched.due(noon() + Span::minutes(31)), []);
        assert_eq!(watched.due(noon() + Span::hours(2)), [id(1), id(3)]);
        watched.clear();
        assert_eq!(watched.due(noon() + Span::hours(2)), []);
    }
}
