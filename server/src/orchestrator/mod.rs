//! The wish and the loop that makes it so.
//!
//! [`commands`] write what ought to be, in one transaction, without touching the engine. [`driver`] is woken by every change, by the engine's events, by
//! what [`watched`] knows to be due, and by a [`pass`] over everything on a period; it looks at rows and at the engine, [`decide`] names one action a
//! runtime, [`reconcile`] does it. Recovery after a crash is the same code.

mod attended;
pub mod commands;
pub mod decide;
mod driver;
mod follow;
mod glance;
mod lease;
pub mod logs;
mod memory;
mod pass;
pub mod ports;
pub mod profile;
pub mod reconcile;
mod rendered;
pub mod rest;
pub mod routes;
mod sleep;
pub mod store;
mod watched;

use crate::{
    Result,
    clock::Clock,
    config::Config,
    data::{Pool, listen::Changes},
    manager::{
        Engine,
        bounded::Bounded,
        rpc::{AdminRpc, Openclaw},
    },
    platform::keyring::Keyring,
};
use async_trait::async_trait;
use std::{net::IpAddr, sync::Arc, time::Duration};
use time::OffsetDateTime;

pub use routes::Route;
use store::{Room, Store, postgres::Postgres};

/// Opens the internal listener. The entry layer implements it; runtimes call models through it.
#[async_trait]
pub trait Doors: Send + Sync {
    /// Opens the listener on this address of the host, inside a runtime's network. Asked twice is asked once.
    async fn open(&self, gateway: IpAddr) -> Result<()>;
}

/// Makes every runtime what it was asked to be.
pub struct Orchestrator {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    engine: Arc<dyn Engine>,
    config: Arc<Config>,
    /// Where runtimes have ports in place of host names.
    ports: Option<Arc<ports::Ports>>,
    /// The master keys, from which the runtimes' keys are derived.
    keys: Arc<Keyring>,
    doors: Arc<dyn Doors>,
    changes: Changes,
    attended: Arc<attended::Attended>,
    watched: watched::Watched,
    rendered: rendered::Rendered,
    kept: routes::Kept,
    listed: routes::Listed,
    room: tokio::sync::OnceCell<Room>,
    decide: fn(&decide::Facts<'_>) -> decide::Action,
    logs: Option<Arc<logs::Logs>>,
    openclaw: Arc<dyn Openclaw>,
    /// In place of the settings', for tests.
    policy: Option<rest::Policy>,
    /// In place of what follows from how many runtimes there are, for tests.
    pause: Option<Duration>,
    /// Since when this server watches: what was used before it, nobody knows.
    began: OffsetDateTime,
    visits: sleep::Visits,
}

impl Orchestrator {
    /// Stands still until [`Orchestrator::run`]. The runtimes' keys are derived from `keys`.
    #[must_use]
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        engine: Arc<dyn Engine>,
        config: Arc<Config>,
        keys: Arc<Keyring>,
        doors: Arc<dyn Doors>,
        changes: Changes,
    ) -> Self {
        Self::with_store(Arc::new(Postgres::new(pool)), clock, engine, config, keys, doors, changes)
    }

    /// The same over any store: the simulation has one in memory.
    #[must_use]
    pub fn with_store(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        engine: Arc<dyn Engine>,
        config: Arc<Config>,
        keys: Arc<Keyring>,
        doors: Arc<dyn Doors>,
        changes: Changes,
    ) -> Self {
        let (kept, listed) = (routes::Kept::new(changes.subscribe()), routes::Listed::new(changes.subscribe()));
        let engine: Arc<dyn Engine> = Arc::new(Bounded::new(engine));
        let room = tokio::sync::OnceCell::new();
        let began = clock.now();
        let ports = ports::Ports::of(&config.entry).map(Arc::new);
        Self {
            store,
            clock,
            engine,
            config,
            ports,
            keys,
            doors,
            changes,
            attended: Arc::default(),
            watched: watched::Watched::default(),
            rendered: rendered::Rendered::default(),
            kept,
            listed,
            room,
            decide: decide::next,
            logs: None,
            openclaw: Arc::new(AdminRpc::new()),
            policy: None,
            pause: None,
            began,
            visits: sleep::Visits::default(),
        }
    }

    /// With another way to decide: for tests that break it on purpose and see that it is noticed.
    #[must_use]
    pub fn deciding(mut self, decide: fn(&decide::Facts<'_>) -> decide::Action) -> Self {
        self.decide = decide;
        self
    }

    /// Keeping the runtimes' logs: without it they are the engine's, and go with their containers.
    #[must_use]
    pub fn keeping(mut self, logs: Arc<logs::Logs>) -> Self {
        self.logs = Some(logs);
        self
    }

    /// With another way to speak with OpenClaw: the simulation's lies, is slow and refuses.
    #[must_use]
    pub fn speaking(mut self, openclaw: Arc<dyn Openclaw>) -> Self {
        self.openclaw = openclaw;
        self
    }

    /// With this rule of sleep for every runtime, whatever the settings and their owners say: for tests, which have no half hours.
    #[must_use]
    pub fn resting(mut self, policy: rest::Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// With whole passes this far apart, as they are where there are thousands of runtimes: for tests, which have a few.
    #[must_use]
    pub fn passing_every(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// What this machine has for runtimes: what the operator says, otherwise what the engine's machine has, less what the rest of it needs.
    pub async fn room(&self) -> Result<Room> {
        let room = self.room.get_or_try_init(|| async {
            let capacity = self.engine.capacity().await?;
            let limits = &self.config.runtimes;
            let whole = limits
                .memory_budget_mib
                .map_or_else(|| decide::memory_budget(capacity.memory_bytes), |mib| mib.saturating_mul(1024 * 1024));
            let starts = limits.starts_at_once.unwrap_or(capacity.cores).max(1);
            let starts_a_core = i32::try_from((starts - 1) / capacity.cores.max(1) + 1).unwrap_or(i32::MAX);
            Ok::<_, crate::Error>(Room { memory_bytes: whole, starts, starts_a_core })
        });
        room.await.copied()
    }

    /// The ports of runtimes, where they have no host names of their own.
    #[must_use]
    pub fn ports(&self) -> Option<&Arc<ports::Ports>> {
        self.ports.as_ref()
    }

    /// The engine, for its health.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }
}
