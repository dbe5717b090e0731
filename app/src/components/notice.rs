//! What a person is told beside their work: problems first.

use super::icon::sized;
use crate::routes;
use contract::{Code, Problem};
use leptos::prelude::*;
use leptos_router::{components::Redirect, hooks::use_location};

/// A problem within a page: what happened, what to do, and its id for the administrator.
pub fn problem(problem: &Problem) -> AnyView {
    let id = (!problem.id.is_empty()).then(|| view! { <p class="tiny faint mono">"problem "{problem.id.clone()}" · give this to your administrator"</p> });
    let remedy = problem.remedy.clone().map(|remedy| view! { <p class="small">{remedy}</p> });
    view! {
        <div class="notice bad" role="alert" data-code=problem.code.as_str()>
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
    #[cfg(feature = "ssr")]
    crate::request::set_page_status(found.code.status());
    match found.code {
        Code::Unauthenticated => {
            let place = use_location();
            let to = format!("{}{}", place.pathname.get_untracked(), query(&place.search.get_untracked()));
            view! { <Redirect path=routes::sign_in(&to) /> }.into_any()
        }
        _ => view! { <div class="narrow stack">{problem(found)}</div> }.into_any(),
    }
}

/// What stands where there is nothing yet: one sentence.
pub fn empty(text: impl IntoView + 'static) -> AnyView {
    view! { <div class="empty muted small">{text.into_any()}</div> }.into_any()
}

fn query(search: &str) -> String {
    if search.is_empty() { String::new() } else { format!("?{search}") }
}
