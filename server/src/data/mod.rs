//! The only SQL: one file a noun. Functions take a connection; the business rule above opens the transaction.

pub mod address;
pub mod audit;
pub mod breaker;
pub mod budget;
pub mod cluster;
pub mod container;
pub mod given;
pub mod group;
pub mod invitation;
pub mod lead;
pub mod limit;
pub mod listen;
pub mod local_time;
pub mod master_key;
pub mod model;
pub mod model_key;
pub mod overview;
pub mod past;
pub mod person;
pub mod profile;
pub mod provider;
pub mod queue;
pub mod quota;
pub mod request;
pub mod runtime;
pub mod session;
pub mod setting;
pub mod settlement;
pub mod setup_link;
pub mod sleep;
pub mod slice;
pub mod task;
pub mod ticket;
pub mod transition_history;
pub mod usage;
pub mod usage_total;

pub use sqlx::{PgConnection as Connection, PgPool as Pool};

use crate::error::Error;
use std::time::{Duration, Instant};

/// Rolled back unless committed.
pub type Transaction = sqlx::Transaction<'static, sqlx::Postgres>;

/// The migrations, compiled in.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// How long a request waits for a connection. A database that is down is said before people think that nothing happens.
const PATIENCE: Duration = Duration::from_secs(3);
/// After so long within a transaction without a word PostgreSQL ends the connection: a server that stands still keeps no row from the others.
const HESITATION: Duration = Duration::from_secs(8);
/// How long a start waits: a database beside us may just be starting too.
const AT_START: Duration = Duration::from_secs(10);

/// A pool for a server: twenty connections at most. Three seconds without a connection is an error.
///
/// # Errors
/// When the address is malformed, or nothing answers there for ten seconds.
pub async fn connect(url: &str) -> crate::Result<Pool> {
    let pool = connect_lazily(url)?;
    let until = Instant::now() + AT_START;
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if Instant::now() < until => {}
            Err(error) => return Err(error.into()),
            Ok(connection) => {
                drop(connection);
                return Ok(pool);
            }
        }
    }
}

/// As [`connect`], but nothing is connected before it is needed.
///
/// # Errors
/// When the address is malformed.
pub fn connect_lazily(url: &str) -> crate::Result<Pool> {
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(20)
        .acquire_timeout(PATIENCE)
        // A connection that just served is taken as it is: a ping would double the round trips of a model call. One that rested is asked first.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                let hesitation = format!("{}ms", HESITATION.as_millis());
                let set = sqlx::query_scalar!("select set_config('idle_in_transaction_session_timeout', $1, false)", hesitation);
                set.fetch_one(connection).await.map(drop)
            })
        })
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                if rest.idle_for > Duration::from_secs(1) {
                    sqlx::Connection::ping(connection).await?;
                }
                Ok(true)
            })
        });
    Ok(pool.connect_lazy_with(options.application_name("clawloops")))
}

/// Applies the migrations that are missing. Two servers that start at once wait for each other.
///
/// # Errors
/// When one fails, or the database is of a newer version.
pub async fn migrate(pool: &Pool) -> crate::Result<()> {
    MIGRATIONS.run(pool).await.map_err(|error| Error::Database(Box::new(error)))
}

/// The server's version as it says it, and as a number (150004 is 15.4).
///
/// # Errors
/// When it does not answer.
pub async fn version(pool: &Pool) -> crate::Result<(String, i32)> {
    let row =
        sqlx::query!(r#"select current_setting('server_version') as "version!", current_setting('server_version_num')::int as "number!""#);
    let row = row.fetch_one(pool).await?;
    Ok((row.version, row.number))
}

/// Opens a transaction. It is rolled back unless committed.
pub async fn begin(pool: &Pool) -> crate::Result<Transaction> {
    Ok(pool.begin().await?)
}

/// The error of a database that is away.
#[must_use]
pub fn away() -> Error {
    sqlx::Error::PoolTimedOut.into()
}

/// Whether PostgreSQL was not there to be asked, or had no room: the same statement may pass later. One that broke off may have been done.
#[must_use]
pub fn is_away(error: &Error) -> bool {
    let Error::Database(source) = error else { return false };
    match source.downcast_ref::<sqlx::Error>() {
        // Connection, resources, an operator's intervention, the system around it; and a standby that is not the primary yet.
        Some(sqlx::Error::Database(error)) => {
            error.code().is_some_and(|code| ["08", "53", "57", "58", "25006"].iter().any(|class| code.starts_with(class)))
        }
        Some(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut) => true,
        _ => false,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::Missing,
            sqlx::Error::Database(ref database) => match database.constraint() {
                Some(name) if database.is_unique_violation() => Self::Constraint(name.to_owned()),
                _ => Self::Database(Box::new(error)),
            },
            other => Self::Database(Box::new(other)),
        }
    }
}
