//! Everyone's usage, and everyone's limit.

use crate::{
    ask::ask,
    components::{
        answer::{answer, page_skeleton},
        form::{Form, cancel, close_when_done, dialog, form_problem, opener, submit, wrong},
        frame::top,
        limit_form::{PLAIN, limit_fields},
        notice,
    },
    deed::Deed,
    live::Live,
    pages::usage::{Shown, choice, files, shown, spans, whole, zone},
    routes,
    server_fns::usage::{EveryonesUsage, SetLimit},
};
use contract::Breakdown;
use leptos::prelude::*;

/// The page of everyone's usage.
pub fn page() -> AnyView {
    let live = Live::here();
    let shown = shown(&Breakdown::OF_EVERYONE);
    let set = Deed::of::<SetLimit>();
    close_when_done(set);
    let asked = ask(move || {
        live.usage.track();
        let Shown { days, by } = shown.get();
        EveryonesUsage { days, by }
    });
    let done = move || set.succeeded().then(|| notice::info("Everyone's limit is set. A limit set for one person goes before it."));
    let verbs = view! { {opener("everyones-limit", "btn", Some("money"), "Everyone's limit")}{files(routes::ADMIN_USAGE, shown)}{spans(routes::ADMIN_USAGE, shown)} };
    view! {
        {top("Everyone's usage", zone(), verbs)}
        <div class="stack">
            {form_problem(wrong(set), &[])}
            {done}
            {answer(asked, page_skeleton, move |report| whole(&report, choice(routes::ADMIN_USAGE, &Breakdown::OF_EVERYONE, shown)))}
        </div>
        {limit_dialog(set)}
    }
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
