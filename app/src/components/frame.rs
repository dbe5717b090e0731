//! The frame of every signed-in page: the side bar, on a phone the bar below, and who is signed in.

use super::{
    answer::page_skeleton,
    face::face,
    form::{Press, press},
    icon::{mark, sized},
    notice,
};
use crate::{
    api::Answered,
    browser,
    live::Live,
    routes,
    server_fns::{
        accounts::{SignOut, me},
        runtimes::my_runtimes,
    },
};
use contract::{Caller, RuntimeView};
use leptos::prelude::*;
use leptos_router::components::{A, Outlet};
use std::time::Duration;

/// Who is signed in, for the pages within the frame.
#[derive(Clone)]
pub struct Me(pub Caller);

/// The caller's runtimes, always fresh, for the pages within the frame.
#[derive(Clone, Copy)]
pub struct MyRuntimes(pub Resource<Answered<Vec<RuntimeView>>>);

/// The frame. Whoever is signed out is sent to sign in and comes back.
#[component]
pub fn Frame() -> impl IntoView {
    let caller = Resource::new(|| (), |()| me());
    view! {
        <Transition fallback=|| view! { <div class="page">{page_skeleton()}</div> }>
            {move || Suspend::new(async move {
                match caller.await {
                    Ok(Some(caller)) => signed_in(caller),
                    Ok(None) => notice::sign_in_first(),
                    Err(error) => view! { <main class="page">{notice::instead(&error.0)}</main> }.into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

fn signed_in(caller: Caller) -> AnyView {
    let live = Live::here();
    live.listen();
    let runtimes = Resource::new(move || live.runtimes.get(), |_| my_runtimes());
    // Changes are told by the event stream; while a runtime moves, ask as well, so that a cut stream is not noticed.
    Effect::new(move |_| {
        if runtimes.with(|all| matches!(all, Some(Ok(all)) if all.iter().any(|runtime| runtime.phase.is_moving()))) {
            browser::every(Duration::from_secs(3), move || runtimes.refetch());
        }
    });
    provide_context(Me(caller.clone()));
    provide_context(MyRuntimes(runtimes));
    let sign_out = ServerAction::<SignOut>::new();
    let leave =
        move |class| press(sign_out, Press { fields: vec![], label: "", name: Some("Sign out".to_owned()), icon: Some("leave"), class });
    let administers = caller.is_administrator();
    let role = if administers { "Administrator" } else { "Person" };
    view! {
        <a class="skip" href="#content">"Skip to the content"</a>
        <header class="phone-top">
            <A href=routes::HOME attr:class="brand">{mark(26)}"ClawLoops"</A>
            <span class="grow"></span>
            <button class="btn quiet icon" r#type="button" popovertarget="menu" aria-label="Menu">{sized("menu", 18)}</button>
            <nav id="menu" popover="auto" aria-label="More">
                {place(routes::SECURITY, "shield", "Security", false)}
                {administers.then(administration)}
                <div class="who">{face(&caller.name)}<span class="small grow"><b>{caller.name.clone()}</b></span>{leave("btn quiet icon")}</div>
            </nav>
        </header>
        <div class="frame">
            <nav class="side" aria-label="Main">
                <A href=routes::HOME attr:class="brand">{mark(26)}"ClawLoops"</A>
                {place(routes::HOME, "home", "Home", true)}
                {counted(runtimes)}
                {place(routes::MODELS, "key", "Models & keys", false)}
                {place(routes::USAGE, "usage", "Usage", false)}
                {administers.then(administration)}
                <div class="end"></div>
                {place(routes::SECURITY, "shield", "Security", false)}
                <div class="who">
                    {face(&caller.name)}
                    <span class="small grow"><b>{caller.name.clone()}</b><br /><span class="faint tiny">{role}</span></span>
                    {leave("btn quiet icon")}
                </div>
            </nav>
            <main class="page" id="content"><Outlet /></main>
        </div>
        <nav class="phone-bar" aria-label="Main">
            {place(routes::HOME, "home", "Home", true)}
            {place(routes::RUNTIMES, "runtime", "Runtimes", false)}
            {place(routes::MODELS, "key", "Keys", false)}
            {place(routes::USAGE, "usage", "Usage", false)}
        </nav>
    }
    .into_any()
}

fn administration() -> AnyView {
    view! {
        <div class="group">"Administration"</div>
        {place(routes::ADMIN, "grid", "Overview", true)}
        {place(routes::ADMIN_PEOPLE, "people", "People", false)}
        {place(routes::ADMIN_RUNTIMES, "runtime", "All runtimes", false)}
        {place(routes::ADMIN_MODELS, "box", "Models & providers", false)}
        {place(routes::ADMIN_USAGE, "money", "Everyone's usage", false)}
        {place(routes::ADMIN_AUDIT, "page", "Audit", false)}
    }
    .into_any()
}

fn place(href: &'static str, icon: &'static str, name: &'static str, exact: bool) -> AnyView {
    view! { <A href=href exact=exact>{sized(icon, 17)}{name}</A> }.into_any()
}

fn counted(runtimes: Resource<Answered<Vec<RuntimeView>>>) -> AnyView {
    view! {
        <A href=routes::RUNTIMES>
            {sized("runtime", 17)}
            "Runtimes"
            <Transition fallback=|| ()>
                {move || Suspend::new(async move {
                    runtimes.await.ok().filter(|all| !all.is_empty()).map(|all| view! { <span class="count">{all.len()}</span> })
                })}
            </Transition>
        </A>
    }
    .into_any()
}

/// The head of a page: its title, what stands below it, and what can be done.
pub fn top(title: impl Into<String>, below: impl IntoView + 'static, verbs: impl IntoView + 'static) -> AnyView {
    let title = title.into();
    view! {
        <leptos_meta::Title text=title.clone() />
        <div class="top">
            <div><h1>{title}</h1>{below.into_any()}</div>
            <span class="grow"></span>
            {verbs.into_any()}
        </div>
    }
    .into_any()
}
