//! Forms: real ones that post to a server function and redirect back, also without script.

use super::{icon::icon, notice};
use crate::{browser, deed::Deed};
use contract::Problem;
use leptos::{ev::SubmitEvent, prelude::*};

/// What went wrong with a form, if anything did.
pub type Wrong = Signal<Option<Problem>>;

/// The problem of a deed's last post.
pub fn wrong(deed: Deed) -> Wrong {
    Signal::derive(move || deed.problem())
}

/// A form that posts to a deed. Without script the browser posts it, and the server leads back here.
#[component]
pub fn Form(
    /// What it asks for.
    deed: Deed,
    /// Its id, where fields outside of it belong to it.
    #[prop(optional)]
    id: Option<&'static str>,
    /// Its look.
    #[prop(optional)]
    class: Option<&'static str>,
    /// Its name for readers.
    #[prop(optional)]
    label: Option<&'static str>,
    /// What stands in it.
    children: Children,
) -> impl IntoView {
    let send = move |event: SubmitEvent| {
        if event.default_prevented() {
            return;
        }
        event.prevent_default();
        if let Some(fields) = browser::fields(&event) {
            deed.post(fields);
        }
    };
    view! { <form id=id action=deed.path() method="post" class=class aria-label=label on:submit=send>{children()}</form> }.into_any()
}

/// The problems of several deeds: the newest that has one.
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
            {move || match mine.get() {
                Some(problem) => Some(view! { <p class="hint wrong" id=about.clone() role="alert">{problem.message}</p> }.into_any()),
                None => has_about.then(|| view! { <p class="hint" id=about.clone()>{hint.clone()}</p> }.into_any()),
            }}
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
pub fn press(deed: Deed, press: Press) -> AnyView {
    let pending = deed.pending();
    let fields = press.fields.into_iter().map(|(name, value)| view! { <input r#type="hidden" name=name value=value /> }).collect_view();
    view! {
        <Form deed=deed>
            {fields}
            <button class=press.class r#type="submit" aria-label=press.name disabled=move || pending.get()>
                {press.icon.map(icon)}
                {press.label}
            </button>
        </Form>
    }
    .into_any()
}

/// A button that asks once more: what is lost is said first, and the second press is the verb.
pub struct Sure {
    /// What the first button shows.
    pub opener: AnyView,
    /// Its look.
    pub class: &'static str,
    /// Its name for readers, where what it shows does not tell.
    pub name: Option<String>,
    /// What is lost.
    pub lost: &'static str,
}

/// A button that asks once more before `press`.
pub fn sure(deed: Deed, sure: Sure, verb: Press) -> AnyView {
    view! {
        <details class="sure">
            <summary class=sure.class aria-label=sure.name>{sure.opener}</summary>
            <div class="card"><div class="body stack close">
                <p class="small">{sure.lost}</p>
                {press(deed, verb)}
            </div></div>
        </details>
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

/// Closes the dialog that a deed was asked from when it has succeeded. Belongs outside of what is drawn anew.
pub fn close_when_done(deed: Deed) {
    Effect::new(move |_| {
        if deed.succeeded() {
            browser::close_dialogs();
        }
    });
}
