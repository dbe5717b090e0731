//! The one-use set-up link: the first administrator.

use super::door;
use crate::{
    components::{
        answer::{answer, card_skeleton},
        form::{Field, form_problem, submit, wrong},
    },
    server_fns::accounts::{AcceptSetup, setup},
};
use leptos::{form::ActionForm, prelude::*};
use leptos_router::hooks::use_params_map;

/// The set-up page.
pub fn page() -> AnyView {
    let token = use_params_map().with_untracked(|params| params.get("token").unwrap_or_default());
    let token = StoredValue::new(token);
    let action = ServerAction::<AcceptSetup>::new();
    let wrong = wrong(action);
    let asked = Resource::new(|| (), move |()| setup(token.get_value()));
    let form = answer(asked, card_skeleton, move |_| {
        view! {
            <ActionForm action=action attr:class="card" attr:aria-label="Set up ClawLoops">
                <div class="body stack">
                    {form_problem(wrong, &["email", "name", "password"])}
                    <input r#type="hidden" name="token" value=token.get_value() />
                    <Field label="E-mail" name="email" kind="email" autocomplete="username" focus=true wrong=wrong />
                    <Field label="Your name" name="name" autocomplete="name" wrong=wrong />
                    <Field label="Password" name="password" kind="password" autocomplete="new-password" hint="Several words are best." wrong=wrong />
                    {submit("Create the administrator", "btn primary block tall", action.pending())}
                </div>
            </ActionForm>
        }
        .into_any()
    });
    door("Set up ClawLoops", "You become its first administrator. This link works once.", form)
}
