//! What a runtime says, on its page: the newest lines, or those that contain a word.

use crate::{
    ask::Asked,
    components::answer::{aside, list_skeleton},
    routes,
};
use contract::{LogView, Phase, RuntimeView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// What the log is searched for by the address, where it is.
pub(super) fn searched_for() -> Memo<Option<String>> {
    let query = use_query_map();
    Memo::new(move |_| query.with(|query| query.get("find")).filter(|find| !find.trim().is_empty()))
}

/// The log: what it is searched for, and the lines.
#[derive(Clone, Copy)]
pub(super) struct Log {
    /// What it is searched for.
    pub(super) find: Memo<Option<String>>,
    /// What was found.
    pub(super) lines: Asked<LogView>,
}

/// The card with it.
pub(super) fn log_card(log: Log, runtime: &RuntimeView) -> AnyView {
    let title = if runtime.phase == Phase::Failed { "Last lines before it ended" } else { "What it is doing" };
    let find = log.find.get_untracked();
    let none = match (&find, runtime.phase) {
        (Some(find), _) => format!("No line contains “{find}”."),
        (None, Phase::Stopped | Phase::Failed | Phase::Stopping | Phase::Deleting | Phase::Deleted) => {
            "It has said nothing yet.".to_owned()
        }
        (
            None,
            Phase::Pending
            | Phase::Queued
            | Phase::Creating
            | Phase::Starting
            | Phase::Waiting
            | Phase::Waking
            | Phase::Retrying
            | Phase::Ready
            | Phase::Draining
            | Phase::Asleep,
        ) => "Its first lines come once the container runs.".to_owned(),
    };
    let clear = find.is_some().then(|| view! { <a class="btn quiet" href=routes::runtime(runtime.runtime_id)>"Show all"</a> });
    let searching = find.is_some();
    view! {
        <section class="card">
            <header>
                <h2>{title}</h2>
                <span class="grow"></span>
                <a class="btn quiet" href=routes::log(runtime.runtime_id) download="">"Download"</a>
            </header>
            <div class="body stack close">
                <form class="row" method="get" role="search">
                    <input class="input grow" r#type="search" name="find" value=find maxlength="200" placeholder="Search the whole log" aria-label="Search the log" />
                    <button class="btn" r#type="submit">"Search"</button>
                    {clear}
                </form>
                {aside(log.lines, list_skeleton, move |log| {
                    if log.lines.is_empty() {
                        return view! { <p class="small muted">{none.clone()}</p> }.into_any();
                    }
                    let older = if searching { "Older lines contain it, too: the file has them all." } else { "Older lines are in the file." };
                    let more = log.more.then_some(older);
                    view! {
                        <pre class="log tall" tabindex="0" aria-label="Log">{log.lines.join("\n")}</pre>
                        <p class="tiny faint">"Times are UTC. Keys are masked. "{more}</p>
                    }
                    .into_any()
                })}
            </div>
        </section>
    }
    .into_any()
}
