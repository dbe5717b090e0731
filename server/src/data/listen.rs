//! Changes, told by PostgreSQL's NOTIFY to every server on the database.

use super::{Connection, Pool};
use contract::{PersonId, RuntimeId, SessionId};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::broadcast;

/// Something changed. Carries ids only: whoever hears it reads the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Change {
    /// A runtime's wish, phase or steps.
    Runtime {
        /// Which.
        runtime_id: RuntimeId,
        /// Whose.
        person_id: PersonId,
    },
    /// A session ended: its connections close.
    SessionEnded {
        /// Which.
        session_id: SessionId,
        /// Whose.
        person_id: PersonId,
    },
    /// All of a person's sessions ended, or the person was disabled: all their connections close.
    PersonClosed {
        /// Whose.
        person_id: PersonId,
    },
    /// A person's usage or limits.
    Usage {
        /// Whose.
        person_id: PersonId,
    },
    /// A person's keys.
    Keys {
        /// Whose.
        person_id: PersonId,
    },
    /// Limits: what was judged by those before is judged anew.
    Limits,
    /// Providers or models.
    Catalog,
    /// People or invitations: for administrators' pages.
    People,
    /// The connection to PostgreSQL was lost and found: anything may have changed.
    Anything,
}

const CHANNEL: &str = "clawloops";

/// Tells a change when the transaction commits.
pub async fn notify(connection: &mut Connection, change: Change) -> crate::Result<()> {
    let text = serde_json::to_string(&change).map_err(|error| crate::Error::internal("writing a change", error))?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, text).execute(connection).await?;
    Ok(())
}

/// The stream of changes within this process.
#[derive(Clone)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
    /// The number of the connection that feeds it now, and how many there were; see [`Changes::stream`].
    feed: Arc<Feed>,
}

#[derive(Default)]
struct Feed {
    /// None is zero.
    present: AtomicU64,
    were: AtomicU64,
}

/// One connection that feeds the stream, until it is dropped.
struct Feeding<'a>(&'a Changes);

impl Drop for Feeding<'_> {
    fn drop(&mut self) {
        self.0.feed.present.store(0, Ordering::SeqCst);
        self.0.tell(Change::Anything);
    }
}

impl Changes {
    /// A stream that nothing feeds yet.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: broadcast::channel(1024).0, feed: Arc::default() }
    }

    /// Hears all changes from now on. A slow hearer gets `Lagged`: it reads everything anew.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }

    /// Tells a change within this process only.
    pub fn tell(&self, change: Change) {
        // An error means that nobody listens, which is fine.
        drop(self.sender.send(change));
    }

    /// The number of the connection by which changes are heard now; none while there is none. What was read while it was another one is not to be
    /// believed: a change may have gone unheard since.
    #[must_use]
    pub fn stream(&self) -> Option<u64> {
        Some(self.feed.present.load(Ordering::SeqCst)).filter(|number| *number > 0)
    }

    /// Feeds the stream from PostgreSQL until dropped; connects again by itself.
    pub async fn feed(&self, pool: &Pool) {
        loop {
            match self.feed_once(pool).await {
                // It ended in order, or was ended: a new one is had at once.
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(error = %crate::error::chain(&error), "the change stream was cut, connecting again");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn feed_once(&self, pool: &Pool) -> crate::Result<()> {
        let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        // A connection that it makes by itself would be one that nobody counts.
        listener.eager_reconnect(false);
        self.feed.present.store(self.feed.were.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _feeding = Feeding(self);
        self.tell(Change::Anything);
        while let Some(notification) = listener.try_recv().await? {
            match serde_json::from_str(notification.payload()) {
                Ok(change) => self.tell(change),
                Err(error) => {
                    tracing::warn!(%error, "a change that this version does not know");
                    self.tell(Change::Anything);
                }
            }
        }
        Ok(())
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}
