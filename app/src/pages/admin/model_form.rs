//! The dialogs that add a model of a provider to the catalog, and change one.

use super::models::Deeds;
use crate::{
    ask::ask,
    components::{
        answer::{aside, list_skeleton},
        form::{Field, Form, cancel, dialog_of, form_problem, opener, submit, wrong},
    },
    server_fns::providers::UpstreamModels,
    words,
};
use contract::{CountedIn, GroupId, GroupView, Micros, ModelView, Price, ProviderView};
use leptos::prelude::*;

/// The button and the dialog that add one of a provider's models. The provider is asked for its models when the dialog is first opened.
pub fn adder(provider: &ProviderView, groups: &[GroupView], deeds: Deeds) -> AnyView {
    let id = provider.provider_id;
    let dialog = format!("add-model-{id}");
    let listed = RwSignal::new(false);
    let list = format!("{dialog}-names");
    let names = move || {
        let list = list.clone();
        listed.get().then(|| {
            let asked = ask(move || UpstreamModels { provider_id: id });
            aside(asked, list_skeleton, move |names| {
                let told = format!("It answers, and has {}. Choose one below.", words::plural(names.len() as i64, "model"));
                let options = names.into_iter().map(|name| view! { <option value=name></option> }).collect_view();
                view! { <datalist id=list.clone()>{options}</datalist><p class="small ok">{told}</p> }.into_any()
            })
        })
    };
    let wrong = form_problem(wrong(deeds.add_model), &[]);
    let fields = fields(&dialog, None, groups);
    let cancel = cancel(dialog.clone());
    let body = view! {
        <Form deed=deeds.add_model>
            <div class="body stack">
                <input r#type="hidden" name="provider_id" value=id.to_string() />
                <div><button class="btn needs-script" r#type="button" on:click=move |_| listed.set(true)>"List its models"</button></div>
                {names}
                {wrong}
                {fields}
                <div class="row end">{cancel}{submit("Add the model", "btn primary", deeds.add_model.pending())}</div>
            </div>
        </Form>
    };
    let title = format!("Add a model of {}", provider.name);
    view! { {opener(dialog.clone(), "btn", Some("plus"), "Add a model")}{dialog_of(dialog, title, body.into_any())} }.into_any()
}

/// The button and the dialog that change a model: its name, its price, whether it is offered.
pub fn editor(model: &ModelView, groups: &[GroupView], deeds: Deeds) -> AnyView {
    let dialog = format!("change-model-{}", model.model_id);
    let id = model.model_id.to_string();
    let wrong = form_problem(wrong(deeds.change_model), &[]);
    let fields = fields(&dialog, Some(model), groups);
    let cancel = cancel(dialog.clone());
    let body = view! {
        <Form deed=deeds.change_model>
            <div class="body stack">
                <input r#type="hidden" name="model_id" value=id />
                {wrong}
                {fields}
                <div class="row end">{cancel}{submit("Save", "btn primary", deeds.change_model.pending())}</div>
            </div>
        </Form>
    };
    let label = if model.price.is_none() { "Set a price" } else { "Change" };
    let title = format!("Change {}", model.name);
    view! { {opener(dialog.clone(), "btn quiet", None, label)}{dialog_of(dialog, title, body.into_any())} }.into_any()
}

/// The fields of a model. Input names are those of the server function's `model` argument.
fn fields(dialog: &str, model: Option<&ModelView>, groups: &[GroupView]) -> AnyView {
    let id = |field: &str| format!("{dialog}-{field}");
    let text = |of: fn(&ModelView) -> String| model.map(of).unwrap_or_default();
    let price = model.and_then(|model| model.price);
    let counted_in = model.map_or(CountedIn::Tokens, |model| model.counted_in);
    let is_counted = counted_in == CountedIn::Tokens;
    let each = price.filter(|_| !is_counted).map(|price| counted_in.of_priced(price.input));
    let free = is_counted && price.is_some_and(|price| price == Price::FREE);
    let priced = price.filter(|_| is_counted && !free);
    let (pieces, each_id) = (id("pieces"), id("each"));
    let options = CountedIn::PIECES.iter().map(|piece| {
        view! { <option value=piece.code() selected=*piece == counted_in>{piece.priced_words()}</option> }
    });
    let dollars = |of: fn(Price) -> Micros| priced.map(of).map(typed).unwrap_or_default();
    let upstream = id("upstream");
    let (published, is_default) = model.map_or((true, false), |model| (model.published, model.is_default));
    view! {
        <div class="field">
            <label r#for=upstream.clone()>"The provider's name for it"</label>
            <input class="input" id=upstream name="model[upstream]" list=id("names") value=text(|model| model.upstream.clone()) required=true autocomplete="off" spellcheck="false" />
        </div>
        <Field label="Name that callers use" name="model[name]" id=id("name") value=text(|model| model.name.clone()) />
        <Field label="What it is" name="model[description]" id=id("description") value=text(|model| model.description.clone()) optional=true />
        <div class="row pair">
            <Field label="Tokens that fit" name="model[context_tokens]" id=id("context") value=model.map_or_else(|| "128000".to_owned(), |model| model.context_tokens.to_string()) />
            <Field label="Answered at most" name="model[output_tokens]" id=id("output-tokens") value=model.map_or_else(|| "8000".to_owned(), |model| model.output_tokens.to_string()) />
        </div>
        <fieldset class="stack close">
            <legend class="label">"Price"</legend>
            <label class="check"><input r#type="radio" name="model[pricing]" value="priced" checked=priced.is_some() || model.is_none() />"Dollars for a million tokens"</label>
            <div class="row pair indent">
                <Field label="Sent" name="model[input]" id=id("input") value=dollars(|price| price.input) placeholder="3" optional=true />
                <Field label="Sent, cached" name="model[cached_input]" id=id("cached") value=dollars(|price| price.cached_input) placeholder="0.30" optional=true />
                <Field label="Answered" name="model[output]" id=id("output") value=dollars(|price| price.output) placeholder="15" optional=true />
            </div>
            <label class="check"><input r#type="radio" name="model[pricing]" value="pieces" checked=each.is_some() />"Dollars for a picture, for a minute of audio, or for characters that are spoken"</label>
            <div class="row pair indent">
                <Field label="Price" name="model[each]" id=each_id value=each.map(typed).unwrap_or_default() placeholder="0.04" optional=true />
                <div class="field long">
                    <label r#for=pieces.clone()>"For"</label>
                    <select class="input" id=pieces name="model[counted_in]">{options.collect_view()}</select>
                </div>
            </div>
            <p class="hint indent">"Of pictures whose price depends on size and quality, the highest: every picture is counted at it. Models that report tokens are priced by tokens."</p>
            <label class="check"><input r#type="radio" name="model[pricing]" value="free" checked=free />"Free"</label>
            <label class="check"><input r#type="radio" name="model[pricing]" value="none" checked=model.is_some() && price.is_none() />"No price yet: it is refused"</label>
        </fieldset>
        <label class="check"><input r#type="checkbox" name="model[published]" checked=published />"Offer it to people"</label>
        {audience(model.and_then(|model| model.groups.as_deref()), groups)}
        <label class="check"><input r#type="checkbox" name="model[is_default]" checked=is_default />"New runtimes take it"</label>
        <Field label="Fallbacks" name="model[fallbacks]" id=id("fallbacks") value=text(|model| model.fallbacks.join(", ")) optional=true placeholder="gpt-mini, qwen-local" hint="At most three models that answer when it does not, in this order. Each is counted at its own price." />
    }
    .into_any()
}

/// To whom it is offered; nothing to choose where there is no group, unless it is kept for groups that are gone.
fn audience(chosen: Option<&[GroupId]>, groups: &[GroupView]) -> AnyView {
    if groups.is_empty() && chosen.is_none() {
        return ().into_any();
    }
    let boxes = groups.iter().map(|group| {
        let checked = chosen.is_some_and(|chosen| chosen.contains(&group.group_id));
        view! { <label class="check"><input r#type="checkbox" name="model[group][]" value=group.group_id.to_string() checked=checked />{group.name.clone()}</label> }
    });
    view! {
        <fieldset class="stack close">
            <legend class="label">"To whom"</legend>
            <label class="check"><input r#type="radio" name="model[groups]" value="everyone" checked=chosen.is_none() />"Everyone"</label>
            <label class="check"><input r#type="radio" name="model[groups]" value="chosen" checked=chosen.is_some() />"Only these groups"</label>
            <div class="stack close indent">{boxes.collect_view()}</div>
        </fieldset>
    }
    .into_any()
}

/// An amount as a person types it, without the sign.
fn typed(amount: Micros) -> String {
    let (dollars, rest) = (amount.0 / 1_000_000, amount.0 % 1_000_000);
    if rest == 0 { dollars.to_string() } else { format!("{dollars}.{rest:06}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Micros, typed};

    #[test]
    fn an_amount_is_typed_as_it_is_read() {
        for (micros, text) in [(3_000_000, "3"), (250_000, "0.25"), (1, "0.000001"), (12_500_000, "12.5")] {
            assert_eq!(typed(Micros(micros)), text);
            assert_eq!(Micros::parse(text), Some(Micros(micros)));
        }
    }
}
