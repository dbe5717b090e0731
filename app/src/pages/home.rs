//! Home: is it running, can I open it, what have I left; then what happened.

use super::runtimes::new_runtime;
use crate::{
    components::{
        answer::{answer, aside, card_skeleton, list_skeleton, page_skeleton},
        chart::{self, legend},
        form::{Field, form_problem, opener, submit, wrong, wrongs},
        frame::{Me, MyRuntimes, top},
        icon::{icon, mark},
        limit, notice,
        runtime_card::{Verbs, card},
        time,
    },
    live::Live,
    server_fns::{
        accounts::lately,
        runtimes::CreateRuntime,
        usage::{my_limits, my_usage},
    },
};
use contract::{AuditEntry, RuntimeView};
use leptos::{form::ActionForm, prelude::*};

/// The days that home's chart shows.
const DAYS: u16 = 14;

/// The home page.
pub fn page() -> AnyView {
    let (Some(Me(caller)), Some(MyRuntimes(runtimes))) = (use_context::<Me>(), use_context::<MyRuntimes>()) else {
        return ().into_any();
    };
    let live = Live::here();
    let create = ServerAction::<CreateRuntime>::new();
    let verbs = Verbs::new();
    verbs.refresh(MyRuntimes(runtimes));
    let limits = Resource::new(move || live.usage.get(), |_| my_limits());
    let usage = Resource::new(move || live.usage.get(), |_| my_usage(DAYS));
    let log = Resource::new(move || (live.runtimes.get(), live.keys.get()), |_| lately());
    let first_name = caller.name.split_whitespace().next().unwrap_or(&caller.name).to_owned();
    view! {
        {top(format!("Welcome, {first_name}"), (), opener("new-runtime", "btn", Some("plus"), "New runtime"))}
        <div class="split">
            <div class="stack">
                {form_problem(wrongs([wrong(create), verbs.wrong()]), &[])}
                {answer(runtimes, page_skeleton, move |runtimes| your_runtimes(&runtimes, verbs, create))}
                {aside(usage, card_skeleton, |usage| {
                    if usage.by_day.is_empty() {
                        return ().into_any();
                    }
                    view! {
                        <section class="card">
                            <header><h2>{chart::title(&usage)}</h2><span class="grow"></span>{legend(&usage)}</header>
                            <div class="body">{chart::by_day(&usage, 640.0)}</div>
                        </section>
                    }
                    .into_any()
                })}
            </div>
            <div class="stack">
                {aside(limits, card_skeleton, |limits| limit::cards(&limits))}
                <section class="card flush">
                    <header><h2>"Lately"</h2></header>
                    <div class="body">{aside(log, list_skeleton, |entries| happened(&entries))}</div>
                </section>
            </div>
        </div>
        {new_runtime(create)}
    }
    .into_any()
}

fn your_runtimes(runtimes: &[RuntimeView], verbs: Verbs, create: ServerAction<CreateRuntime>) -> AnyView {
    if runtimes.is_empty() {
        return first(create);
    }
    view! { <div class="stack">{runtimes.iter().map(|runtime| card(runtime, verbs)).collect_view()}</div> }.into_any()
}

/// The empty home: one form, one press.
fn first(create: ServerAction<CreateRuntime>) -> AnyView {
    view! {
        <section class="card hero">
            <div class="body">
                {mark(52)}
                <h2>"Your own OpenClaw"</h2>
                <p class="muted">"It runs in a private container with your files and conversations. Models are included; your team pays within your limit."</p>
                <ActionForm action=create attr:class="row" attr:aria-label="Start your OpenClaw">
                    <Field label="Name" name="name" id="first-runtime-name".to_owned() value="my-agent" />
                    {submit("Start", "btn primary tall", create.pending())}
                </ActionForm>
            </div>
        </section>
    }
    .into_any()
}

/// What happened, as a list.
pub fn happened(entries: &[AuditEntry]) -> AnyView {
    if entries.is_empty() {
        return notice::empty("Nothing happened yet.");
    }
    let lines = entries.iter().take(8).map(|entry| {
        view! {
            <li>
                {icon(icon_of(&entry.action))}
                <span>{said(entry)}</span>
                {time::time(entry.at)}
            </li>
        }
    });
    view! { <ul class="list small">{lines.collect_view()}</ul> }.into_any()
}

/// An entry in words: what was done, to what, and more where there is more.
fn said(entry: &AuditEntry) -> AnyView {
    let detail = (!entry.detail.is_empty()).then(|| view! { <span class="faint">" "{entry.detail.clone()}</span> });
    view! { {verb(&entry.action)}" "<b>{entry.subject.clone()}</b>{detail} }.into_any()
}

/// An action in words: `person.sign_out` is "Person sign out".
pub fn verb(action: &str) -> String {
    let mut text = action.replace(['.', '_'], " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn icon_of(action: &str) -> &'static str {
    match action.split('.').next().unwrap_or_default() {
        "runtime" => "runtime",
        "key" | "model_key" => "key",
        "budget" | "limit" => "money",
        "person" | "invitation" => "person",
        "provider" | "model" => "box",
        _ => "shield",
    }
}
