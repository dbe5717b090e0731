//! The ledger: calls that end at the same time are settled together.
//!
//! One person's calls are counted one after another. Would each wait for the disk while it is counted, a person could make no more calls than the
//! disk makes flushes. So whoever comes first writes for all who came in the meantime, and the disk is waited for once, after the counting.

use crate::{
    Result,
    data::{Pool, budget::Used, settlement},
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
    written: oneshot::Sender<bool>,
}

/// What waits to be settled.
#[derive(Default)]
pub struct Ledger {
    waiting: Mutex<Vec<Entry>>,
    turn: tokio::sync::Mutex<()>,
}

impl Ledger {
    /// Settles a call, with the others that wait. False when it could not be settled with them: then it must be looked at alone.
    pub async fn settle(&self, pool: &Pool, id: Uuid, used: Used) -> bool {
        let (written, mine) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Entry { id, used, written });
        let turn = self.turn.lock().await;
        // Empty when another wrote for us while we waited.
        let batch = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if !batch.is_empty()
            && let Err(error) = write(pool, batch).await
        {
            tracing::warn!(error = %crate::error::chain(&error), "calls could not be settled together, each is tried alone");
        }
        drop(turn);
        mine.await.unwrap_or(false)
    }
}

async fn write(pool: &Pool, batch: Vec<Entry>) -> Result<()> {
    let mut connection = pool.acquire().await?;
    let calls: Vec<(Uuid, Used)> = batch.iter().map(|entry| (entry.id, entry.used)).collect();
    let settled: HashSet<Uuid> = settlement::settle_all(&mut connection, &calls).await?.into_iter().collect();
    // Before this the crash of a disk may take it all back: nobody is told before.
    settlement::flush(&mut connection).await?;
    for entry in batch {
        if entry.written.send(settled.contains(&entry.id)).is_err() {
            tracing::debug!(call = %entry.id, "nobody waits any more to hear that a call is settled");
        }
    }
    Ok(())
}
