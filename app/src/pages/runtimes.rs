//! One's runtimes.

use crate::{
    components::{
        answer::{answer, page_skeleton},
        form::{Field, cancel, dialog, form_problem, opener, submit, wrong, wrongs},
        frame::{MyRuntimes, top},
        notice,
        runtime_card::{Verbs, card},
    },
    server_fns::runtimes::CreateRuntime,
};
use leptos::{form::ActionForm, prelude::*};

/// The page of one's runtimes.
pub fn page() -> AnyView {
    let create = ServerAction::<CreateRuntime>::new();
    let verbs = Verbs::new();
    let Some(MyRuntimes(runtimes)) = use_context::<MyRuntimes>() else {
        return ().into_any();
    };
    verbs.refresh(MyRuntimes(runtimes));
    let list = answer(runtimes, page_skeleton, move |runtimes| {
        if runtimes.is_empty() {
            return view! { <section class="card">{notice::empty("You have no runtime yet. A runtime is an OpenClaw of your own, in a private container.")}</section> }.into_any();
        }
        view! { <div class="stack">{runtimes.iter().map(|runtime| card(runtime, verbs)).collect_view()}</div> }.into_any()
    });
    view! {
        {top("Runtimes", (), opener("new-runtime", "btn primary", Some("plus"), "New runtime"))}
        {form_problem(wrongs([wrong(create), verbs.wrong()]), &[])}
        {list}
        {new_runtime(create)}
    }
    .into_any()
}

/// The dialog for a new runtime.
pub fn new_runtime(create: ServerAction<CreateRuntime>) -> AnyView {
    let wrong = wrong(create);
    let body = view! {
        <ActionForm action=create>
            <div class="body stack">
                {form_problem(wrong, &["name"])}
                <Field wrong=wrong label="Name" name="name" id="new-runtime-name".to_owned() placeholder="research" hint="Small letters, digits and dashes. It becomes part of its address." />
                <div class="row end">{cancel("new-runtime")}{submit("Start", "btn primary", create.pending())}</div>
            </div>
        </ActionForm>
    };
    dialog("new-runtime", "New runtime", body.into_any())
}
