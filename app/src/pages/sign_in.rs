//! Signing in.

use super::door;
use crate::{
    components::form::{Field, Form, form_problem, submit, wrong},
    deed::Deed,
    server_fns::accounts::SignIn,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// The sign-in page. After it the person is where they wanted to be.
pub fn page() -> AnyView {
    let action = Deed::of::<SignIn>();
    let wrong = wrong(action);
    let to = use_query_map().with_untracked(|query| query.get("to"));
    let form = view! {
        <Form deed=action class="card" label="Sign in">
            <div class="body stack">
                {form_problem(wrong, &[])}
                {to.map(|to| view! { <input r#type="hidden" name="to" value=to /> })}
                <Field label="E-mail" name="email" kind="email" autocomplete="username" focus=true />
                <Field label="Password" name="password" kind="password" autocomplete="current-password" />
                {submit("Sign in", "btn primary block tall", action.pending())}
            </div>
        </Form>
        <p class="tiny faint centered">"No account? Ask your administrator for an invitation."</p>
    };
    door("Sign in to ClawLoops", "Your own OpenClaw, with models included.", form.into_any())
}
