//! The one-use invitation link: a new person.

use super::{closed, door};
use crate::{
    ask::ask,
    components::{
        answer::{answer_or, card_skeleton},
        form::{Field, Form, form_problem, submit, wrong},
        time,
    },
    deed::Deed,
    server_fns::accounts::{AcceptInvitation, Invitation},
};
use contract::Welcome;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// The page of an invitation.
pub fn page() -> AnyView {
    let token = use_params_map().with_untracked(|params| params.get("token").unwrap_or_default());
    let token = StoredValue::new(token);
    let action = Deed::of::<AcceptInvitation>();
    let wrong = wrong(action);
    let asked = ask(move || Invitation { token: token.get_value() });
    let draw = move |welcome: Welcome| {
        let email = welcome.email.clone().unwrap_or_default();
        let by = welcome.invited_by.clone().map(|by| format!("{by} invited you. ")).unwrap_or_default();
        let form = view! {
            <Form deed=action class="card" label="Accept the invitation">
                <div class="body stack">
                    {form_problem(wrong, &["name", "password"])}
                    <input r#type="hidden" name="token" value=token.get_value() />
                    <p class="small muted">{by}"You sign in as "<b>{email.clone()}</b>". The link ends "{time::time(welcome.expires_at)}"."</p>
                    <input class="visually-hidden" r#type="email" value=email autocomplete="username" aria-label="E-mail" readonly=true tabindex="-1" />
                    <Field label="Your name" name="name" autocomplete="name" focus=true wrong=wrong />
                    <Field label="Choose a password" name="password" kind="password" autocomplete="new-password" hint="Several words are best." wrong=wrong />
                    {submit("Accept and sign in", "btn primary block tall", action.pending())}
                </div>
            </Form>
        };
        door("Welcome to ClawLoops", "Your team has an OpenClaw of your own for you.", form.into_any())
    };
    answer_or(asked, card_skeleton, draw, closed)
}
