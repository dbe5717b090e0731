//! The pages, one a file. They know addresses and data; components know neither.

pub mod admin;
pub mod gone;
pub mod home;
pub mod invitation;
pub mod models;
pub mod open;
pub mod runtime;
mod runtime_log;
pub mod runtimes;
pub mod security;
pub mod setup;
pub mod shared;
pub mod sign_in;
pub mod usage;

use crate::{
    components::{icon::mark, notice},
    routes,
};
use contract::Problem;
use leptos::prelude::*;
use leptos_meta::Title;

/// The page for an address that is none of ours.
pub fn not_found() -> AnyView {
    #[cfg(feature = "ssr")]
    crate::request::set_page_status(404);
    door(
        "There is no such page",
        "The address may be mistyped, or what it named is gone.",
        view! { <a class="btn primary block" href=routes::HOME>"Go home"</a> }.into_any(),
    )
}

/// The page of a one-use link that does not work: what happened to it, and the way in for whoever has an account.
fn closed(problem: &Problem) -> AnyView {
    #[cfg(feature = "ssr")]
    crate::request::set_page_status(problem.code.status());
    let way = view! { <a class="btn primary block tall" href=routes::SIGN_IN>"Sign in"</a> };
    door(
        "This link does not open",
        "An account that is made already is signed in to with its password.",
        view! { {notice::problem(problem)}{way} }.into_any(),
    )
}

/// A page outside the frame: the mark, a title, a sentence, and one card.
fn door(title: &'static str, below: &'static str, card: AnyView) -> AnyView {
    view! {
        <Title text=title />
        <div class="center">
            <main class="door stack">
                <div class="head">{mark(44)}<h1>{title}</h1><p class="muted small">{below}</p></div>
                {card}
            </main>
        </div>
    }
    .into_any()
}
