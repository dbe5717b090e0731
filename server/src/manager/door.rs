//! OpenClaw's own door: asks it, at its container's address, whether it is ready.

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{net::SocketAddr, time::Duration};

/// A gateway that takes longer to say whether it is ready is not.
const PATIENCE: Duration = Duration::from_secs(2);
/// OpenClaw wants a client address that is not its proxy's own: one that is nobody's (RFC 5737).
const NOBODY: &str = "192.0.2.1";

/// Speaks to OpenClaw from the host's side.
pub struct Door {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Door {
    /// A door that keeps no connection: the question is asked once a boot.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }

    /// Whether OpenClaw at this address says that it is ready. No answer is no.
    pub async fn is_ready(&self, address: SocketAddr) -> bool {
        let request = http::Request::get(format!("http://{address}/readyz"))
            .header("x-forwarded-for", NOBODY)
            .header("x-forwarded-host", "clawloops.internal")
            .header("x-forwarded-proto", "http")
            .body(Empty::new());
        let Ok(request) = request else { return false };
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(response)) => response.status().is_success(),
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::new()
    }
}
