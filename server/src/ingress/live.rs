//! Live updates: `GET /events`, the changes that concern the caller, as server-sent events.

use super::{Entry, connections::Share, faults, headers};
use crate::{data::listen::Change, error::chain, platform::sessions};
use axum::{
    extract::{Extension, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use contract::{Caller, Code, Problem};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior, interval_at},
};

/// A comment so often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Sessions end by themselves, too: looked at this often.
const LOOK: Duration = Duration::from_secs(60);

/// One browser that listens.
struct Listener {
    entry: Arc<Entry>,
    caller: Caller,
    token: String,
    changes: Receiver<Change>,
    look: tokio::time::Interval,
    /// Said first: an id, and to one that comes back also that anything may have changed.
    greeting: Option<Event>,
    count: u64,
    /// The last event was that the session ended.
    over: bool,
    /// Kept for its drop only.
    _share: Share,
}

/// Opens the stream. It ends with the session.
pub async fn events(State(entry): State<Arc<Entry>>, Extension(caller): Extension<Option<Caller>>, request_headers: HeaderMap) -> Response {
    let signed_out = || faults::as_json(&Problem::new(Code::Unauthenticated, "You are signed out."));
    let (Some(caller), Some(token)) = (caller, headers::cookie(&request_headers, sessions::COOKIE)) else { return signed_out() };
    // Listens before it looks, so that an end of the session in between is not missed.
    let changes = entry.changes.subscribe();
    match sessions::find(&entry.pool, entry.clock.as_ref(), token).await {
        Ok(Some(_)) => {}
        Ok(None) => return signed_out(),
        Err(error) => return faults::as_json(&error.into_problem()),
    }
    let Some(share) = entry.connections.share(caller.person_id, entry.limits.streams_per_person) else {
        return faults::as_json(&Problem::new(Code::TooManyRequests, "You have too many pages open.").remedy("Close some of them."));
    };
    let returns = request_headers.contains_key("last-event-id");
    let greeting = Event::default().id("0").retry(Duration::from_secs(2));
    let greeting = if returns { greeting.data(text(Change::Anything)) } else { greeting };
    let mut look = interval_at(Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener =
        Listener { caller, token: token.to_owned(), changes, look, greeting: Some(greeting), count: 0, over: false, _share: share, entry };
    let stream = stream::unfold(listener, |mut listener| async move { Some((listener.next().await?, listener)) });
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Listener {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        if self.over {
            return None;
        }
        if let Some(greeting) = self.greeting.take() {
            return Some(Ok(greeting));
        }
        loop {
            let change = tokio::select! {
                () = self.entry.stop.cancelled() => return None,
                _ = self.look.tick() => {
                    if self.is_over().await {
                        return None;
                    }
                    continue;
                }
                change = self.changes.recv() => match change {
                    Ok(change) => change,
                    Err(RecvError::Lagged(_)) => Change::Anything,
                    Err(RecvError::Closed) => return None,
                },
            };
            if change == Change::Anything && self.is_over().await {
                return None;
            }
            self.over = ends(&self.caller, change);
            if let Some(change) = told(&self.caller, change) {
                self.count += 1;
                return Some(Ok(Event::default().id(self.count.to_string()).data(text(change))));
            }
        }
    }

    /// Whether the session ended. What cannot be known now goes on: the change stream tells when it can be.
    async fn is_over(&self) -> bool {
        match sessions::find(&self.entry.pool, self.entry.clock.as_ref(), &self.token).await {
            Ok(found) => found.is_none(),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "a live stream could not be checked");
                false
            }
        }
    }
}

fn text(change: Change) -> String {
    serde_json::to_string(&change).unwrap_or_default()
}

fn ends(caller: &Caller, change: Change) -> bool {
    match change {
        Change::SessionEnded { session_id, .. } => session_id == caller.session_id,
        Change::PersonClosed { person_id } => person_id == caller.person_id,
        Change::Runtime { .. }
        | Change::Usage { .. }
        | Change::Keys { .. }
        | Change::Limits
        | Change::Catalog
        | Change::People
        | Change::Anything => false,
    }
}

/// What the caller hears of a change: their own, what is everyone's, and for administrators everything. That somebody else's session ended is to
/// an administrator's page news about people, not the end of its own.
fn told(caller: &Caller, change: Change) -> Option<Change> {
    let own = |person_id| person_id == caller.person_id;
    match change {
        _ if ends(caller, change) => Some(change),
        Change::SessionEnded { .. } | Change::PersonClosed { .. } | Change::People => caller.is_administrator().then_some(Change::People),
        Change::Runtime { person_id, .. } | Change::Usage { person_id } | Change::Keys { person_id } => {
            (caller.is_administrator() || own(person_id)).then_some(change)
        }
        // Pages hear of a limit as of usage.
        Change::Limits => None,
        Change::Catalog | Change::Anything => Some(change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;
    use contract::Role;

    fn caller(role: Role) -> Caller {
        Caller { person_id: new_id(), session_id: new_id(), email: String::new(), name: String::new(), role, time_zone: "UTC".into() }
    }

    #[test]
    fn a_person_hears_of_their_own_and_an_administrator_of_all() {
        let (ada, root) = (caller(Role::Person), caller(Role::Administrator));
        let of_ada = Change::Usage { person_id: ada.person_id };
        let of_bob = Change::Runtime { runtime_id: new_id(), person_id: new_id() };
        assert_eq!((told(&ada, of_ada), told(&root, of_ada)), (Some(of_ada), Some(of_ada)));
        assert_eq!((told(&ada, of_bob), told(&root, of_bob)), (None, Some(of_bob)));
        assert_eq!((told(&ada, Change::People), told(&ada, Change::Catalog)), (None, Some(Change::Catalog)));
    }

    #[test]
    fn a_stream_ends_with_its_own_session_only() {
        let (ada, root) = (caller(Role::Person), caller(Role::Administrator));
        let own = Change::SessionEnded { session_id: ada.session_id, person_id: ada.person_id };
        let other = Change::SessionEnded { session_id: new_id(), person_id: ada.person_id };
        assert!(ends(&ada, own) && !ends(&ada, other) && !ends(&root, own));
        assert!(ends(&ada, Change::PersonClosed { person_id: ada.person_id }));
        assert_eq!((told(&ada, own), told(&ada, other), told(&root, own)), (Some(own), None, Some(Change::People)));
    }
}
