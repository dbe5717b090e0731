//! Where browsers come in: the listener, plain or TLS, beside a TLS one the plain listener that sends them there, and the listeners of runtimes that have
//! ports.

use crate::{
    certificate::{authority::Authority, source::Source},
    clock::{Clock, SystemClock},
    config::{Config, Entry, Limits},
    data::{Pool, listen::Changes},
    ingress::{
        gate::Gate,
        listener,
        origins::Origins,
        ports::Listeners,
        redirect,
        tls::{self, Certificates},
        trust::Trust,
    },
    orchestrator::ports::Ports,
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
pub(super) async fn certificates(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Arc<Certificates>>> {
    let Some(source) = Source::named(config, clock) else { return Ok(None) };
    let entry = &config.entry;
    anyhow::ensure!(
        entry.public_url.scheme() == "https",
        "{} is set, but CLAWLOOPS_PUBLIC_URL is {}: it must begin with https://",
        if entry.tls.is_some() { "CLAWLOOPS_TLS" } else { "CLAWLOOPS_TLS_CERT" },
        entry.public_url
    );
    Ok(Some(Certificates::open(source).await.context("preparing https")?))
}

/// How people's devices come to trust this server, where it has an authority of its own.
pub(super) async fn how_to_trust(config: &Config) -> Option<String> {
    let (root, _) = Authority::named(config, Arc::new(SystemClock))?.look().await.ok()??;
    let host = config.entry.public_url.host_str().unwrap_or_default();
    let page = match config.entry.http_listen.map(|address| address.port()) {
        Some(80) => format!("http://{host}/trust"),
        Some(port) => format!("http://{host}:{port}/trust"),
        None => format!("{}/trust", config.entry.public_url.as_str().trim_end_matches('/')),
    };
    Some(format!("Devices are to trust the authority of this server, SHA-256\n  {}\n  {page} tells how.", root.fingerprint()))
}

/// Refuses settings of ports that contradict each other.
///
/// # Errors
/// When a port of runtimes is needed for something else, or the public address is one that no page can frame.
pub(super) fn check_ports(config: &Config) -> anyhow::Result<()> {
    let entry = &config.entry;
    let Some(ports) = entry.runtime_ports else { return Ok(()) };
    let others = [
        ("CLAWLOOPS_LISTEN", Some(entry.listen.port())),
        ("CLAWLOOPS_PUBLIC_URL", entry.public_url.port_or_known_default()),
        ("CLAWLOOPS_HTTP_LISTEN", entry.http_listen.map(|address| address.port())),
        ("CLAWLOOPS_INTERNAL_PORT", Some(entry.internal_port)),
        ("CLAWLOOPS_LITELLM_PORT", Some(config.models.litellm_port)),
        ("CLAWLOOPS_LOCAL_MODEL_PORT", Some(config.models.local_model_port)),
    ];
    for (variable, port) in others {
        if let Some(port) = port.filter(|port| ports.contains(*port)) {
            anyhow::bail!("CLAWLOOPS_RUNTIME_PORTS is {ports}, and port {port} of {variable} is one of them: choose another range");
        }
    }
    anyhow::ensure!(
        !entry.public_url.host_str().is_some_and(|host| host.starts_with('[')),
        "CLAWLOOPS_PUBLIC_URL is {}: with CLAWLOOPS_RUNTIME_PORTS it must be a name or an IPv4 address, since no page can say that it frames an IPv6 one",
        entry.public_url
    );
    Ok(())
}

/// What the listeners of runtimes' ports need.
pub(super) struct Runtimes {
    pub pool: Pool,
    pub ports: Arc<Ports>,
    pub changes: Changes,
}

/// The listeners of browsers, opened and not yet served.
pub(super) struct Front {
    listening: TcpListener,
    plain: Option<TcpListener>,
    certificates: Option<Arc<Certificates>>,
    runtimes: Option<Runtimes>,
}

impl Front {
    /// Opens them.
    ///
    /// # Errors
    /// When an address is taken, or may not be listened on.
    pub(super) async fn open(entry: &Entry, certificates: Option<Arc<Certificates>>, runtimes: Option<Runtimes>) -> anyhow::Result<Self> {
        let listening = bind(entry.listen, "CLAWLOOPS_LISTEN").await?;
        let plain = match entry.http_listen {
            Some(address) => Some(bind(address, "CLAWLOOPS_HTTP_LISTEN").await?),
            None => None,
        };
        Ok(Self { listening, plain, certificates, runtimes })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When TLS cannot be prepared.
    pub(super) async fn serve(self, config: &Config, router: Router, clock: Arc<dyn Clock>, stop: CancellationToken) -> anyhow::Result<()> {
        let limits = Limits { uncounted: config.entry.trusted_proxies.clone(), ..config.limits.clone() };
        let gate = Gate::new(limits.clone());
        let tls = self.certificates.as_ref().map(Certificates::listener).transpose()?;
        let follow = async {
            if let Some(certificates) = self.certificates {
                tls::follow(certificates, Arc::clone(&clock), stop.clone()).await;
            }
        };
        let redirect = async {
            match self.plain {
                Some(plain) => {
                    let router = redirect::router(Origins::configured(&config.entry), Trust::named(config, Arc::clone(&clock)));
                    listener::serve(plain, router, limits.clone(), stop.clone()).await
                }
                None => Ok(()),
            }
        };
        let runtimes = async {
            if let Some(Runtimes { pool, ports, changes }) = self.runtimes {
                let (gate, tls, router, limits, stop) = (Arc::clone(&gate), tls.clone(), router.clone(), limits.clone(), stop.clone());
                Listeners { pool, ports, gate, tls, router, limits, stop }.follow(changes).await;
            }
        };
        let dashboard =
            listener::serve_behind(Arc::clone(&gate), self.listening, tls.clone(), router.clone(), limits.clone(), stop.clone());
        let (served, redirected, (), ()) = tokio::join!(dashboard, redirect, follow, runtimes);
        served.and(redirected).context("serving")
    }
}

async fn bind(address: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("opening {address}: is another server there? {variable} chooses another address"))
}
