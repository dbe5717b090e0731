//! SQL that settles many calls at once.

use super::{
    Connection,
    budget::{Outcome, Used},
};
use crate::Result;
use uuid::Uuid;

/// As [`super::budget::settle`] for every call whose reservation is there; answers which those were. On the disk only after [`flush`].
pub async fn settle_all(connection: &mut Connection, calls: &[(Uuid, Used)]) -> Result<Vec<Uuid>> {
    let each = |of: fn(&Used) -> i64| calls.iter().map(|(_, used)| of(used)).collect::<Vec<_>>();
    let ids: Vec<Uuid> = calls.iter().map(|(id, _)| *id).collect();
    let first: Vec<Option<i64>> = calls.iter().map(|(_, used)| used.first_token_ms).collect();
    let outcomes: Vec<Outcome> = calls.iter().map(|(_, used)| used.outcome).collect();
    let estimated: Vec<bool> = calls.iter().map(|(_, used)| used.estimated).collect();
    Ok(sqlx::query_scalar!(
        r#"select settle_model_calls($1, $2, $3, $4, $5, $6, $7, $8) as "id!""#,
        &ids,
        &each(|used| used.input_tokens),
        &each(|used| used.cached_input_tokens),
        &each(|used| used.output_tokens),
        &each(|used| used.latency_ms),
        &first as &[Option<i64>],
        &outcomes as &[Outcome],
        &estimated
    )
    .fetch_all(connection)
    .await?)
}

/// Returns when all that was settled before is on the disk.
pub async fn flush(connection: &mut Connection) -> Result<()> {
    sqlx::query!("select flush_settled()").execute(connection).await?;
    Ok(())
}
