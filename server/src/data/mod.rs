//! The only SQL: one file a noun. Functions take a connection; the business rule above opens the transaction.

pub mod audit;
pub mod budget;
pub mod cluster;
pub mod invitation;
pub mod listen;
pub mod model;
pub mod model_key;
pub mod overview;
pub mod person;
pub mod provider;
pub mod runtime;
pub mod session;
pub mod setting;
pub mod setup_link;
pub mod start_history;
pub mod ticket;
pub mod usage;

pub use sqlx::{PgConnection as Connection, PgPool as Pool};

use crate::error::Error;

/// The migrations, compiled in.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Opens a transaction. It is rolled back unless committed.
pub async fn begin(pool: &Pool) -> crate::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    Ok(pool.begin().await?)
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
