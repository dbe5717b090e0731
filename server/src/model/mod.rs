//! MODEL: the credential proxy: keys, the catalog, reservations, streaming, metering, LiteLLM, the vault.

pub mod catalog;
pub mod door;
pub mod litellm;

use crate::{Result, clock::Clock, config::Config, data::Pool, data::listen::Changes};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The model service of one server: the door for calls, and what stands behind it.
pub struct Service {
    pool: Pool,
    clock: Arc<dyn Clock>,
    config: Arc<Config>,
    changes: Changes,
}

impl Service {
    /// Makes the service; nothing is started yet. `vault_key` seals the providers' secrets: `MasterKey::derive("vault")`.
    pub fn new(pool: Pool, clock: Arc<dyn Clock>, config: Arc<Config>, vault_key: [u8; 32], changes: Changes) -> Result<Arc<Self>> {
        let _ = vault_key;
        Ok(Arc::new(Self { pool, clock, config, changes }))
    }

    /// Supervises LiteLLM and the local model, sweeps leases that ran out, follows the catalog. Ends after `stop`, when calls in progress are
    /// settled and the children are gone.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _ = (&self.pool, &self.clock, &self.config, &self.changes);
        stop.cancelled().await;
    }
}
