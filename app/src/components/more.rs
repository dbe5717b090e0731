//! Requests for more of a limit: the dialog that asks, and what became of them.

use super::{
    answer::{answer, list_skeleton},
    form::{Field, Form, cancel, dialog, form_problem, opener, submit, wrong},
    limit_form::unit_word,
    notice,
    state::labelled,
    time,
};
use crate::{ask::Asked, deed::Deed, words};
use contract::{BudgetView, MoreAnswer, RequestView, SetBy};
use leptos::prelude::*;

/// The button that opens the dialog; none where there is nothing to ask for: one's own limits are changed on the page of keys.
pub fn ask_opener(limits: &[BudgetView]) -> AnyView {
    let may_ask = limits.iter().any(|limit| limit.set_by == SetBy::Administrator);
    may_ask.then(|| opener("ask-more", "btn", Some("plus"), "Ask for more")).into_any()
}

/// The dialog that asks for more; `limits` is asked once, so that what somebody types stays.
pub fn ask_dialog(deed: Deed, limits: Asked<Vec<BudgetView>>) -> AnyView {
    let wrong = wrong(deed);
    let choice = move |limits: Vec<BudgetView>| {
        // One's own are changed on the page of keys.
        let others = limits.iter().filter(|limit| limit.set_by == SetBy::Administrator);
        let options = others.map(|limit| {
            let name = format!("{}: {}", words::subject(limit.subject, &limit.name), words::limit(limit.unit, limit.amount, limit.window));
            view! { <option value=format!("{}:{}", limit.budget_id, unit_word(limit.unit))>{name}</option> }
        });
        let options = options.collect_view();
        view! {
            <div class="field">
                <label r#for="more-limit">"Limit"</label>
                <select class="input" id="more-limit" name="limit">{options}</select>
            </div>
        }
        .into_any()
    };
    let body = view! {
        <Form deed=deed>
            <div class="body stack">
                {form_problem(wrong, &["amount", "reason"])}
                {answer(limits, list_skeleton, choice)}
                <Field label="It should be" name="amount" id="more-amount".to_owned() placeholder="40" wrong=wrong hint="Dollars as 40; tokens as 2 M; calls as 60." />
                <Field label="Reason" name="reason" id="more-reason".to_owned() wrong=wrong />
                <div class="row end">{cancel("ask-more")}{submit("Ask for more", "btn primary", deed.pending())}</div>
            </div>
        </Form>
    };
    dialog("ask-more", "Ask for more", body.into_any())
}

/// What is asked, `$20.00 a month to $40.00`.
pub fn asked(request: &RequestView) -> String {
    format!("{} to {}", words::limit(request.unit, request.present, request.window), words::amount(request.unit, request.amount))
}

/// One's own requests, with their answers; nothing where there is none.
pub fn own(requests: &[RequestView]) -> AnyView {
    if requests.is_empty() {
        return ().into_any();
    }
    let lines = requests.iter().map(|request| {
        view! {
            <li>
                {outcome(request.answer)}
                <div><b>{words::amount(request.unit, request.amount)}" "{words::per(request.window)}</b><div class="tiny faint">{request.reason.clone()}{word(request)}</div></div>
                {time::time(request.answered_at.unwrap_or(request.asked_at))}
            </li>
        }
    });
    view! {
        <section class="card flush">
            <header><h2>"Asked for more"</h2></header>
            <div class="body"><ul class="list small">{lines.collect_view()}</ul></div>
        </section>
    }
    .into_any()
}

/// Who answered, and what they said.
pub fn word(request: &RequestView) -> AnyView {
    let Some(by) = request.answered_by.clone() else { return ().into_any() };
    let said = if request.word.is_empty() { String::new() } else { format!(": “{}”", request.word) };
    view! { <div>{by}{said}</div> }.into_any()
}

/// The answer as a state.
pub fn outcome(answer: Option<MoreAnswer>) -> AnyView {
    match answer {
        None => labelled("state starting", "Waits for an answer"),
        Some(MoreAnswer::Once) => labelled("state running", "Granted for this time"),
        Some(MoreAnswer::ForGood) => labelled("state running", "Granted for good"),
        Some(MoreAnswer::Declined) => labelled("state stopped", "Declined"),
    }
}

/// Said where nobody asks.
pub fn none() -> AnyView {
    notice::empty("Nobody asks for more.")
}
