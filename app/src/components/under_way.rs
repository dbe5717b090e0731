//! What is under way, where it is no start: what happens, how long that usually takes here, or how long it may.

use super::start_steps::{bar, elapsed};
use crate::words;
use contract::{DesiredState, Leftover, Phase, RuntimeView, SleepDepth};
use leptos::prelude::*;
use time::OffsetDateTime;

/// The line about a runtime that wakes, finishes, stops or goes; nothing for others.
pub fn line(runtime: &RuntimeView) -> AnyView {
    match (runtime.phase, runtime.drain_until) {
        (Phase::Draining, Some(until)) => bounded(runtime, until),
        (_, _) => what(runtime).map(|what| expected(runtime, what)).into_any(),
    }
}

/// What happens now, in a sentence.
fn what(runtime: &RuntimeView) -> Option<&'static str> {
    let anew = runtime.desired_state == DesiredState::Running;
    match runtime.phase {
        Phase::Waking => Some(match runtime.sleep.as_ref().map(|sleep| sleep.depth) {
            Some(SleepDepth::Stopped) => "It gave its memory back, and starts.",
            Some(SleepDepth::Frozen) | None => "It goes on where it stood still.",
        }),
        Phase::Draining => {
            Some(if anew { "It finishes what it does, and then starts anew." } else { "It finishes what it does, and then stops." })
        }
        Phase::Stopping if anew => Some("It ends, and then starts anew. Its workspace stays."),
        Phase::Stopping => Some("OpenClaw puts its work away and ends. Its workspace stays."),
        Phase::Deleting => Some(match runtime.leftover {
            Some(Leftover::Nothing) => "Its container, its address and its workspace go for good.",
            Some(Leftover::Workspace | Leftover::InUse(_)) | None => "Its container and its address go. Its workspace is kept.",
        }),
        Phase::Stopped
        | Phase::Pending
        | Phase::Queued
        | Phase::Creating
        | Phase::Starting
        | Phase::Waiting
        | Phase::Ready
        | Phase::Asleep
        | Phase::Retrying
        | Phase::Failed
        | Phase::Deleted => None,
    }
}

/// How long it has taken by the server's clock, in milliseconds.
fn so_far(runtime: &RuntimeView) -> i64 {
    millis(runtime.told_at - runtime.phase_since).max(0)
}

fn expected(runtime: &RuntimeView, what: &'static str) -> AnyView {
    let (usual, elapsed) = (runtime.usual_ms, elapsed(so_far(runtime)));
    let label = format!("{} {}", runtime.phase.label(), runtime.name);
    view! {
        <div class="stack close">
            {usual.map(|usual| bar(label, usual, elapsed))}
            <p class="small muted num">{what}" "{move || expectation(usual, elapsed.get())}</p>
        </div>
    }
    .into_any()
}

/// The sentence about the usual time, and what it becomes once it is past.
fn expectation(usual_ms: Option<i64>, elapsed_ms: i64) -> String {
    let so_far = words::about(elapsed_ms);
    match usual_ms {
        None => format!("{so_far} so far."),
        Some(usual) if elapsed_ms <= usual => format!("Usually done in {} on this machine. {so_far} so far.", words::about(usual)),
        Some(usual) => format!("Longer than usual: {so_far} so far, {} is usual on this machine.", words::about(usual)),
    }
}

/// What may take so long and no longer: its bar is full at its bound.
fn bounded(runtime: &RuntimeView, until: OffsetDateTime) -> AnyView {
    let bound = millis(until - runtime.phase_since).max(1);
    let elapsed = elapsed(so_far(runtime));
    let percent = move || (elapsed.get() * 100 / bound).min(100);
    let clock = words::clock(until);
    let label = format!("The time that {} has to finish", runtime.name);
    view! {
        <div class="stack close">
            <div
                class="meter moving"
                style=move || format!("--v:{}%", percent())
                role="progressbar"
                aria-valuenow=percent
                aria-valuemin="0"
                aria-valuemax="100"
                aria-label=label
            ></div>
            <p class="small muted num">{what(runtime)}" "{move || left(bound - elapsed.get(), &clock)}</p>
        </div>
    }
    .into_any()
}

/// `Until 14:32 at the latest, 1 min 40 s from now.`
fn left(ms: i64, clock: &str) -> String {
    if ms <= 0 { "The time for that is over.".to_owned() } else { format!("Until {clock} at the latest, {} from now.", words::about(ms)) }
}

fn millis(time: time::Duration) -> i64 {
    i64::try_from(time.whole_milliseconds()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{expectation, left};

    #[test]
    fn the_usual_time_is_said_and_its_passing() {
        assert_eq!(expectation(Some(6_000), 2_400), "Usually done in 6 s on this machine. 2 s so far.");
        assert_eq!(expectation(Some(6_000), 20_000), "Longer than usual: 20 s so far, 6 s is usual on this machine.");
        assert_eq!(expectation(None, 2_400), "2 s so far.");
    }

    #[test]
    fn a_bound_is_said_by_the_clock_and_by_what_is_left() {
        assert_eq!(left(100_000, "14:32"), "Until 14:32 at the latest, 1 min 40 s from now.");
        assert_eq!(left(0, "14:32"), "The time for that is over.");
    }
}
