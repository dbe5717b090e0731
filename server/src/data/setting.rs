//! SQL of `setting`: facts of this installation, by name.

use super::Connection;
use crate::Result;

/// Writes a setting unless it is there already; the answer is what stands.
pub async fn put_if_missing(conn: &mut Connection, name: &str, value: &str) -> Result<String> {
    sqlx::query!("insert into setting (name, value) values ($1, $2) on conflict (name) do nothing", name, value)
        .execute(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar!("select value from setting where name = $1", name).fetch_one(conn).await?)
}
