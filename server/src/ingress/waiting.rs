//! The waiting room: what a runtime's host shows while there is nobody to talk to.

use super::{Entry, faults, gateway};
use crate::{
    data::{listen::Change, ticket::Visit},
    error::chain,
    orchestrator::Route,
};
use axum::response::{IntoResponse, Response};
use contract::{Code, Phase, Problem, RuntimeId};
use http::{HeaderValue, StatusCode, header};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Looks again after so many seconds.
const AGAIN: u32 = 2;

/// How long a request waits for a runtime that is being woken. A frozen one wakes in under a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile, whether or not a change was told.
const LOOK: Duration = Duration::from_millis(200);

/// The runtime's route and address, if it can be spoken with: one that sleeps is woken, and waited for a moment. Otherwise how it stands.
pub(super) async fn awake(entry: &Entry, label: &str, mut route: Route) -> Result<(Route, SocketAddr), Box<Route>> {
    let runtime_id = route.runtime_id;
    if let (Phase::Ready, Some(address)) = (route.phase, route.address) {
        if let Err(error) = entry.routes.visited(&[runtime_id]).await {
            tracing::warn!(error = %chain(&error), "a visit could not be written down");
        }
        return Ok((route, address));
    }
    // Heard from now on: what changes while it is woken is not missed.
    let mut changes = entry.changes.subscribe();
    let until = Instant::now() + PATIENCE;
    let mut asked = false;
    loop {
        match (route.phase, route.address) {
            (Phase::Ready, Some(address)) => return Ok((route, address)),
            (Phase::Asleep, _) if !asked => {
                asked = true;
                if let Err(error) = entry.routes.wake(runtime_id).await {
                    tracing::warn!(error = %chain(&error), "a runtime that sleeps could not be woken");
                    return Err(Box::new(route));
                }
            }
            // One that sleeps without a container wakes in a whole start.
            (Phase::Waking | Phase::Asleep, _) if Instant::now() < until => {
                drop(tokio::time::timeout(LOOK, changed(&mut changes, runtime_id)).await);
            }
            (_, _) => return Err(Box::new(route)),
        }
        match entry.routes.route(label).await {
            Ok(Some(now)) if now.runtime_id == runtime_id => route = now,
            Ok(_) | Err(_) => return Err(Box::new(route)),
        }
    }
}

/// Waits until something changed at this runtime, or perhaps.
async fn changed(changes: &mut Receiver<Change>, runtime_id: RuntimeId) {
    loop {
        match changes.recv().await {
            Ok(Change::Runtime { runtime_id: changed, .. }) if changed != runtime_id => {}
            Ok(Change::Runtime { .. } | Change::Anything) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The truth about a runtime that is not ready, as a page or as JSON, for its owner or for somebody whom it is shared with.
pub(super) fn room(entry: &Entry, route: &Route, visit: &Visit, page: bool) -> Response {
    let (title, text, moving) = words(route.phase, visit.access.is_some());
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
    // Its page is its owner's.
    waiting = match visit.access {
        None => waiting.link(&format!("{}/runtimes/{}", entry.origins.dashboard(), route.runtime_id), "Go to its page"),
        Some(_) => waiting.link(&format!("{}/runtimes", entry.origins.dashboard()), "Go to your runtimes"),
    };
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
pub(super) fn silent(entry: &Entry, route: &Route, visit: &Visit, page: bool) -> Response {
    room(entry, &Route { phase: Phase::Retrying, ..route.clone() }, visit, page)
}

/// The end of the heading, the sentence, and whether it moves on by itself.
fn words(phase: Phase, shared: bool) -> (&'static str, &'static str, bool) {
    match phase {
        Phase::Stopped | Phase::Failed if shared => ("does not run", "Its owner can start it. This page looks again by itself.", true),
        Phase::Stopped => ("is stopped", "Start it on its page. The workspace is kept.", false),
        Phase::Queued => ("waits its turn", "It starts as soon as there is memory for it. This page moves on by itself.", true),
        Phase::Pending | Phase::Creating => ("is starting", "Its container is being made. This page moves on by itself.", true),
        Phase::Starting => ("is starting", "Its container is being started. This page moves on by itself.", true),
        Phase::Waiting => ("is starting", "OpenClaw is starting up. This page moves on by itself.", true),
        Phase::Ready => ("is almost there", "It is ready. This page moves on by itself.", true),
        Phase::Asleep | Phase::Waking => ("is waking up", "It slept, and is being woken. This page moves on by itself.", true),
        Phase::Draining => ("is finishing", "It finishes what it does before it ends. The workspace is kept.", true),
        Phase::Stopping => ("is stopping", "It is being stopped. The workspace is kept.", true),
        Phase::Deleting | Phase::Deleted => ("was deleted", "There is nothing to open here any more.", false),
        Phase::Retrying => ("does not answer", "It is being looked after. This page looks again by itself.", true),
        Phase::Failed => ("could not be started", "Its page tells what went wrong. The workspace is kept.", false),
    }
}
