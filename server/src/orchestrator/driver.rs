//! The loop: woken by changes and engine events, and on a period.

use super::Orchestrator;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Orchestrator {
    /// Reconciles until `stop`. Runtimes keep running.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
