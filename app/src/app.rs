//! The routes.

use crate::{
    browser::Clock,
    components::frame::Frame,
    live::Live,
    pages,
    part::{Admin, Own, Page},
};
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};

/// The whole app. Every page is rendered to its end on the server, so that it stands without script and with the right status.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(Clock::new());
    provide_context(Live::new());
    view! {
        <Title formatter=|title: String| if title.is_empty() { "ClawLoops".to_owned() } else { format!("{title} · ClawLoops") } />
        <Router>
            <Routes fallback=pages::not_found>
                <Route path=path!("/sign-in") view=Page::SignIn ssr=SsrMode::Async />
                <Route path=path!("/setup/:token") view=Page::Setup ssr=SsrMode::Async />
                <Route path=path!("/invitation/:token") view=Page::Invitation ssr=SsrMode::Async />
                <Route path=path!("/runtimes/:id/open") view=Page::Own(Own::Open) ssr=SsrMode::Async />
                <Route path=path!("/shared/:id") view=Page::Own(Own::Shared) ssr=SsrMode::Async />
                <ParentRoute path=path!("") view=Frame ssr=SsrMode::Async>
                    <Route path=path!("") view=Page::Home ssr=SsrMode::Async />
                    <Route path=path!("/runtimes") view=Page::Own(Own::Runtimes) ssr=SsrMode::Async />
                    <Route path=path!("/runtimes/:id") view=Page::Own(Own::Runtime) ssr=SsrMode::Async />
                    <Route path=path!("/models") view=Page::Own(Own::Models) ssr=SsrMode::Async />
                    <Route path=path!("/usage") view=Page::Own(Own::Usage) ssr=SsrMode::Async />
                    <Route path=path!("/security") view=Page::Own(Own::Security) ssr=SsrMode::Async />
                    <Route path=path!("/admin") view=Page::Admin(Admin::Overview) ssr=SsrMode::Async />
                    <Route path=path!("/admin/people") view=Page::Admin(Admin::People) ssr=SsrMode::Async />
                    <Route path=path!("/admin/people/:id") view=Page::Admin(Admin::Person) ssr=SsrMode::Async />
                    <Route path=path!("/admin/groups") view=Page::Admin(Admin::Groups) ssr=SsrMode::Async />
                    <Route path=path!("/admin/runtimes") view=Page::Admin(Admin::Runtimes) ssr=SsrMode::Async />
                    <Route path=path!("/admin/profiles") view=Page::Admin(Admin::Profiles) ssr=SsrMode::Async />
                    <Route path=path!("/admin/models") view=Page::Admin(Admin::Models) ssr=SsrMode::Async />
                    <Route path=path!("/admin/budgets") view=Page::Admin(Admin::Budgets) ssr=SsrMode::Async />
                    <Route path=path!("/admin/requests") view=Page::Admin(Admin::Requests) ssr=SsrMode::Async />
                    <Route path=path!("/admin/usage") view=Page::Admin(Admin::Usage) ssr=SsrMode::Async />
                    <Route path=path!("/admin/audit") view=Page::Admin(Admin::Audit) ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
    .into_any()
}
