//! What to do next: pure functions from a wish and what is seen to one action. No IO, no time of their own.

use super::rest::Rest;
use crate::{
    manager::{ContainerState, SeenContainer, epoch::Restarted},
    runtime::spec::RuntimeSpec,
};
use contract::{DesiredState, Phase, Retention, SleepDepth};
use time::{Duration, OffsetDateTime};

/// After so many failed tries in a row a runtime is given up, and a person decides.
pub const TRIES: i32 = 5;
/// A run that was good for this long forgives the failures before it.
pub const GOOD_RUN: Duration = Duration::minutes(10);
/// No start is called slow before this, however fast the others were.
const DEADLINE_FLOOR: Duration = Duration::seconds(60);
/// What a start may take before this machine has any history. The slowest known machine took 294 s.
const DEADLINE_UNLEARNED: Duration = Duration::seconds(300);
/// How soon one that finishes what it does is asked again: OpenClaw answers thirty such questions a minute.
const DRAIN_AGAIN: Duration = Duration::seconds(3);
/// No start may take longer, however slow the others were and however many failed.
const DEADLINE_CEILING: Duration = Duration::minutes(15);
/// How long OpenClaw may take to end by itself before this machine has any history. Idle it takes under four seconds.
const GRACE_UNLEARNED: Duration = Duration::seconds(20);
/// It has at least this long, however fast the others ended.
const GRACE_FLOOR: Duration = Duration::seconds(12);
/// And no longer than this: whoever presses Stop means it.
const GRACE_CEILING: Duration = Duration::seconds(60);
/// How long to wait before OpenClaw is asked again.
const ASK_AGAIN: Duration = Duration::milliseconds(300);
/// How soon whoever is about to have its turn asks for it again.
const TURN_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
/// Behind so many others nobody asks by and by: whoever is first is told, and a pass finds them if that was lost.
const TURN_AGAIN_NEAR: i64 = 16;
/// How soon those who wait behind more ask again.
const TURN_AGAIN_FAR: std::time::Duration = std::time::Duration::from_secs(300);

/// What a wish to start means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartDisposition {
    /// A new start.
    Start,
    /// It runs or is about to: asking again is success.
    AlreadyStarted,
    /// It sleeps: it is woken.
    Wake,
    /// It is being deleted.
    Leaving,
}

/// What a wish to start means for a runtime of this state.
#[must_use]
pub fn start_disposition(desired: DesiredState, phase: Phase) -> StartDisposition {
    match (desired, phase) {
        (DesiredState::Deleted, _) => StartDisposition::Leaving,
        (DesiredState::Stopped, _) => StartDisposition::Start,
        // Asked again while it waits for its next try: try now.
        (DesiredState::Running, Phase::Failed | Phase::Retrying) => StartDisposition::Start,
        (DesiredState::Running, Phase::Asleep) => StartDisposition::Wake,
        (
            DesiredState::Running,
            Phase::Stopped
            | Phase::Pending
            | Phase::Queued
            | Phase::Creating
            | Phase::Starting
            | Phase::Waiting
            | Phase::Ready
            | Phase::Waking
            | Phase::Draining
            | Phase::Stopping
            | Phase::Deleting
            | Phase::Deleted,
        ) => StartDisposition::AlreadyStarted,
    }
}

/// Everything that a decision rests on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What is asked for.
    pub desired: DesiredState,
    /// What becomes of the workspace.
    pub retention: Option<Retention>,
    /// Where the runtime stood at the last look.
    pub phase: Phase,
    /// Since when.
    pub phase_since: OffsetDateTime,
    /// What is known of its sleep.
    pub rest: Rest,
    /// Until when running turns may finish before its container ends.
    pub drain_until: Option<OffsetDateTime>,
    /// Whether they have, where OpenClaw was asked in this round.
    pub drained: Option<bool>,
    /// Whether OpenClaw got its agreement to sleep back in this round.
    pub resumed: bool,
    /// Which container is asked for.
    pub revision: i64,
    /// The hash of what it is to be made from.
    pub spec_hash: &'a str,
    /// What it is to be made from.
    pub spec: &'a RuntimeSpec,
    /// Whether a change of its profile is under way: then other limits are nobody's hand.
    pub changing: bool,
    /// Whether its limits were put back in this round already.
    pub adjusted: bool,
    /// When the next try may begin.
    pub retry_at: Option<OffsetDateTime>,
    /// Whether its memory, as much as it is given now, is held for it.
    pub admitted: bool,
    /// How long OpenClaw may take to boot.
    pub deadline: Duration,
    /// The container that is there.
    pub container: Option<&'a SeenContainer>,
    /// Whether its network is there.
    pub isolated: bool,
    /// Whether its configuration is there.
    pub configured: bool,
    /// Whether that configuration is what it should be.
    pub current: bool,
    /// Whether it was written, or removed, by another hand than ours.
    pub edited: bool,
    /// What was restarted since its container was last seen to run.
    pub restarted: Option<Restarted>,
    /// What OpenClaw answered, where it was asked in this round.
    pub ready: Option<bool>,
    /// The time.
    pub now: OffsetDateTime,
}

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The container ended by itself.
    Ended {
        /// Its exit code.
        code: i64,
        /// Whether for lack of memory.
        out_of_memory: bool,
    },
    /// Something that holds it was changed by hand.
    Changed {
        /// What, in words.
        what: String,
    },
    /// OpenClaw did not become ready in time.
    Slow {
        /// How long it had.
        deadline: Duration,
        /// Whether a process inside was ended for lack of memory, where that can be told.
        out_of_memory: Option<bool>,
    },
}

/// The one thing to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// All is as asked.
    Rest(Phase),
    /// Ask for a turn.
    Queue,
    /// Make workspace, network and configuration.
    Place,
    /// Make the container.
    Create,
    /// Start it.
    Start,
    /// Ask OpenClaw whether it is ready.
    Ask,
    /// It is ready.
    Welcome,
    /// Write the configuration anew; OpenClaw reads it by itself.
    Configure,
    /// Put the limits back, while it runs, and go on.
    Adjust,
    /// Nobody uses it: ask OpenClaw whether it may sleep so deep.
    Doze(SleepDepth),
    /// Let it stand still.
    Freeze,
    /// It is to sleep without a container: what it is woken for needs more time from now on.
    Sink,
    /// Somebody needs it, or something is due.
    Wake,
    /// Let it go on.
    Thaw,
    /// Give OpenClaw's agreement to sleep back.
    Resume,
    /// Ask OpenClaw to finish what it does.
    Drain,
    /// Look again after this long.
    Wait(Duration),
    /// Note a failed try.
    Fail(Cause),
    /// It was ended with its machine or engine: it failed at nothing, and waits its turn to start again.
    Recover(Restarted),
    /// End the container.
    Stop,
    /// Remove the ended container.
    Remove,
    /// Take network and configuration away.
    Release,
    /// Remove the workspace where that was asked, and the runtime is gone.
    Finish {
        /// Whether it was asked.
        wipe: bool,
    },
}

/// Names the next action.
#[must_use]
pub fn next(facts: &Facts<'_>) -> Action {
    match facts.desired {
        DesiredState::Running if facts.phase == Phase::Failed => clear_to(facts, Action::Rest(Phase::Failed)),
        DesiredState::Running if facts.phase == Phase::Asleep => asleep(facts),
        DesiredState::Running => run(facts),
        DesiredState::Stopped => drain(facts).unwrap_or_else(|| clear_to(facts, Action::Rest(Phase::Stopped))),
        DesiredState::Deleted => clear_to(facts, Action::Finish { wipe: facts.retention == Some(Retention::WipeWorkspace) }),
    }
}

/// Nothing but the workspace may be left; `then` when that is so.
fn clear_to(facts: &Facts<'_>, then: Action) -> Action {
    match facts.container.map(|container| &container.state) {
        Some(ContainerState::Running { .. } | ContainerState::Frozen { .. }) => Action::Stop,
        Some(ContainerState::Created | ContainerState::Ended { .. }) => Action::Remove,
        None if facts.isolated || facts.configured => Action::Release,
        None => then,
    }
}

/// What runs may finish what it does before it ends, within its bound. One that stands still has nothing to finish.
fn drain(facts: &Facts<'_>) -> Option<Action> {
    let until = facts.drain_until.filter(|until| *until > facts.now)?;
    // Behind walls that are not ours nothing runs on, not even to its end.
    if facts.container.is_some_and(|container| !container.breaches.is_empty()) {
        return None;
    }
    match (facts.container.map(|container| &container.state), facts.drained) {
        (Some(ContainerState::Running { .. }), None) => Some(Action::Drain),
        (Some(ContainerState::Running { .. }), Some(false)) => Some(Action::Wait(DRAIN_AGAIN.min(until - facts.now))),
        (_, _) => None,
    }
}

/// What it takes to sleep as deep as it is to, and to wake in time. What is lost of it meanwhile is not missed before it wakes.
fn asleep(facts: &Facts<'_>) -> Action {
    let (rest, now) = (&facts.rest, facts.now);
    if rest.is_due(now) {
        return Action::Wake;
    }
    let deep = rest.depth == Some(SleepDepth::Stopped);
    let Some(container) = facts.container else {
        return match deep {
            false => Action::Sink,
            true if facts.isolated || facts.configured => Action::Release,
            true => Action::Rest(Phase::Asleep),
        };
    };
    let broken = container.revision != facts.revision || !facts.isolated || drift::weak(facts).is_some();
    match &container.state {
        // Nothing goes on behind weaker walls; the next waking builds new ones.
        ContainerState::Running { .. } | ContainerState::Frozen { .. } if broken && deep => Action::Stop,
        ContainerState::Running { .. } | ContainerState::Frozen { .. } if broken => Action::Sink,
        ContainerState::Created | ContainerState::Ended { .. } if deep => Action::Remove,
        ContainerState::Created | ContainerState::Ended { .. } => Action::Sink,
        ContainerState::Frozen { .. } if deep => Action::Thaw,
        ContainerState::Frozen { .. } if rest.sinks(now) => Action::Sink,
        ContainerState::Frozen { .. } => Action::Rest(Phase::Asleep),
        ContainerState::Running { .. } => match (rest.is_agreed(now), deep) {
            (true, true) => Action::Stop,
            (true, false) => Action::Freeze,
            // Thawed to end: it may have taken up work since, and is asked again.
            (false, true) => Action::Doze(SleepDepth::Stopped),
            // Thawed by hand, or we were away for too long: nobody knows what it does.
            (false, false) => Action::Wake,
        },
    }
}

fn run(facts: &Facts<'_>) -> Action {
    let Some(container) = facts.container else {
        return match (facts.restarted, facts.retry_at) {
            // It ended so shortly before that restart that no other try began: it was ended on the way down, before its machine or engine was.
            (Some(restarted), _) if facts.phase == Phase::Retrying => Action::Recover(restarted),
            (_, Some(at)) if at > facts.now => Action::Wait(at - facts.now),
            _ if !facts.admitted => Action::Queue,
            _ if facts.isolated && facts.configured && facts.current => Action::Create,
            _ => Action::Place,
        };
    };
    let asked_for = container.revision == facts.revision;
    let weak = drift::weak(facts);
    match &container.state {
        // Of an earlier wish, or cut off: without its network nobody reaches it.
        ContainerState::Running { .. } if !asked_for && facts.isolated => drain(facts).unwrap_or(Action::Stop),
        ContainerState::Running { .. } | ContainerState::Frozen { .. } if !asked_for || !facts.isolated => Action::Stop,
        ContainerState::Created | ContainerState::Ended { .. } if !asked_for => Action::Remove,
        // The start of it failed, and that is noted: made anew after the wait.
        ContainerState::Created if facts.phase == Phase::Retrying => Action::Remove,
        // Its walls are not those that we built: nothing is started behind them, and what runs there is ended at once.
        ContainerState::Running { .. } | ContainerState::Frozen { .. }
            if weak.is_some() && matches!(facts.phase, Phase::Retrying | Phase::Stopping) =>
        {
            Action::Stop
        }
        ContainerState::Created | ContainerState::Running { .. } | ContainerState::Frozen { .. } if let Some(what) = weak => {
            Action::Fail(Cause::Changed { what })
        }
        // Never started, so nothing is lost by making it anew from what is wished now.
        ContainerState::Created if container.spec_hash != facts.spec_hash || !facts.isolated => Action::Remove,
        ContainerState::Created if !facts.current => Action::Configure,
        ContainerState::Created => Action::Start,
        ContainerState::Running { since, .. } => running(facts, *since),
        // It was too slow to wake, and that is noted.
        ContainerState::Frozen { .. } if facts.phase == Phase::Retrying => Action::Stop,
        // It wakes; or somebody froze it by hand, and nobody asked for that.
        ContainerState::Frozen { .. } => Action::Thaw,
        // The failure is noted, or it was we who ended it, or it ended in its sleep; what is left of it goes.
        ContainerState::Ended { .. }
            if matches!(facts.phase, Phase::Retrying | Phase::Stopping | Phase::Waking | Phase::Pending | Phase::Queued) =>
        {
            Action::Remove
        }
        ContainerState::Ended { .. } if let Some(restarted) = facts.restarted => Action::Recover(restarted),
        ContainerState::Ended { code, out_of_memory } => Action::Fail(Cause::Ended { code: *code, out_of_memory: *out_of_memory }),
    }
}

/// A running container is never restarted for our sake: what can change while it runs is changed, the rest waits for its next start.
fn running(facts: &Facts<'_>, since: OffsetDateTime) -> Action {
    // One that was thawed runs for long already; it is its waking that may not take too long.
    let since = if facts.phase == Phase::Waking { since.max(facts.phase_since) } else { since };
    match (facts.phase, facts.ready) {
        // It was too slow, and that is noted.
        (Phase::Retrying, _) => Action::Stop,
        (_, _) if !facts.adjusted && drift::loose(facts).is_some() => Action::Adjust,
        (_, _) if !facts.current => Action::Configure,
        (Phase::Ready, _) if facts.rest.is_tired(facts.now) => Action::Doze(SleepDepth::Frozen),
        (Phase::Ready, _) => Action::Rest(Phase::Ready),
        // One that does not even take its agreement back will not get ready either.
        (Phase::Waking, _) if !facts.resumed && facts.now - since > facts.deadline => slow(facts),
        (Phase::Waking, _) if !facts.resumed => Action::Resume,
        (_, None) => Action::Ask,
        (_, Some(true)) => Action::Welcome,
        (_, Some(false)) if facts.now - since > facts.deadline => slow(facts),
        (_, Some(false)) => Action::Wait(ASK_AGAIN),
    }
}

fn slow(facts: &Facts<'_>) -> Action {
    let out_of_memory = facts.container.and_then(|container| container.out_of_memory);
    Action::Fail(Cause::Slow { deadline: facts.deadline, out_of_memory })
}

/// How long OpenClaw may boot: learned from this machine's own starts, longer with every failed try, and where `crowd` boots may share a core. What was
/// learned from one that booted alone says nothing of eight at once, which would all be ended when they were all but ready.
#[must_use]
pub fn deadline(p95_ms: Option<i64>, attempts: i32, crowd: i32) -> Duration {
    let learned = p95_ms.map_or(DEADLINE_UNLEARNED, |slow| Duration::milliseconds(slow.saturating_mul(3)).max(DEADLINE_FLOOR));
    learned
        .checked_mul((attempts.clamp(0, TRIES) + 1).saturating_mul(crowd.max(1)))
        .map_or(DEADLINE_CEILING, |long| long.min(DEADLINE_CEILING))
}

/// How long OpenClaw may take to end by itself: learned from how this machine's others ended. After that it is ended.
#[must_use]
pub fn grace(p95_ms: Option<i64>) -> Duration {
    p95_ms.map_or(GRACE_UNLEARNED, |slow| Duration::milliseconds(slow.saturating_mul(3)).clamp(GRACE_FLOOR, GRACE_CEILING))
}

/// How soon a runtime that waits its turn behind so many others asks again, where `starts` boot at once. No boot takes less than a second, so nobody
/// comes late by this, and many who wait cost no more than a few.
#[must_use]
pub fn turn_again(ahead: i64, starts: i64) -> std::time::Duration {
    if ahead >= TURN_AGAIN_NEAR {
        return TURN_AGAIN_FAR;
    }
    let rounds = u32::try_from(ahead.max(0) / starts.max(1)).unwrap_or(u32::MAX);
    TURN_AGAIN.saturating_mul(rounds.saturating_add(1))
}

/// The share of this machine's memory that runtimes may have: what is left after a fifth, at least 2 GiB where there is that much, for everything else.
#[must_use]
pub fn memory_budget(machine_bytes: i64) -> i64 {
    let rest = (machine_bytes / 5).max((2 << 30).min(machine_bytes / 2));
    machine_bytes - rest
}

/// What follows a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another try.
    Retry {
        /// Failed tries by now.
        attempts: i32,
        /// When.
        at: OffsetDateTime,
    },
    /// Enough.
    GiveUp {
        /// Failed tries by now.
        attempts: i32,
    },
}

/// The failed tries that still count: a good run forgives them.
#[must_use]
pub fn remembered(attempts: i32, phase: Phase, phase_since: OffsetDateTime, now: OffsetDateTime) -> i32 {
    if phase == Phase::Ready && now - phase_since > GOOD_RUN { 0 } else { attempts }
}

/// The failed tries that count after a restart of the machine or the engine: the one that no other followed was its beginning.
#[must_use]
pub fn remembered_after_restart(attempts: i32, phase: Phase, phase_since: OffsetDateTime, now: OffsetDateTime) -> i32 {
    let last = i32::from(phase == Phase::Retrying);
    remembered(attempts, phase, phase_since, now).saturating_sub(last).max(0)
}

/// What follows a failed try, after `attempts` others, in a runtime that stood in `phase` since `phase_since`. `luck` makes the wait up to a quarter
/// longer, so that runtimes which fail together do not all come back together.
#[must_use]
pub fn after_failure(attempts: i32, phase: Phase, phase_since: OffsetDateTime, luck: u8, now: OffsetDateTime) -> Verdict {
    let attempts = remembered(attempts, phase, phase_since, now).saturating_add(1);
    if attempts >= TRIES {
        return Verdict::GiveUp { attempts };
    }
    let wait = Duration::seconds(1_i64 << attempts.clamp(1, 16));
    Verdict::Retry { attempts, at: now + wait + wait / 4 * f64::from(luck) / f64::from(u8::MAX) }
}

pub mod drift;
#[cfg(test)]
mod tests;
