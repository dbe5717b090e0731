//! Who visits a runtime's host: asked on every request, so kept in memory for a second at most.
//!
//! The change stream empties it ([`super::watch`]). An answer that was read before the last change is never kept: the epoch of
//! [`Connections`](super::connections::Connections) tells.

use super::Entry;
use crate::{
    Result,
    data::{self, ticket::Visit},
    orchestrator::Route,
    platform::sessions,
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// So many answers are kept at most; more, and all are forgotten.
const KEPT: usize = 10_000;

/// What was read lately.
#[derive(Default)]
pub struct Visits {
    visits: Mutex<HashMap<[u8; 32], (Instant, Visit)>>,
}

impl Visits {
    /// Forgets everything.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn fresh(&self, token_hash: &[u8; 32]) -> Option<Visit> {
        self.lock().get(token_hash).filter(|(read, _)| read.elapsed() < BELIEVED).map(|(_, visit)| *visit)
    }

    fn keep(&self, token_hash: [u8; 32], visit: Visit) {
        let mut visits = self.lock();
        if visits.len() >= KEPT {
            visits.clear();
        }
        visits.insert(token_hash, (Instant::now(), visit));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Instant, Visit)>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Who is behind this cookie on a runtime's host.
    pub(super) async fn visit(&self, token_hash: [u8; 32]) -> Result<Option<Visit>> {
        if let Some(visit) = self.visits.fresh(&token_hash) {
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
                self.visits.keep(token_hash, visit);
            }
        }
        Ok(visit)
    }

    /// Where the host of this label leads; the orchestrator keeps that true by itself.
    pub(super) async fn route(&self, label: &str) -> Result<Option<Route>> {
        self.routes.route(label).await
    }
}
