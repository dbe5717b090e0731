//! What was asked of a runtime, and by whom.

use super::{icon::icon, notice, state::labelled, time};
use crate::words;
use contract::{RuntimeView, TaskKind, TaskStatus, TaskView};
use leptos::prelude::*;

/// The line that says that the newest wish was somebody else's; nothing where it was its owner's.
pub fn by_others(runtime: &RuntimeView) -> AnyView {
    let Some(wish) = &runtime.others_wish else { return ().into_any() };
    let deed = deed(wish.kind);
    let why = (wish.asked_by.is_none() && wish.kind == TaskKind::Stop).then_some(", when its owner was disabled");
    let who = wish.asked_by.clone().unwrap_or_else(|| "ClawLoops".to_owned());
    view! { <p class="small by-others">{icon("person")}<span><b>{who}</b>" "{deed}" "{time::time(wish.at)}{why}"."</span></p> }.into_any()
}

/// What somebody did to a runtime.
const fn deed(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Create => "made this",
        TaskKind::Start => "started this",
        TaskKind::Stop => "stopped this",
        TaskKind::Restart => "restarted this",
        TaskKind::Delete => "deleted this",
        TaskKind::ChangeProfile => "changed the profile of this",
    }
}

/// What was asked lately, the newest first.
pub fn list(tasks: &[TaskView]) -> AnyView {
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
