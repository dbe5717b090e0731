//! The one-use invitation link: a new person.

use super::door;
use crate::{
    components::{
        answer::{answer, card_skeleton},
        form::{Field, form_problem, submit, wrong},
        time,
    },
    server_fns::accounts::{AcceptInvitation, invitation},
};
use leptos::{form::ActionForm, prelude::*};
use leptos_router::hooks::use_params_map;

/// The page of an invitation.
pub fn page() -> AnyView {
    let token = use_params_map().with_untracked(|params| params.get("token").unwrap_or_default());
    let token = StoredValue::new(token);
    let action = ServerAction::<AcceptInvitation>::new();
    let wrong = wrong(action);
    let asked = Resource::new(|| (), move |()| invitation(token.get_value()));
    let form = answer(asked, card_skeleton, move |welcome| {
        let email = welcome.email.clone().unwrap_or_default();
        let by = welcome.invited_by.clone().map(|by| format!("{by} invited you. ")).unwrap_or_default();
        view! {
            <ActionForm action=action attr:class="card" attr:aria-label="Accept the invitation">
                <div class="body stack">
                    {form_problem(wrong, &["name", "password"])}
                    <input r#type="hidden" name="token" value=token.get_value() />
                    <p class="small muted">{by}"You sign in as "<b>{email.clone()}</b>". The link ends "{time::time(welcome.expires_at)}"."</p>
                    <input class="visually-hidden" r#type="email" value=email autocomplete="username" aria-label="E-mail" readonly=true tabindex="-1" />
                    <Field label="Your name" name="name" autocomplete="name" focus=true wrong=wrong />
                    <Field label="Choose a password" name="password" kind="password" autocomplete="new-password" hint="Several words are best." wrong=wrong />
                    {submit("Accept and sign in", "btn primary block tall", action.pending())}
                </div>
            </ActionForm>
        }
        .into_any()
    });
    door("Welcome to ClawLoops", "Your team has an OpenClaw of your own for you.", form)
}
