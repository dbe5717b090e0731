//! Keys: the list of them, and the dialogs that make one and rotate one.

use super::{
    answer::{answer, no_skeleton},
    code::secret,
    form::{Field, Form, Press, Sure, cancel, dialog, dialog_of, form_problem, opener, press, submit, sure, wrong},
    limit_form::{PLAIN, kind, limit_fields},
    notice,
    state::labelled,
    time,
};
use crate::{
    ask::Asked,
    deed::Deed,
    routes,
    server_fns::models::{MakeKey, RemoveKeyLimit, RevokeKey, RotateKey, SetKeyLimit},
    words,
};
use contract::{KeyLimit, KeyView, ModelView, NewKey, SetBy};
use leptos::prelude::*;

/// The verbs on keys, made outside of what is drawn anew.
#[derive(Clone, Copy)]
pub struct KeyDeeds {
    make: Deed,
    rotate: Deed,
    revoke: Deed,
    set_limit: Deed,
    remove_limit: Deed,
}

impl KeyDeeds {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self {
            make: Deed::of::<MakeKey>(),
            rotate: Deed::of::<RotateKey>(),
            revoke: Deed::of::<RevokeKey>(),
            set_limit: Deed::of::<SetKeyLimit>(),
            remove_limit: Deed::of::<RemoveKeyLimit>(),
        }
    }

    /// Each of them.
    pub fn all(self) -> [Deed; 5] {
        [self.make, self.rotate, self.revoke, self.set_limit, self.remove_limit]
    }

    /// How many were done: a question that reads it is asked anew.
    pub fn done(self) -> usize {
        self.all().map(Deed::done).iter().sum()
    }
}

/// The secret that was just made: from the answer with script, from the redirect (`kept`) without.
pub fn fresh(deeds: KeyDeeds, kept: Asked<Option<String>>) -> AnyView {
    const TOLD: &str = "This is the whole key, shown once: it is stored only as a hash. Copy it now.";
    const ROTATED: &str = "This is the key with its new secret, shown once. Put it wherever the old one is used, before that ends.";
    let shown = move |deed: Deed, told| move || deed.made().map(|made: NewKey| secret("key", made.secret, told));
    view! {
        {shown(deeds.make, TOLD)}
        {shown(deeds.rotate, ROTATED)}
        {answer(kept, no_skeleton, |kept| kept.filter(|text| text.starts_with("cl_")).map(|text| secret("key", text, TOLD)).into_any())}
    }
    .into_any()
}

/// The dialog that makes a key.
pub fn new_key(make: KeyDeeds, offered: Asked<Vec<ModelView>>) -> AnyView {
    let make = make.make;
    let wrong = wrong(make);
    let models = answer(offered, no_skeleton, |models| {
        let one = |model: &ModelView| {
            view! { <label class="check"><input r#type="checkbox" name="model_ids[]" value=model.model_id.to_string() />{model.name.clone()}</label> }
        };
        models.iter().map(one).collect_view().into_any()
    });
    let body = view! {
        <Form deed=make>
            <div class="body stack">
                {form_problem(wrong, &["name", "day"])}
                <Field label="Name" name="name" id="new-key-name".to_owned() placeholder="laptop" hint="Where you will use it, so that you know which one to revoke." wrong=wrong />
                <fieldset class="stack close chosen">
                    <legend class="label">"Models"</legend>
                    <label class="check"><input r#type="radio" name="models" value="all" checked=true />"All that you are offered"</label>
                    <label class="check"><input r#type="radio" name="models" value="chosen" />"Only these"</label>
                    <div class="stack close indent">{models}</div>
                </fieldset>
                <div class="stack close ends">
                    <div class="field">
                        <label r#for="new-key-ends">"Ends"</label>
                        <select class="input" id="new-key-ends" name="ends">
                            <option value="7">"After a week"</option>
                            <option value="30">"After 30 days"</option>
                            <option value="90" selected=true>"After 90 days"</option>
                            <option value="365">"After a year"</option>
                            <option value="day">"With a day"</option>
                            <option value="never">"Never"</option>
                        </select>
                    </div>
                    <div class="day"><Field label="Last day" name="day" id="new-key-day".to_owned() kind="date" optional=true hint="It works until the end of this day in your time zone." wrong=wrong /></div>
                </div>
                <details class="stack close">
                    <summary>"Limits of its own"</summary>
                    <p class="hint">"They hold beside those that your administrator set, and never give more."</p>
                    {limit_fields("new-key", ["limit[amount]", "limit[unit]", "limit[window]"], true, wrong)}
                    <Field label="Calls a minute" name="limit[rate]" id="new-key-rate".to_owned() optional=true placeholder="60" wrong=wrong />
                </details>
                <div class="row end">{cancel("new-key")}{submit("Make the key", "btn primary", make.pending())}</div>
            </div>
        </Form>
    };
    dialog("new-key", "New key", body.into_any())
}

/// The keys with what can be done.
pub fn table(keys: &[KeyView], deeds: KeyDeeds) -> AnyView {
    if keys.is_empty() {
        return notice::empty("You have no key yet. A key lets your own programs use the models, within your limit.");
    }
    let rows = keys.iter().map(|key| {
        let mark = key.runtime_id.map(|_| view! { <span class="faint">" · runtime"</span> });
        view! {
            <tr class:gone=!key.is_open()>
                <td><b>{key.name.clone()}{mark}</b><br /><span class="mono faint">{key.hint.clone()}</span>{limits(key)}{former(key)}</td>
                <td>{models(key)}</td>
                <td class="muted">{time::time_or(key.last_used_at, "Not yet")}<div class="tiny">{ends(key)}</div></td>
                <td class="right">{verbs(key, deeds)}</td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Name"</th><th>"Models"</th><th>"Last used"</th><th><span class="visually-hidden">"What can be done"</span></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// The secrets that were replaced and still work.
fn former(key: &KeyView) -> AnyView {
    let lines = key.former.iter().map(|former| {
        view! {
            <div class="small former">
                {labelled("state starting", "Old secret")}" "<span class="mono faint">{former.hint.clone()}</span>
                <div class="tiny muted">"works until "{time::exact(former.ends_at)}", last used: "{time::time_or(former.last_used_at, "not yet")}</div>
            </div>
        }
    });
    lines.collect_view().into_any()
}

/// Its own limits, and who set each.
fn limits(key: &KeyView) -> AnyView {
    let all: Vec<String> = key.limits.iter().map(|one| format!("{} ({})", said(one), set_by(one))).collect();
    (!all.is_empty()).then(|| view! { <div class="tiny muted">"At most "{all.join(", ")}</div> }).into_any()
}

fn said(one: &KeyLimit) -> String {
    words::limit(one.limit.unit, one.limit.amount, one.limit.window)
}

const fn set_by(one: &KeyLimit) -> &'static str {
    match one.set_by {
        SetBy::Owner => "set by you",
        SetBy::Administrator => "set by an administrator",
    }
}

fn models(key: &KeyView) -> AnyView {
    match (&key.models, key.runtime_id) {
        (_, Some(_)) => view! { <span class="muted">"By its profile"</span> }.into_any(),
        (None, None) => view! { <span class="muted">"All"</span> }.into_any(),
        (Some(names), None) if names.is_empty() => view! { <span class="muted">"None: they left the catalog"</span> }.into_any(),
        (Some(names), None) => {
            let chips = names.iter().map(|name| view! { <span class="chip">{name.clone()}</span> });
            view! { <span class="row tight">{chips.collect_view()}</span> }.into_any()
        }
    }
}

fn ends(key: &KeyView) -> AnyView {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => view! { "Revoked "{time::time(at)} }.into_any(),
        (None, Some(at)) if key.expired => view! { "Expired "{time::time(at)} }.into_any(),
        (None, Some(at)) => view! { "Ends "{time::time(at)} }.into_any(),
        (None, None) if key.runtime_id.is_some() => "Ends with its runtime".into_any(),
        (None, None) => "Never ends".into_any(),
    }
}

/// A runtime's key is its runtime's to rotate; one that opens nothing any more is left to be seen.
fn verbs(key: &KeyView, deeds: KeyDeeds) -> AnyView {
    match key.runtime_id {
        Some(runtime) => {
            let name = format!("Its page: {}", key.name);
            view! { <a class="btn quiet" href=routes::runtime(runtime) aria-label=name>"Its page"</a> }.into_any()
        }
        None if key.is_open() => {
            let (dialog, limits) = (format!("rotate-key-{}", key.key_id), format!("limit-key-{}", key.key_id));
            let (label, name) = (format!("Rotate {}", key.name), dialog.clone());
            let (limits_label, limits_name) = (format!("Limits of {}", key.name), limits.clone());
            view! {
                <span class="row tight end nowrap verbs">
                    <button class="btn quiet" r#type="button" commandfor=limits_name command="show-modal" aria-label=limits_label>"Limits"</button>
                    <button class="btn quiet" r#type="button" commandfor=name command="show-modal" aria-label=label>"Rotate"</button>
                    {revoker(key, deeds.revoke)}
                    {rotation(key, deeds.rotate, dialog)}
                    {limiting(key, deeds, limits)}
                </span>
            }
            .into_any()
        }
        None => ().into_any(),
    }
}

/// The dialog that rotates a key.
fn rotation(key: &KeyView, rotate: Deed, id: String) -> AnyView {
    let (select, key_id) = (format!("{id}-hours"), key.key_id.to_string());
    let cancel = cancel(id.clone());
    let body = view! {
        <Form deed=rotate>
            <div class="body stack">
                {form_problem(wrong(rotate), &[])}
                <input r#type="hidden" name="key_id" value=key_id />
                <p class="small muted">"It gets a new secret, shown once. Its name, its models and its end stay."</p>
                <div class="field">
                    <label r#for=select.clone()>"The old secret works on"</label>
                    <select class="input" id=select name="hours">
                        <option value="1">"For an hour"</option>
                        <option value="24" selected=true>"For a day"</option>
                        <option value="168">"For a week"</option>
                        <option value="720">"For 30 days"</option>
                        <option value="0">"Not at all: it leaked"</option>
                    </select>
                </div>
                <div class="row end">{cancel}{submit("Rotate the key", "btn primary", rotate.pending())}</div>
            </div>
        </Form>
    };
    dialog_of(id, format!("Rotate {}", key.name), body.into_any())
}

/// The dialog with the key's limits: one's own can be changed and removed, an administrator's be seen.
fn limiting(key: &KeyView, deeds: KeyDeeds, id: String) -> AnyView {
    let (set, key_id) = (deeds.set_limit, key.key_id.to_string());
    let wrong = wrong(set);
    let lines = key.limits.iter().map(|one| {
        let remove = (one.set_by == SetBy::Owner).then(|| {
            let fields = [("key_id", key.key_id.to_string())].into_iter().chain(kind(one.limit.window, one.limit.unit)).collect();
            let name = Some(format!("Remove the limit {} of {}", said(one), key.name));
            press(deeds.remove_limit, Press { fields, label: "Remove", name, icon: None, class: "btn quiet" })
        });
        view! { <li><div><b>{said(one)}</b><div class="tiny faint">{set_by(one)}</div></div><span class="aside">{remove}</span></li> }
    });
    let lines = (!key.limits.is_empty()).then(|| view! { <ul class="list">{lines.collect_view()}</ul> });
    let (fields, cancel) = (limit_fields(&id, PLAIN, false, wrong), cancel(id.clone()));
    let body = view! {
        <div class="body stack">
            {lines}
            <p class="small muted">"Limits hold beside each other, and beside those that your administrator set: the tighter one wins."</p>
            <Form deed=set class="stack">
                {form_problem(wrong, &["amount"])}
                <input r#type="hidden" name="key_id" value=key_id />
                {fields}
                <div class="row end">{cancel}{submit("Set the limit", "btn primary", set.pending())}</div>
            </Form>
        </div>
    };
    dialog_of(id, format!("Limits of {}", key.name), body.into_any())
}

/// Revoking wants a second press.
fn revoker(key: &KeyView, revoke: Deed) -> AnyView {
    let ask = Sure {
        opener: "Revoke".into_any(),
        class: "btn quiet",
        name: Some(format!("Revoke {}", key.name)),
        lost: "Programs that use this key stop working at once.",
    };
    let name = Some(format!("Revoke {} now", key.name));
    let fields = vec![("key_id", key.key_id.to_string())];
    sure(revoke, ask, Press { fields, label: "Revoke now", name, icon: None, class: "btn danger block" })
}

/// The button that opens the dialog for a new key.
pub fn new_key_opener() -> AnyView {
    opener("new-key", "btn", Some("plus"), "New key")
}
