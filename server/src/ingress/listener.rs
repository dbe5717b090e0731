//! A listening socket and its end: plain or TLS, HTTP/1.1 or HTTP/2.

use super::gate::{self, Counted, Gate, Tongue};
use crate::config;
use axum::Router;
use rustls::ServerConfig;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Requests in progress get this long to end.
pub const GRACE: Duration = Duration::from_secs(10);
/// A browser shakes hands within this time, or is no browser.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error that is the machine's and not a client's (no file descriptors left), it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests in progress end, for [`GRACE`] at most.
///
/// # Errors
/// Never at present; a socket that fails is tried again.
pub async fn serve(listener: TcpListener, router: Router, limits: config::Limits, stop: CancellationToken) -> io::Result<()> {
    serve_with(listener, None, router, limits, stop).await
}

/// The same, behind TLS where there is a configuration of it. Handshakes are made beside each other: a slow one holds up nobody.
///
/// # Errors
/// As of [`serve`].
pub async fn serve_with(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: config::Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    let gate = Gate::new(limits.clone());
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    // Also when this future is dropped.
    let _cuts = cut.clone().drop_guard();
    let tls = tls.map(TlsAcceptor::from);
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let pass = match gate.admit(peer.ip()) {
            Ok(pass) => pass,
            Err(full) => {
                tracing::debug!(%peer, ?full, "a connection was turned away");
                // Whoever expects a handshake is told nothing: they would not understand it.
                if tls.is_none() {
                    gate::turn_away(&stream, full);
                }
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small packets will wait for each other");
        }
        let served = connection(Counted::new(stream, pass), peer, tls.clone(), router.clone(), limits.clone(), stop.clone());
        let cut = cut.clone();
        connections.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = served => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("requests that were still in progress were cut");
    }
    Ok(())
}

async fn connection(
    stream: Counted<TcpStream>,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: config::Limits,
    stop: CancellationToken,
) {
    let patience = Duration::from_secs(limits.header_seconds);
    let Some(tls) = tls else {
        let first_by = Instant::now() + patience;
        let tongue = tokio::select! {
            tongue = gate::tongue(stream.stream()) => tongue,
            // It said nothing yet, so nothing of it is in progress.
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(first_by) => return,
        };
        return gate::converse(stream, tongue, peer, router, limits, first_by, stop).await;
    };
    // On its own heap: where there is no TLS, nobody holds room for it.
    Box::pin(async move {
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let agreed = stream.get_ref().1.alpn_protocol();
                let tongue = if agreed == Some(b"http/1.1".as_slice()) { Tongue::Http1 } else { Tongue::Other };
                gate::converse(stream, tongue, peer, router, limits, Instant::now() + patience, stop).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    })
    .await;
}

/// The next connection, whatever becomes of others.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Gone before it was taken.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
