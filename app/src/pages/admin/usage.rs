//! Everyone's usage, and everyone's limit.

use super::person::limit_fields;
use crate::{
    components::{
        answer::{answer, page_skeleton},
        form::{cancel, close_when_done, dialog, form_problem, opener, submit, wrong},
        frame::top,
        notice,
    },
    live::Live,
    pages::usage::{by_model, columns, days, figures, linked, row, spans, table, zone},
    routes,
    server_fns::usage::{SetLimit, everyones_usage},
};
use contract::UsageReport;
use leptos::{form::ActionForm, prelude::*};

/// The page of everyone's usage.
pub fn page() -> AnyView {
    let live = Live::here();
    let days = days();
    let set = ServerAction::<SetLimit>::new();
    close_when_done(set);
    let asked = Resource::new(move || (days.get(), live.usage.get()), |(days, _)| everyones_usage(days));
    let value = set.value();
    let done = move || {
        value
            .with(|value| matches!(value, Some(Ok(()))))
            .then(|| notice::info("Everyone's limit is set. A limit set for one person goes before it."))
    };
    let verbs = view! { {opener("everyones-limit", "btn", Some("money"), "Everyone's limit")}{spans("/admin/usage", days)} };
    view! {
        {top("Everyone's usage", zone(), verbs)}
        <div class="stack">
            {form_problem(wrong(set), &[])}
            {done}
            {answer(asked, page_skeleton, |report| whole(&report))}
        </div>
        {limit_dialog(set)}
    }
    .into_any()
}

fn whole(report: &UsageReport) -> AnyView {
    if report.totals.calls == 0 && report.totals.refused == 0 {
        return view! { <section class="card">{notice::empty("No model was called in this time.")}</section> }.into_any();
    }
    let people = report.by_person.iter().map(|line| {
        let name = line.person_id.map_or_else(|| line.name.clone().into_any(), |id| linked(&line.name, routes::person(id)));
        row(name, line)
    });
    view! { {figures(report)}{columns(report)}{table("By person", "Person", people.collect_view().into_any())}{by_model(report)} }
        .into_any()
}

fn limit_dialog(set: ServerAction<SetLimit>) -> AnyView {
    let wrong = wrong(set);
    let body = view! {
        <ActionForm action=set>
            <div class="body stack">
                <p class="small muted">"What each person may use before they ask, unless a limit is set for them."</p>
                {form_problem(wrong, &["amount"])}
                {limit_fields(wrong)}
                <div class="row end">{cancel("everyones-limit")}{submit("Set the limit", "btn primary", set.pending())}</div>
            </div>
        </ActionForm>
    };
    dialog("everyones-limit", "Everyone's limit", body.into_any())
}
