//! The routes.

use crate::{
    browser::Clock,
    components::frame::Frame,
    live::Live,
    pages::{self, admin},
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
                <Route path=path!("/sign-in") view=pages::sign_in::page ssr=SsrMode::Async />
                <Route path=path!("/setup/:token") view=pages::setup::page ssr=SsrMode::Async />
                <Route path=path!("/invitation/:token") view=pages::invitation::page ssr=SsrMode::Async />
                <Route path=path!("/runtimes/:id/open") view=pages::open::page ssr=SsrMode::Async />
                <Route path=path!("/shared/:id") view=pages::shared::page ssr=SsrMode::Async />
                <ParentRoute path=path!("") view=Frame ssr=SsrMode::Async>
                    <Route path=path!("") view=pages::home::page ssr=SsrMode::Async />
                    <Route path=path!("/runtimes") view=pages::runtimes::page ssr=SsrMode::Async />
                    <Route path=path!("/runtimes/:id") view=pages::runtime::page ssr=SsrMode::Async />
                    <Route path=path!("/models") view=pages::models::page ssr=SsrMode::Async />
                    <Route path=path!("/usage") view=pages::usage::page ssr=SsrMode::Async />
                    <Route path=path!("/security") view=pages::security::page ssr=SsrMode::Async />
                    <Route path=path!("/admin") view=admin::overview::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/people") view=admin::people::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/people/:id") view=admin::person::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/groups") view=admin::groups::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/runtimes") view=admin::runtimes::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/profiles") view=admin::profiles::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/models") view=admin::models::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/budgets") view=admin::budgets::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/requests") view=admin::requests::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/usage") view=admin::usage::page ssr=SsrMode::Async />
                    <Route path=path!("/admin/audit") view=admin::audit::page ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
    .into_any()
}
