//! Requests for more: who asks for how much and why, and the answers.

use crate::{
    ask::ask,
    components::{
        answer::{answer, list_skeleton},
        form::{Form, form_problem, wrong},
        frame::top,
        more, time,
    },
    deed::Deed,
    routes,
    server_fns::usage::{AllRequests, AnswerRequest},
    words,
};
use contract::RequestView;
use leptos::prelude::*;

/// The page of requests.
pub fn page() -> AnyView {
    let deed = Deed::of::<AnswerRequest>();
    let saved = Memo::new(move |before: Option<&usize>| {
        let done = deed.done();
        if deed.succeeded() { done } else { before.copied().unwrap_or_default() }
    });
    // Drawn anew when one was answered, and for nothing else: a word that somebody types stays. The side bar counts new ones.
    let requests = ask(move || {
        saved.get();
        AllRequests {}
    });
    view! {
        {top("Requests for more", (), ())}
        <div class="stack">
            {form_problem(wrong(deed), &[])}
            {answer(requests, list_skeleton, move |requests| whole(&requests, deed))}
        </div>
    }
    .into_any()
}

fn whole(requests: &[RequestView], deed: Deed) -> AnyView {
    let (open, answered): (Vec<&RequestView>, Vec<_>) = requests.iter().partition(|request| request.answer.is_none());
    let none = open.is_empty().then(more::none);
    let open = open.into_iter().map(|request| line(request, verbs(request, deed))).collect_view();
    let past = (!answered.is_empty()).then(|| {
        let lines = answered.iter().map(|request| line(request, more::outcome(request.answer))).collect_view();
        view! {
            <section class="card flush"><header><h2>"Answered"</h2></header><div class="body"><ul class="list">{lines}</ul></div></section>
        }
    });
    view! {
        <section class="card flush">
            <header><h2>"Waiting for an answer"</h2></header>
            <div class="body">{none}<ul class="list">{open}</ul></div>
        </section>
        {past}
    }
    .into_any()
}

fn line(request: &RequestView, behind: AnyView) -> AnyView {
    view! {
        <li>
            <div class="grow">
                <b><a href=routes::person(request.person_id)>{request.person.clone()}</a></b>
                " asks: "{words::subject(request.subject, &request.name)}", "{more::asked(request)}
                <div class="small muted">{request.reason.clone()}{more::word(request)}</div>
                <div class="tiny faint">{time::time(request.asked_at)}</div>
            </div>
            {behind}
        </li>
    }
    .into_any()
}

/// One press answers; a word may stand beside it.
fn verbs(request: &RequestView, deed: Deed) -> AnyView {
    let pending = deed.pending();
    let who = request.person.clone();
    let verb = move |value: &'static str, label: &'static str, class: &'static str| {
        let name = format!("{label}: {who}");
        view! { <button class=class r#type="submit" name="answer" value=value aria-label=name disabled=move || pending.get()>{label}</button> }
    };
    let once = verb("once", "Grant once", "btn primary");
    let good = verb("for_good", "Grant for good", "btn");
    let decline = verb("declined", "Decline", "btn quiet");
    let (id, label) = (request.request_id.to_string(), format!("A word to {}", request.person));
    view! {
        <Form deed=deed class="row tight">
            <input r#type="hidden" name="request_id" value=id />
            <input class="input" name="word" placeholder="A word to them" aria-label=label maxlength="500" />
            {once}{good}{decline}
        </Form>
    }
    .into_any()
}
