//! A runtime as a card: its state first, then what can be done.

use super::{
    form::{Press, Wrong, press, wrong, wrongs},
    frame::MyRuntimes,
    icon::icon,
    notice, rest,
    start_steps::{StartLine, held_up},
    state::state,
    time, under_way, wish,
};
use crate::{
    deed::Deed,
    routes,
    server_fns::runtimes::{HurryRuntime, RestartRuntime, StartRuntime, StopRuntime},
    words,
};
use contract::{DesiredState, Phase, RuntimeView};
use leptos::prelude::*;

/// The verbs on a runtime. A page has one set, made outside of what is drawn anew.
#[derive(Clone, Copy)]
pub struct Verbs {
    start: Deed,
    stop: Deed,
    restart: Deed,
    hurry: Deed,
}

impl Verbs {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self {
            start: Deed::of::<StartRuntime>(),
            stop: Deed::of::<StopRuntime>(),
            restart: Deed::of::<RestartRuntime>(),
            hurry: Deed::of::<HurryRuntime>(),
        }
    }

    /// What went wrong with any of them.
    pub fn wrong(self) -> Wrong {
        wrongs([wrong(self.start), wrong(self.stop), wrong(self.restart), wrong(self.hurry)])
    }

    /// Fetches the list anew after each verb.
    pub fn refresh(self, MyRuntimes(runtimes): MyRuntimes) {
        Effect::new(move |before: Option<usize>| {
            let done = self.done();
            if before.is_some_and(|before| before != done) {
                runtimes.again();
            }
            done
        });
    }

    /// How many were done: a question that reads it is asked anew.
    pub fn done(self) -> usize {
        self.start.done() + self.stop.done() + self.restart.done() + self.hurry.done()
    }

    /// Start.
    pub fn start(self, runtime: &RuntimeView, class: &'static str) -> AnyView {
        let label = if runtime.phase == Phase::Failed { "Try again" } else { "Start" };
        press(self.start, this(runtime, label, Some("play"), class))
    }

    /// Stop, where there is something to stop.
    pub fn stop_if_running(self, runtime: &RuntimeView, class: &'static str) -> AnyView {
        let nothing = matches!(runtime.phase, Phase::Stopped | Phase::Draining | Phase::Stopping | Phase::Deleting | Phase::Deleted);
        (!nothing).then(|| self.stop(runtime, class)).into_any()
    }

    /// Stop, or cancel a start.
    fn stop(self, runtime: &RuntimeView, class: &'static str) -> AnyView {
        let label = if runtime.progress.is_some() { "Cancel" } else { "Stop" };
        press(self.stop, this(runtime, label, Some(if runtime.progress.is_some() { "close" } else { "stop" }), class))
    }

    /// Restart.
    pub fn restart(self, runtime: &RuntimeView, class: &'static str) -> AnyView {
        press(self.restart, this(runtime, "Restart", Some("again"), class))
    }

    /// Wait no longer for what it finishes.
    fn hurry(self, runtime: &RuntimeView) -> AnyView {
        let (label, icon) = if runtime.desired_state == DesiredState::Running { ("Restart now", "again") } else { ("Stop now", "stop") };
        press(self.hurry, this(runtime, label, Some(icon), "btn"))
    }

    /// What a person does next with a runtime in this phase, the one thing last.
    pub fn next(self, runtime: &RuntimeView) -> AnyView {
        match runtime.phase {
            // Opening one that sleeps wakes it.
            Phase::Ready | Phase::Asleep => view! { {self.stop(runtime, "btn")}{open(runtime)} }.into_any(),
            Phase::Draining => self.hurry(runtime),
            Phase::Stopped => self.start(runtime, "btn primary"),
            Phase::Failed => view! { {self.stop(runtime, "btn")}{self.start(runtime, "btn primary")} }.into_any(),
            Phase::Pending | Phase::Queued | Phase::Creating | Phase::Starting | Phase::Waiting | Phase::Waking | Phase::Retrying => {
                self.stop(runtime, "btn")
            }
            Phase::Stopping | Phase::Deleting | Phase::Deleted => ().into_any(),
        }
    }
}

/// The link that opens a runtime in the dashboard.
pub fn open(runtime: &RuntimeView) -> AnyView {
    view! { <a class="btn primary" href=routes::open(runtime.runtime_id) aria-label=format!("Open {}", runtime.name)>{icon("open")}"Open"</a> }.into_any()
}

/// A runtime's card in a list.
pub fn card(runtime: &RuntimeView, verbs: Verbs) -> AnyView {
    let below = match runtime.phase {
        Phase::Ready => view! { <div class="facts-row">{facts(runtime)}</div> }.into_any(),
        // How long a start takes says nothing about how long one waits for it.
        Phase::Failed | Phase::Retrying | Phase::Queued => {
            view! { {runtime.problem.as_ref().map(notice::problem)}{held_up(runtime, "you")} }.into_any()
        }
        Phase::Asleep => rest::line(runtime),
        Phase::Stopped
        | Phase::Pending
        | Phase::Creating
        | Phase::Starting
        | Phase::Waiting
        | Phase::Waking
        | Phase::Draining
        | Phase::Stopping
        | Phase::Deleting
        | Phase::Deleted => {
            // What holds it up, while it goes on.
            let problem = runtime.problem.as_ref().map(notice::problem);
            let line = runtime.progress.clone().map(|progress| view! { <StartLine name=runtime.name.clone() progress=progress /> });
            view! { {problem}{held_up(runtime, "you")}{under_way::line(runtime)}{line} }.into_any()
        }
    };
    view! {
        <section class="card runtime" aria-label=runtime.name.clone() data-phase=format!("{:?}", runtime.phase).to_lowercase()>
            <div class="body stack">
                <div class="row">
                    <div class="name">
                        <div class="row tight"><h2><a href=routes::runtime(runtime.runtime_id)>{runtime.name.clone()}</a></h2>{state(runtime)}</div>
                        <p class="muted small mono">{host(runtime)}</p>
                    </div>
                    <span class="grow"></span>
                    <div class="row">{verbs.next(runtime)}</div>
                </div>
                {wish::by_others(runtime)}
                {below}
            </div>
        </section>
    }
    .into_any()
}

/// A runtime's host and port. A line may break at its dots and nowhere else.
pub fn host(runtime: &RuntimeView) -> AnyView {
    let host = runtime.origin.split_once("://").map_or(runtime.origin.as_str(), |(_, host)| host);
    host.split_inclusive('.').map(|label| view! { {label.to_owned()}<wbr /> }).collect_view().into_any()
}

fn facts(runtime: &RuntimeView) -> AnyView {
    view! {
        <div class="figure"><span class="tiny faint">"Memory"</span><b class="num">"up to "{words::bytes(runtime.memory_bytes)}</b></div>
        <div class="figure"><span class="tiny faint">"Processor"</span><b class="num">"up to "{cores(runtime.cpu_millis)}</b></div>
        <div class="figure"><span class="tiny faint">"Running since"</span><b>{time::time(runtime.phase_since)}</b></div>
        <div class="figure"><span class="tiny faint">"Model"</span><b>{runtime.model.clone().unwrap_or_else(|| "the default".to_owned())}</b></div>
    }
    .into_any()
}

/// `2 cores`, `half a core`.
pub fn cores(millis: i64) -> String {
    match millis {
        1000 => "1 core".to_owned(),
        millis if millis % 1000 == 0 => format!("{} cores", millis / 1000),
        millis => format!("{:.1} cores", millis as f64 / 1000.0),
    }
}

fn this(runtime: &RuntimeView, label: &'static str, icon: Option<&'static str>, class: &'static str) -> Press {
    Press {
        fields: vec![("runtime_id", runtime.runtime_id.to_string())],
        label,
        name: Some(format!("{label} {}", runtime.name)),
        icon,
        class,
    }
}
