//! When a runtime goes to sleep, how deep, and when it is woken: rules alone. No IO, no time of their own.

use crate::manager::rpc::{Due, Outlook};
use contract::SleepDepth;
use time::{Duration, OffsetDateTime};

/// How long an agreement of OpenClaw's may be used: half of its two minutes, so that a slow step is never the one too many.
const AGREED_FOR: Duration = Duration::seconds(60);
/// How long before a schedule a frozen runtime is woken: two passes, and the second that it takes.
const THAW_MARGIN: Duration = Duration::seconds(15);
/// What a whole start is given beyond the time that slow starts take here: passes, a place in the queue.
const BOOT_MARGIN: Duration = Duration::seconds(30);
/// What a whole start may take before this machine has any history.
const BOOT_UNLEARNED: Duration = Duration::seconds(300);

/// When runtimes sleep: its owner's choice within what its profile says, or else the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Without use for this long it is asked whether it may be frozen; none is never.
    pub sleep_after: Option<Duration>,
    /// Asleep for this long it also gives its memory back; none is never.
    pub stop_after: Option<Duration>,
    /// A sleep shorter than this is not worth falling asleep, and one shorter than this not worth a whole start after it.
    pub worth: Duration,
    /// How soon one that was at work is asked again.
    pub ask_again: Duration,
}

impl Policy {
    /// From settings in minutes, where 0 is never.
    #[must_use]
    pub fn of(sleep_after_minutes: i32, stop_after_minutes: i32) -> Self {
        let minutes = |minutes: i32| (minutes > 0).then(|| Duration::minutes(minutes.into()));
        Self {
            sleep_after: minutes(sleep_after_minutes),
            stop_after: minutes(stop_after_minutes),
            worth: Duration::minutes(5),
            ask_again: Duration::minutes(3),
        }
    }
}

/// What is known of a runtime's rest.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// The rule that holds for it.
    pub policy: Policy,
    /// When it was last used, became ready, or this server began to watch: whichever is latest.
    pub idle_since: OffsetDateTime,
    /// Not asked before this.
    pub awake_until: Option<OffsetDateTime>,
    /// Since when it sleeps, where it does.
    pub asleep_since: OffsetDateTime,
    /// How deep it is to sleep.
    pub depth: Option<SleepDepth>,
    /// Until when OpenClaw's agreement may be used.
    pub agreed_until: Option<OffsetDateTime>,
    /// When it is to be woken.
    pub wakes_at: Option<OffsetDateTime>,
}

impl Rest {
    /// Whether nobody used it for long enough to ask it.
    #[must_use]
    pub fn is_tired(&self, now: OffsetDateTime) -> bool {
        self.policy.sleep_after.is_some_and(|after| now - self.idle_since >= after) && self.awake_until.is_none_or(|until| until <= now)
    }

    /// Whether it is time to wake it.
    #[must_use]
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        self.wakes_at.is_some_and(|at| at <= now)
    }

    /// Whether OpenClaw's agreement still holds.
    #[must_use]
    pub fn is_agreed(&self, now: OffsetDateTime) -> bool {
        self.agreed_until.is_some_and(|until| now < until)
    }

    /// Whether a frozen one is to give its memory back.
    #[must_use]
    pub fn sinks(&self, now: OffsetDateTime) -> bool {
        let long = self.policy.stop_after.is_some_and(|after| now - self.asleep_since >= after);
        let free = self.wakes_at.is_none_or(|at| at - now > BOOT_UNLEARNED + self.policy.worth);
        self.depth == Some(SleepDepth::Frozen) && long && free
    }
}

/// Until when an agreement that is asked for now may be used.
#[must_use]
pub fn agreed_until(asked: OffsetDateTime) -> OffsetDateTime {
    asked + AGREED_FOR
}

/// When it is woken for what is due at `at`. `p95_ms`: what slow starts take on this machine.
#[must_use]
pub fn wakes_at(at: OffsetDateTime, depth: SleepDepth, p95_ms: Option<i64>) -> OffsetDateTime {
    let margin = match depth {
        SleepDepth::Frozen => THAW_MARGIN,
        SleepDepth::Stopped => p95_ms.map_or(BOOT_UNLEARNED, |slow| Duration::milliseconds(slow.saturating_add(slow / 2))) + BOOT_MARGIN,
    };
    at.checked_sub(margin).unwrap_or(at)
}

/// What follows from what is scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is not asked to sleep before this.
    StayAwake(OffsetDateTime),
    /// It may be asked.
    Sleep {
        /// What it must be woken for.
        due: Option<Due>,
        /// When it is woken for that.
        wakes_at: Option<OffsetDateTime>,
    },
}

/// Whether it may be asked to sleep so deep, with this before it.
#[must_use]
pub fn plan(outlook: Outlook, depth: SleepDepth, policy: &Policy, p95_ms: Option<i64>, now: OffsetDateTime) -> Plan {
    if outlook.watches.is_some() {
        return Plan::StayAwake(now + policy.ask_again);
    }
    let wakes_at = outlook.next.as_ref().map(|due| wakes_at(due.at, depth, p95_ms));
    match (&outlook.next, wakes_at) {
        // It runs first. One that is long overdue is asked about again all the same.
        (Some(due), Some(wakes_at)) if wakes_at - now < policy.worth => {
            Plan::StayAwake(due.at.max(now) + policy.ask_again.min(policy.worth))
        }
        (_, wakes_at) => Plan::Sleep { due: outlook.next, wakes_at },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn due_in(time: Duration) -> Outlook {
        Outlook { next: Some(Due { at: noon() + time, name: "daily digest".to_owned() }), watches: None }
    }

    #[test]
    fn it_is_tired_after_its_time_and_not_while_it_is_to_stay_awake() {
        assert!(!rest().is_tired(noon() + Duration::minutes(29)));
        assert!(rest().is_tired(noon() + Duration::minutes(30)));
        let later = Rest { awake_until: Some(noon() + Duration::minutes(40)), ..rest() };
        assert!(!later.is_tired(noon() + Duration::minutes(39)) && later.is_tired(noon() + Duration::minutes(40)));
        assert!(!Rest { policy: Policy::of(0, 0), ..rest() }.is_tired(noon() + Duration::days(400)), "never is never");
    }

    #[test]
    fn it_gives_its_memory_back_later_and_not_shortly_before_it_wakes() {
        let then = noon() + Duration::hours(8);
        assert!(!rest().sinks(then - Duration::SECOND) && rest().sinks(then));
        assert!(!Rest { wakes_at: Some(then + Duration::minutes(9)), ..rest() }.sinks(then));
        assert!(Rest { wakes_at: Some(then + Duration::minutes(11)), ..rest() }.sinks(then));
        assert!(!Rest { depth: Some(SleepDepth::Stopped), ..rest() }.sinks(then), "it did");
        assert!(!Rest { policy: Policy::of(30, 0), ..rest() }.sinks(then + Duration::days(400)));
    }

    #[test]
    fn what_is_due_soon_or_watches_keeps_it_awake() {
        let plan = |outlook, depth| super::plan(outlook, depth, &Policy::of(30, 480), Some(20_000), noon());
        assert_eq!(plan(due_in(Duration::minutes(5)), SleepDepth::Frozen), Plan::StayAwake(noon() + Duration::minutes(8)));
        assert_eq!(plan(due_in(-Duration::hours(1)), SleepDepth::Frozen), Plan::StayAwake(noon() + Duration::minutes(3)));
        let watches = Outlook { next: None, watches: Some("build log".to_owned()) };
        assert_eq!(plan(watches, SleepDepth::Frozen), Plan::StayAwake(noon() + Duration::minutes(3)));
        assert_eq!(plan(Outlook::default(), SleepDepth::Frozen), Plan::Sleep { due: None, wakes_at: None });
        let Plan::Sleep { due, wakes_at } = plan(due_in(Duration::hours(19)), SleepDepth::Stopped) else { panic!("it may sleep") };
        assert_eq!(due.map(|due| due.name).as_deref(), Some("daily digest"));
        assert_eq!(wakes_at, Some(noon() + Duration::hours(19) - Duration::seconds(60)), "half as long again as a slow start, and 30 s");
    }

    proptest! {
        #[test]
        fn nobody_is_woken_late(seconds in 0_i64..1_000_000, p95 in prop::option::of(0_i64..600_000), deep in any::<bool>()) {
            let depth = if deep { SleepDepth::Stopped } else { SleepDepth::Frozen };
            let at = noon() + Duration::seconds(seconds);
            let wakes = wakes_at(at, depth, p95);
            prop_assert!(wakes < at);
            if deep {
                prop_assert!(at - wakes >= Duration::milliseconds(p95.unwrap_or(0)), "a start fits in");
            }
            match plan(due_in(Duration::seconds(seconds)), depth, &Policy::of(30, 480), p95, noon()) {
                Plan::StayAwake(until) => prop_assert!(until > at, "what is due runs first"),
                Plan::Sleep { wakes_at, .. } => prop_assert!(wakes_at.is_some_and(|at| at > noon())),
            }
        }
    }
}
