//! One's runtimes.

use crate::{
    components::{
        answer::{answer, aside, no_skeleton, page_skeleton},
        form::{Field, Form, cancel, dialog, form_problem, opener, submit, wrong, wrongs},
        frame::{MyRuntimes, top},
        notice,
        runtime_card::{Verbs, card},
    },
    deed::Deed,
    server_fns::runtimes::CreateRuntime,
};
use leptos::prelude::*;

/// The page of one's runtimes.
pub fn page() -> AnyView {
    let create = Deed::of::<CreateRuntime>();
    let verbs = Verbs::new();
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
        {form_problem(wrongs([wrong(create), verbs.wrong()]), &[])}
        {list}
        {new_runtime(create)}
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

/// The dialog for a new runtime.
pub fn new_runtime(create: Deed) -> AnyView {
    let wrong = wrong(create);
    let body = view! {
        <Form deed=create>
            <div class="body stack">
                {form_problem(wrong, &["name"])}
                <Field wrong=wrong label="Name" name="name" id="new-runtime-name".to_owned() placeholder="research" hint="Small letters, digits and dashes. It becomes part of its address." />
                <div class="row end">{cancel("new-runtime")}{submit("Start", "btn primary", create.pending())}</div>
            </div>
        </Form>
    };
    dialog("new-runtime", "New runtime", body.into_any())
}
