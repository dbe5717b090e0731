//! Somebody else's runtime, opened: a bar that says whose it is, then OpenClaw edge to edge.

use super::{open::frame, runtime::named};
use crate::{
    ask::ask,
    components::{
        answer::{answer, page_skeleton},
        icon::sized,
        notice, time,
    },
    live::Live,
    routes,
    server_fns::sharing::SharedRuntime,
};
use contract::{Access, Code, Problem, SharedView};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page of an open runtime that is shared.
pub fn page() -> AnyView {
    let live = Live::here();
    live.listen();
    let id = named();
    let found = ask(move || {
        live.runtimes.track();
        SharedRuntime { runtime_id: id.get() }
    });
    let draw = |found: Option<SharedView>| match found {
        Some(shared) => view! { {bar(&shared)}{frame(shared.runtime_id, &shared.name)} }.into_any(),
        None => notice::instead(
            &Problem::new(Code::RuntimeNotFound, "This runtime is not shared with you.")
                .remedy("Its time is over, or its owner took it back. Ask them to share it again."),
        ),
    };
    view! { <main class="bar-frame">{answer(found, page_skeleton, draw)}</main> }.into_any()
}

fn bar(shared: &SharedView) -> AnyView {
    let told = match shared.access {
        Access::Watch => "You see what happens and change nothing.",
        Access::Full => "What you do counts as its owner's.",
    };
    view! {
        <Title text=format!("{} of {}", shared.name, shared.owner) />
        <header>
            <a class="btn quiet icon" href=routes::RUNTIMES aria-label="Back to ClawLoops">{sized("back", 18)}</a>
            <b>{shared.name.clone()}</b>
            <span class="small muted">"of "{shared.owner.clone()}</span>
            <span class="chip">{shared.access.label()}</span>
            <span class="grow"></span>
            <span class="small muted wide-only">{told}" Until "{time::exact(shared.ends_at)}</span>
        </header>
    }
    .into_any()
}
