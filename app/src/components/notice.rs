//! What a person is told beside their work: problems first.

use super::icon::sized;
use crate::routes;
use contract::{Code, Problem};
use leptos::prelude::*;
#[cfg(not(feature = "ssr"))]
use leptos_router::components::Redirect;
use leptos_router::hooks::use_location;

/// A problem within a page: what happened, what to do, and its id for the administrator.
pub fn problem(problem: &Problem) -> AnyView {
    let id = (!problem.id.is_empty()).then(
        || view! { <p class="tiny faint">"Problem "<span class="mono">{problem.id.clone()}</span>" · give this to your administrator"</p> },
    );
    let remedy = problem.remedy.clone().map(|remedy| view! { <p class="small">{remedy}</p> });
    // What runs on, or ended as it was to, needs no alarm.
    let class = if matches!(problem.code, Code::RuntimeSlow | Code::RuntimeKilled) { "notice warn" } else { "notice bad" };
    view! {
        <div class=class role="alert" data-code=problem.code.as_str()>
            {sized("warn", 18)}
            <div class="grow"><b>{problem.message.clone()}</b>{remedy}{id}</div>
        </div>
    }
    .into_any()
}

/// Something to know.
pub fn info(text: impl IntoView + 'static) -> AnyView {
    view! { <div class="notice info">{sized("info", 18)}<div class="grow small">{text.into_any()}</div></div> }.into_any()
}

/// Something to look after.
pub fn warning(text: impl IntoView + 'static) -> AnyView {
    view! { <div class="notice warn">{sized("warn", 18)}<div class="grow small">{text.into_any()}</div></div> }.into_any()
}

/// A problem in place of a page or of a part of it. Whoever is signed out is sent to sign in.
pub fn instead(found: &Problem) -> AnyView {
    if found.code == Code::Unauthenticated {
        return sign_in_first();
    }
    #[cfg(feature = "ssr")]
    crate::request::set_page_status(found.code.status());
    let nothing_here = matches!(found.code.status(), 403 | 404);
    let leave = nothing_here.then(|| view! { <div class="row"><a class="btn" href=routes::HOME>{sized("home", 16)}"Go home"</a></div> });
    view! { <div class="narrow stack">{problem(found)}{leave}</div> }.into_any()
}

/// Sends whoever is signed out to sign in, and then back here.
pub fn sign_in_first() -> AnyView {
    let place = use_location();
    let search = place.search.get_untracked();
    let query = if search.is_empty() { String::new() } else { format!("?{search}") };
    let to = routes::sign_in(&format!("{}{query}", place.pathname.get_untracked()));
    #[cfg(feature = "ssr")]
    {
        crate::request::redirect_page(&to);
        ().into_any()
    }
    #[cfg(not(feature = "ssr"))]
    view! { <Redirect path=to /> }.into_any()
}

/// As `empty`, with the one button that changes it.
pub fn empty_with(text: impl IntoView + 'static, verb: AnyView) -> AnyView {
    view! { <div class="empty muted small stack close"><p>{text.into_any()}</p><div>{verb}</div></div> }.into_any()
}

/// What stands where there is nothing yet: one sentence.
pub fn empty(text: impl IntoView + 'static) -> AnyView {
    view! { <div class="empty muted small">{text.into_any()}</div> }.into_any()
}
