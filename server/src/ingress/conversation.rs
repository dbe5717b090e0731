//! One connection from its first bytes to its end: how long it may take to say what it wants, and how it ends when the server does.

use crate::config;
use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    fmt,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A silent HTTP/2 connection is asked so often whether somebody is there, and has so long to answer.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// A connection that asked for nothing when the server stops may have a request under way: it has so long to arrive.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// What hyper reads of a head before it gives up, in bytes, where no more is allowed by the settings.
const HEAD: usize = 400 << 10;

/// Waits until the server stops and this connection is to end with the request in progress, if there is one.
pub(super) async fn over(stop: &CancellationToken, asked: &AtomicBool) {
    stop.cancelled().await;
    if !asked.load(Ordering::Relaxed) {
        tokio::time::sleep(UNDER_WAY).await;
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// HTTP/1.1, and what it is upgraded to.
    Http1,
    /// HTTP/2, or what is not known yet.
    Other,
}

/// Told by the first bytes, which stay where they are. One that is known to speak HTTP/1.1 is read with half the memory: hyper takes the first 24 bytes by
/// themselves to tell it from HTTP/2, and doubles its buffer for the rest.
pub async fn tongue(stream: &TcpStream) -> Tongue {
    let mut first = [0; 4];
    match stream.peek(&mut first).await {
        // No method begins as the preface of HTTP/2 does (RFC 9113, 3.4).
        Ok(4) if first != *b"PRI " => Tongue::Http1,
        _ => Tongue::Other,
    }
}

// Twice as much as is allowed: what is a little too large is answered in our own words (`shape`), and only what is far too large in hyper's.
fn most_of_a_head(limits: &config::Limits) -> (usize, usize) {
    (limits.header_count * 2, HEAD.max(limits.header_bytes() * 2))
}

fn only_http1(limits: &config::Limits) -> http1::Builder {
    let (count, bytes) = most_of_a_head(limits);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(limits.idle_seconds)).max_headers(count).max_buf_size(bytes);
    builder
}

fn either(limits: &config::Limits) -> auto::Builder<TokioExecutor> {
    let (count, bytes) = most_of_a_head(limits);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.idle_seconds))
        .max_headers(count)
        .max_buf_size(bytes);
    // WebSockets are HTTP/1.1's: the extended CONNECT of HTTP/2 (RFC 8441) is not offered, so that browsers open them there.
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_header_list_size(u32::try_from(limits.header_bytes() * 2).unwrap_or(u32::MAX));
    builder
}

/// One connection to its end. It is closed when it takes until `first_by` to its first whole request, or too long to the next one.
pub async fn converse<S>(
    stream: S,
    tongue: Tongue,
    peer: SocketAddr,
    router: Router,
    limits: config::Limits,
    first_by: Instant,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = Arc::clone(&asked);
        service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        })
    };
    let stream = TokioIo::new(stream);
    // Each on its own heap: one is far larger than the other, and thousands may be open.
    match tongue {
        Tongue::Http1 => {
            let serving = only_http1(&limits).serve_connection(stream, service).with_upgrades();
            drop(limits);
            until_over(Box::pin(serving), |serving| serving.graceful_shutdown(), peer, &asked, first_by, stop).await;
        }
        Tongue::Other => {
            let builder = either(&limits);
            let serving = Box::pin(builder.serve_connection_with_upgrades(stream, service));
            until_over(serving, |serving| serving.graceful_shutdown(), peer, &asked, first_by, stop).await;
        }
    }
}

async fn until_over<F: Future<Output = Result<(), E>>, E: fmt::Display>(
    mut serving: Pin<Box<F>>,
    shut_down: fn(Pin<&mut F>),
    peer: SocketAddr,
    asked: &AtomicBool,
    first_by: Instant,
    stop: CancellationToken,
) {
    // hyper's own clock does not run before it knows the version, and HTTP/2 has none.
    let mut first = pin!(tokio::time::sleep_until(first_by));
    let mut over = pin!(over(&stop, asked));
    let (mut waits, mut stopping) = (true, false);
    let ended = loop {
        tokio::select! {
            ended = serving.as_mut() => break ended,
            () = first.as_mut(), if waits => {
                waits = false;
                if !asked.load(Ordering::Relaxed) {
                    tracing::debug!(%peer, "a connection that asked for nothing was closed");
                    return;
                }
            }
            () = over.as_mut(), if !stopping => {
                stopping = true;
                shut_down(serving.as_mut());
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended before its time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_connection_speaks_is_told_by_its_first_bytes_which_stay() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (said, expected) in [
            ("GET / HTTP/1.1\r\n", Tongue::Http1),
            ("PRI * HTTP/2.0\r\n", Tongue::Other),
            ("PRINT / HTTP/1.1\r\n", Tongue::Http1),
            ("GE", Tongue::Other),
            ("", Tongue::Other),
        ] {
            let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut called, _) = listener.accept().await.unwrap();
            caller.write_all(said.as_bytes()).await.unwrap();
            caller.shutdown().await.unwrap();
            assert_eq!(tongue(&called).await, expected, "{said:?}");
            let mut heard = String::new();
            called.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, said);
        }
    }
}
