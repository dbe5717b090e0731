//! Forms: real ones that post to a server function and redirect back, also without script.

use super::{icon::icon, notice};
use crate::{api::ApiError, browser};
use contract::Problem;
use leptos::{
    form::ActionForm,
    prelude::*,
    server_fn::{Http, ServerFn, client::Client, codec::PostUrl, request::ClientReq},
};
use serde::de::DeserializeOwned;
use web_sys::FormData;

/// What went wrong with a form, if anything did.
pub type Wrong = Signal<Option<Problem>>;

/// The problem of an action's last answer. Without script it came back in the address and also sets the page's status.
pub fn wrong<S, T>(action: ServerAction<S>) -> Wrong
where
    S: ServerFn<Output = T, Error = ApiError> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    let value = action.value();
    #[cfg(feature = "ssr")]
    value.with_untracked(|value| {
        if let Some(Err(ApiError(problem))) = value {
            crate::request::set_page_status(problem.code.status());
        }
    });
    Signal::derive(move || value.with(|value| value.as_ref().and_then(|answer| answer.as_ref().err().map(|error| error.0.clone()))))
}

/// The problems of several actions: the newest that has one.
pub fn wrongs<const N: usize>(all: [Wrong; N]) -> Wrong {
    Signal::derive(move || all.iter().find_map(|wrong| wrong.get()))
}

/// The problem of a form, where it does not belong to a field of it.
pub fn form_problem(wrong: Wrong, fields: &'static [&'static str]) -> AnyView {
    (move || {
        wrong
            .get()
            .filter(|problem| problem.field.as_deref().is_none_or(|field| !fields.contains(&field)))
            .map(|problem| notice::problem(&problem))
    })
    .into_any()
}

/// A labelled input with its hint and its problem.
#[component]
pub fn Field(
    /// The label.
    label: &'static str,
    /// The input's name, which is the server function's argument.
    name: &'static str,
    /// The input's id, unique on the page; its name where it is left out.
    #[prop(optional)]
    id: Option<String>,
    /// The input's type.
    #[prop(default = "text")]
    kind: &'static str,
    /// What stands in it at first.
    #[prop(optional, into)]
    value: String,
    /// What the browser may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// What stands in it, greyed, while it is empty.
    #[prop(optional, into)]
    placeholder: String,
    /// What helps to fill it in.
    #[prop(optional, into)]
    hint: String,
    /// Whether it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// Whether it has the focus at first.
    #[prop(optional)]
    focus: bool,
    /// What went wrong with the form.
    #[prop(optional, into)]
    wrong: Option<Wrong>,
) -> impl IntoView {
    let id = id.unwrap_or_else(|| format!("field-{name}"));
    let about = format!("{id}-about");
    let mine = Signal::derive(move || wrong.and_then(|wrong| wrong.get()).filter(|problem| problem.field.as_deref() == Some(name)));
    let has_about = !hint.is_empty();
    let described = {
        let about = about.clone();
        move || (has_about || mine.read().is_some()).then(|| about.clone())
    };
    view! {
        <div class="field">
            <label r#for=id.clone()>{label}</label>
            <input
                class="input"
                id=id
                name=name
                r#type=kind
                value=value
                autocomplete=autocomplete
                placeholder=placeholder
                required=!optional
                autofocus=focus
                spellcheck="false"
                aria-invalid=move || mine.read().is_some().then_some("true")
                aria-describedby=described
            />
            <p class="hint" id=about>
                {move || match mine.get() {
                    Some(problem) => view! { <span class="wrong" role="alert">{problem.message}</span> }.into_any(),
                    None => hint.clone().into_any(),
                }}
            </p>
        </div>
    }
    .into_any()
}

/// The button that sends a form; it waits while the form is under way.
pub fn submit(label: &'static str, class: &'static str, pending: Memo<bool>) -> AnyView {
    view! { <button class=class r#type="submit" aria-busy=move || pending.get().then_some("true") disabled=move || pending.get()>{label}</button> }.into_any()
}

/// A form that is one button: a verb on one thing.
pub struct Press {
    /// The hidden fields.
    pub fields: Vec<(&'static str, String)>,
    /// The verb.
    pub label: &'static str,
    /// The name for readers, where the verb alone does not tell: "Stop research".
    pub name: Option<String>,
    /// An icon before the verb.
    pub icon: Option<&'static str>,
    /// The look.
    pub class: &'static str,
}

/// A form that is one button.
pub fn press<S, O>(action: ServerAction<S>, press: Press) -> AnyView
where
    S: DeserializeOwned + ServerFn<Protocol = Http<PostUrl, O>> + Clone + Send + Sync + 'static,
    <<S::Client as Client<S::Error>>::Request as ClientReq<S::Error>>::FormData: From<FormData>,
    S::Output: Send + Sync + 'static,
    S::Error: Send + Sync + 'static,
    S::Client: Client<S::Error>,
    O: 'static,
{
    let pending = action.pending();
    let fields = press.fields.into_iter().map(|(name, value)| view! { <input r#type="hidden" name=name value=value /> }).collect_view();
    view! {
        <ActionForm action=action>
            {fields}
            <button class=press.class r#type="submit" aria-label=press.name disabled=move || pending.get()>
                {press.icon.map(icon)}
                {press.label}
            </button>
        </ActionForm>
    }
    .into_any()
}

/// A dialog with a title. Opened by `opener`, without script too: the browser does it.
pub fn dialog(id: &'static str, title: &'static str, body: AnyView) -> AnyView {
    dialog_of(id.to_owned(), title.to_owned(), body)
}

/// As `dialog`, for one of many.
pub fn dialog_of(id: String, title: String, body: AnyView) -> AnyView {
    let title_id = format!("{id}-title");
    let (of, by) = (id.clone(), title_id.clone());
    view! {
        <dialog id=of aria-labelledby=by>
            <header>
                <h2 id=title_id>{title}</h2>
                <span class="grow"></span>
                <button class="btn quiet icon" r#type="button" commandfor=id command="close" aria-label="Close">{icon("close")}</button>
            </header>
            {body}
        </dialog>
    }
    .into_any()
}

/// The button that opens a dialog.
pub fn opener(dialog: impl Into<String>, class: &'static str, icon_name: Option<&'static str>, label: &'static str) -> AnyView {
    view! { <button class=class r#type="button" commandfor=dialog.into() command="show-modal">{icon_name.map(icon)}{label}</button> }
        .into_any()
}

/// The button that closes a dialog and changes nothing.
pub fn cancel(dialog: impl Into<String>) -> AnyView {
    view! { <button class="btn quiet" r#type="button" commandfor=dialog.into() command="close">"Cancel"</button> }.into_any()
}

/// Closes the dialog that an action was asked from when it has succeeded. Belongs outside of what is drawn anew.
pub fn close_when_done<S, T>(action: ServerAction<S>)
where
    S: ServerFn<Output = T, Error = ApiError> + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    let value = action.value();
    Effect::new(move |_| {
        if value.with(|value| matches!(value, Some(Ok(_)))) {
            browser::close_dialogs();
        }
    });
}
