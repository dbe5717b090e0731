//! People and invitations.

use crate::{
    ask::ask,
    components::{
        answer::{answer, list_skeleton, no_skeleton},
        code::secret,
        face,
        form::{Field, Form, Press, cancel, close_when_done, dialog, form_problem, opener, press, submit, wrong, wrongs},
        frame::top,
        notice,
        state::{labelled, person_state},
        time,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::{
        admin::{Invitations, Invite, People, RenewInvitation, RevokeInvitation},
        models::Shown,
    },
};
use contract::{InvitationStatus, InvitationView, NewInvitation, PersonView, Role};
use leptos::prelude::*;

/// What was just made is told with the link.
const TOLD: &str = "This is the one-use link, shown once. Send it to the person.";

/// The page of people.
pub fn page() -> AnyView {
    let live = Live::here();
    let invite = Deed::of::<Invite>();
    let renew = Deed::of::<RenewInvitation>();
    let revoke = Deed::of::<RevokeInvitation>();
    close_when_done(invite);
    let everyone = ask(move || {
        live.people.track();
        People {}
    });
    let waiting = ask(move || {
        live.people.track();
        invite.done();
        renew.done();
        revoke.done();
        Invitations {}
    });
    let kept = ask(|| Shown {});
    let link = move || {
        let made = renew.made().or_else(|| invite.made());
        made.map(|made: NewInvitation| secret("invitation link", made.link, TOLD))
    };
    view! {
        {top("People", (), opener("invite", "btn primary", Some("plus"), "Invite"))}
        <div class="stack">
            {form_problem(wrongs([wrong(invite), wrong(renew), wrong(revoke)]), &[])}
            {link}
            {answer(kept, no_skeleton, |kept| kept.filter(|text| text.contains("/invitation/")).map(|text| secret("invitation link", text, TOLD)).into_any())}
            {answer(waiting, no_skeleton, move |waiting| invitation_card(&waiting, renew, revoke))}
            <section class="card flush"><div class="body scroll" tabindex="0" role="region" aria-label="People">{answer(everyone, list_skeleton, |people| table(&people))}</div></section>
        </div>
        {invite_dialog(invite)}
    }
    .into_any()
}

fn invite_dialog(invite: Deed) -> AnyView {
    let wrong = wrong(invite);
    let body = view! {
        <Form deed=invite>
            <div class="body stack">
                {form_problem(wrong, &["email"])}
                <Field label="E-mail" name="email" kind="email" id="invite-email".to_owned() placeholder="ada@acme.example" wrong=wrong />
                <div class="field">
                    <label r#for="invite-role">"Role"</label>
                    <select class="input" id="invite-role" name="role">
                        <option value="person" selected=true>"Person: runtimes and keys of their own"</option>
                        <option value="administrator">"Administrator: also people, limits and providers"</option>
                    </select>
                </div>
                <div class="field">
                    <label r#for="invite-hours">"The link ends"</label>
                    <select class="input" id="invite-hours" name="hours">
                        <option value="24">"After a day"</option>
                        <option value="72" selected=true>"After three days"</option>
                        <option value="168">"After a week"</option>
                    </select>
                </div>
                <div class="row end">{cancel("invite")}{submit("Make the link", "btn primary", invite.pending())}</div>
            </div>
        </Form>
    };
    dialog("invite", "Invite a person", body.into_any())
}

fn invitation_card(invitations: &[InvitationView], renew: Deed, revoke: Deed) -> AnyView {
    let open: Vec<&InvitationView> =
        invitations.iter().filter(|one| matches!(one.status, InvitationStatus::Pending | InvitationStatus::Expired)).collect();
    if open.is_empty() {
        return ().into_any();
    }
    let lines = open.into_iter().map(|one| {
        let fields = || vec![("invitation_id", one.invitation_id.to_string())];
        let (state, ends) = match one.status {
            InvitationStatus::Pending => (labelled("state warned", "Invited"), "the link ends "),
            InvitationStatus::Expired | InvitationStatus::Consumed | InvitationStatus::Revoked => (labelled("state stopped", "Too old"), "the link ended "),
        };
        view! {
            <li>
                {face::face(&one.email)}
                <div><b>{one.email.clone()}</b><div class="tiny faint">"by "{one.invited_by.clone()}", "{ends}{time::time(one.expires_at)}</div></div>
                <span class="aside row tight">
                    {state}
                    {press(renew, Press { fields: fields(), label: "New link", name: Some(format!("New link for {}", one.email)), icon: None, class: "btn" })}
                    {press(revoke, Press { fields: fields(), label: "Take back", name: Some(format!("Take back the invitation of {}", one.email)), icon: None, class: "btn quiet" })}
                </span>
            </li>
        }
    });
    view! {
        <section class="card flush">
            <header><h2>"Invitations"</h2></header>
            <div class="body"><ul class="list">{lines.collect_view()}</ul></div>
        </section>
    }
    .into_any()
}

fn table(people: &[PersonView]) -> AnyView {
    if people.is_empty() {
        return notice::empty("Nobody is here yet.");
    }
    let rows = people.iter().map(|person| {
        let role = match person.role {
            Role::Administrator => "Administrator",
            Role::Person => "Person",
        };
        view! {
            <tr>
                <td><a class="plain" href=routes::person(person.person_id)>{face::person(&person.name, &person.email)}</a></td>
                <td>{role}</td>
                <td>{person_state(person.status)}</td>
                <td class="right">{person.sessions}</td>
                <td class="muted">{time::time_or(person.last_seen_at, "never")}</td>
                <td class="right"><a class="btn quiet" href=routes::person(person.person_id) aria-label=format!("Manage {}", person.name)>"Manage"</a></td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Person"</th><th>"Role"</th><th>"State"</th><th class="right">"Sessions"</th><th>"Last seen"</th><th><span class="visually-hidden">"What can be done"</span></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
