//! Profile, password, and where one is signed in.

use crate::{
    ask::ask,
    browser,
    components::{
        answer::{answer, list_skeleton},
        form::{Field, Form, Press, form_problem, press, submit, wrong},
        frame::{Me, top},
        time,
    },
    deed::Deed,
    server_fns::accounts::{ChangePassword, ChangeProfile, EndOtherSessions, EndSession, Sessions},
    words,
};
use contract::{Caller, SessionView};
use leptos::prelude::*;

/// The security page.
pub fn page() -> AnyView {
    let Some(me) = use_context::<Me>() else {
        return ().into_any();
    };
    let end = Deed::of::<EndSession>();
    let end_others = Deed::of::<EndOtherSessions>();
    let password = Deed::of::<ChangePassword>();
    let open = ask(move || {
        end.done();
        end_others.done();
        password.done();
        Sessions {}
    });
    let others =
        press(end_others, Press { fields: vec![], label: "Sign out everywhere else", name: None, icon: None, class: "btn danger" });
    view! {
        {top("Security", (), ())}
        <div class="narrow stack">
            {form_problem(wrong(end), &[])}
            {form_problem(wrong(end_others), &[])}
            <section class="card flush">
                <header><h2>"Where you are signed in"</h2><span class="grow"></span>{others}</header>
                <div class="body">{answer(open, list_skeleton, move |sessions| view! {
                    <ul class="list">{sessions.iter().map(|session| line(session, end)).collect_view()}</ul>
                }.into_any())}</div>
            </section>
            {change_password(password)}
            {profile(me)}
        </div>
    }
    .into_any()
}

fn line(session: &SessionView, end: Deed) -> AnyView {
    let agent = words::agent(&session.agent);
    let verb = if session.current {
        view! { <span class="chip">"this one"</span> }.into_any()
    } else {
        let fields = vec![("session_id", session.session_id.to_string())];
        press(end, Press { fields, label: "Sign out", name: Some(format!("Sign out {agent}")), icon: None, class: "btn quiet" })
    };
    view! {
        <li>
            <div><b>{agent.clone()}</b><div class="tiny faint">"since "{time::time(session.created_at)}", last seen "{time::time(session.last_seen_at)}</div></div>
            <span class="aside">{verb}</span>
        </li>
    }
    .into_any()
}

fn change_password(action: Deed) -> AnyView {
    let wrong = wrong(action);
    let done = move || {
        action.succeeded().then(|| view! { <p class="small ok" role="status">"The password is changed. Your other sessions ended."</p> })
    };
    view! {
        <section class="card">
            <header><h2>"Password"</h2></header>
            <Form deed=action class="body stack" label="Change the password">
                {form_problem(wrong, &["current", "new"])}
                <Field label="Present password" name="current" kind="password" autocomplete="current-password" wrong=wrong />
                <Field label="New password" name="new" kind="password" autocomplete="new-password" hint="Several words are best. Your other sessions end." wrong=wrong />
                <div class="row">{submit("Change the password", "btn", action.pending())}{done}</div>
            </Form>
        </section>
    }
    .into_any()
}

fn profile(me: Me) -> AnyView {
    let caller = me.caller();
    let action = Deed::of::<ChangeProfile>();
    let (email, name, zone) = (caller.email, caller.name, caller.time_zone);
    Effect::new(move |_| {
        if let Some(saved) = action.made::<Caller>() {
            me.becomes(saved);
        }
    });
    let wrong = wrong(action);
    let done = move || action.succeeded().then(|| view! { <p class="small ok" role="status">"Saved."</p> });
    // The browser knows its zone; a press writes it into the form.
    let here = move |_| {
        if let (Some(zone), Some(input)) = (browser::time_zone(), document().get_element_by_id("field-time_zone")) {
            let input: web_sys::HtmlInputElement = wasm_bindgen::JsCast::unchecked_into(input);
            input.set_value(&zone);
        }
    };
    view! {
        <section class="card">
            <header><h2>"Profile"</h2></header>
            <Form deed=action class="body stack" label="Change the profile">
                {form_problem(wrong, &["name", "time_zone"])}
                <dl class="facts left"><dt>"E-mail"</dt><dd>{email}</dd></dl>
                <Field label="Name" name="name" value=name autocomplete="name" wrong=wrong />
                <Field label="Time zone" name="time_zone" value=zone hint="Days count from its midnight, limits from the end of their present day and month." wrong=wrong />
                <div class="row">
                    {submit("Save", "btn", action.pending())}
                    <button class="btn quiet needs-script" r#type="button" on:click=here>"Use this browser's zone"</button>
                    {done}
                </div>
            </Form>
        </section>
    }
    .into_any()
}
