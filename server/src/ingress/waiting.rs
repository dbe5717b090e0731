//! The waiting room: what a runtime's host shows while there is nobody to talk to.

use super::{Entry, faults, gateway};
use crate::orchestrator::Route;
use axum::response::{IntoResponse, Response};
use contract::{Code, Phase, Problem};
use http::{HeaderValue, StatusCode, header};

/// Looks again after so many seconds.
const AGAIN: u32 = 2;

/// The truth about a runtime that is not ready, as a page or as JSON.
pub(super) fn room(entry: &Entry, route: &Route, page: bool) -> Response {
    let (title, text, moving) = words(route.phase);
    if !page {
        let mut problem = Problem::new(Code::Unavailable, format!("{}: {text}", route.name));
        if moving {
            problem = problem.retry_after(AGAIN);
        }
        return gateway::framed(entry, faults::as_json(&problem));
    }
    let mut waiting = faults::Page::new(&format!("{} {title}", route.name)).say(text);
    if let Some(problem) = &route.problem {
        waiting = waiting.say(&problem.message);
        if let Some(remedy) = &problem.remedy {
            waiting = waiting.say(remedy);
        }
    }
    let home = format!("{}/runtimes/{}", entry.origins.dashboard(), route.runtime_id);
    waiting = waiting.link(&home, "Go to its page");
    if moving {
        waiting = waiting.refresh(AGAIN);
    }
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, waiting.render()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if moving {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(AGAIN));
    }
    gateway::framed(entry, response)
}

/// Said when a runtime that is ready by all accounts does not answer: mostly it is just going away.
pub(super) fn silent(entry: &Entry, route: &Route, page: bool) -> Response {
    room(entry, &Route { phase: Phase::Retrying, ..route.clone() }, page)
}

/// The end of the heading, the sentence, and whether it moves on by itself.
fn words(phase: Phase) -> (&'static str, &'static str, bool) {
    match phase {
        Phase::Stopped => ("is stopped", "Start it on its page. The workspace is kept.", false),
        Phase::Queued => ("waits its turn", "It starts as soon as there is memory for it. This page moves on by itself.", true),
        Phase::Pending | Phase::Creating => ("is starting", "Its container is being made. This page moves on by itself.", true),
        Phase::Starting => ("is starting", "Its container is being started. This page moves on by itself.", true),
        Phase::Waiting => ("is starting", "OpenClaw is starting up. This page moves on by itself.", true),
        Phase::Ready => ("is almost there", "It is ready. This page moves on by itself.", true),
        Phase::Stopping => ("is stopping", "It is being stopped. The workspace is kept.", true),
        Phase::Deleting | Phase::Deleted => ("was deleted", "There is nothing to open here any more.", false),
        Phase::Retrying => ("does not answer", "It is being looked after. This page looks again by itself.", true),
        Phase::Failed => ("could not be started", "Its page tells what went wrong. The workspace is kept.", false),
    }
}
