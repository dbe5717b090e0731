//! The gateway's client: plain HTTP/1.1 to a runtime's address, streaming both ways.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    error::Error as StdError,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Node closes an idle connection after 5 seconds; ours go first, so that no request meets a closing one.
const IDLE: Duration = Duration::from_secs(3);
/// One answer has no more than so many that go before it.
const INFORMATIONAL: u32 = 16;
/// A runtime is on this machine: a connection is there at once or not at all.
const CONNECT: Duration = Duration::from_secs(3);

/// Sends requests to runtimes.
pub struct Upstream(Client<HttpConnector, Body>);

/// Why a request did not reach a runtime, or no answer came back.
pub type Failure = hyper_util::client::legacy::Error;

impl Upstream {
    /// A client with a pool of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).set_host(false).build(connector))
    }

    /// Sends one request. The answer's body streams.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        self.0.request(request).await
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether something came back that is no HTTP: a broken head, two lengths, more headers than anybody has.
#[must_use]
pub fn is_broken(failure: &Failure) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(failure);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_parse();
        }
        cause = error.source();
    }
    false
}

/// Fires when a runtime sends more than a few answers that are none yet (1xx): hyper reads them for as long as they come.
#[must_use]
pub fn chatter(request: &mut Request<Body>) -> CancellationToken {
    let (too_much, said) = (CancellationToken::new(), AtomicU32::new(0));
    let fire = too_much.clone();
    hyper::ext::on_informational(request, move |_| {
        if said.fetch_add(1, Ordering::Relaxed) >= INFORMATIONAL {
            fire.cancel();
        }
    });
    too_much
}

/// A body that ends with an error when its connection is cut, and keeps its place in the registry until it ends. Trailers are left behind.
pub struct Cuttable<H> {
    inner: Incoming,
    /// None once it was cut.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Kept for its drop only.
    _hold: H,
}

impl<H> Cuttable<H> {
    /// Passes `inner` on until `cut` is done.
    pub fn new(inner: Incoming, cut: impl Future<Output = ()> + Send + 'static, hold: H) -> Self {
        Self { inner, cut: Some(Box::pin(cut)), _hold: hold }
    }
}

/// Said to hyper when a body is cut: it closes the connection, so that nobody takes the part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the session or the runtime ended")]
pub struct Cut;

impl<H: Unpin> http_body::Body for Cuttable<H> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.cut.as_mut().is_none_or(|cut| cut.as_mut().poll(cx).is_ready()) {
            this.cut = None;
            return Poll::Ready(Some(Err(Box::new(Cut))));
        }
        loop {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            if !matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
