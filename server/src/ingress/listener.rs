//! A listening socket and its end.

use axum::Router;
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Requests in progress get this long to end.
pub const GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets requests in progress end, for [`GRACE`] at most.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
    tokio::select! {
        served = served => served,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("requests that were still in progress were cut");
            Ok(())
        }
    }
}
