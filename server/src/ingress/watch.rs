//! The watch: hears the change stream, empties caches and cuts what may no longer be open.

use super::{Entry, connections::Held, cut::Reason};
use crate::{data::listen::Change, error::chain, orchestrator::Route};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};

/// Sessions also end by themselves, which nobody tells: everything open is looked at this often.
const LOOK: Duration = Duration::from_secs(30);

/// Watches until the server stops.
pub async fn watch(entry: Arc<Entry>) {
    let mut changes = entry.changes.subscribe();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = entry.stop.cancelled() => return,
            _ = look.tick() => {
                recheck(&entry, entry.connections.held(None)).await;
                tell_visits(&entry).await;
            }
            change = changes.recv() => match change {
                Ok(change) => hear(&entry, change).await,
                Err(RecvError::Lagged(_)) => hear(&entry, Change::Anything).await,
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Forgets before it cuts: a request that comes in between reads the database, and one that had read before is in the registry when the cut comes, or
/// sees that the epoch moved.
async fn hear(entry: &Entry, change: Change) {
    match change {
        Change::SessionEnded { session_id, .. } => {
            entry.visits.forget();
            entry.connections.cut_session(session_id);
        }
        Change::PersonClosed { person_id } => {
            entry.visits.forget();
            entry.connections.cut_person(person_id);
        }
        Change::Runtime { runtime_id, .. } => {
            entry.visits.forget();
            entry.connections.renew();
            recheck(entry, entry.connections.held(Some(runtime_id))).await;
        }
        Change::Anything => {
            entry.visits.forget();
            entry.connections.renew();
            recheck(entry, entry.connections.held(None)).await;
        }
        Change::Usage { .. } | Change::Keys { .. } | Change::Limits | Change::Catalog | Change::People => {}
    }
}

/// Whoever holds something open towards a runtime keeps it awake.
async fn tell_visits(entry: &Entry) {
    let mut visited: Vec<_> = entry.connections.held(None).into_iter().map(|held| held.visit.runtime_id).collect();
    visited.sort_unstable();
    visited.dedup();
    if let Err(error) = entry.routes.visited(&visited).await {
        tracing::warn!(error = %chain(&error), "visits could not be written down");
    }
}

/// Cuts those whose session or runtime is no longer what it was. What cannot be known now stays: the change stream tells when it can be.
async fn recheck(entry: &Entry, held: Vec<Held>) {
    for held in held {
        let visit = entry.visit(held.token_hash).await;
        let route = entry.route(&held.label).await;
        let ends = match (&visit, &route) {
            (Ok(visit), _) if *visit != Some(held.visit) => {
                Some(if held.visit.access.is_some() { Reason::ShareEnded } else { Reason::SignedOut })
            }
            (Ok(_), Ok(route)) => {
                let there = |route: &Route| route.runtime_id == held.visit.runtime_id && route.address == Some(held.address);
                (!route.as_ref().is_some_and(there)).then_some(Reason::Stopped)
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(error = %chain(error), "an open connection could not be checked");
                None
            }
        };
        if let Some(reason) = ends {
            held.cut(reason);
        }
    }
}
