//! Who visits a runtime's host: asked on every request, so kept in memory for a second at most.
//!
//! The change stream empties it ([`super::watch`]). An answer whose reading began before the last emptying is never kept: emptying and keeping happen
//! under one lock, which counts how often it was emptied.

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
pub struct Visits(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    visits: HashMap<[u8; 32], (Instant, Visit)>,
    /// How often everything was forgotten.
    forgotten: u64,
}

/// Taken before the database is read. Only what was read since everything was last forgotten is kept.
#[derive(Clone, Copy, Debug)]
struct Reading(u64);

impl Visits {
    /// Forgets everything, and whatever is being read now.
    pub fn forget(&self) {
        let mut kept = self.lock();
        kept.visits.clear();
        kept.forgotten += 1;
    }

    fn fresh(&self, token_hash: &[u8; 32]) -> Option<Visit> {
        self.lock().visits.get(token_hash).filter(|(read, _)| read.elapsed() < BELIEVED).map(|(_, visit)| *visit)
    }

    fn begin(&self) -> Reading {
        Reading(self.lock().forgotten)
    }

    fn keep(&self, reading: Reading, token_hash: [u8; 32], visit: Visit) {
        let mut kept = self.lock();
        if kept.forgotten != reading.0 {
            return;
        }
        if kept.visits.len() >= KEPT {
            kept.visits.clear();
        }
        kept.visits.insert(token_hash, (Instant::now(), visit));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let reading = self.visits.begin();
        let now = self.clock.now();
        let mut connection = self.pool.acquire().await?;
        let visit = data::ticket::visit(&mut connection, &token_hash, now, now - sessions::IDLE).await?;
        if let Some(visit) = visit {
            data::ticket::touch_session(&mut connection, visit.session_id, now).await?;
            self.visits.keep(reading, token_hash, visit);
        }
        Ok(visit)
    }

    /// Where the host of this label leads; the orchestrator keeps that true by itself.
    pub(super) async fn route(&self, label: &str) -> Result<Option<Route>> {
        self.routes.route(label).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    #[test]
    fn what_was_read_before_a_change_is_not_believed_after_it() {
        let visits = Visits::default();
        let (token, visit) =
            ([1; 32], Visit { session_id: new_id(), person_id: new_id(), runtime_id: new_id(), access: None, ends_at: None });
        let before = visits.begin();
        visits.forget();
        visits.keep(before, token, visit);
        assert_eq!(visits.fresh(&token), None, "the session may have ended since it was read");

        let since = visits.begin();
        visits.keep(since, token, visit);
        assert_eq!(visits.fresh(&token), Some(visit));
        visits.forget();
        assert_eq!(visits.fresh(&token), None);
    }
}
