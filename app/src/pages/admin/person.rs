//! One person: limits, runtimes, sign-in, what happened.

use crate::{
    ask::ask,
    components::{
        answer::{answer, card_skeleton, list_skeleton, page_skeleton},
        face::face,
        form::{Field, Form, Press, Sure, cancel, close_when_done, dialog, form_problem, opener, press, submit, sure, wrong, wrongs},
        frame::top,
        icon::icon,
        limit,
        limit_form::{PLAIN, limit_fields, named},
        notice, profile,
        runtime_card::Verbs,
        state::{person_state, state},
        time,
    },
    deed::Deed,
    live::Live,
    pages::{admin::profiles::typed_cores, home::happened},
    routes,
    server_fns::{
        admin::{History, Person, SetStatus, SignOutEverywhere},
        profiles::{QuotaOf, SetQuota},
        runtimes::RuntimesOf,
        usage::{LimitsOf, SetLimit},
    },
    words,
};
use contract::{BudgetView, PersonId, PersonStatus, PersonView, QuotaView, Role, RuntimeView, Subject};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The page of one person.
pub fn page() -> AnyView {
    let params = use_params_map();
    let id =
        Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse().ok())).unwrap_or(PersonId(Default::default())));
    let live = Live::here();
    let status = Deed::of::<SetStatus>();
    let sign_out = Deed::of::<SignOutEverywhere>();
    let set_limit = Deed::of::<SetLimit>();
    let set_quota = Deed::of::<SetQuota>();
    let verbs = Verbs::new();
    close_when_done(set_limit);
    close_when_done(set_quota);
    close_when_done(status);
    // Read, and the question is asked anew after each verb on the person.
    let changed = move || (status.done(), sign_out.done());
    let found = ask(move || {
        changed();
        live.people.track();
        Person { person_id: id.get() }
    });
    let runtimes = ask(move || {
        changed();
        live.runtimes.track();
        verbs.done();
        RuntimesOf { person_id: id.get() }
    });
    let limits = ask(move || {
        live.usage.track();
        set_limit.done();
        LimitsOf { person_id: id.get() }
    });
    let quota = ask(move || {
        live.runtimes.track();
        live.usage.track();
        set_quota.done();
        QuotaOf { person_id: id.get() }
    });
    let log = ask(move || {
        changed();
        set_limit.done();
        set_quota.done();
        History { person_id: id.get() }
    });
    view! {
        {form_problem(wrongs([wrong(status), wrong(sign_out), wrong(set_limit), wrong(set_quota), verbs.wrong()]), &[])}
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
                    <section class="card">
                        <header><h2>"Quota"</h2><span class="grow"></span>{opener("set-quota", "btn", None, "Set the quota")}</header>
                        <div class="body stack">{answer(quota, card_skeleton, {
                            let id = person.person_id;
                            move |view| view! { {profile::quota(&view)}{quota_dialog(id, &view, set_quota)} }.into_any()
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

fn head(person: &PersonView, status: Deed, sign_out: Deed) -> AnyView {
    let id = || ("person_id", person.person_id.to_string());
    let leave = press(sign_out, Press { fields: vec![id()], label: "Sign out everywhere", name: None, icon: None, class: "btn" });
    let verb = match person.status {
        PersonStatus::Active => {
            let fields = vec![id(), ("status", "disabled".to_owned())];
            let ask = Sure {
                opener: "Disable".into_any(),
                class: "btn danger",
                name: None,
                lost: "Pages, runtimes and keys close at once. Nothing is deleted; it can be enabled again.",
            };
            sure(status, ask, Press { fields, label: "Disable now", name: None, icon: None, class: "btn danger block" })
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
        view! {
            <li>
                {state(runtime)}
                <div><b><a href=routes::runtime(runtime.runtime_id)>{runtime.name.clone()}</a></b><div class="tiny faint">{told}</div></div>
                <span class="aside">{verbs.stop_if_running(runtime, "btn")}</span>
            </li>
        }
    });
    view! { <ul class="list">{lines.collect_view()}</ul> }.into_any()
}

fn limit_list(limits: &[BudgetView], person_id: PersonId, set: Deed) -> AnyView {
    if limits.is_empty() {
        return view! { <p class="small muted">"No limit is set: what this person uses is paid without end."</p> }.into_any();
    }
    let parts = limits.iter().map(|limit| {
        let personal = limit.subject == Subject::Person(person_id);
        let from = match limit.subject {
            Subject::Person(_) => "set for this person".to_owned(),
            Subject::Everyone => "everyone's".to_owned(),
            of => words::subject(of, &limit.name),
        };
        let fields = named(limit);
        let name = Some(format!("Remove the limit of {}", words::limit(limit.unit, limit.amount, limit.window)));
        let remove = personal.then(|| press(set, Press { fields, label: "Remove", name, icon: None, class: "btn quiet" }));
        view! {
            <div class="stack close limit">
                <div class="row"><h3>{limit::title(limit)}</h3><span class="tiny faint grow">{from}</span>{remove}</div>
                {limit::inside(limit)}
            </div>
        }
    });
    parts.collect_view().into_any()
}

fn limit_dialog(person_id: PersonId, set: Deed) -> AnyView {
    let wrong = wrong(set);
    let body = view! {
        <Form deed=set>
            <div class="body stack">
                <input r#type="hidden" name="subject" value=Subject::Person(person_id).to_string() />
                {form_problem(wrong, &["amount"])}
                {limit_fields("limit", PLAIN, false, wrong)}
                <div class="row end">{cancel("set-limit")}{submit("Set the limit", "btn primary", set.pending())}</div>
            </div>
        </Form>
    };
    dialog("set-limit", "Set a limit", body.into_any())
}

/// The dialog that sets what a person may use; what is left empty is everyone's.
fn quota_dialog(person_id: PersonId, view: &QuotaView, set: Deed) -> AnyView {
    let (own, everyones) = (view.own, view.quota);
    let wrong = wrong(set);
    let body = view! {
        <Form deed=set>
            <div class="body stack">
                <input r#type="hidden" name="person_id" value=person_id.to_string() />
                {form_problem(wrong, &["runtimes", "memory", "cpu", "disk"])}
                <Field label="Runtimes" name="runtimes" id="quota-runtimes".to_owned() optional=true wrong=wrong
                    value=own.runtimes.map(words::count).unwrap_or_default() placeholder=words::count(everyones.runtimes) />
                <Field label="Memory at once" name="memory" id="quota-memory".to_owned() optional=true wrong=wrong
                    value=own.memory_bytes.map(words::typed_bytes).unwrap_or_default() placeholder=words::bytes(everyones.memory_bytes) />
                <Field label="Cores at once" name="cpu" id="quota-cpu".to_owned() optional=true wrong=wrong
                    value=own.cpu_millis.map(typed_cores).unwrap_or_default() placeholder=typed_cores(everyones.cpu_millis) />
                <Field label="Disk" name="disk" id="quota-disk".to_owned() optional=true wrong=wrong hint="What is left empty is as for everyone."
                    value=own.workspace_bytes.map(words::typed_bytes).unwrap_or_default() placeholder=words::bytes(everyones.workspace_bytes) />
                <div class="row end">{cancel("set-quota")}{submit("Save the quota", "btn primary", set.pending())}</div>
            </div>
        </Form>
    };
    dialog("set-quota", "Set the quota", body.into_any())
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
