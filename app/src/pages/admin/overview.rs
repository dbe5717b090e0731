//! The platform at a glance: what to do first, what runs, what it costs, and whether each part is well.

use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, card_skeleton, page_skeleton},
        chart,
        frame::top,
        icon::icon,
        notice,
    },
    live::Live,
    routes,
    server_fns::{admin::AskOverview, usage::EveryonesUsage},
    words,
};
use contract::{Breakdown, Overview, PartHealth};
use leptos::prelude::*;

/// The overview.
pub fn page() -> AnyView {
    let live = Live::here();
    let asked = ask(move || {
        live.runtimes.track();
        live.people.track();
        live.catalog.track();
        live.usage.track();
        AskOverview {}
    });
    let usage = ask(move || {
        live.usage.track();
        EveryonesUsage { days: 30, by: Breakdown::Model }
    });
    view! {
        {top("Overview", (), ())}
        <div class="stack">
            {answer(asked, page_skeleton, move |overview| view! {
                {figures(&overview)}
                <div class="split">
                    <div class="stack">
                        {first_steps(&overview)}
                        {aside(usage, card_skeleton, |usage| chart::card(&usage, 640.0, ().into_any()))}
                    </div>
                    {health(&overview.parts)}
                </div>
            }.into_any())}
        </div>
    }
    .into_any()
}

fn figures(overview: &Overview) -> AnyView {
    let share = overview.memory_promised_bytes * 100 / overview.memory_host_bytes.max(1);
    let failed = (overview.failed > 0).then(|| view! { <span class="wrong">{words::count(overview.failed)}" stopped working"</span> });
    view! {
        <div class="thirds">
            <section class="card"><div class="body figure">
                <span class="small muted">"Running now"</span>
                <span class="big">{overview.running}<span class="of faint">" of "{overview.runtimes}</span></span>
                <span class="delta">{failed}</span>
            </div></section>
            <section class="card"><div class="body figure">
                <span class="small muted">"Memory promised"</span>
                <span class="big">{words::bytes(overview.memory_promised_bytes)}<span class="of faint">" of "{words::bytes(overview.memory_host_bytes)}</span></span>
                <div class="meter" style=format!("--v:{share}%") role="img" aria-label=format!("{share} % of the host's memory")></div>
            </div></section>
            <section class="card"><div class="body figure">
                <span class="small muted">"Spent this month"</span>
                <span class="big">{overview.cost_this_month.to_string()}</span>
                <span class="delta">{words::plural(overview.people, "person").replace("persons", "people")}</span>
            </div></section>
            <section class="card"><div class="body figure">
                <span class="small muted">"Model calls today"</span>
                <span class="big">{words::count(overview.calls_today)}</span>
                <span class="delta"></span>
            </div></section>
        </div>
    }
    .into_any()
}

/// What makes a fresh platform one's own; gone once all is done.
fn first_steps(overview: &Overview) -> AnyView {
    let provider = (
        overview.has_provider,
        "A model provider",
        "Only the demo and the small local model answer until there is one.",
        view! { <a class="btn" href=routes::ADMIN_MODELS>"Add a provider"</a> }.into_any(),
    );
    let people = (
        overview.people + overview.invitations > 1,
        "Your people",
        "Invite them by e-mail address: each gets a one-use link.",
        view! { <a class="btn" href=routes::ADMIN_PEOPLE>"Invite"</a> }.into_any(),
    );
    let steps = [provider, people];
    if steps.iter().all(|step| step.0) {
        return ().into_any();
    }
    let lines = steps.into_iter().map(|(done, title, below, verb)| {
        view! {
            <li>
                <span class="tick" class:done=done>{done.then(|| icon("check"))}</span>
                <div><b>{title}</b><div class="small muted">{below}</div></div>
                <span class="aside">{(!done).then_some(verb)}</span>
            </li>
        }
    });
    view! {
        <section class="card flush">
            <header><div><h2>"Set up ClawLoops"</h2><p class="small muted">"It works already; this makes it yours."</p></div></header>
            <div class="body"><ul class="list">{lines.collect_view()}</ul></div>
        </section>
    }
    .into_any()
}

fn health(parts: &[PartHealth]) -> AnyView {
    let lines = parts.iter().map(|part| {
        let (class, said) = match &part.problem {
            None => ("dot ok", view! { <div class="tiny faint">{part.detail.clone()}</div> }.into_any()),
            Some(problem) => (
                "dot bad",
                view! { <div class="tiny wrong">{problem.message.clone()}</div><div class="tiny muted">{problem.remedy.clone()}</div> }
                    .into_any(),
            ),
        };
        let word = if part.problem.is_none() { "fine" } else { "not well" };
        view! { <li><span class=class role="img" aria-label=word></span><div><b>{part.name.clone()}</b>{said}</div></li> }
    });
    let ill = parts.iter().filter(|part| part.problem.is_some()).count();
    let sum = if ill == 0 { "all fine".to_owned() } else { format!("{ill} not well") };
    view! {
        <div class="stack">
            <section class="card flush">
                <header><h2>"Health"</h2><span class="grow"></span><span class="small muted">{sum}</span></header>
                <div class="body"><ul class="list small">{lines.collect_view()}</ul></div>
            </section>
            {(ill > 0).then(|| notice::info(view! { <code>"clawloops doctor"</code>" says the same in a terminal." }))}
        </div>
    }
    .into_any()
}
