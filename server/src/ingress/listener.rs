//! A listening socket and its end: plain or TLS, HTTP/1.1 or HTTP/2.

use super::gate::{self, Counted, Gate};
use crate::config;
use axum::Router;
use rustls::ServerConfig;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
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
    serve_behind(Gate::new(limits.clone()), listener, tls, router, limits, stop).await
}

/// The same, behind a gate that other listeners have as well: what all of them take together is counted.
///
/// # Errors
/// As of [`serve`].
pub async fn serve_behind(
    gate: Arc<Gate>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: config::Limits,
    stop: CancellationToken,
) -> io::Result<()> {
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
    let Some(tls) = tls else { return gate::converse(stream, peer, router, limits, stop).await };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => gate::converse(stream, peer, router, limits, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
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
