//! A runtime, opened: a bar, then OpenClaw edge to edge. While it is not ready the page waits with it.

use super::runtime::{named, watched};
use crate::{
    browser,
    components::{
        answer::{answer, page_skeleton, reload_without_script},
        form::form_problem,
        icon::{icon, sized},
        notice,
        runtime_card::Verbs,
        start_steps::{StartLine, StartSteps},
        state::state,
    },
    routes,
};
use contract::{Phase, RuntimeId, RuntimeView};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page of an open runtime.
pub fn page() -> AnyView {
    crate::live::Live::here().listen();
    let verbs = Verbs::new();
    let found = watched(named(), verbs);
    let wide = RwSignal::new(false);
    browser::on_narrowed(move || wide.set(false));
    view! {
        <main class="bar-frame" class:filled=move || wide.get()>
            {form_problem(verbs.wrong(), &[])}
            {answer(found, page_skeleton, move |runtime| view! { {bar(&runtime, wide)}{inside(&runtime, verbs)} }.into_any())}
        </main>
    }
    .into_any()
}

fn bar(runtime: &RuntimeView, wide: RwSignal<bool>) -> AnyView {
    let fill = move |_| {
        wide.update(|wide| *wide = !*wide);
        browser::fill_screen(wide.get_untracked());
    };
    view! {
        <Title text=runtime.name.clone() />
        <header>
            <a class="btn quiet icon" href=routes::runtime(runtime.runtime_id) aria-label="Back to ClawLoops">{sized("back", 18)}</a>
            <b>{runtime.name.clone()}</b>
            {state(runtime)}
            {runtime.model.clone().map(|model| view! { <span class="chip wide-only">{model}</span> })}
            <span class="grow"></span>
            <a class="btn quiet wide-only" href=routes::MODELS>{icon("key")}"Models"</a>
            <a class="btn quiet wide-only" href=routes::USAGE>{icon("usage")}"Usage"</a>
            <button
                class="btn quiet icon needs-script"
                r#type="button"
                on:click=fill
                aria-pressed=move || if wide.get() { "true" } else { "false" }
                aria-label="Fill the window"
            >
                {move || icon(if wide.get() { "unfill" } else { "fill" })}
            </button>
        </header>
    }
    .into_any()
}

/// What OpenClaw's frame may do.
const ALLOWED: &str = "clipboard-read; clipboard-write; fullscreen; microphone";

/// OpenClaw's own page.
#[cfg(feature = "ssr")]
pub fn frame(runtime_id: RuntimeId, name: &str) -> AnyView {
    view! { <iframe src=routes::entrance(runtime_id) title=format!("OpenClaw of {name}") allow=ALLOWED></iframe> }.into_any()
}

/// The same as a browser draws it, which gives the frame its address once and does not draw it: each newer answer writes all attributes that are drawn,
/// and a frame is loaded anew whenever its address is written.
#[cfg(not(feature = "ssr"))]
pub fn frame(runtime_id: RuntimeId, name: &str) -> AnyView {
    let entrance = routes::entrance(runtime_id);
    let node = NodeRef::<leptos::html::Iframe>::new();
    Effect::new(move |_| {
        if let Some(frame) = node.get()
            && !frame.has_attribute("src")
        {
            frame.set_src(&entrance);
        }
    });
    view! { <iframe node_ref=node title=format!("OpenClaw of {name}") allow=ALLOWED></iframe> }.into_any()
}

fn inside(runtime: &RuntimeView, verbs: Verbs) -> AnyView {
    // Whoever comes to one that sleeps wakes it.
    if matches!(runtime.phase, Phase::Ready | Phase::Asleep | Phase::Waking) {
        return frame(runtime.runtime_id, &runtime.name);
    }
    #[cfg(feature = "ssr")]
    if runtime.phase == Phase::Deleted {
        crate::request::set_page_status(410);
    }
    let moving = runtime.phase.is_moving();
    let steps = runtime.progress.clone().map(|progress| {
        view! {
            <StartLine name=runtime.name.clone() progress=progress.clone() />
            <StartSteps runtime=runtime.clone() progress=progress />
        }
    });
    let said = match runtime.phase {
        Phase::Stopped => "It is stopped. Your files and conversations wait in its workspace.",
        Phase::Failed => "Your workspace is safe. Nothing runs until you try again.",
        Phase::Draining => "It finishes what it does, and then ends.",
        Phase::Stopping => "It is being stopped.",
        Phase::Deleting => "It is being deleted.",
        Phase::Deleted => "It was deleted. Its own page says what is left of it.",
        Phase::Pending
        | Phase::Queued
        | Phase::Creating
        | Phase::Starting
        | Phase::Waiting
        | Phase::Waking
        | Phase::Asleep
        | Phase::Retrying
        | Phase::Ready => "It opens here by itself.",
    };
    view! {
        {reload_without_script(moving)}
        <div class="waiting">
            <section class="card">
                <div class="body stack">
                    <div class="row"><h1>{runtime.name.clone()}</h1>{state(runtime)}<span class="grow"></span>{verbs.next(runtime)}</div>
                    {runtime.problem.as_ref().map(notice::problem)}
                    {steps}
                    <p class="muted small">{said}</p>
                </div>
            </section>
        </div>
    }
    .into_any()
}
