//! The app's ports, by calling the layers. Translation only: no logic of its own.

mod accounts;
mod admin;
mod groups;
mod models;
mod profiles;
mod providers;
mod runtimes;
mod sharing;
mod usage;

use crate::{clock::Clock, config::Config, data::Pool, model, orchestrator, platform};
use app::ports::Ports;
use contract::{OpenConnections, RuntimeId};
use std::sync::Arc;

/// Tells what is open towards runtimes through this server. The entry does.
pub trait Open: Send + Sync {
    /// How much is open towards each runtime; those with nothing are left out.
    fn open(&self) -> Vec<(RuntimeId, OpenConnections)>;
}

/// What the ports need. Implements all of them; one file a port.
pub struct Backend {
    /// The database.
    pub pool: Pool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The settings.
    pub config: Arc<Config>,
    /// Hashing of passwords.
    pub passwords: Arc<platform::passwords::Passwords>,
    /// Counting of tries at passwords; the entry counts tries by network address with it too.
    pub throttle: Arc<platform::throttle::Throttle>,
    /// Runtimes.
    pub orchestrator: Arc<orchestrator::Orchestrator>,
    /// Models.
    pub models: Arc<model::Service>,
    /// What is open towards runtimes.
    pub open: Arc<dyn Open>,
}

impl Backend {
    /// Itself as all ports.
    #[must_use]
    pub fn ports(self: &Arc<Self>) -> Ports {
        Ports {
            accounts: Arc::clone(self) as _,
            runtimes: Arc::clone(self) as _,
            profiles: Arc::clone(self) as _,
            models: Arc::clone(self) as _,
            usage: Arc::clone(self) as _,
            admin: Arc::clone(self) as _,
            groups: Arc::clone(self) as _,
            providers: Arc::clone(self) as _,
            sharing: Arc::clone(self) as _,
        }
    }
}
