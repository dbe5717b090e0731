//! The frame of every signed-in page: the side bar, on a phone the bar below, and who is signed in.

use super::{
    answer::{answer_or, no_skeleton, page_skeleton},
    face::face,
    form::{Press, press},
    icon::{mark, sized},
    notice,
};
use crate::{
    ask::{Asked, ask},
    browser,
    deed::Deed,
    live::Live,
    routes,
    server_fns::{
        accounts::{self, SignOut},
        runtimes,
        usage::WaitingRequests,
    },
};
use contract::{Caller, Problem, RuntimeView};
use leptos::prelude::*;
use leptos_router::{components::Outlet, hooks::use_location};
use std::time::Duration;

/// Who is signed in, for the pages within the frame. Changes when they change their profile.
#[derive(Clone, Copy)]
pub struct Me(RwSignal<Caller>);

impl Me {
    /// Who is signed in now.
    pub fn caller(self) -> Caller {
        self.0.get_untracked()
    }

    /// Their name; tracks it.
    pub fn name(self) -> String {
        self.0.read().name.clone()
    }

    /// Their time zone (IANA).
    pub fn time_zone(self) -> String {
        self.0.read_untracked().time_zone.clone()
    }

    /// Takes the profile as it was saved.
    pub fn becomes(self, caller: Caller) {
        self.0.set(caller);
    }
}

/// The caller's runtimes, always fresh, for the pages within the frame.
#[derive(Clone, Copy)]
pub struct MyRuntimes(pub Asked<Vec<RuntimeView>>);

/// The path of the present page.
type Path = Memo<String>;

/// The frame. Whoever is signed out is sent to sign in and comes back.
#[component]
pub fn Frame() -> impl IntoView {
    let path = use_location().pathname;
    let draw = move |caller| match caller {
        Some(caller) => signed_in(caller, path),
        None => notice::sign_in_first(),
    };
    answer_or(ask(|| accounts::Me {}), || view! { <div class="page">{page_skeleton()}</div> }.into_any(), draw, frameless)
}

fn frameless(problem: &Problem) -> AnyView {
    view! { <main class="page">{notice::instead(problem)}</main> }.into_any()
}

fn signed_in(caller: Caller, path: Path) -> AnyView {
    let live = Live::here();
    live.listen();
    let runtimes = ask(move || {
        live.runtimes.track();
        runtimes::MyRuntimes {}
    });
    // Changes are told by the event stream; while a runtime moves, ask as well, so that a cut stream is not noticed.
    Effect::new(move |_| {
        if runtimes.now().is_some_and(|all| all.iter().any(|runtime| runtime.phase.is_moving())) {
            browser::every(Duration::from_secs(3), move || runtimes.again());
        }
    });
    let administers = caller.is_administrator();
    let waiting = administers.then(|| {
        ask(move || {
            live.usage.track();
            WaitingRequests {}
        })
    });
    let role = if administers { "Administrator" } else { "Person" };
    let me = Me(RwSignal::new(caller));
    provide_context(me);
    provide_context(MyRuntimes(runtimes));
    let sign_out = Deed::of::<SignOut>();
    let leave =
        move |class| press(sign_out, Press { fields: vec![], label: "", name: Some("Sign out".to_owned()), icon: Some("leave"), class });
    view! {
        <a class="skip" href="#content">"Skip to the content"</a>
        <header class="phone-top">
            <a href=routes::HOME class="brand">{mark(26)}"ClawLoops"</a>
            <span class="grow"></span>
            <button class="btn quiet icon" r#type="button" popovertarget="menu" aria-label="Menu">{sized("menu", 18)}</button>
            <nav id="menu" popover="auto" aria-label="More">
                {place(routes::SECURITY, "shield", "Security", path)}
                {waiting.map(|waiting| administration(path, waiting))}
                <div class="who">{move || face(&me.name())}<span class="small grow"><b>{move || me.name()}</b></span>{leave("btn quiet icon")}</div>
            </nav>
        </header>
        <div class="frame">
            <nav class="side" aria-label="Main">
                <a href=routes::HOME class="brand">{mark(26)}"ClawLoops"</a>
                {place(routes::HOME, "home", "Home", path)}
                {counted(runtimes, path)}
                {place(routes::MODELS, "key", "Models & keys", path)}
                {place(routes::USAGE, "usage", "Usage", path)}
                {waiting.map(|waiting| administration(path, waiting))}
                <div class="end"></div>
                {place(routes::SECURITY, "shield", "Security", path)}
                <div class="who">
                    {move || face(&me.name())}
                    <span class="small grow"><b>{move || me.name()}</b><br /><span class="faint tiny">{role}</span></span>
                    {leave("btn quiet icon")}
                </div>
            </nav>
            <main class="page" id="content"><Outlet /></main>
        </div>
        <nav class="phone-bar" aria-label="Main">
            {place(routes::HOME, "home", "Home", path)}
            {place(routes::RUNTIMES, "runtime", "Runtimes", path)}
            {place(routes::MODELS, "key", "Keys", path)}
            {place(routes::USAGE, "usage", "Usage", path)}
        </nav>
    }
    .into_any()
}

fn administration(path: Path, waiting: Asked<i64>) -> AnyView {
    let count = answer_or(
        waiting,
        no_skeleton,
        |waiting: i64| {
            (waiting > 0)
                .then(|| view! { <span class="count hot">{waiting}<span class="visually-hidden">" waiting for an answer"</span></span> })
                .into_any()
        },
        |_| ().into_any(),
    );
    view! {
        <div class="group">"Administration"</div>
        {place(routes::ADMIN, "grid", "Overview", path)}
        {place(routes::ADMIN_PEOPLE, "people", "People", path)}
        {place(routes::ADMIN_GROUPS, "groups", "Groups", path)}
        {place(routes::ADMIN_RUNTIMES, "rack", "All runtimes", path)}
        {place(routes::ADMIN_PROFILES, "layers", "Profiles", path)}
        {place(routes::ADMIN_MODELS, "box", "Models & providers", path)}
        {place(routes::ADMIN_BUDGETS, "gauge", "Budgets", path)}
        {place_with(routes::ADMIN_REQUESTS, "ask", "Requests for more", path, count)}
        {place(routes::ADMIN_USAGE, "money", "Everyone's usage", path)}
        {place(routes::ADMIN_AUDIT, "page", "Audit", path)}
    }
    .into_any()
}

fn place(href: &'static str, icon: &'static str, name: &'static str, path: Path) -> AnyView {
    place_with(href, icon, name, path, ().into_any())
}

/// A place and what stands behind its name. It is the present one also where the page lies below it.
fn place_with(href: &'static str, icon: &'static str, name: &'static str, path: Path, behind: AnyView) -> AnyView {
    let here = move || routes::leads(href, &path.read()).then_some("page");
    view! { <a href=href aria-current=here>{sized(icon, 17)}{name}{behind}</a> }.into_any()
}

fn counted(runtimes: Asked<Vec<RuntimeView>>, path: Path) -> AnyView {
    let count = answer_or(
        runtimes,
        no_skeleton,
        |all| (!all.is_empty()).then(|| view! { <span class="count">{all.len()}</span> }).into_any(),
        |_| ().into_any(),
    );
    place_with(routes::RUNTIMES, "runtime", "Runtimes", path, count)
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
