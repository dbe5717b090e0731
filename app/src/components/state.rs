//! The state of a runtime: text, shape and colour together.

use contract::{PersonStatus, Phase, RuntimeView};
use leptos::prelude::*;

/// A runtime's state.
pub fn state(runtime: &RuntimeView) -> AnyView {
    let class = match runtime.phase {
        Phase::Ready if runtime.problem.is_some() => "state warned",
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
    labelled(class, runtime.label())
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
