//! A listening socket and its end: plain or TLS, HTTP/1.1 or HTTP/2.

use super::{
    conversation::{self, Tongue},
    gate::{self, Counted, Gate},
    handover,
};
use crate::config;
use axum::Router;
use futures::FutureExt as _;
use rustls::ServerConfig;
use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A browser shakes hands within this time, or is no browser.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error that is the machine's and not a client's (no file descriptors left), it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then lets requests in progress end, for the time that the limits give. A port that is shared is left without a connection lost.
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
    let hall = Hall {
        gate: Gate::new(limits.clone()),
        connections: TaskTracker::new(),
        cut: CancellationToken::new(),
        tls: tls.map(TlsAcceptor::from),
        router,
        limits,
        stop,
    };
    // Also when this future is dropped.
    let _cuts = hall.cut.clone().drop_guard();
    loop {
        tokio::select! {
            () = hall.stop.cancelled() => break,
            (stream, peer) = accept(&listener) => hall.admit(stream, peer),
        }
    }
    if handover::is_shared(&listener) {
        if let Err(error) = handover::take_nobody_new(&listener) {
            tracing::warn!(%error, "connections that begin just now may be lost");
        }
        let mut begun = pin!(tokio::time::sleep(handover::HANDSHAKES));
        loop {
            tokio::select! {
                () = begun.as_mut() => break,
                (stream, peer) = accept(&listener) => hall.admit(stream, peer),
            }
        }
        while let Some((stream, peer)) = accept(&listener).now_or_never() {
            hall.admit(stream, peer);
        }
    }
    drop(listener);
    hall.connections.close();
    if tokio::time::timeout(hall.limits.grace(), hall.connections.wait()).await.is_err() {
        tracing::warn!("requests that were still in progress were cut");
    }
    Ok(())
}

/// What the connections of one listener share.
struct Hall {
    gate: Arc<Gate>,
    connections: TaskTracker,
    cut: CancellationToken,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: config::Limits,
    stop: CancellationToken,
}

impl Hall {
    /// Serves a connection on a task of its own, or turns it away.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let pass = match self.gate.admit(peer.ip()) {
            Ok(pass) => pass,
            Err(full) => {
                tracing::debug!(%peer, ?full, "a connection was turned away");
                // Whoever expects a handshake is told nothing: they would not understand it.
                if self.tls.is_none() {
                    gate::turn_away(&stream, full);
                }
                return;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small packets will wait for each other");
        }
        let stream = Counted::new(stream, pass);
        let served = connection(stream, peer, self.tls.clone(), self.router.clone(), self.limits.clone(), self.stop.clone());
        let cut = self.cut.clone();
        self.connections.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = served => {}
            }
        });
    }
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
        let nothing_asked = AtomicBool::new(false);
        let tongue = tokio::select! {
            tongue = conversation::tongue(stream.stream()) => tongue,
            // It said nothing yet: what is on its way may still come.
            () = conversation::over(&stop, &nothing_asked) => return,
            () = tokio::time::sleep_until(first_by) => return,
        };
        return conversation::converse(stream, tongue, peer, router, limits, first_by, stop).await;
    };
    // On its own heap: where there is no TLS, nobody holds room for it.
    Box::pin(async move {
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let agreed = stream.get_ref().1.alpn_protocol();
                let tongue = if agreed == Some(b"http/1.1".as_slice()) { Tongue::Http1 } else { Tongue::Other };
                conversation::converse(stream, tongue, peer, router, limits, Instant::now() + patience, stop).await;
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
