//! Home: is it running, can I open it, what have I left; then what happened.

use super::runtimes::{another, new_runtime, offered};
use crate::{
    ask::{Asked, ask},
    components::{
        answer::{answer, aside, card_skeleton, list_skeleton, no_skeleton, page_skeleton},
        chart,
        form::{Field, Form, form_problem, submit, wrong, wrongs},
        frame::{Me, MyRuntimes, top},
        icon::{icon, mark},
        limit, notice, profile,
        runtime_card::{Verbs, card},
        time,
    },
    deed::Deed,
    live::Live,
    server_fns::{
        accounts::Lately,
        runtimes::CreateRuntime,
        usage::{MyLimits, MyUsage},
    },
};
use contract::{AuditEntry, Breakdown, ProfileView, RuntimeView};
use leptos::prelude::*;

/// The days that home's chart shows.
const DAYS: u16 = 14;

/// The home page.
pub fn page() -> AnyView {
    let (Some(me), Some(MyRuntimes(runtimes))) = (use_context::<Me>(), use_context::<MyRuntimes>()) else {
        return ().into_any();
    };
    let live = Live::here();
    let create = Deed::of::<CreateRuntime>();
    let profiles = offered();
    let verbs = Verbs::new();
    verbs.refresh(MyRuntimes(runtimes));
    let limits = ask(move || {
        live.usage.track();
        MyLimits {}
    });
    let usage = ask(move || {
        live.usage.track();
        MyUsage { days: DAYS, by: Breakdown::Model }
    });
    let log = ask(move || {
        live.runtimes.track();
        live.keys.track();
        Lately {}
    });
    let name = me.caller().name;
    let first_name = name.split_whitespace().next().unwrap_or(&name).to_owned();
    view! {
        {top(format!("Welcome, {first_name}"), (), another(MyRuntimes(runtimes), "btn"))}
        <div class="split">
            <div class="stack">
                {form_problem(wrongs([wrong(create), verbs.wrong()]), &[])}
                {aside(limits, no_skeleton, |limits| limit::warnings(&limits))}
                {answer(runtimes, page_skeleton, move |runtimes| your_runtimes(&runtimes, verbs, create, profiles))}
                {aside(usage, card_skeleton, |usage| chart::card(&usage, 640.0, ().into_any()))}
            </div>
            <div class="stack">
                {aside(limits, card_skeleton, |limits| limit::cards(&limits))}
                <section class="card flush">
                    <header><h2>"Lately"</h2></header>
                    <div class="body">{aside(log, list_skeleton, |entries| happened(&entries))}</div>
                </section>
            </div>
        </div>
        {new_runtime(create, profiles)}
    }
    .into_any()
}

fn your_runtimes(runtimes: &[RuntimeView], verbs: Verbs, create: Deed, profiles: Asked<Vec<ProfileView>>) -> AnyView {
    if runtimes.is_empty() {
        return first(create, profiles);
    }
    view! { <div class="stack">{runtimes.iter().map(|runtime| card(runtime, verbs)).collect_view()}</div> }.into_any()
}

/// The empty home: one form, one press.
fn first(create: Deed, profiles: Asked<Vec<ProfileView>>) -> AnyView {
    let choice = aside(profiles, no_skeleton, |profiles| profile::select(&profiles, "first-runtime-profile"));
    view! {
        <section class="card hero">
            <div class="body">
                {mark(52)}
                <h2>"Your own OpenClaw"</h2>
                <p class="muted">"It runs in a private container with your files and conversations. Models are included; your team pays within your limit."</p>
                <Form deed=create class="row" label="Start your OpenClaw">
                    <Field label="Name" name="name" id="first-runtime-name".to_owned() value="my-agent" />
                    {choice}
                    {submit("Start", "btn primary tall", create.pending())}
                </Form>
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
