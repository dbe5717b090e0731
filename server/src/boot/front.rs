//! Where browsers come in: the listener, plain or TLS, and beside a TLS one the plain listener that sends them there.

use crate::{
    certificate::Files,
    clock::Clock,
    config::{Config, Entry, Limits},
    ingress::{
        Routes,
        acme::Keeper,
        handover, listener, redirect,
        tls::{self, Certificates},
    },
};
use anyhow::Context as _;
use axum::Router;
use futures::FutureExt as _;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where certificates come from.
pub(super) enum Source {
    /// Files that the settings name.
    Files(Arc<Certificates>),
    /// An ACME server, and what was got from it before.
    Acme(Arc<Keeper>),
}

/// Where certificates come from; none where plain http is spoken.
///
/// # Errors
/// When the files cannot be used, or the public address is not an https one: browsers would not find the server.
pub(super) async fn certificates(config: &Config) -> anyhow::Result<Option<Source>> {
    let entry = &config.entry;
    let by = |setting: &str| {
        anyhow::ensure!(
            entry.public_url.scheme() == "https",
            "{setting} is set, but CLAWLOOPS_PUBLIC_URL is {}: it must begin with https://",
            entry.public_url
        );
        Ok(())
    };
    if let Some(files) = Files::named(entry) {
        by("CLAWLOOPS_TLS_CERT")?;
        return Ok(Some(Source::Files(Certificates::open(files).await.context("preparing https")?)));
    }
    if entry.acme.is_none() {
        anyhow::ensure!(
            entry.http_listen.is_none(),
            "CLAWLOOPS_HTTP_LISTEN sends to https: CLAWLOOPS_TLS_CERT or CLAWLOOPS_ACME must be set too"
        );
        return Ok(None);
    }
    by("CLAWLOOPS_ACME")?;
    anyhow::ensure!(
        entry.http_listen.is_some() || entry.acme_dns_hook.is_some(),
        "CLAWLOOPS_ACME needs CLAWLOOPS_HTTP_LISTEN, where the ACME server comes to port 80, or CLAWLOOPS_ACME_DNS_HOOK"
    );
    Ok(Keeper::open(config).await.context("preparing https")?.map(Source::Acme))
}

/// The listeners of browsers, opened and not yet served.
pub(super) struct Front {
    listening: TcpListener,
    plain: Option<TcpListener>,
    certificates: Option<Source>,
}

impl Front {
    /// Opens them.
    ///
    /// # Errors
    /// When an address is taken, or may not be listened on.
    pub(super) async fn open(entry: &Entry, certificates: Option<Source>) -> anyhow::Result<Self> {
        let listening = bind(entry.listen, entry.listen_shared, "CLAWLOOPS_LISTEN")?;
        let plain = match entry.http_listen {
            Some(address) => Some(bind(address, entry.listen_shared, "CLAWLOOPS_HTTP_LISTEN")?),
            None => None,
        };
        Ok(Self { listening, plain, certificates })
    }

    /// Serves until `stop`. `routes` knows the hosts that certificates are ordered for.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub(super) async fn serve(
        self,
        config: &Config,
        router: Router,
        routes: Arc<dyn Routes>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let limits = Limits { uncounted: config.entry.trusted_proxies.clone(), ..config.limits.clone() };
        let (tls, follow, keeper) = match self.certificates {
            None => return listener::serve(self.listening, router, limits.clone(), stop).await.context("serving"),
            Some(Source::Files(certificates)) => {
                (certificates.listener()?, tls::follow(certificates, clock, stop.clone()).left_future(), None)
            }
            Some(Source::Acme(keeper)) => {
                let follow = Arc::clone(&keeper).run(routes, clock, stop.clone()).right_future();
                (tls::listener(Arc::clone(&keeper) as _)?, follow, Some(keeper))
            }
        };
        let redirect = async {
            match self.plain {
                Some(plain) => {
                    listener::serve(plain, redirect::router(&config.entry.public_url, keeper), limits.clone(), stop.clone()).await
                }
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
