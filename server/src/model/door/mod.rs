//! The door: `/v1` for runtimes and for outside clients.

use super::Service;
use axum::Router;
use std::sync::Arc;

/// On which listener a door stands: it decides which keys open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The dashboard's listener: people's own keys.
    Public,
    /// The internal listener: runtimes' keys.
    Internal,
}

/// The routes below `/v1`, with the whole path in them. Mounted on both listeners.
pub fn router(service: Arc<Service>, side: Side) -> Router {
    let _ = (service, side);
    Router::new()
}
