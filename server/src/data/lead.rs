//! The lock that names the one server that reconciles.

use super::{Connection, Pool};
use crate::Result;
use sqlx::Connection as _;

/// The proof that this server is the one that reconciles: a lock that ends with its connection.
pub struct Lead(Connection);

/// Any number that no other lock of the database uses.
const LEAD: i64 = 0x434c_4157;

/// Takes the lead, if no other server of this database has it.
pub async fn take(pool: &Pool) -> Result<Option<Lead>> {
    let mut connection = pool.acquire().await?.detach();
    let taken = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "taken!""#, LEAD).fetch_one(&mut connection).await?;
    if taken {
        return Ok(Some(Lead(connection)));
    }
    connection.close().await?;
    Ok(None)
}

impl Lead {
    /// Whether the connection, and with it the lock, still stands.
    pub async fn holds(&mut self) -> bool {
        self.0.ping().await.is_ok()
    }

    /// Gives the lead up.
    pub async fn yield_up(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
