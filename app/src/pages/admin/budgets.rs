//! Budgets: every limit, and how much of each is gone.

use crate::{
    ask::{Asked, ask},
    components::{
        answer::{answer, list_skeleton, no_skeleton},
        form::{Field, Form, Press, Sure, cancel, close_when_done, dialog, dialog_of, form_problem, opener, submit, sure, wrong},
        frame::top,
        limit,
        limit_form::{PLAIN, limit_fields, named, subject_field},
        notice, time,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::usage::{AllLimits, LimitSubjects, SetLimit},
    words,
};
use contract::{BudgetId, BudgetView, Micros, SetBy, Subject, Unit};
use leptos::prelude::*;

/// The page of budgets.
pub fn page() -> AnyView {
    let live = Live::here();
    let set = Deed::of::<SetLimit>();
    close_when_done(set);
    let saved = Memo::new(move |before: Option<&usize>| {
        let done = set.done();
        if set.succeeded() { done } else { before.copied().unwrap_or_default() }
    });
    // The list is drawn anew when a limit was saved, and for nothing else: what is drawn anew closes a form that somebody fills in.
    let limits = ask(move || {
        saved.get();
        AllLimits {}
    });
    // How much is gone changes with each call, within the rows.
    let present = ask(move || {
        saved.get();
        live.usage.track();
        AllLimits {}
    });
    let subjects = ask(|| LimitSubjects {});
    let wrong = wrong(set);
    let form = view! {
        <Form deed=set>
            <div class="body stack">
                {form_problem(wrong, &["amount"])}
                {answer(subjects, no_skeleton, |subjects| subject_field(&subjects))}
                {limit_fields("limit", PLAIN, false, wrong)}
                <div class="row end">{cancel("set-limit")}{submit("Set the limit", "btn primary", set.pending())}</div>
            </div>
        </Form>
    };
    view! {
        {top("Budgets", (), opener("set-limit", "btn", Some("plus"), "Set a limit"))}
        <div class="stack">
            {form_problem(wrong, &[])}
            <section class="card flush">
                <header><h2>"Limits"</h2></header>
                <div class="body scroll" tabindex="0" role="region" aria-label="Limits">
                    {answer(limits, list_skeleton, move |limits| table(&limits, present, set))}
                </div>
            </section>
            <p class="small muted">
                "All limits that apply to a call hold at once. The worst case of a call is held before it is sent, and given back when it ends: no limit is ever passed. Days, weeks and months are those of the person; of a group or a model, which several share, those of UTC."
            </p>
        </div>
        {dialog("set-limit", "Set a limit", form.into_any())}
    }
    .into_any()
}

fn table(limits: &[BudgetView], present: Asked<Vec<BudgetView>>, set: Deed) -> AnyView {
    if limits.is_empty() {
        return notice::empty("No limit is set: what people use is paid without end.");
    }
    let rows = limits.iter().map(|limit| {
        let (id, name) = (limit.budget_id, words::subject(limit.subject, &limit.name));
        let said = words::limit(limit.unit, limit.amount - limit.extra, limit.window);
        let link = match limit.subject {
            Subject::Person(person_id) => view! { <a href=routes::person(person_id)>{name.clone()}</a> }.into_any(),
            Subject::Runtime(runtime_id) => view! { <a href=routes::runtime(runtime_id)>{name.clone()}</a> }.into_any(),
            Subject::Everyone | Subject::Group(_) | Subject::Key(_) | Subject::Model(_) => name.clone().into_any(),
        };
        let whom =
            (limit.subject == Subject::Everyone).then(|| view! { <br /><span class="tiny faint">"used: by whoever used most"</span> });
        let owners = (limit.set_by == SetBy::Owner).then(|| view! { <br /><span class="tiny faint">"set by its owner"</span> });
        let ask = Sure {
            opener: "Remove".into_any(),
            class: "btn quiet",
            name: Some(format!("Remove: {name}, {said}")),
            lost: "What it counted is forgotten; usage records stay.",
        };
        let fields = named(limit);
        let remove =
            Press { fields, label: "Remove now", name: Some(format!("Remove now: {name}, {said}")), icon: None, class: "btn danger block" };
        view! {
            <tr>
                <td><b>{link}</b>{whom}</td>
                <td>{said.clone()}{owners}</td>
                <td class="wide">{answer(present, no_skeleton, move |limits| gone(&limits, id))}</td>
                <td class="right"><span class="row tight end nowrap">{edit(limit, &name, &said, set)}{sure(set, ask, remove)}</span></td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"For"</th><th>"Limit"</th><th>"Gone"</th><th><span class="visually-hidden">"What can be done"</span></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// How much of this limit is gone.
fn gone(limits: &[BudgetView], id: BudgetId) -> AnyView {
    let Some(limit) = limits.iter().find(|limit| limit.budget_id == id) else {
        return view! { <span class="tiny faint">"It was removed."</span> }.into_any();
    };
    let resets = limit.resets_at.map(|at| view! { " · resets "{time::time(at)} });
    let extra = (limit.extra > 0).then(|| format!(", {} of it granted once", words::amount(limit.unit, limit.extra)));
    view! {
        {limit::meter(limit)}
        <div class="tiny faint">
            {words::amount(limit.unit, limit.settled + limit.reserved)}" of "{words::amount(limit.unit, limit.amount)}{extra}{resets}
        </div>
    }
    .into_any()
}

/// The dialog that changes an amount, and the button that opens it.
fn edit(limit: &BudgetView, name: &str, said: &str, set: Deed) -> AnyView {
    let dialog = format!("edit-limit-{}", limit.budget_id);
    let amount = limit.amount - limit.extra;
    let typed = if limit.unit == Unit::Money { Micros(amount).to_string() } else { amount.to_string() };
    let fields = named(limit);
    let hidden = fields.into_iter().map(|(name, value)| view! { <input r#type="hidden" name=name value=value /> }).collect_view();
    let wrong = wrong(set);
    let (opens, cancel) = (dialog.clone(), cancel(dialog.clone()));
    let whose = (limit.set_by == SetBy::Owner)
        .then(|| view! { <p class="small muted">"Its owner set it. What is changed here is the administrators' from then on."</p> });
    let (id, told) = (format!("{dialog}-amount"), format!("{said}, from the next call on:"));
    let body = view! {
        <Form deed=set>
            <div class="body stack">
                {hidden}
                {form_problem(wrong, &["amount"])}
                {whose}
                <p class="small muted">{told}</p>
                <Field label="Amount" name="amount" id=id value=typed wrong=wrong />
                <div class="row end">{cancel}{submit("Save", "btn primary", set.pending())}</div>
            </div>
        </Form>
    };
    view! {
        <button class="btn quiet" r#type="button" commandfor=opens command="show-modal" aria-label=format!("Change: {name}, {said}")>"Change"</button>
        {dialog_of(dialog, format!("Change the limit: {name}"), body.into_any())}
    }
    .into_any()
}
