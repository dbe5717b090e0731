//! One runtime in every state that there is, all of one person, standing still: to be looked at.

use crate::sample::{GIB, ago, id, runtime};
use contract::*;
use time::{Duration, OffsetDateTime, UtcOffset};

/// Whose they are.
const LENA: u128 = 7;

/// So many seconds ago.
fn seconds_ago(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::seconds(seconds)
}

/// The next seven o'clock but one, in a zone that is one hour ahead.
fn tomorrow_at_seven() -> OffsetDateTime {
    let now = here(OffsetDateTime::now_utc());
    now.replace_time(time::macros::time!(07:00)) + Duration::days(1)
}

fn here(at: OffsetDateTime) -> OffsetDateTime {
    at.to_offset(UtcOffset::from_hms(1, 0, 0).unwrap_or(UtcOffset::UTC))
}

/// A start that has come so far, after so many milliseconds.
fn progress(done: usize, elapsed_ms: i64) -> Progress {
    let began_at = OffsetDateTime::now_utc() - Duration::milliseconds(elapsed_ms);
    let begins = [0, 120, 460, 800];
    let steps = StartStep::ALL.into_iter().enumerate().map(|(place, step)| StepView {
        step,
        began_at: (place <= done).then(|| began_at + Duration::milliseconds(begins[place])),
        took_ms: (place < done).then(|| begins.get(place + 1).map_or(4_000, |next| next - begins[place])),
    });
    Progress { began_at, elapsed_ms, expected_ms: Some(11_000), steps: steps.collect() }
}

fn problem(code: Code, message: &str, remedy: &str) -> Option<Problem> {
    Some(Problem { id: "01JD8Q7F4M".to_owned(), ..Problem::new(code, message).remedy(remedy) })
}

type Change = fn(&mut RuntimeView);

/// Name, phase, and what is particular about it. `none` is a person without a runtime.
const STATES: [(&str, Phase, Change); 30] = [
    ("queued", Phase::Queued, |it| it.turn = Some(Turn { ahead: 3, memory: true })),
    ("queued-next", Phase::Queued, |it| it.turn = Some(Turn { ahead: 0, memory: false })),
    ("pending", Phase::Pending, |it| it.progress = Some(Progress { steps: progress(0, 0).steps, ..progress(0, 40) })),
    ("creating", Phase::Creating, |it| it.progress = Some(progress(1, 300))),
    ("starting", Phase::Starting, |it| it.progress = Some(progress(2, 700))),
    ("waiting", Phase::Waiting, |it| it.progress = Some(progress(3, 5_000))),
    ("waiting-long", Phase::Waiting, |it| it.progress = Some(progress(3, 25_000))),
    ("first-start", Phase::Waiting, |it| it.progress = Some(Progress { expected_ms: None, ..progress(3, 25_000) })),
    ("ready", Phase::Ready, |_| ()),
    ("ready-newer", Phase::Ready, |it| it.restart_brings = Some("a newer build of the image clawloops/openclaw:2026.9.6".to_owned())),
    ("slow", Phase::Ready, |it| {
        it.problem = problem(
            Code::RuntimeSlow,
            "OpenClaw runs, and did not answer within 3 s.",
            "It or this machine may be busy; this goes away by itself then. If it stays so, restart it: your workspace is safe.",
        );
    }),
    ("asleep", Phase::Asleep, |it| sleep(it, SleepDepth::Frozen, Some(15))),
    ("asleep-deep", Phase::Asleep, |it| sleep(it, SleepDepth::Stopped, Some(330))),
    ("asleep-idle", Phase::Asleep, |it| sleep(it, SleepDepth::Frozen, None)),
    ("waking", Phase::Waking, |it| {
        sleep(it, SleepDepth::Frozen, Some(15));
        (it.phase_since, it.usual_ms) = (seconds_ago(1), Some(2_400));
    }),
    ("crashed", Phase::Retrying, |it| {
        it.problem = problem(
            Code::RuntimeStartFailed,
            "OpenClaw ended by itself with exit code 1. Its last words: TypeError: Cannot read properties of undefined (reading 'id')",
            "Your workspace is safe. The log says more.",
        );
        it.retry = Some(Try { number: 2, of: 5, begins_at: Some(OffsetDateTime::now_utc() + Duration::seconds(4)) });
    }),
    ("second-try", Phase::Waiting, |it| {
        it.progress = Some(progress(3, 3_000));
        it.retry = Some(Try { number: 2, of: 5, begins_at: None });
    }),
    ("not-ready", Phase::Retrying, |it| {
        it.problem = problem(
            Code::RuntimeNotReady,
            "OpenClaw was not ready after 60 s. Its last words: loading plugins",
            "This machine may be busy. Your workspace is safe.",
        );
        it.retry = Some(Try { number: 3, of: 5, begins_at: Some(OffsetDateTime::now_utc() + Duration::seconds(8)) });
    }),
    ("flapping", Phase::Retrying, |it| {
        it.problem = problem(
            Code::RuntimeFlapping,
            "OpenClaw keeps ending soon after it is ready: 3 times in a row, now with exit code 1. Its last words: Error: connect ECONNREFUSED",
            "Your workspace is safe. Something that it does when it runs ends it; the log says more.",
        );
        it.retry = Some(Try { number: 4, of: 5, begins_at: Some(OffsetDateTime::now_utc() + Duration::seconds(16)) });
    }),
    ("gave-up", Phase::Failed, |it| {
        it.problem = problem(
            Code::OutOfMemory,
            "Gave up after 5 tries. OpenClaw ran out of memory (2 GiB). Ask for a larger profile.",
            "Your workspace is safe.",
        );
        it.more_memory = Some(MoreMemory::Profile { profile_id: ProfileId(id(801)), name: "Large".to_owned(), memory_bytes: 4 * GIB });
    }),
    ("gave-up-ask", Phase::Failed, |it| {
        it.problem = problem(
            Code::OutOfMemory,
            "Gave up after 5 tries. OpenClaw ran out of memory (2 GiB). Ask for a larger profile.",
            "Your workspace is safe.",
        );
        it.more_memory = Some(MoreMemory::Ask { whom: Some("mira@acme.example".to_owned()) });
    }),
    ("draining", Phase::Draining, |it| {
        (it.desired_state, it.phase_since) = (DesiredState::Stopped, seconds_ago(20));
        it.drain_until = Some(here(it.phase_since + Duration::seconds(120)));
    }),
    ("draining-anew", Phase::Draining, |it| {
        it.phase_since = seconds_ago(70);
        it.drain_until = Some(here(it.phase_since + Duration::seconds(120)));
    }),
    ("stopping", Phase::Stopping, |it| {
        (it.desired_state, it.phase_since, it.usual_ms) = (DesiredState::Stopped, seconds_ago(2), Some(4_200));
    }),
    ("stopping-long", Phase::Stopping, |it| {
        (it.desired_state, it.phase_since, it.usual_ms) = (DesiredState::Stopped, seconds_ago(15), Some(4_200));
    }),
    ("killed", Phase::Stopped, |it| {
        it.problem = problem(
            Code::RuntimeKilled,
            "OpenClaw did not end by itself within 18 s, and was ended (exit code 137). Its last words: tool exec: still running",
            "Your workspace is safe. What it was just doing may be unfinished.",
        );
    }),
    ("stopped", Phase::Stopped, |_| ()),
    ("stopped-by-admin", Phase::Stopped, |it| {
        it.others_wish = Some(OthersWish { asked_by: Some("Mira Okafor".to_owned()), kind: TaskKind::Stop, at: ago(3) });
    }),
    ("restarted-by-admin", Phase::Ready, |it| {
        it.others_wish = Some(OthersWish { asked_by: Some("Mira Okafor".to_owned()), kind: TaskKind::ChangeProfile, at: ago(190) });
    }),
    ("deleting", Phase::Deleting, |it| {
        (it.desired_state, it.phase_since, it.usual_ms) = (DesiredState::Deleted, seconds_ago(1), Some(2_000));
        it.leftover = Some(Leftover::Workspace);
    }),
];

/// Those that are gone: no list has them.
const GONE: [(&str, Leftover); 3] = [
    ("deleted-kept", Leftover::Workspace),
    ("deleted-wiped", Leftover::Nothing),
    ("deleted-in-use", Leftover::InUse(RuntimeId(uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + 2008)))),
];

fn sleep(it: &mut RuntimeView, depth: SleepDepth, margin: Option<i64>) {
    let due_at = margin.map(|_| tomorrow_at_seven());
    let wakes_at = due_at.zip(margin).map(|(due_at, margin)| due_at - Duration::seconds(margin));
    it.sleep = Some(SleepView { depth, wakes_at, wakes_for: due_at.map(|_| "daily digest".to_owned()), due_at });
}

/// All of them, as they stand now.
pub fn all() -> Vec<RuntimeView> {
    let view = |number, name, phase| RuntimeView {
        told_at: here(OffsetDateTime::now_utc()),
        problem: None,
        progress: None,
        retry: None,
        turn: None,
        more_memory: None,
        sleep: None,
        drain_until: None,
        ..runtime(number, LENA, name, phase)
    };
    let mut all = Vec::new();
    for ((name, phase, change), number) in STATES.into_iter().zip(2000..) {
        let mut it = view(number, name, phase);
        change(&mut it);
        all.push(it);
    }
    for ((name, leftover), number) in GONE.into_iter().zip(2900..) {
        all.push(RuntimeView {
            desired_state: DesiredState::Deleted,
            phase_since: ago(47),
            leftover: Some(leftover),
            ..view(number, name, Phase::Deleted)
        });
    }
    all
}
