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
                    drawn_for_good().await;
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

/// Ends when this is drawn to be sent. A page that is rendered is drawn twice before, to see what it asks: a part whose answer is there already would
/// be made three times, and everything that it asks be asked three times. All that a part asks it waits for itself, so nothing is missed.
async fn drawn_for_good() {
    #[cfg(feature = "ssr")]
    {
        // What is drawn to be looked at is polled once.
        let mut polled = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
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

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use crate::ask::asked_of;
    use futures::StreamExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often a part within a part is made, and asks.
    async fn made(outer_comes_at_once: bool) -> (usize, usize, String) {
        let (parts, questions) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, asking) = (Arc::clone(&parts), Arc::clone(&questions));
        let owner = Owner::new_root(Some(Arc::new(hydration_context::SsrSharedContext::new())));
        let view = owner.with(|| {
            let outer = asked_of::<u8, _>(move || async move {
                if !outer_comes_at_once {
                    tokio::task::yield_now().await;
                }
                Ok(Json::from("1".to_owned()))
            });
            answer(outer, no_skeleton, move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                let asking = Arc::clone(&asking);
                let inner = asked_of::<u8, _>(move || {
                    asking.fetch_add(1, Ordering::Relaxed);
                    async {
                        tokio::task::yield_now().await;
                        Ok(Json::from("2".to_owned()))
                    }
                });
                answer(inner, no_skeleton, |number| view! { <b>{number}</b> }.into_any())
            })
        });
        let stream = owner.with(|| view.to_html_stream_in_order());
        let html = stream.collect::<String>().await;
        (parts.load(Ordering::Relaxed), questions.load(Ordering::Relaxed), html)
    }

    #[tokio::test]
    async fn a_part_is_made_once_and_asks_once() {
        drop(any_spawner::Executor::init_tokio());
        for at_once in [true, false] {
            let (parts, questions, html) = made(at_once).await;
            assert_eq!((parts, questions), (1, 1), "the outer answer at once: {at_once}");
            assert!(html.contains("<b>2"), "{html}");
        }
    }
}
