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

/// What a setting says; none where it is not there.
pub async fn get(conn: &mut Connection, name: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!("select value from setting where name = $1", name).fetch_optional(conn).await?)
}

/// What a setting says, which nobody changes until the transaction ends.
pub async fn hold(conn: &mut Connection, name: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!("select value from setting where name = $1 for share", name).fetch_optional(conn).await?)
}

/// What a setting says, which nobody else holds or changes until the transaction ends.
pub async fn lock(conn: &mut Connection, name: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!("select value from setting where name = $1 for update", name).fetch_optional(conn).await?)
}

/// Changes a setting.
pub async fn change(conn: &mut Connection, name: &str, value: &str) -> Result<()> {
    sqlx::query!("update setting set value = $2 where name = $1", name, value).execute(conn).await?;
    Ok(())
}
