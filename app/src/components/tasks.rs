//! What was asked of a runtime, and what came of it.

use super::{
    answer::{aside, list_skeleton},
    notice,
    state::labelled,
    time,
};
use crate::{ask::Asked, words};
use contract::{TaskStatus, TaskView};
use leptos::prelude::*;

/// The newest first.
pub fn card(tasks: Asked<Vec<TaskView>>) -> AnyView {
    view! {
        <section class="card flush">
            <header><h2>"What was asked"</h2></header>
            <div class="body">{aside(tasks, list_skeleton, |tasks| task_list(&tasks))}</div>
        </section>
    }
    .into_any()
}

fn task_list(tasks: &[TaskView]) -> AnyView {
    if tasks.is_empty() {
        return notice::empty("Nothing was asked lately.");
    }
    let lines = tasks.iter().map(|task| {
        let class = match task.status {
            TaskStatus::Accepted | TaskStatus::Running => "state starting",
            TaskStatus::Succeeded => "state running",
            TaskStatus::Failed => "state failed",
            TaskStatus::Superseded => "state stopped",
        };
        let by = task.asked_by.clone().unwrap_or_else(|| "ClawLoops".to_owned());
        let took = task.ended_at.map(|ended| format!(", took {}", words::about((ended - task.created_at).whole_milliseconds() as i64)));
        let message = (!task.message.is_empty()).then(|| view! { <div class="tiny muted">{task.message.clone()}</div> });
        view! {
            <li>
                <div><b>{task.kind.label()}</b><div class="tiny faint">"by "{by}", "{time::time(task.created_at)}{took}</div>{message}</div>
                <span class="aside">{labelled(class, task.status.label())}</span>
            </li>
        }
    });
    view! { <ul class="list">{lines.collect_view()}</ul> }.into_any()
}
