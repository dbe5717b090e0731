//! The catalog, one's keys, and how to use both from anywhere.

use crate::{
    ask::ask,
    components::{
        answer::{answer, card_skeleton, list_skeleton, no_skeleton},
        code::{copy_line, secret},
        face::badge,
        form::{Field, Form, Press, Sure, cancel, close_when_done, dialog, form_problem, opener, submit, sure, wrong, wrongs},
        frame::top,
        notice, time,
    },
    deed::Deed,
    live::Live,
    server_fns::models::{Catalog, Keys, MakeKey, ModelAddress, RevokeKey, Shown},
    words,
};
use contract::{KeyView, Micros, ModelView, NewKey};
use leptos::prelude::*;

/// The page of models and keys.
pub fn page() -> AnyView {
    let live = Live::here();
    let make = Deed::of::<MakeKey>();
    let revoke = Deed::of::<RevokeKey>();
    close_when_done(make);
    close_when_done(revoke);
    let mine = ask(move || {
        live.keys.track();
        make.done();
        revoke.done();
        Keys {}
    });
    let offered = ask(move || {
        live.catalog.track();
        Catalog {}
    });
    let address = ask(|| ModelAddress {});
    view! {
        {top("Models & keys", (), ())}
        <div class="stack">
            {form_problem(wrongs([wrong(make), wrong(revoke)]), &[])}
            {fresh_key(make)}
            <div class="split">
                <div class="stack">
                    <section class="card flush">
                        <header><h2>"Your keys"</h2><span class="grow"></span>{opener("new-key", "btn", Some("plus"), "New key")}</header>
                        <div class="body scroll" tabindex="0" role="region" aria-label="Your keys">{answer(mine, list_skeleton, move |keys| key_table(&keys, revoke))}</div>
                    </section>
                    {answer(address, card_skeleton, move |address| {
                        answer(offered, card_skeleton, move |models| use_anywhere(&address, models.first().map_or("demo", |model| &model.name)))
                    })}
                </div>
                <section class="card flush">
                    <header><h2>"Models you may use"</h2></header>
                    <div class="body">{answer(offered, list_skeleton, |models| model_list(&models))}</div>
                </section>
            </div>
        </div>
        {new_key(make)}
    }
    .into_any()
}

/// The key that was just made: from the action with script, from the redirect without.
fn fresh_key(make: Deed) -> AnyView {
    const TOLD: &str = "This is the whole key, shown once: it is stored only as a hash. Copy it now.";
    let kept = ask(|| Shown {});
    view! {
        {move || make.made().map(|made: NewKey| secret("key", made.secret, TOLD))}
        {answer(kept, no_skeleton, |kept| kept.filter(|text| text.starts_with("cl_")).map(|text| secret("key", text, TOLD)).into_any())}
    }
    .into_any()
}

fn new_key(make: Deed) -> AnyView {
    let wrong = wrong(make);
    let body = view! {
        <Form deed=make>
            <div class="body stack">
                {form_problem(wrong, &["name"])}
                <Field label="Name" name="name" id="new-key-name".to_owned() placeholder="laptop" hint="Where you will use it, so that you know which one to revoke." wrong=wrong />
                <div class="field">
                    <label r#for="new-key-days">"Ends"</label>
                    <select class="input" id="new-key-days" name="days">
                        <option value="30">"After 30 days"</option>
                        <option value="90" selected=true>"After 90 days"</option>
                        <option value="365">"After a year"</option>
                        <option value="never">"Never"</option>
                    </select>
                </div>
                <div class="row end">{cancel("new-key")}{submit("Make the key", "btn primary", make.pending())}</div>
            </div>
        </Form>
    };
    dialog("new-key", "New key", body.into_any())
}

fn key_table(keys: &[KeyView], revoke: Deed) -> AnyView {
    if keys.is_empty() {
        return notice::empty("You have no key yet. A key lets your own programs use the models, within your limit.");
    }
    let rows = keys.iter().map(|key| {
        let mark = key.runtime_id.map(|_| view! { <span class="faint">" · runtime"</span> });
        let ends = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => view! { "Revoked "{time::time(at)} }.into_any(),
            (None, Some(at)) => time::time(at),
            (None, None) if key.runtime_id.is_some() => "With its runtime".into_any(),
            (None, None) => "Never".into_any(),
        };
        let may_revoke = key.revoked_at.is_none() && key.runtime_id.is_none();
        view! {
            <tr class:gone=key.revoked_at.is_some()>
                <td><b>{key.name.clone()}{mark}</b><br /><span class="mono faint">{key.hint.clone()}</span></td>
                <td class="muted">{time::time(key.created_at)}</td>
                <td class="muted">{time::time_or(key.last_used_at, "Not yet")}</td>
                <td class="muted">{ends}</td>
                <td class="right">{may_revoke.then(|| revoker(key, revoke))}</td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Name"</th><th>"Made"</th><th>"Last used"</th><th>"Ends"</th><th><span class="visually-hidden">"What can be done"</span></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
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

fn model_list(models: &[ModelView]) -> AnyView {
    if models.is_empty() {
        return notice::empty("No model is offered yet. Your administrator adds them under Models & providers.");
    }
    let rows = models.iter().map(|model| {
        let default = if model.is_default { " · default" } else { "" };
        let description = (!model.description.is_empty()).then(|| view! { <div class="tiny muted">{model.description.clone()}</div> });
        view! {
            <li>
                {badge(&model.name)}
                <div>
                    <b>{model.name.clone()}</b>
                    <div class="tiny faint">{model.provider.clone()}" · "{words::context(model.context_tokens)}" context"{default}</div>
                    {description}
                </div>
                <span class="aside num">{price(model)}</span>
            </li>
        }
    });
    view! {
        <ul class="list">{rows.collect_view()}</ul>
        <p class="tiny faint foot">"Prices for a million tokens."</p>
    }
    .into_any()
}

/// A model's price in words.
fn price(model: &ModelView) -> String {
    match model.price {
        None => "No price".to_owned(),
        Some(price) if price.input == Micros::ZERO && price.output == Micros::ZERO => "Free".to_owned(),
        Some(price) => format!("{} in · {} out", price.input, price.output),
    }
}

/// The same call in three languages, and the address. Radio buttons switch between the languages, without script too.
fn use_anywhere(address: &str, model: &str) -> AnyView {
    let python = format!(
        "from openai import OpenAI\n\nclient = OpenAI(base_url=\"{address}\", api_key=\"cl_live_…\")\nanswer = client.chat.completions.create(\n    model=\"{model}\",\n    messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}],\n)\nprint(answer.choices[0].message.content)"
    );
    let node = format!(
        "import OpenAI from \"openai\";\n\nconst client = new OpenAI({{ baseURL: \"{address}\", apiKey: \"cl_live_…\" }});\nconst answer = await client.chat.completions.create({{\n  model: \"{model}\",\n  messages: [{{ role: \"user\", content: \"Hello\" }}],\n}});\nconsole.log(answer.choices[0].message.content);"
    );
    let curl = format!(
        "curl {address}/chat/completions \\\n  -H \"Authorization: Bearer cl_live_…\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
    );
    let tabs = [("python", "Python", python), ("node", "Node", node), ("curl", "curl", curl)];
    let buttons = tabs.iter().enumerate().map(|(place, (id, name, _))| {
        view! { <label><input class="visually-hidden" r#type="radio" name="example" value=*id checked=place == 0 />{*name}</label> }
    });
    view! {
        <section class="card tabbed">
            <header>
                <h2>"Use it from anywhere"</h2>
                <span class="grow"></span>
                <div class="tabs" role="group" aria-label="Language">{buttons.collect_view()}</div>
            </header>
            <div class="body stack close">
                {tabs.iter().map(|(id, name, text)| view! { <pre class="log" data-tab=*id tabindex="0" aria-label=*name>{text.clone()}</pre> }).collect_view()}
                {copy_line("address", address.to_owned())}
            </div>
        </section>
    }
    .into_any()
}
