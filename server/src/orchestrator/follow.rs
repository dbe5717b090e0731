//! Runtimes follow the master key: those whose model key is derived from an older one get one of the present one, while they run.

use super::{Orchestrator, commands::LONGEST_OVERLAP, reconcile::stored, store::Written};
use crate::{Result, data::runtime::Row, platform::audit::Actor, runtime::token};

impl Orchestrator {
    /// Gives every runtime whose key is derived from another master key one that is derived from the present one. Nothing is restarted: the old key works on
    /// for a day, and the configuration follows. How many there were.
    ///
    /// # Errors
    /// When the database fails, or the present key is not here.
    pub async fn follow_master_key(&self) -> Result<usize> {
        let mut followed = 0;
        loop {
            let rows = self.store.under_another_master_key(self.keys.present()?.id()).await?;
            if rows.is_empty() {
                return Ok(followed);
            }
            for row in rows {
                if self.give_next_key(Actor::ClawLoops, &row, LONGEST_OVERLAP).await? == Written::Done {
                    followed += 1;
                }
            }
        }
    }

    /// Gives a runtime its next key, derived from the present master key, if the row is still what it was. The one before it works on for `overlap`.
    pub(super) async fn give_next_key(&self, by: Actor<'_>, row: &Row, overlap: time::Duration) -> Result<Written> {
        let (master, now) = (self.keys.present()?, self.clock.now());
        let key = token::derive(master.runtimes(), row.runtime_id, row.revision, row.key_number + 1);
        self.store.rotate_key(by, row, &stored(&key), master.id(), now + overlap, now).await
    }
}
