//! The one-use set-up link: the first administrator.

use super::{closed, door};
use crate::{
    ask::ask,
    components::{
        answer::{answer_or, card_skeleton},
        form::{Field, Form, form_problem, submit, wrong},
    },
    deed::Deed,
    server_fns::accounts::{AcceptSetup, Setup},
};
use contract::Welcome;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The set-up page.
pub fn page() -> AnyView {
    let token = use_params_map().with_untracked(|params| params.get("token").unwrap_or_default());
    let token = StoredValue::new(token);
    let action = Deed::of::<AcceptSetup>();
    let wrong = wrong(action);
    let asked = ask(move || Setup { token: token.get_value() });
    let draw = move |_: Welcome| {
        let form = view! {
            <Form deed=action class="card" label="Set up ClawLoops">
                <div class="body stack">
                    {form_problem(wrong, &["email", "name", "password"])}
                    <input r#type="hidden" name="token" value=token.get_value() />
                    <Field label="E-mail" name="email" kind="email" autocomplete="username" focus=true wrong=wrong />
                    <Field label="Your name" name="name" autocomplete="name" wrong=wrong />
                    <Field label="Password" name="password" kind="password" autocomplete="new-password" hint="Several words are best." wrong=wrong />
                    {submit("Create the administrator", "btn primary block tall", action.pending())}
                </div>
            </Form>
        };
        door("Set up ClawLoops", "You become its first administrator. This link works once.", form.into_any())
    };
    answer_or(asked, card_skeleton, draw, closed)
}
