//! SQL of what runtimes went through: restarts and last errors, which outlive the wish that they were seen under.

use super::Connection;
use crate::Result;
use contract::RuntimeId;
use time::OffsetDateTime;

/// One runtime's past.
pub struct Past {
    /// Whose.
    pub runtime_id: RuntimeId,
    /// How often a try that failed was followed by another one.
    pub restarts: i64,
    /// Why the last try failed that did.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<OffsetDateTime>,
    /// Since when its model calls are paused.
    pub calls_paused_at: Option<OffsetDateTime>,
    /// Why.
    pub calls_paused_for: Option<String>,
}

/// The pasts of these runtimes.
pub async fn of(connection: &mut Connection, runtime_ids: &[RuntimeId]) -> Result<Vec<Past>> {
    let ids: Vec<uuid::Uuid> = runtime_ids.iter().map(|id| id.0).collect();
    let pasts = sqlx::query_as!(
        Past,
        r#"select runtime_id as "runtime_id: RuntimeId", restarts, last_error, last_error_at, calls_paused_at, calls_paused_for
           from runtime where runtime_id = any($1)"#,
        &ids
    );
    Ok(pasts.fetch_all(connection).await?)
}
