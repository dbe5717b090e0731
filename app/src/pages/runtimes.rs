//! One's runtimes.

use crate::{
    ask::{Asked, ask},
    browser,
    components::{
        answer::{answer, aside, list_skeleton, no_skeleton, page_skeleton},
        form::{Field, Form, cancel, dialog, form_problem, opener, submit, wrong, wrongs},
        frame::{MyRuntimes, top},
        notice, profile,
        runtime_card::{Verbs, card},
        sharing,
    },
    deed::Deed,
    live::Live,
    server_fns::{
        profiles::{MyQuota, OfferedProfiles},
        runtimes::CreateRuntime,
        sharing::{EndShare, SharedWithMe},
    },
};
use contract::ProfileView;
use leptos::prelude::*;
use std::time::Duration;

/// The page of one's runtimes.
pub fn page() -> AnyView {
    let create = Deed::of::<CreateRuntime>();
    let profiles = offered();
    let live = Live::here();
    let quota = ask(move || {
        live.runtimes.track();
        live.usage.track();
        MyQuota {}
    });
    let verbs = Verbs::new();
    let leave = Deed::of::<EndShare>();
    let shared = ask(move || {
        live.runtimes.track();
        leave.done();
        SharedWithMe {}
    });
    // Nobody is told of what happens to another's runtime: who has one shared looks now and then.
    Effect::new(move |_| {
        if shared.now().is_some_and(|shared| !shared.is_empty()) {
            browser::every(Duration::from_secs(5), move || shared.again());
        }
    });
    let Some(MyRuntimes(runtimes)) = use_context::<MyRuntimes>() else {
        return ().into_any();
    };
    verbs.refresh(MyRuntimes(runtimes));
    let list = answer(runtimes, page_skeleton, move |runtimes| {
        if runtimes.is_empty() {
            let told = "You have no runtime yet. A runtime is an OpenClaw of your own, in a private container.";
            return view! { <section class="card">{notice::empty_with(told, maker("btn primary"))}</section> }.into_any();
        }
        view! { <div class="stack">{runtimes.iter().map(|runtime| card(runtime, verbs)).collect_view()}</div> }.into_any()
    });
    view! {
        {top("Runtimes", (), another(MyRuntimes(runtimes), "btn primary"))}
        {form_problem(wrongs([wrong(create), verbs.wrong(), wrong(leave)]), &[])}
        <div class="stack">
            {list}
            {aside(shared, no_skeleton, move |shared| sharing::with_me(&shared, leave))}
            <section class="card"><header><h2>"What you may use"</h2></header><div class="body">{aside(quota, list_skeleton, |view| profile::quota(&view))}</div></section>
        </div>
        {new_runtime(create, profiles)}
    }
    .into_any()
}

/// The button for one more runtime: where there is none yet, the page itself asks for the first.
pub fn another(MyRuntimes(runtimes): MyRuntimes, class: &'static str) -> AnyView {
    aside(runtimes, no_skeleton, move |all| (!all.is_empty()).then(|| maker(class)).into_any())
}

fn maker(class: &'static str) -> AnyView {
    opener("new-runtime", class, Some("plus"), "New runtime")
}

/// The profiles that can be chosen.
pub fn offered() -> Asked<Vec<ProfileView>> {
    let live = Live::here();
    ask(move || {
        live.catalog.track();
        OfferedProfiles {}
    })
}

/// The dialog for a new runtime.
pub fn new_runtime(create: Deed, profiles: Asked<Vec<ProfileView>>) -> AnyView {
    let wrong = wrong(create);
    let choice = aside(profiles, no_skeleton, |profiles| profile::select(&profiles, "new-runtime-profile"));
    let body = view! {
        <Form deed=create>
            <div class="body stack">
                {form_problem(wrong, &["name"])}
                <Field wrong=wrong label="Name" name="name" id="new-runtime-name".to_owned() placeholder="research" hint="Small letters, digits and dashes. It becomes part of its address." />
                {choice}
                <div class="row end">{cancel("new-runtime")}{submit("Start", "btn primary", create.pending())}</div>
            </div>
        </Form>
    };
    dialog("new-runtime", "New runtime", body.into_any())
}
