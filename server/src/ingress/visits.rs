//! Who visits a runtime's host, and where that host leads: asked on every request, so kept in memory for a second at most.
//!
//! The change stream empties it ([`super::watch`]). An answer that was read before the last change is never kept: the epoch of
//! [`Connections`](super::connections::Connections) tells.

use super::{Entry, Routes};
use crate::{
    Result,
    data::{self, ticket::Visit},
    orchestrator::Route,
    platform::sessions,
};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// So many answers are kept at most; more, and all are forgotten.
const KEPT: usize = 10_000;

/// What was read lately.
pub struct Visits {
    routes: Arc<dyn Routes>,
    visits: Mutex<HashMap<[u8; 32], (Instant, Visit)>>,
    known: Mutex<HashMap<String, (Instant, Route)>>,
}

impl Visits {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(routes: Arc<dyn Routes>) -> Self {
        Self { routes, visits: Mutex::default(), known: Mutex::default() }
    }

    /// Forgets everything.
    pub fn forget(&self) {
        lock(&self.visits).clear();
        lock(&self.known).clear();
    }
}

impl Entry {
    /// Who is behind this cookie on a runtime's host.
    pub(super) async fn visit(&self, token_hash: [u8; 32]) -> Result<Option<Visit>> {
        if let Some(visit) = fresh(&self.visits.visits, &token_hash) {
            return Ok(Some(visit));
        }
        self.visit_now(token_hash).await
    }

    /// The same, from the database.
    pub(super) async fn visit_now(&self, token_hash: [u8; 32]) -> Result<Option<Visit>> {
        let epoch = self.connections.epoch();
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let visit = data::ticket::visit(&mut connection, &token_hash, now, now - sessions::IDLE).await?;
        if let Some(visit) = visit {
            data::ticket::touch_session(&mut connection, visit.session_id, now).await?;
            if self.connections.epoch() == epoch {
                keep(&self.visits.visits, token_hash, visit);
            }
        }
        Ok(visit)
    }

    /// Where the host of this label leads.
    pub(super) async fn route(&self, label: &str) -> Result<Option<Route>> {
        if let Some(route) = fresh(&self.visits.known, label) {
            return Ok(Some(route));
        }
        let epoch = self.connections.epoch();
        let route = self.visits.routes.route(label).await?;
        if let Some(route) = &route
            && self.connections.epoch() == epoch
        {
            keep(&self.visits.known, label.to_owned(), route.clone());
        }
        Ok(route)
    }
}

fn fresh<K: Eq + Hash + std::borrow::Borrow<Q>, Q: Eq + Hash + ?Sized, V: Clone>(
    map: &Mutex<HashMap<K, (Instant, V)>>,
    key: &Q,
) -> Option<V> {
    lock(map).get(key).filter(|(read, _)| read.elapsed() < BELIEVED).map(|(_, value)| value.clone())
}

fn keep<K: Eq + Hash, V>(map: &Mutex<HashMap<K, (Instant, V)>>, key: K, value: V) {
    let mut map = lock(map);
    if map.len() >= KEPT {
        map.clear();
    }
    map.insert(key, (Instant::now(), value));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
