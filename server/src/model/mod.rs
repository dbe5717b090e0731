//! MODEL: the credential proxy: keys, the catalog, reservations, streaming, metering, LiteLLM, the vault.

mod address;
pub mod breaker;
pub mod budget;
pub mod catalog;
mod child;
pub mod door;
pub mod export;
mod health;
pub mod key_text;
pub mod keys;
mod known;
mod ledger;
pub mod litellm;
mod local;
mod meter;
pub mod more;
pub mod providers;
mod request;
pub mod reseal;
pub mod retention;
mod shape;
mod slices;
pub mod usage;
pub mod vault;
mod words;

use crate::{
    Error, Result,
    clock::Clock,
    config::Config,
    data::{
        Connection, Pool,
        listen::{Change, Changes},
    },
    platform::{
        audit::{self, Actor},
        keyring::Keyring,
    },
};
use contract::{Caller, Code, PersonId, Problem};
use slices::Whose;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long calls in progress may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// The model service of one server: the door for calls, and what stands behind it.
pub struct Service {
    pool: Pool,
    clock: Arc<dyn Clock>,
    config: Arc<Config>,
    changes: Changes,
    keys: Arc<Keyring>,
    vault: vault::Vault,
    /// For what runs beside us.
    http: reqwest::Client,
    /// For providers.
    outside: address::Outside,
    health: Arc<health::Health>,
    /// Keys and models that were read lately.
    known: known::Known,
    /// Where calls go now; none while LiteLLM starts.
    upstream: watch::Sender<Option<Arc<litellm::Upstream>>>,
    books: budget::Books,
    /// Calls: they go on when their caller does not.
    tracker: TaskTracker,
}

impl Service {
    /// Makes the service; nothing is started yet. `keys` seal the providers' secrets.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(pool: Pool, clock: Arc<dyn Clock>, config: Arc<Config>, keys: Arc<Keyring>, changes: Changes) -> Result<Arc<Self>> {
        ensure_tls();
        let http = client().build().map_err(|error| Error::internal("making the HTTP client for models", error))?;
        let outside = address::Outside::new(&config.models)?;
        Ok(Arc::new(Self {
            pool,
            clock,
            config,
            changes,
            vault: vault::Vault::new(Arc::clone(&keys)),
            keys,
            http,
            outside,
            health: Arc::default(),
            known: known::Known::default(),
            upstream: watch::Sender::new(None),
            books: budget::Books::default(),
            tracker: TaskTracker::new(),
        }))
    }

    /// Supervises LiteLLM and the local model, sweeps leases that ran out, folds old usage records, follows the catalog. Ends after `stop`, when calls in progress are
    /// settled, slices given back and the children gone.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Err(error) = local::put_into_catalog(&self).await {
            tracing::error!(error = %crate::error::chain(&error), "the local model could not be put into the catalog");
        }
        let children = CancellationToken::new();
        let drain = async {
            stop.cancelled().await;
            self.tracker.close();
            if timeout(DRAIN, self.tracker.wait()).await.is_err() {
                tracing::warn!(calls = self.books.in_progress(), "calls still run at the end; their leases will settle them");
            }
            slices::close(&self).await;
            children.cancel();
        };
        tokio::join!(
            litellm::supervise(self.clone(), children.clone()),
            local::supervise(self.clone(), children.clone()),
            budget::tend(self.clone(), children.clone()),
            budget::watch(self.clone(), children.clone()),
            slices::tend(self.clone(), children.clone()),
            retention::tend(self.clone(), children.clone()),
            drain
        );
    }

    /// Calls that are being answered or settled.
    #[must_use]
    pub fn calls_in_progress(&self) -> usize {
        self.books.in_progress()
    }

    /// The stream of changes that it follows.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Forgets what this change makes untrue: what was read of keys and models, and what was held on the strength of it.
    fn forget(&self, change: Change) {
        self.known.forget(change);
        let whose = match change {
            Change::Keys { person_id } | Change::PersonClosed { person_id } => Whose::Of(person_id),
            Change::Runtime { runtime_id, .. } => Whose::Running(runtime_id),
            Change::Catalog | Change::Limits | Change::Anything => Whose::All,
            Change::SessionEnded { .. } | Change::Usage { .. } | Change::People => return,
        };
        self.books.slices().recall(whose);
    }

    /// Writes what calls used that drew from slices, at once instead of in a moment.
    ///
    /// # Errors
    /// When the database fails: it is written later.
    pub async fn write_used(self: &Arc<Self>) -> Result<()> {
        slices::write(self, true).await
    }

    async fn record(
        &self,
        connection: &mut Connection,
        caller: &Caller,
        action: &str,
        person_id: Option<PersonId>,
        subject: &str,
        detail: &str,
    ) -> Result<()> {
        audit::record(connection, Actor::Person(caller), action, person_id, subject, detail).await
    }
}

/// How model servers are spoken to, wherever they are.
fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .pool_max_idle_per_host(256)
        // Of the environment's proxies none is taken unseen.
        .no_proxy()
}

/// TLS has one provider in this process. Set twice is set once.
fn ensure_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A name that a person typed: trimmed, not empty, at most 80 characters, on one line.
fn named(text: &str, field: &str) -> Result<String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 80 || name.chars().any(char::is_control) {
        return Err(Problem::new(Code::Invalid, "A name has 1 to 80 characters.").field(field).into());
    }
    Ok(name.to_owned())
}

fn administrator(caller: &Caller) -> Result<()> {
    if caller.is_administrator() {
        return Ok(());
    }
    Err(Error::problem(Code::AccessDenied, "Only an administrator may do this."))
}
