//! One person: limits, runtimes, sign-in, what happened.

use crate::{
    components::{
        answer::{answer, card_skeleton, list_skeleton, page_skeleton},
        face::face,
        form::{Field, Press, cancel, close_when_done, dialog, form_problem, opener, press, submit, wrong, wrongs},
        frame::top,
        icon::icon,
        limit, notice,
        runtime_card::Verbs,
        state::{person_state, state},
        time,
    },
    live::Live,
    pages::home::happened,
    routes,
    server_fns::{
        admin::{SetStatus, SignOutEverywhere, history, person},
        runtimes::runtimes_of,
        usage::{SetLimit, limits_of},
    },
    words,
};
use contract::{BudgetView, PersonId, PersonStatus, PersonView, Role, RuntimeView, Unit, Window};
use leptos::{form::ActionForm, prelude::*};
use leptos_router::hooks::use_params_map;

/// The page of one person.
pub fn page() -> AnyView {
    let params = use_params_map();
    let id =
        Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse().ok())).unwrap_or(PersonId(Default::default())));
    let live = Live::here();
    let status = ServerAction::<SetStatus>::new();
    let sign_out = ServerAction::<SignOutEverywhere>::new();
    let set_limit = ServerAction::<SetLimit>::new();
    let verbs = Verbs::new();
    close_when_done(set_limit);
    close_when_done(status);
    let changed = move || (id.get(), status.version().get() + sign_out.version().get());
    let found = Resource::new(move || (changed(), live.people.get()), |((id, _), _)| person(id));
    let runtimes = Resource::new(move || (changed(), live.runtimes.get(), verbs.done()), |((id, _), ..)| runtimes_of(id));
    let limits = Resource::new(move || (id.get(), live.usage.get(), set_limit.version().get()), |(id, ..)| limits_of(id));
    let log = Resource::new(move || (changed(), set_limit.version().get()), |((id, _), _)| history(id));
    view! {
        {form_problem(wrongs([wrong(status), wrong(sign_out), wrong(set_limit), verbs.wrong()]), &[])}
        {answer(found, page_skeleton, move |person| view! {
            {top(person.name.clone(), (), view! { <a href=routes::ADMIN_PEOPLE class="btn quiet">{icon("back")}"All people"</a> })}
            <div class="split">
                <div class="stack">
                    {head(&person, status, sign_out)}
                    <section class="card flush">
                        <header><h2>"Runtimes"</h2></header>
                        <div class="body">{answer(runtimes, list_skeleton, move |runtimes| runtime_list(&runtimes, verbs))}</div>
                    </section>
                    <section class="card flush">
                        <header><h2>"What happened"</h2></header>
                        <div class="body">{answer(log, list_skeleton, |entries| happened(&entries))}</div>
                    </section>
                </div>
                <div class="stack">
                    <section class="card">
                        <header><h2>"Limits"</h2><span class="grow"></span>{opener("set-limit", "btn", None, "Set a limit")}</header>
                        <div class="body stack">{answer(limits, card_skeleton, {
                            let id = person.person_id;
                            move |limits| limit_list(&limits, id, set_limit)
                        })}</div>
                    </section>
                    {sign_in(&person)}
                </div>
            </div>
            {limit_dialog(person.person_id, set_limit)}
        }.into_any())}
    }
    .into_any()
}

fn head(person: &PersonView, status: ServerAction<SetStatus>, sign_out: ServerAction<SignOutEverywhere>) -> AnyView {
    let id = || ("person_id", person.person_id.to_string());
    let leave = press(sign_out, Press { fields: vec![id()], label: "Sign out everywhere", name: None, icon: None, class: "btn" });
    let verb = match person.status {
        PersonStatus::Active => {
            let fields = vec![id(), ("status", "disabled".to_owned())];
            view! {
                <details class="sure">
                    <summary class="btn danger">"Disable"</summary>
                    <div class="card"><div class="body stack close">
                        <p class="small">"Pages, runtimes and keys close at once. Nothing is deleted; it can be enabled again."</p>
                        {press(status, Press { fields, label: "Disable now", name: None, icon: None, class: "btn danger block" })}
                    </div></div>
                </details>
            }
            .into_any()
        }
        PersonStatus::Disabled => press(
            status,
            Press { fields: vec![id(), ("status", "active".to_owned())], label: "Enable", name: None, icon: None, class: "btn primary" },
        ),
    };
    view! {
        <section class="card">
            <div class="body row who-head">
                {face(&person.name)}
                <div class="grow"><b>{person.name.clone()}</b><p class="small muted">{person.email.clone()}" · since "{words::full_day(person.created_at.date())}</p></div>
                {leave}
                {verb}
            </div>
        </section>
    }
    .into_any()
}

fn runtime_list(runtimes: &[RuntimeView], verbs: Verbs) -> AnyView {
    if runtimes.is_empty() {
        return notice::empty("No runtime.");
    }
    let lines = runtimes.iter().map(|runtime| {
        let told = runtime.problem.as_ref().map(|problem| problem.message.clone()).unwrap_or_else(|| words::bytes(runtime.memory_bytes));
        let stop = (!matches!(runtime.phase, contract::Phase::Stopped | contract::Phase::Deleted)).then(|| verbs.stop(runtime, "btn"));
        view! {
            <li>
                {state(runtime.phase)}
                <div><b><a href=routes::runtime(runtime.runtime_id)>{runtime.name.clone()}</a></b><div class="tiny faint">{told}</div></div>
                <span class="aside">{stop}</span>
            </li>
        }
    });
    view! { <ul class="list">{lines.collect_view()}</ul> }.into_any()
}

fn limit_list(limits: &[BudgetView], person_id: PersonId, set: ServerAction<SetLimit>) -> AnyView {
    if limits.is_empty() {
        return view! { <p class="small muted">"No limit is set: what this person uses is paid without end."</p> }.into_any();
    }
    let parts = limits.iter().map(|limit| {
        let amount = words::amount(limit.unit, limit.amount);
        let from = if limit.personal { "set for this person" } else { "everyone's" };
        let fields = vec![
            ("person_id", person_id.to_string()),
            ("window", window_word(limit.window).to_owned()),
            ("unit", unit_word(limit.unit).to_owned()),
        ];
        let name = Some(format!("Remove the limit of {amount} {}", words::per(limit.window)));
        let remove = limit.personal.then(|| press(set, Press { fields, label: "Remove", name, icon: None, class: "btn quiet" }));
        view! {
            <div class="stack close limit">
                <div class="row"><h3>{words::window(limit.window)}</h3><span class="tiny faint grow">{from}</span>{remove}</div>
                {limit::inside(limit)}
            </div>
        }
    });
    parts.collect_view().into_any()
}

fn limit_dialog(person_id: PersonId, set: ServerAction<SetLimit>) -> AnyView {
    let wrong = wrong(set);
    let body = view! {
        <ActionForm action=set>
            <div class="body stack">
                <input r#type="hidden" name="person_id" value=person_id.to_string() />
                {form_problem(wrong, &["amount"])}
                {limit_fields(wrong)}
                <div class="row end">{cancel("set-limit")}{submit("Set the limit", "btn primary", set.pending())}</div>
            </div>
        </ActionForm>
    };
    dialog("set-limit", "Set a limit", body.into_any())
}

/// The fields of a limit: how much of what, in which window.
pub fn limit_fields(wrong: crate::components::form::Wrong) -> AnyView {
    view! {
        <Field label="Amount" name="amount" placeholder="20" hint="Dollars as 20 or 12.50; tokens as 500000 or 2 M. It replaces a limit of the same kind." wrong=wrong />
        <div class="field">
            <label r#for="limit-unit">"Of"</label>
            <select class="input" id="limit-unit" name="unit">
                <option value="money" selected=true>"US dollars"</option>
                <option value="tokens">"Tokens, sent and answered together"</option>
            </select>
        </div>
        <div class="field">
            <label r#for="limit-window">"In"</label>
            <select class="input" id="limit-window" name="window">
                <option value="day">"A day"</option>
                <option value="month" selected=true>"A month"</option>
                <option value="total">"All time"</option>
            </select>
        </div>
    }
    .into_any()
}

/// A window as the form sends it.
pub const fn window_word(window: Window) -> &'static str {
    match window {
        Window::Day => "day",
        Window::Month => "month",
        Window::Total => "total",
    }
}

/// A unit as the form sends it.
pub const fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Money => "money",
        Unit::Tokens => "tokens",
    }
}

fn sign_in(person: &PersonView) -> AnyView {
    let role = match person.role {
        Role::Administrator => "Administrator",
        Role::Person => "Person",
    };
    view! {
        <section class="card">
            <header><h2>"Sign-in"</h2></header>
            <div class="body"><dl class="facts">
                <dt>"State"</dt><dd>{person_state(person.status)}</dd>
                <dt>"Role"</dt><dd>{role}</dd>
                <dt>"Sessions"</dt><dd>{person.sessions}" open"</dd>
                <dt>"Last seen"</dt><dd>{time::time_or(person.last_seen_at, "never")}</dd>
            </dl></div>
        </section>
    }
    .into_any()
}
