//! Where browsers come in: the listener, plain or TLS, and beside a TLS one the plain listener that sends them there.

use crate::{
    certificate::Files,
    clock::Clock,
    config::{Config, Entry, Limits},
    ingress::{
        handover, listener, redirect,
        tls::{self, Certificates},
    },
};
use anyhow::Context as _;
use axum::Router;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The certificate that the settings name; none where plain http is spoken.
///
/// # Errors
/// When it cannot be used, or the public address is not an https one: browsers would not find the server.
pub(super) async fn certificates(entry: &Entry) -> anyhow::Result<Option<Arc<Certificates>>> {
    let Some(files) = Files::named(entry) else { return Ok(None) };
    anyhow::ensure!(
        entry.public_url.scheme() == "https",
        "CLAWLOOPS_TLS_CERT is set, but CLAWLOOPS_PUBLIC_URL is {}: it must begin with https://",
        entry.public_url
    );
    Ok(Some(Certificates::open(files).await.context("preparing https")?))
}

/// The listeners of browsers, opened and not yet served.
pub(super) struct Front {
    listening: TcpListener,
    plain: Option<TcpListener>,
    certificates: Option<Arc<Certificates>>,
}

impl Front {
    /// Opens them.
    ///
    /// # Errors
    /// When an address is taken, or may not be listened on.
    pub(super) async fn open(entry: &Entry, certificates: Option<Arc<Certificates>>) -> anyhow::Result<Self> {
        let listening = bind(entry.listen, entry.listen_shared, "CLAWLOOPS_LISTEN")?;
        let plain = match entry.http_listen {
            Some(address) => Some(bind(address, entry.listen_shared, "CLAWLOOPS_HTTP_LISTEN")?),
            None => None,
        };
        Ok(Self { listening, plain, certificates })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub(super) async fn serve(self, config: &Config, router: Router, clock: Arc<dyn Clock>, stop: CancellationToken) -> anyhow::Result<()> {
        let limits = Limits { uncounted: config.entry.trusted_proxies.clone(), ..config.limits.clone() };
        let Some(certificates) = self.certificates else {
            return listener::serve(self.listening, router, limits.clone(), stop).await.context("serving");
        };
        let tls = certificates.listener()?;
        let follow = tls::follow(certificates, clock, stop.clone());
        let redirect = async {
            match self.plain {
                Some(plain) => listener::serve(plain, redirect::router(&config.entry.public_url), limits.clone(), stop.clone()).await,
                None => Ok(()),
            }
        };
        let (served, redirected, ()) =
            tokio::join!(listener::serve_with(self.listening, Some(tls), router, limits.clone(), stop.clone()), redirect, follow);
        served.and(redirected).context("serving")
    }
}

fn bind(address: SocketAddr, shared: bool, variable: &str) -> anyhow::Result<TcpListener> {
    handover::listen(address, shared)
        .with_context(|| format!("opening {address}: is another server there? {variable} chooses another address"))
}
