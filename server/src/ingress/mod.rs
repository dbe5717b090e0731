//! ENTRY: the router, session check, guard, pages, live updates, tickets, the gateway to runtimes, the internal listener.
//!
//! Everything that a browser sends passes [`router::router`]: the host says whether it is for the dashboard or for a runtime. Dashboard requests go
//! through [`guard`] and [`session`] to the pages; a runtime's go through [`tickets`] to the [`gateway`]. The [`watch`] keeps what is cached and what
//! is open true to the change stream.

pub mod acme;
pub mod assertion;
pub mod assets;
pub mod connections;
pub mod conversation;
pub mod cut;
pub mod download;
pub mod export;
pub mod faults;
pub mod forward_auth;
pub mod gate;
pub mod gateway;
pub mod guard;
pub mod handover;
pub mod headers;
pub mod intake;
pub mod internal;
pub mod listener;
pub mod live;
pub mod origins;
pub mod outward;
pub mod pages;
pub mod proxies;
pub mod redirect;
pub mod router;
pub mod security;
pub mod session;
pub mod shape;
pub mod tickets;
pub mod tls;
pub mod traefik;
pub mod upstream;
pub mod visits;
pub mod waiting;
pub mod watch;
pub mod watching;
pub mod websocket;

use crate::{
    Result,
    clock::Clock,
    config::{Config, Limits},
    data::{Pool, listen::Changes},
    orchestrator::{Orchestrator, Route},
    platform::{keyring::Keyring, throttle::Throttle},
};
use app::ports::Ports;
use async_trait::async_trait;
use connections::Connections;
use contract::RuntimeId;
use origins::Origins;
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tells where a runtime's host leads. The orchestrator does; a test puts a plain server there.
#[async_trait]
pub trait Routes: Send + Sync {
    /// Where the host of this label leads; none when no runtime has it.
    async fn route(&self, label: &str) -> Result<Option<Route>>;
    /// Those that are ready, by the labels of their hosts, in that order.
    async fn ready(&self) -> Result<Vec<(String, Route)>>;
    /// Somebody holds something open towards these runtimes.
    async fn visited(&self, runtimes: &[RuntimeId]) -> Result<()>;
    /// Somebody stands before one that sleeps: it is to wake.
    async fn wake(&self, runtime: RuntimeId) -> Result<()>;
}

#[async_trait]
impl Routes for Orchestrator {
    async fn route(&self, label: &str) -> Result<Option<Route>> {
        self.address_of(label).await
    }

    async fn ready(&self) -> Result<Vec<(String, Route)>> {
        self.ready_routes().await
    }

    async fn visited(&self, runtimes: &[RuntimeId]) -> Result<()> {
        self.visit(runtimes).await
    }

    async fn wake(&self, runtime: RuntimeId) -> Result<()> {
        Orchestrator::wake(self, &[runtime]).await
    }
}

/// What the entry is made of.
pub struct Parts {
    /// The database.
    pub pool: Pool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The settings.
    pub config: Arc<Config>,
    /// What assertions are signed with.
    pub keys: Arc<Keyring>,
    /// Who stands in front.
    pub proxies: proxies::Proxies,
    /// What changes.
    pub changes: Changes,
    /// What is open towards runtimes: filled here, told by the pages.
    pub connections: Arc<Connections>,
    /// What the pages are served by.
    pub ports: Ports,
    /// How often somebody may try.
    pub throttle: Arc<Throttle>,
    /// Where runtimes are.
    pub routes: Arc<dyn Routes>,
    /// Where the runtimes' logs are.
    pub logs: Arc<dyn download::Logs>,
    /// The model door for people's own keys.
    pub models: axum::Router,
    /// Fires when the server is about to stop: another one is to be asked from now on, and this one answers still.
    pub leaving: CancellationToken,
    /// Fires when the server is to stop.
    pub stop: CancellationToken,
}

/// The entry: shared by all requests.
pub struct Entry {
    pool: Pool,
    clock: Arc<dyn Clock>,
    changes: Changes,
    ports: Ports,
    throttle: Arc<Throttle>,
    origins: Origins,
    limits: Limits,
    proxies: proxies::Proxies,
    signer: assertion::Signer,
    /// This server as an ingress reaches it.
    own_url: String,
    assets: assets::Assets,
    connections: Arc<Connections>,
    visits: visits::Visits,
    routes: Arc<dyn Routes>,
    logs: Arc<dyn download::Logs>,
    upstream: upstream::Upstream,
    /// Work that outlives its request: upgraded connections. Drained at the end.
    tasks: TaskTracker,
    leaving: CancellationToken,
    stop: CancellationToken,
}

impl Entry {
    /// Puts the entry together; `models` is mounted by [`router::router`].
    fn new(parts: Parts) -> (Arc<Self>, axum::Router) {
        let entry = Arc::new(Self {
            origins: Origins::of(&parts.config.entry.public_url),
            proxies: parts.proxies,
            signer: assertion::Signer::new(parts.keys),
            own_url: parts.config.entry.own_url(),
            assets: assets::Assets::at(parts.config.entry.site_dir.clone()),
            limits: parts.config.limits.clone(),
            connections: parts.connections,
            visits: visits::Visits::default(),
            routes: parts.routes,
            logs: parts.logs,
            upstream: upstream::Upstream::new(),
            tasks: TaskTracker::new(),
            pool: parts.pool,
            clock: parts.clock,
            changes: parts.changes,
            ports: parts.ports,
            throttle: parts.throttle,
            leaving: parts.leaving,
            stop: parts.stop,
        });
        (entry, parts.models)
    }

    /// How many streams and WebSockets are open towards runtimes.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// Waits until everything that outlived its request is done.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
