//! Sharing: with whom a runtime is shared, and what others share.

use super::{
    answer::{aside, list_skeleton},
    form::{Field, Form, Press, Sure, Wrong, cancel, close_when_done, dialog, form_problem, opener, submit, sure, wrong, wrongs},
    frame::Me,
    icon::icon,
    notice, state, time,
};
use crate::{
    ask::{Asked, ask},
    deed::Deed,
    live::Live,
    routes,
    server_fns::sharing::{EndShare, ShareRuntime, SharesOf},
};
use contract::{RuntimeId, RuntimeView, ShareView, SharedView};
use leptos::prelude::*;

/// With whom a runtime is shared, and what changes that. A page has one, made outside of what is drawn anew.
#[derive(Clone, Copy)]
pub struct Sharing {
    shares: Asked<Vec<ShareView>>,
    share: Deed,
    end: Deed,
}

impl Sharing {
    /// Of this runtime.
    pub fn of(id: Memo<RuntimeId>) -> Self {
        let (share, end) = (Deed::of::<ShareRuntime>(), Deed::of::<EndShare>());
        close_when_done(share);
        let live = Live::here();
        let shares = ask(move || {
            live.runtimes.track();
            share.done();
            end.done();
            SharesOf { runtime_id: id.get() }
        });
        Self { shares, share, end }
    }

    /// What went wrong with it.
    pub fn wrong(self) -> Wrong {
        wrongs([wrong(self.share), wrong(self.end)])
    }

    /// The list, and for the runtime's owner the dialog that shares it.
    pub fn card(self, runtime: &RuntimeView) -> AnyView {
        let mine = use_context::<Me>().is_some_and(|me| me.caller().person_id == runtime.person_id);
        let more = mine.then(|| opener("share-runtime", "btn quiet", Some("plus"), "Share"));
        view! {
            <section class="card flush sharing">
                <header><h2>"Shared with"</h2><span class="grow"></span>{more}</header>
                <div class="body">{aside(self.shares, list_skeleton, move |shares| list(&shares, self.end))}</div>
            </section>
            {mine.then(|| share_dialog(runtime.runtime_id, self.share))}
        }
        .into_any()
    }
}

fn list(shares: &[ShareView], end: Deed) -> AnyView {
    if shares.is_empty() {
        return notice::empty("Nobody else can open it.");
    }
    let lines = shares.iter().map(|one| {
        let verb = Press {
            fields: vec![("share_id", one.share_id.to_string())],
            label: "End it now",
            name: Some(format!("End sharing with {} now", one.person)),
            icon: None,
            class: "btn danger block",
        };
        let asked = Sure {
            opener: "End".into_any(),
            class: "btn quiet",
            name: Some(format!("End sharing with {}", one.person)),
            lost: "What they have open is closed at once.",
        };
        view! {
            <li>
                <div><b>{one.person.clone()}</b><div class="tiny faint">{one.access.label()}", until "{time::exact(one.ends_at)}</div></div>
                <span class="aside">{sure(end, asked, verb)}</span>
            </li>
        }
    });
    view! { <ul class="list">{lines.collect_view()}</ul> }.into_any()
}

fn share_dialog(runtime_id: RuntimeId, share: Deed) -> AnyView {
    let wrong = wrong(share);
    let body = view! {
        <Form deed=share>
            <div class="body stack">
                {form_problem(wrong, &["email"])}
                <input r#type="hidden" name="runtime_id" value=runtime_id.to_string() />
                <Field label="E-mail" name="email" id="share-email".to_owned() kind="email" placeholder="colleague@example.com" hint="Somebody who has an account here." wrong=wrong />
                <fieldset class="stack close">
                    <legend class="small muted">"What may they do?"</legend>
                    <label class="choice"><input r#type="radio" name="access" value="watch" checked=true />
                        <span><b>"Watch"</b><span class="small muted">"They see its conversations as they happen, and can change nothing."</span></span></label>
                    <label class="choice"><input r#type="radio" name="access" value="full" />
                        <span><b>"Use fully"</b><span class="small muted">"Inside they can do all that you can: write, run tools, read its files, change its settings. It counts as yours, and so does what the models cost."</span></span></label>
                </fieldset>
                <div class="field">
                    <label r#for="share-hours">"For"</label>
                    <select class="input" id="share-hours" name="hours">
                        <option value="1">"An hour"</option>
                        <option value="8" selected=true>"8 hours"</option>
                        <option value="24">"A day"</option>
                        <option value="168">"A week"</option>
                        <option value="720">"30 days"</option>
                    </select>
                </div>
                <div class="row end">{cancel("share-runtime")}{submit("Share", "btn primary", share.pending())}</div>
            </div>
        </Form>
    };
    dialog("share-runtime", "Share this runtime", body.into_any())
}

/// What others share with the caller; nothing where nobody does.
pub fn with_me(shared: &[SharedView], end: Deed) -> AnyView {
    if shared.is_empty() {
        return ().into_any();
    }
    let lines = shared.iter().map(|one| {
        let leave = Press {
            fields: vec![("share_id", one.share_id.to_string())],
            label: "Leave it",
            name: Some(format!("Leave {} of {}", one.name, one.owner)),
            icon: None,
            class: "btn danger block",
        };
        let asked = Sure {
            opener: "Leave".into_any(),
            class: "btn quiet",
            name: Some(format!("Leave {}", one.name)),
            lost: "Its owner has to share it again before you can come back.",
        };
        let open = format!("Open {} of {}", one.name, one.owner);
        view! {
            <li>
                <div>
                    <div class="row tight"><b>{one.name.clone()}</b>{state::of(one.phase, None)}</div>
                    <div class="tiny faint">"of "{one.owner.clone()}" · "{one.access.label()}", until "{time::exact(one.ends_at)}</div>
                </div>
                <span class="aside row tight">{sure(end, asked, leave)}<a class="btn" href=routes::shared(one.runtime_id) aria-label=open>{icon("open")}"Open"</a></span>
            </li>
        }
    });
    view! {
        <section class="card flush sharing" aria-label="Shared with you">
            <header><h2>"Shared with you"</h2></header>
            <div class="body"><ul class="list">{lines.collect_view()}</ul></div>
        </section>
    }
    .into_any()
}
