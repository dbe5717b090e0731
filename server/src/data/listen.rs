//! Changes, told by PostgreSQL's NOTIFY to every server on the database.

use super::{Connection, Pool};
use contract::{PersonId, RuntimeId, SessionId};
use serde::{Deserialize, Serialize};
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
pub struct Changes(broadcast::Sender<Change>);

impl Changes {
    /// A stream that nothing feeds yet.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::channel(1024).0)
    }

    /// Hears all changes from now on. A slow hearer gets `Lagged`: it reads everything anew.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }

    /// Tells a change within this process only.
    pub fn tell(&self, change: Change) {
        // An error means that nobody listens, which is fine.
        drop(self.0.send(change));
    }

    /// Feeds the stream from PostgreSQL until dropped; connects again by itself.
    pub async fn feed(&self, pool: &Pool) {
        loop {
            if let Err(error) = self.feed_once(pool).await {
                tracing::warn!(error = %crate::error::chain(&error), "the change stream was cut, connecting again");
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    async fn feed_once(&self, pool: &Pool) -> crate::Result<()> {
        let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        self.tell(Change::Anything);
        loop {
            match listener.try_recv().await? {
                Some(notification) => match serde_json::from_str(notification.payload()) {
                    Ok(change) => self.tell(change),
                    Err(error) => tracing::warn!(%error, "a change that this version does not know"),
                },
                None => self.tell(Change::Anything),
            }
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}
