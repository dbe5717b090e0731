//! SQL of `start_history`: how long starts took on this machine.

use super::Connection;
use crate::Result;
use time::OffsetDateTime;

/// What the last starts of an image teach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lesson {
    /// How long they usually took, in milliseconds.
    pub median_ms: Option<i64>,
    /// How long the slow ones took, in milliseconds.
    pub p95_ms: Option<i64>,
}

/// Notes a start.
pub async fn insert(connection: &mut Connection, image: &str, took_ms: i64, at: OffsetDateTime) -> Result<()> {
    sqlx::query!("insert into start_history (image, took_ms, at) values ($1, $2, $3)", image, took_ms, at).execute(connection).await?;
    Ok(())
}

/// What the last twenty starts of the image teach.
pub async fn lesson(connection: &mut Connection, image: &str) -> Result<Lesson> {
    let found = sqlx::query!(
        r#"select percentile_disc(0.5) within group (order by took_ms) as median_ms, percentile_disc(0.95) within group (order by took_ms) as p95_ms
             from (select took_ms from start_history where image = $1 order by at desc limit 20) as recent"#,
        image
    )
    .fetch_one(connection)
    .await?;
    Ok(Lesson { median_ms: found.median_ms, p95_ms: found.p95_ms })
}
