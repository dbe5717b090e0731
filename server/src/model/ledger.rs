//! The ledger: calls that end at the same time are settled together.
//!
//! One person's calls are counted one after another. Would each wait for the disk while it is counted, a person could make no more calls than the
//! disk makes flushes. So whoever comes first writes for all who came in the meantime, and the disk is waited for once, after the counting.

use crate::{
    Result,
    data::{self, Pool, budget::Used, settlement},
};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};
use tokio::sync::oneshot;
use uuid::Uuid;

struct Entry {
    id: Uuid,
    used: Used,
    written: oneshot::Sender<Written>,
}

/// What became of a call in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is settled, and on the disk.
    Settled,
    /// It could not be settled with the others: it must be looked at alone.
    Alone,
    /// The database is away: all are to be tried again.
    Away,
}

/// What waits to be settled.
#[derive(Default)]
pub struct Ledger {
    waiting: Mutex<Vec<Entry>>,
    turn: tokio::sync::Mutex<()>,
}

impl Ledger {
    /// Settles a call, with the others that wait.
    pub async fn settle(&self, pool: &Pool, id: Uuid, used: Used) -> Written {
        let (written, mine) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Entry { id, used, written });
        let turn = self.turn.lock().await;
        // Empty when another wrote for us while we waited.
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if !batch.is_empty() {
            settle_all(pool, batch).await;
        }
        drop(turn);
        mine.await.unwrap_or(Written::Alone)
    }
}

/// Settles a batch and tells each who waits for it.
async fn settle_all(pool: &Pool, batch: Vec<Entry>) {
    let calls: Vec<(Uuid, Used)> = batch.iter().map(|entry| (entry.id, entry.used)).collect();
    let (settled, others) = match write(pool, &calls).await {
        Ok(settled) => (settled, Written::Alone),
        Err(error) => {
            let others = if data::is_away(&error) { Written::Away } else { Written::Alone };
            tracing::warn!(calls = calls.len(), error = %crate::error::chain(&error), "calls could not be settled together");
            (HashSet::new(), others)
        }
    };
    for entry in batch {
        let written = if settled.contains(&entry.id) { Written::Settled } else { others };
        if entry.written.send(written).is_err() {
            tracing::debug!(call = %entry.id, "nobody waits any more to hear that a call is settled");
        }
    }
}

/// Answers which are settled.
async fn write(pool: &Pool, calls: &[(Uuid, Used)]) -> Result<HashSet<Uuid>> {
    let mut connection = pool.acquire().await?;
    let settled = settlement::settle_all(&mut connection, calls).await?;
    // Before this the crash of a disk may take it all back: nobody is told before.
    settlement::flush(&mut connection).await?;
    Ok(settled.into_iter().collect())
}
