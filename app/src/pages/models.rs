//! The catalog, one's keys, and how to use both from anywhere.

use crate::{
    ask::ask,
    components::{
        answer::{answer, card_skeleton, list_skeleton},
        examples::use_anywhere,
        face::badge,
        form::{close_when_done, form_problem, wrong, wrongs},
        frame::top,
        keys::{self, KeyDeeds},
        notice,
    },
    live::Live,
    server_fns::models::{Catalog, Keys, ModelAddress, Shown},
    words,
};
use contract::{CountedIn, ModelView};
use leptos::prelude::*;

/// The page of models and keys.
pub fn page() -> AnyView {
    let live = Live::here();
    let deeds = KeyDeeds::new();
    deeds.all().into_iter().for_each(close_when_done);
    let mine = ask(move || {
        live.keys.track();
        deeds.done();
        Keys {}
    });
    let offered = ask(move || {
        live.catalog.track();
        Catalog {}
    });
    let address = ask(|| ModelAddress {});
    let kept = ask(|| Shown {});
    view! {
        {top("Models & keys", (), ())}
        <div class="stack">
            {form_problem(wrongs(deeds.all().map(wrong)), &[])}
            {keys::fresh(deeds, kept)}
            <div class="split">
                <div class="stack">
                    <section class="card flush">
                        <header><h2>"Your keys"</h2><span class="grow"></span>{keys::new_key_opener()}</header>
                        <div class="body scroll" tabindex="0" role="region" aria-label="Your keys">{answer(mine, list_skeleton, move |mine| keys::table(&mine, deeds))}</div>
                    </section>
                    {answer(address, card_skeleton, move |address| {
                        answer(offered, card_skeleton, move |models| use_anywhere(&address, models.iter().find(|model| model.counted_in == CountedIn::Tokens)))
                    })}
                </div>
                <section class="card flush">
                    <header><h2>"Models you may use"</h2></header>
                    <div class="body">{answer(offered, list_skeleton, |models| model_list(&models))}</div>
                </section>
            </div>
        </div>
        {keys::new_key(deeds, offered)}
    }
    .into_any()
}

fn model_list(models: &[ModelView]) -> AnyView {
    if models.is_empty() {
        return notice::empty("No model is offered yet. Your administrator adds them under Models & providers.");
    }
    let rows = models.iter().map(|model| {
        let context = match model.counted_in {
            CountedIn::Tokens => format!(" · {} context", words::context(model.context_tokens)),
            CountedIn::Images => " · pictures".to_owned(),
            CountedIn::Seconds => " · speech to text".to_owned(),
            CountedIn::Characters => " · text to speech".to_owned(),
        };
        let default = if model.is_default { " · default" } else { "" };
        let description = (!model.description.is_empty()).then(|| view! { <div class="tiny muted">{model.description.clone()}</div> });
        view! {
            <li>
                {badge(&model.name)}
                <div>
                    <b>{model.name.clone()}</b>
                    <div class="tiny faint">{model.provider.clone()}{context}{default}</div>
                    {description}
                </div>
                <span class="aside num">{words::price(model)}</span>
            </li>
        }
    });
    view! {
        <ul class="list">{rows.collect_view()}</ul>
        <p class="tiny faint foot">"Prices for a million tokens, where nothing else is said."</p>
    }
    .into_any()
}
