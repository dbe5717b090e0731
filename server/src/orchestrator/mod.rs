//! ORCHESTRATION, the wish: commands, the pure decision, the reconciler and its driver.

use std::net::IpAddr;

/// Runtimes: what was wished, and the loop that makes it so.
pub struct Orchestrator;

/// Opens the internal listener where runtimes can reach it.
#[async_trait::async_trait]
pub trait Doors: Send + Sync {
    /// Opens the listener on the gateway address of a runtime's network. Opened already is success.
    async fn open(&self, gateway: IpAddr) -> crate::Result<()>;
}
