//! Which server of a database leads: a lock that ends with its connection, and a connection that ends with its holder's silence.

use super::{Connection, Pool};
use crate::{Error, Result};
use sqlx::Connection as _;
use std::time::Duration;
use tokio::time::timeout;

/// After so long without a word PostgreSQL ends the connection, and the lock with it: of a process that stands still, of a machine that is gone, behind
/// a network that is cut. Longer than a leader acts without an answer (`orchestrator::lease`).
pub const SILENCE: Duration = Duration::from_secs(6);
/// How long a database may take to say who leads, and to hear that nobody does any more.
const PATIENCE: Duration = Duration::from_secs(3);
/// The lock: any number that no other one of the database uses.
pub const LOCK: i64 = 0x434c_4157;

/// The proof that this server is the one that reconciles.
pub struct Lead(Connection);

/// Takes the lead, if no other server of this database has it.
///
/// # Errors
/// When the database does not answer in time.
pub async fn take(pool: &Pool) -> Result<Option<Lead>> {
    let mut connection = pool.acquire().await?;
    let taking = async {
        // Whoever waits for the lead asks for ever: to find it taken costs no connection of its own.
        if is_taken(&mut connection).await? {
            return Ok(None);
        }
        // Its own: one that went back to the pool would take the lock along.
        let mut connection = connection.detach();
        let silence = format!("{}ms", SILENCE.as_millis());
        // Before the lock is taken: there is no moment in which it could be kept for ever.
        sqlx::query_scalar!("select set_config('idle_session_timeout', $1, false)", silence).fetch_one(&mut connection).await?;
        let taken = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "taken!""#, LOCK).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Some(Lead(connection)));
        }
        connection.close().await?;
        Ok(None)
    };
    timeout(PATIENCE, taking).await.unwrap_or_else(|elapsed| Err(Error::Database(Box::new(elapsed))))
}

async fn is_taken(connection: &mut Connection) -> Result<bool> {
    // As PostgreSQL shows a lock of one number: its halves, and 1.
    let taken = sqlx::query_scalar!(
        r#"select exists (select from pg_locks
                           where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
                             and classid = ($1::bigint >> 32)::oid and objid = ($1::bigint & 4294967295)::oid and objsubid = 1 and granted) as "taken!""#,
        LOCK
    );
    Ok(taken.fetch_one(connection).await?)
}

impl Lead {
    /// Whether the connection, and with it the lock, still stands. Waits for as long as the network does: whoever asks bounds it.
    pub async fn holds(&mut self) -> bool {
        self.0.ping().await.is_ok()
    }

    /// Gives the lead up.
    ///
    /// # Errors
    /// When the database does not hear it in time. The lock falls by silence then.
    pub async fn yield_up(self) -> Result<()> {
        match timeout(PATIENCE, self.0.close()).await {
            Ok(closed) => Ok(closed?),
            Err(elapsed) => Err(Error::Database(Box::new(elapsed))),
        }
    }
}
