//! A start under way: a bar that moves by what starts usually take here, and the steps with their times.

use super::icon::icon;
use crate::{
    browser::{Clock, now_ms},
    words,
};
use contract::{Progress, RuntimeView, StartStep, StepView, Try, Turn};
use leptos::prelude::*;

/// How long something has taken, in milliseconds: the server's count, and from there on by the browser's clock.
pub(super) fn elapsed(so_far: i64) -> Signal<i64> {
    let then = now_ms();
    let clock = use_context::<Clock>();
    Signal::derive(move || match clock.and_then(Clock::now) {
        Some(now) => so_far + (now - then).max(0.0) as i64,
        None => so_far,
    })
}

/// The sentence about the expected time, and what it becomes once it is past.
fn expectation(expected_ms: Option<i64>, elapsed_ms: i64) -> String {
    let so_far = words::about(elapsed_ms);
    match expected_ms {
        None => format!("The first start on this machine has no expected time yet. {so_far} so far."),
        Some(expected) if elapsed_ms <= expected => {
            format!("Usually ready in {} on this machine. {so_far} so far.", words::about(expected))
        }
        Some(expected) => format!("Longer than usual: {so_far} so far, {} is usual on this machine.", words::about(expected)),
    }
}

/// How far the bar is, in percent: never full before it is true.
fn percent(expected_ms: i64, elapsed_ms: i64) -> i64 {
    let expected = expected_ms.max(1);
    if elapsed_ms <= expected { elapsed_ms * 90 / expected } else { 99 - (9 * expected / elapsed_ms) }
}

/// What holds a start up, or already did: its place in the queue, and which try it is. Told to `whom`: to `you`, who wait, or of `it` to others.
pub fn held_up(runtime: &RuntimeView, whom: &str) -> AnyView {
    let turn = runtime.turn.map(|turn| view! { <p class="small">{turn_line(turn, whom)}</p> });
    let retry = runtime.retry.map(|retry| {
        let elapsed = elapsed(0);
        let wait = retry.begins_at.map(|at| (at - runtime.told_at).whole_milliseconds() as i64);
        view! { <p class="small muted num">{move || try_line(retry, wait.map(|wait| wait - elapsed.get()))}</p> }
    });
    view! { {turn}{retry} }.into_any()
}

fn turn_line(turn: Turn, whom: &str) -> String {
    let what = if turn.memory { "Waiting for memory" } else { "Waiting for others to start" };
    match turn.ahead {
        0 => format!("{what}: next."),
        ahead => format!("{what}: {ahead} ahead of {whom}."),
    }
}

fn try_line(retry: Try, wait_ms: Option<i64>) -> String {
    let Try { number, of, .. } = retry;
    match wait_ms {
        None => format!("Try {number} of {of}."),
        Some(..=0) => format!("Try {number} of {of} begins now."),
        Some(wait_ms) => format!("Try {number} of {of} begins in {}.", words::about(wait_ms)),
    }
}

/// A bar that moves by the time that is expected.
pub(super) fn bar(label: String, expected_ms: i64, elapsed: Signal<i64>) -> AnyView {
    let percent = move || percent(expected_ms, elapsed.get());
    view! {
        <div
            class="meter moving"
            style=move || format!("--v:{}%", percent())
            role="progressbar"
            aria-valuenow=percent
            aria-valuemin="0"
            aria-valuemax="100"
            aria-label=label
        ></div>
    }
    .into_any()
}

/// The bar and its sentence; the sentence alone where no time is expected yet.
#[component]
pub fn StartLine(
    /// The runtime's name.
    name: String,
    /// The start.
    progress: Progress,
) -> impl IntoView {
    let expected = progress.expected_ms;
    let elapsed = elapsed(progress.elapsed_ms);
    view! {
        <div class="stack close">
            {expected.map(|expected| bar(format!("Starting {name}"), expected, elapsed))}
            <p class="small muted num">{move || expectation(expected, elapsed.get())}</p>
        </div>
    }
    .into_any()
}

/// All steps of a start, the one after the last as well: it can be opened.
#[component]
pub fn StartSteps(
    /// The runtime.
    runtime: RuntimeView,
    /// The start.
    progress: Progress,
) -> impl IntoView {
    let elapsed = elapsed(progress.elapsed_ms);
    let began_at = progress.began_at;
    let steps = progress
        .steps
        .iter()
        .map(|step| {
            let (done, offset) = (step.took_ms, step.began_at.map(|at| (at - began_at).whole_milliseconds() as i64));
            let took = move || match (done, offset) {
                (Some(took), _) => words::duration(took),
                (None, Some(offset)) => words::duration(elapsed.get() - offset),
                (None, None) => String::new(),
            };
            let (title, below) = text(&runtime, step);
            view! {
                <li class=class(step) aria-current=(class(step) == "now").then_some("step")>
                    <span class="dot">{step.took_ms.map(|_| icon("check"))}</span>
                    <div><b>{title}</b><p class="small muted">{below}</p></div>
                    <span class="took">{took}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <ol class="steps">
            {steps}
            <li><span class="dot"></span><div><b>"Ready"</b><p class="small muted">"It can be opened"</p></div><span></span></li>
        </ol>
    }
    .into_any()
}

fn class(step: &StepView) -> &'static str {
    match (step.began_at, step.took_ms) {
        (_, Some(_)) => "done",
        (Some(_), None) => "now",
        (None, None) => "",
    }
}

fn text(runtime: &RuntimeView, step: &StepView) -> (&'static str, String) {
    let done = step.took_ms.is_some();
    match step.step {
        StartStep::Place => (
            if done { "Place made" } else { "Making a place" },
            format!("A network and a workspace of its own, {} of memory", words::bytes(runtime.memory_bytes)),
        ),
        StartStep::Create => (if done { "Container created" } else { "Creating the container" }, image(&runtime.image)),
        StartStep::Start => (if done { "Container started" } else { "Starting the container" }, String::new()),
        StartStep::Wait => {
            (if done { "OpenClaw answers" } else { "Waiting for OpenClaw" }, "Loading tools and your conversations".to_owned())
        }
    }
}

/// An image's name without its registry and digest.
pub fn image(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{expectation, image, percent, try_line, turn_line};
    use contract::{Try, Turn};

    #[test]
    fn the_bar_grows_and_is_never_full() {
        let at = |elapsed| percent(10_000, elapsed);
        assert_eq!([at(0), at(5_000), at(10_000)], [0, 45, 90]);
        let later: Vec<i64> = [11_000, 20_000, 100_000, 10_000_000].into_iter().map(at).collect();
        assert!(later.is_sorted() && later.iter().all(|percent| (90..=99).contains(percent)), "{later:?}");
    }

    #[test]
    fn the_sentence_admits_a_long_start() {
        assert_eq!(expectation(Some(11_000), 7_000), "Usually ready in 11 s on this machine. 7 s so far.");
        assert_eq!(expectation(Some(11_000), 20_000), "Longer than usual: 20 s so far, 11 s is usual on this machine.");
        assert!(expectation(None, 1_000).contains("no expected time"));
    }

    #[test]
    fn a_place_in_the_queue_is_told_with_its_reason() {
        assert_eq!(turn_line(Turn { ahead: 3, memory: true }, "you"), "Waiting for memory: 3 ahead of you.");
        assert_eq!(turn_line(Turn { ahead: 0, memory: false }, "it"), "Waiting for others to start: next.");
    }

    #[test]
    fn a_try_says_when_it_begins() {
        let retry = Try { number: 2, of: 5, begins_at: None };
        assert_eq!(try_line(retry, None), "Try 2 of 5.");
        assert_eq!(
            (try_line(retry, Some(3_600)), try_line(retry, Some(-1))),
            ("Try 2 of 5 begins in 4 s.".to_owned(), "Try 2 of 5 begins now.".to_owned())
        );
    }

    #[test]
    fn an_image_is_named_shortly() {
        assert_eq!(image("registry.example/team/openclaw:2026.9.6@sha256:abc"), "openclaw:2026.9.6");
    }
}
