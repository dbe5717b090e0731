//! Providers and the catalog.

use super::model_form;
use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, list_skeleton, no_skeleton},
        face::badge,
        form::{Field, Form, Press, Sure, cancel, close_when_done, dialog, form_problem, opener, press, submit, sure, wrong, wrongs},
        frame::top,
        icon::icon,
        notice,
        state::labelled,
        time,
    },
    deed::Deed,
    live::Live,
    server_fns::{
        groups::Groups,
        providers::{
            AddModel, AddProvider, AllModels, ChangeModel, DefaultModel, OfferedProviders, Providers, PublishModel, RemoveModel,
            RemoveProvider,
        },
    },
    words,
};
use contract::{CountedIn, GroupView, Micros, ModelView, OfferedProvider, ProviderKind, ProviderView};
use leptos::prelude::*;

/// The verbs on the catalog, made outside of what is drawn anew.
#[derive(Clone, Copy)]
pub struct Deeds {
    add_provider: Deed,
    remove_provider: Deed,
    /// Adds a model.
    pub add_model: Deed,
    /// Changes a model.
    pub change_model: Deed,
    publish: Deed,
    make_default: Deed,
    remove_model: Deed,
}

impl Deeds {
    fn new() -> Self {
        Self {
            add_provider: Deed::of::<AddProvider>(),
            remove_provider: Deed::of::<RemoveProvider>(),
            add_model: Deed::of::<AddModel>(),
            change_model: Deed::of::<ChangeModel>(),
            publish: Deed::of::<PublishModel>(),
            make_default: Deed::of::<DefaultModel>(),
            remove_model: Deed::of::<RemoveModel>(),
        }
    }

    fn all(self) -> [Deed; 7] {
        [self.add_provider, self.remove_provider, self.add_model, self.change_model, self.publish, self.make_default, self.remove_model]
    }

    /// Read in a question: it is asked anew after each deed, and when the catalog changed elsewhere.
    fn track(self, live: Live) {
        live.catalog.track();
        self.all().into_iter().for_each(|deed| {
            deed.done();
        });
    }
}

/// The page of models and providers.
pub fn page() -> AnyView {
    let live = Live::here();
    let deeds = Deeds::new();
    close_when_done(deeds.add_provider);
    close_when_done(deeds.remove_provider);
    close_when_done(deeds.add_model);
    close_when_done(deeds.change_model);
    let sources = ask(move || {
        deeds.track(live);
        Providers {}
    });
    let offered = ask(move || {
        deeds.track(live);
        OfferedProviders {}
    });
    let catalog = ask(move || {
        deeds.track(live);
        AllModels {}
    });
    let groups = ask(move || {
        live.catalog.track();
        Groups {}
    });
    let wrong = wrongs(deeds.all().map(wrong));
    view! {
        {top("Models & providers", (), ())}
        <div class="stack">
            {form_problem(wrong, &[])}
            <section class="card flush">
                <header><h2>"Providers"</h2><span class="grow"></span>{opener("add-provider", "btn", Some("plus"), "Add a provider")}</header>
                <div class="body">
                    {answer(groups, list_skeleton, move |groups| answer(sources, list_skeleton, move |sources| view! {
                        <ul class="list">{sources.iter().map(|source| provider_line(source, &groups, deeds)).collect_view()}</ul>
                    }.into_any()))}
                    {aside(offered, no_skeleton, move |offered| view! {
                        <ul class="list">{offered.iter().map(|one| offered_line(one, deeds)).collect_view()}</ul>
                    }.into_any())}
                </div>
            </section>
            <section class="card flush">
                <header><h2>"Models"</h2><span class="grow"></span><span class="tiny faint">"prices for a million tokens, where nothing else is said"</span></header>
                <div class="body scroll" tabindex="0" role="region" aria-label="Models">
                    {answer(groups, list_skeleton, move |groups| answer(catalog, list_skeleton, move |models| model_table(&models, &groups, deeds)))}
                </div>
            </section>
            {answer(catalog, no_skeleton, |models| models.iter().map(warnings).collect_view().into_any())}
        </div>
        {provider_dialog(deeds.add_provider)}
    }
    .into_any()
}

fn provider_line(provider: &ProviderView, groups: &[GroupView], deeds: Deeds) -> AnyView {
    let key = provider.secret_hint.as_ref().map(|hint| format!("Key ending in {hint}, "));
    let place = provider.base_url.as_ref().map(|url| format!("at {url}, "));
    let region = provider.region.as_ref().map(|region| format!("in {region}, "));
    let direct = provider.is_direct.then_some("called directly, ");
    let built_in = matches!(provider.kind, ProviderKind::Demo | ProviderKind::Local);
    let fields = vec![("provider_id", provider.provider_id.to_string())];
    let name = Some(format!("Remove {} now", provider.name));
    let ask = Sure {
        opener: icon("bin"),
        class: "btn quiet icon",
        name: Some(format!("Remove {}", provider.name)),
        lost: "Its models leave the catalog and stop answering. Usage records stay.",
    };
    let remove = Press { fields, label: "Remove now", name, icon: None, class: "btn danger block" };
    let verbs = (!built_in).then(|| sure(deeds.remove_provider, ask, remove));
    let add = (provider.kind != ProviderKind::Demo).then(|| model_form::adder(provider, groups, deeds));
    view! {
        <li>
            {badge(&provider.name)}
            <div>
                <b>{provider.name.clone()}</b>
                <div class="tiny faint">{provider.kind.label()}" · "{key}{place}{region}{direct}{words::plural(provider.models, "model")}", added "{time::time(provider.created_at)}</div>
            </div>
            <span class="aside row tight">{add}{verbs}</span>
        </li>
    }
    .into_any()
}

fn offered_line(offered: &OfferedProvider, deeds: Deeds) -> AnyView {
    let name = format!("{} on this machine", offered.kind.label());
    let fields = vec![
        ("kind", kind_word(offered.kind).to_owned()),
        ("name", name.clone()),
        ("base_url", offered.base_url.clone()),
        ("private", "on".to_owned()),
    ];
    view! {
        <li>
            {badge(&name)}
            <div><b>{name.clone()}</b><div class="tiny faint">"Found at "{offered.base_url.clone()}" with "{words::plural(offered.models.len() as i64, "model")}", not used yet"</div></div>
            <span class="aside row tight">
                {labelled("state stopped", "Offered")}
                {press(deeds.add_provider, Press { fields, label: "Use it", name: Some(format!("Use {name}")), icon: None, class: "btn" })}
            </span>
        </li>
    }
    .into_any()
}

/// A kind as the form sends it.
const fn kind_word(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Demo => "demo",
        ProviderKind::Local => "local",
        ProviderKind::OpenAi => "open_ai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Google => "google",
        ProviderKind::Azure => "azure",
        ProviderKind::Bedrock => "bedrock",
        ProviderKind::Mistral => "mistral",
        ProviderKind::OpenRouter => "open_router",
        ProviderKind::Ollama => "ollama",
        ProviderKind::OpenAiCompatible => "open_ai_compatible",
    }
}

fn provider_dialog(add: Deed) -> AnyView {
    let wrong = wrong(add);
    let kinds = ProviderKind::ADDABLE.iter().map(|kind| view! { <option value=kind_word(*kind)>{kind.label()}</option> }).collect_view();
    let body = view! {
        <Form deed=add>
            <div class="body stack">
                {form_problem(wrong, &["name", "base_url", "region", "secret"])}
                <div class="field">
                    <label r#for="provider-kind">"Kind"</label>
                    <select class="input" id="provider-kind" name="kind">{kinds}</select>
                </div>
                <Field label="Name" name="name" id="provider-name".to_owned() optional=true hint="What people see. The kind's own name when it is empty." wrong=wrong />
                <Field label="Key" name="secret" id="provider-secret".to_owned() kind="password" optional=true hint="Sealed before it is stored, and never shown again. Ollama needs none; Bedrock wants a Bedrock API key." wrong=wrong />
                <Field label="Address" name="base_url" id="provider-url".to_owned() kind="url" optional=true placeholder="http://10.0.4.12:8000/v1" hint="For Azure, Ollama and OpenAI-compatible servers." wrong=wrong />
                <label class="check"><input r#type="checkbox" name="private" />"It is on this machine or in your own network"</label>
                <Field label="Region" name="region" id="provider-region".to_owned() optional=true placeholder="eu-central-1" hint="For Amazon Bedrock." wrong=wrong />
                <label class="check"><input r#type="checkbox" name="direct" />"Call it directly, without LiteLLM"</label>
                <p class="hint">"Faster, for what speaks OpenAI's API itself, as vLLM and Ollama do. Responses and Anthropic's messages still go through LiteLLM, which translates."</p>
                <div class="row end">{cancel("add-provider")}{submit("Add the provider", "btn primary", add.pending())}</div>
            </div>
        </Form>
    };
    dialog("add-provider", "Add a provider", body.into_any())
}

fn model_table(models: &[ModelView], groups: &[GroupView], deeds: Deeds) -> AnyView {
    if models.is_empty() {
        return notice::empty("The catalog is empty. Add a provider, then its models.");
    }
    let rows = models.iter().map(|model| {
        let id = || ("model_id", model.model_id.to_string());
        let (label, name) = if model.published { ("Take off", "Take off {}") } else { ("Publish", "Publish {}") };
        let publish = Press {
            fields: vec![id(), ("published", (!model.published).to_string())],
            label,
            name: Some(name.replace("{}", &model.name)),
            icon: None,
            class: "btn quiet",
        };
        let default = Press { fields: vec![id()], label: "Make default", name: Some(format!("Make default: {}", model.name)), icon: None, class: "btn quiet" };
        let may_default = !model.is_default && model.published && model.price.is_some() && model.counted_in == CountedIn::Tokens;
        view! {
            <tr>
                <td>
                    <b>{model.name.clone()}</b>" "{model.is_default.then(|| view! { <span class="chip">"default"</span> })}
                    <br /><span class="mono faint">{model.provider.clone()}"/"{model.upstream.clone()}</span>
                </td>
                {prices(model)}
                <td class="right muted">{(model.counted_in == CountedIn::Tokens).then(|| words::context(model.context_tokens))}</td>
                <td>{offer(model, groups)}{health(model)}</td>
                <td class="right"><span class="row tight end nowrap">
                    {may_default.then(|| press(deeds.make_default, default))}
                    {press(deeds.publish, publish)}
                    {model_form::editor(model, groups, deeds)}
                    {press(deeds.remove_model, Press { fields: vec![id()], label: "", name: Some(format!("Remove {}", model.name)), icon: Some("bin"), class: "btn quiet icon" })}
                </span></td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Name"</th><th class="right">"In"</th><th class="right">"Out"</th><th class="right">"Context"</th><th>"State"</th><th><span class="visually-hidden">"What can be done"</span></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// What keeps calls from it.
fn warnings(model: &ModelView) -> AnyView {
    let name = || model.name.clone();
    let unpriced = model.price.is_none().then(|| {
        notice::warning(view! {
            <b>{name()}" has no price. "</b>"It is refused until you price it or mark it free, so that no limit is passed unseen."
        })
    });
    let unhealthy = model.unhealthy.as_ref().map(|seen| notice::warning(view! {
        <b>{name()}" fails. "</b>{format!("{}, first ", seen.said)}{time::time(seen.since)}". It is left alone until "{time::second(seen.until)}"; the first call after that tries whether it is well again."
    }));
    view! { {unpriced}{unhealthy} }.into_any()
}

/// Whether its provider is left alone, and what answers in its place.
fn health(model: &ModelView) -> AnyView {
    let unhealthy = model.unhealthy.as_ref().map(|seen| {
        view! { " "{labelled("state failed", "Failing")}<br /><span class="small faint">"tried again from "{time::second(seen.until)}</span> }
    });
    let fallbacks = (!model.fallbacks.is_empty())
        .then(|| view! { <br /><span class="small faint">{format!("then {}", model.fallbacks.join(", "))}</span> });
    view! { {unhealthy}{fallbacks} }.into_any()
}

/// Whether it is offered, and to whom.
fn offer(model: &ModelView, groups: &[GroupView]) -> AnyView {
    if !model.published {
        return labelled("state stopped", "Not published");
    }
    let Some(chosen) = &model.groups else {
        return labelled("state running", "Offered");
    };
    let names: Vec<&str> = groups.iter().filter(|group| chosen.contains(&group.group_id)).map(|group| group.name.as_str()).collect();
    if names.is_empty() {
        return labelled("state warned", "Offered to nobody");
    }
    view! { {labelled("state running", "Offered")}<br /><span class="small faint">{format!("to {}", names.join(", "))}</span> }.into_any()
}

fn prices(model: &ModelView) -> AnyView {
    let text = |price: Micros| if price == Micros::ZERO { "Free".to_owned() } else { price.to_string() };
    match model.price {
        Some(_) if model.counted_in != CountedIn::Tokens => view! { <td class="right" colspan="2">{words::price(model)}</td> }.into_any(),
        Some(price) => view! { <td class="right">{text(price.input)}</td><td class="right">{text(price.output)}</td> }.into_any(),
        None => view! { <td class="right warn-text">"No price"</td><td></td> }.into_any(),
    }
}
