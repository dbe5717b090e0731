//! SQL of `setup_link`.

use super::Connection;
use crate::Result;
use time::OffsetDateTime;

/// A set-up link.
pub struct SetupLink {
    /// Whether it was used.
    pub used: bool,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Adds a link.
pub async fn insert(conn: &mut Connection, token_hash: &[u8; 32], now: OffsetDateTime, expires_at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "insert into setup_link (token_hash, created_at, expires_at) values ($1, $2, $3)",
        token_hash.as_slice(),
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The link with this token hash.
pub async fn find(conn: &mut Connection, token_hash: &[u8; 32]) -> Result<Option<SetupLink>> {
    let link = sqlx::query_as!(
        SetupLink,
        r#"select used_at is not null as "used!", expires_at from setup_link where token_hash = $1"#,
        token_hash.as_slice(),
    );
    Ok(link.fetch_optional(conn).await?)
}

/// Uses a link; false when it was used already or is too old.
pub async fn consume(conn: &mut Connection, token_hash: &[u8; 32], now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query!(
        "update setup_link set used_at = $2 where token_hash = $1 and used_at is null and expires_at > $2",
        token_hash.as_slice(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all links that could still be used.
pub async fn end_open(conn: &mut Connection, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update setup_link set expires_at = $1 where used_at is null and expires_at > $1", now).execute(conn).await?;
    Ok(())
}
