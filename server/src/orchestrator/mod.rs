//! The wish and the loop that makes it so.
//!
//! [`commands`] write what ought to be, in one transaction, without touching the engine. [`driver`] is woken by every change and on a period; it
//! looks at rows and at the engine, [`decide`] names one action a runtime, [`reconcile`] does it. Recovery after a crash is the same code.

pub mod commands;
pub mod decide;
mod driver;
pub mod reconcile;
pub mod routes;

use crate::{
    Result,
    clock::Clock,
    config::Config,
    data::{Pool, listen::Changes},
    manager::Engine,
};
use async_trait::async_trait;
use std::{net::IpAddr, sync::Arc};

pub use routes::Route;

/// Opens the internal listener. The entry layer implements it; runtimes call models through it.
#[async_trait]
pub trait Doors: Send + Sync {
    /// Opens the listener on this address of the host, inside a runtime's network. Asked twice is asked once.
    async fn open(&self, gateway: IpAddr) -> Result<()>;
}

/// Makes every runtime what it was asked to be.
pub struct Orchestrator {
    pool: Pool,
    clock: Arc<dyn Clock>,
    engine: Arc<dyn Engine>,
    config: Arc<Config>,
    /// The master key's child for runtime keys.
    key_root: [u8; 32],
    doors: Arc<dyn Doors>,
    changes: Changes,
    attended: driver::Attended,
    kept: routes::Kept,
}

impl Orchestrator {
    /// Stands still until [`Orchestrator::run`]. `key_root` is `master_key.derive("runtime-key")`.
    #[must_use]
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        engine: Arc<dyn Engine>,
        config: Arc<Config>,
        key_root: [u8; 32],
        doors: Arc<dyn Doors>,
        changes: Changes,
    ) -> Self {
        let kept = routes::Kept::new(changes.subscribe());
        Self { pool, clock, engine, config, key_root, doors, changes, attended: driver::Attended::default(), kept }
    }

    /// The engine, for its health.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }
}
