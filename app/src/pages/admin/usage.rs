//! Everyone's usage, and everyone's limit.

use crate::{
    ask::ask,
    components::{
        answer::{answer, page_skeleton},
        chart,
        form::{Form, cancel, close_when_done, dialog, form_problem, opener, submit, wrong},
        frame::top,
        limit_form::{PLAIN, limit_fields},
        notice,
    },
    deed::Deed,
    live::Live,
    pages::usage::{CHART, by_model, days, figures, files, lines, linked, row, spans, table, zone},
    routes,
    server_fns::usage::{EveryonesUsage, SetLimit},
};
use contract::UsageReport;
use leptos::prelude::*;

/// The page of everyone's usage.
pub fn page() -> AnyView {
    let live = Live::here();
    let days = days();
    let set = Deed::of::<SetLimit>();
    close_when_done(set);
    let asked = ask(move || {
        live.usage.track();
        EveryonesUsage { days: days.get() }
    });
    let done = move || set.succeeded().then(|| notice::info("Everyone's limit is set. A limit set for one person goes before it."));
    let verbs = view! { {opener("everyones-limit", "btn", Some("money"), "Everyone's limit")}{files(routes::ADMIN_USAGE, days)}{spans(routes::ADMIN_USAGE, days)} };
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
    view! { {figures(report)}{chart::card(report, CHART)}{table("By person", "Person", people.collect_view().into_any())}{by_model(report)}
    {lines("By group", "Group", &report.by_group)}{lines("By runtime", "Runtime", &report.by_runtime)} }
    .into_any()
}

fn limit_dialog(set: Deed) -> AnyView {
    let wrong = wrong(set);
    let body = view! {
        <Form deed=set>
            <div class="body stack">
                <p class="small muted">"What each person may use before they ask, unless a limit is set for them."</p>
                {form_problem(wrong, &["amount"])}
                <input r#type="hidden" name="subject" value="everyone" />
                {limit_fields("limit", PLAIN, false, wrong)}
                <div class="row end">{cancel("everyones-limit")}{submit("Set the limit", "btn primary", set.pending())}</div>
            </div>
        </Form>
    };
    dialog("everyones-limit", "Everyone's limit", body.into_any())
}
