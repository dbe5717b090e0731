//! The state of a runtime: text, shape and colour together.

use contract::{Code, PersonStatus, Phase, RuntimeView};
use leptos::prelude::*;

/// A runtime's state.
pub fn state(runtime: &RuntimeView) -> AnyView {
    of(runtime.phase, runtime.problem.as_ref().map(|problem| problem.code))
}

/// The state of a runtime that stands here, with this problem.
pub fn of(phase: Phase, problem: Option<Code>) -> AnyView {
    let class = match phase {
        Phase::Ready if problem.is_some() => "state warned",
        Phase::Ready => "state running",
        Phase::Pending
        | Phase::Queued
        | Phase::Creating
        | Phase::Starting
        | Phase::Waiting
        | Phase::Waking
        | Phase::Draining
        | Phase::Stopping
        | Phase::Deleting
        | Phase::Retrying => "state starting",
        Phase::Asleep => "state sleeping",
        Phase::Stopped | Phase::Deleted => "state stopped",
        Phase::Failed => "state failed",
    };
    labelled(class, phase.label_with(problem))
}

/// Whether a person may sign in.
pub fn person_state(status: PersonStatus) -> AnyView {
    match status {
        PersonStatus::Active => labelled("state running", "Active"),
        PersonStatus::Disabled => labelled("state stopped", "Disabled"),
    }
}

/// Any state: one of `running`, `starting`, `stopped`, `failed`, `warned`, `sleeping`.
pub fn labelled(class: &'static str, text: &'static str) -> AnyView {
    view! { <span class=class>{text}</span> }.into_any()
}
