//! What a step asks the database, asked once for all runtimes whose time has come together: runtimes at rest are looked at in turn for ever, and questions of
//! each by itself would be most of what they cost.

use super::{Orchestrator, reconcile::stored, rendered::Offer, store::RuntimeKey};
use crate::{Result, data::runtime::Row, runtime::token};
use contract::{Phase, RuntimeId};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long what was read may be used. A step that had to wait longer for its place reads anew.
const HOLDS: Duration = Duration::from_secs(1);

/// What was read for the next step of one runtime.
pub(super) struct Glance {
    /// The runtime.
    pub(super) row: Row,
    /// What was read beside it.
    pub(super) beside: Beside,
    asked: Instant,
}

/// What a step needs beside the row.
pub(super) struct Beside {
    /// The models that people may use.
    pub(super) offer: Arc<Offer>,
    /// Whether the key of its container stands in the database as it should.
    pub(super) has_key: bool,
}

impl Glance {
    /// Whether it may be used still.
    pub(super) fn holds(&self) -> bool {
        self.asked.elapsed() < HOLDS
    }
}

impl Orchestrator {
    /// Reads what the next step of each of these runtimes needs. Whoever is not among the answers is gone. To be asked once they are attended to, as a step
    /// asks: what changes from then on wakes whoever attends.
    pub(super) async fn glance(&self, runtime_ids: &[RuntimeId]) -> Result<HashMap<RuntimeId, Box<Glance>>> {
        let asked = Instant::now();
        let rows = self.store.some(runtime_ids).await?;
        let offer = Arc::new(self.offer().await?);
        // One whose master key is not here has none that could be compared: its step says so.
        let ready = rows.iter().filter(|row| row.phase == Phase::Ready);
        let keys: Vec<(RuntimeId, token::RuntimeKey)> =
            ready.filter_map(|row| Some((row.runtime_id, self.key_of(row, row.key_number).ok()?))).collect();
        let keys: Vec<(RuntimeId, RuntimeKey<'_>)> = keys.iter().map(|(runtime_id, key)| (*runtime_id, stored(key))).collect();
        let with_keys = if keys.is_empty() { BTreeSet::new() } else { self.store.with_keys(&keys).await? };
        let glances = rows.into_iter().map(|row| {
            let (runtime_id, has_key) = (row.runtime_id, with_keys.contains(&row.runtime_id));
            (runtime_id, Box::new(Glance { row, beside: Beside { offer: Arc::clone(&offer), has_key }, asked }))
        });
        Ok(glances.collect())
    }
}
