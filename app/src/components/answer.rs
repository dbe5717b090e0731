//! A part of a page that waits for an answer: a skeleton first, then the part, or the problem in its place.

use super::notice;
use crate::{
    api::Answered,
    ask::{Answers, Asked, Json},
};
use contract::Problem;
use leptos::prelude::*;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Shows `part` with the answer, and again with each newer one; meanwhile the older one stays.
pub fn answer<T>(asked: Asked<T>, skeleton: fn() -> AnyView, part: impl Fn(T) -> AnyView + Send + Sync + 'static) -> AnyView
where
    T: DeserializeOwned + 'static,
{
    answer_or(asked, skeleton, part, notice::instead)
}

/// As `answer`, for what a page can do without: a problem is shown in its place and the page's status stays.
pub fn aside<T>(asked: Asked<T>, skeleton: fn() -> AnyView, part: impl Fn(T) -> AnyView + Send + Sync + 'static) -> AnyView
where
    T: DeserializeOwned + 'static,
{
    answer_or(asked, skeleton, part, notice::problem)
}

/// As `answer`, with what stands there instead when there is a problem.
pub fn answer_or<T>(
    asked: Asked<T>,
    skeleton: fn() -> AnyView,
    part: impl Fn(T) -> AnyView + Send + Sync + 'static,
    instead: fn(&Problem) -> AnyView,
) -> AnyView
where
    T: DeserializeOwned + 'static,
{
    drawn(asked.answers(), skeleton, Arc::new(move |json: &Json| json.read().map(&part)), instead)
}

/// What an answer is drawn as, whatever its kind: the page holds one copy of all that waits.
type Part = Arc<dyn Fn(&Json) -> Answered<AnyView> + Send + Sync>;

fn drawn(answers: Answers, skeleton: fn() -> AnyView, part: Part, instead: fn(&Problem) -> AnyView) -> AnyView {
    view! {
        <Transition fallback=skeleton>
            {move || {
                let part = part.clone();
                Suspend::new(async move {
                    match answers.await.and_then(|json| part(&json)) {
                        Ok(view) => view,
                        Err(error) => instead(&error.0),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}

/// Loads the page anew every two seconds while something moves, where there is no script to do better.
pub fn reload_without_script(moving: bool) -> AnyView {
    // As text: an element that a script puts into `noscript` takes effect, and the page would load anew under the person's hands.
    moving.then(|| view! { <noscript inner_html=r#"<meta http-equiv="refresh" content="2">"#></noscript> }).into_any()
}

/// Bars of the height of a card with a few lines.
pub fn card_skeleton() -> AnyView {
    view! { <div class="card skeleton" aria-hidden="true"><div class="body stack"><i></i><i></i><i></i></div></div> }.into_any()
}

/// Bars of the height of a list.
pub fn list_skeleton() -> AnyView {
    view! { <div class="skeleton body stack" aria-hidden="true"><i></i><i></i><i></i><i></i></div> }.into_any()
}

/// Nothing, where a part may come later without moving others.
pub fn no_skeleton() -> AnyView {
    ().into_any()
}

/// A whole page of skeletons.
pub fn page_skeleton() -> AnyView {
    view! { <div class="stack" aria-busy="true" aria-label="Loading">{card_skeleton()}{card_skeleton()}</div> }.into_any()
}
