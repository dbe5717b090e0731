//! SQL of what a runtime spent lately, and of its pause.

use super::Connection;
use crate::Result;
use contract::{PersonId, RuntimeId};
use time::OffsetDateTime;

/// What a runtime spent, and the tightest limits of its day.
pub struct Spending {
    /// Whose.
    pub person_id: PersonId,
    /// Its name.
    pub name: String,
    /// Calls that reached a model.
    pub calls: i64,
    /// What they cost, in micro-units.
    pub cost: i64,
    /// Tokens, sent and answered.
    pub tokens: i64,
    /// The tightest limit in money on a day that applies to it.
    pub day_cost: Option<i64>,
    /// The tightest limit in tokens on a day.
    pub day_tokens: Option<i64>,
}

/// What a runtime spent since then, or since it was resumed. None where it is paused already, or gone.
pub async fn spending(connection: &mut Connection, runtime_id: RuntimeId, since: OffsetDateTime) -> Result<Option<Spending>> {
    let found = sqlx::query_as!(
        Spending,
        r#"select runtime.person_id as "person_id: PersonId", runtime.name, lately.calls as "calls!", lately.cost as "cost!",
                  lately.tokens as "tokens!", day.cost as day_cost, day.tokens as day_tokens
           from runtime
           cross join lateral (
               select count(*) as calls, coalesce(sum(r.cost), 0)::bigint as cost,
                      coalesce(sum(r.input_tokens + r.output_tokens), 0)::bigint as tokens
               from usage_record r
               where r.runtime_id = runtime.runtime_id and r.outcome <> 'refused'
                 and r.at >= greatest($2, coalesce(runtime.calls_resumed_at, '-infinity'))
           ) lately
           cross join lateral (
               select min(b.amount) filter (where b.unit = 'money') as cost, min(b.amount) filter (where b.unit = 'tokens') as tokens
               from budgets_applying(runtime.person_id, array[runtime.runtime_id], array[]::uuid[], null) b where b.time_window = 'day'
           ) day
           where runtime.runtime_id = $1 and runtime.calls_paused_at is null"#,
        runtime_id.0,
        since
    );
    Ok(found.fetch_optional(connection).await?)
}

/// Pauses a runtime's model calls. False where they are paused already.
pub async fn pause(connection: &mut Connection, runtime_id: RuntimeId, reason: &str, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query!(
        "update runtime set calls_paused_at = $3, calls_paused_for = $2 where runtime_id = $1 and calls_paused_at is null",
        runtime_id.0,
        reason,
        now
    );
    Ok(done.execute(connection).await?.rows_affected() > 0)
}

/// Resumes them. False where they are not paused.
pub async fn resume(connection: &mut Connection, runtime_id: RuntimeId, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query!(
        "update runtime set calls_paused_at = null, calls_paused_for = null, calls_resumed_at = $2
         where runtime_id = $1 and calls_paused_at is not null",
        runtime_id.0,
        now
    );
    Ok(done.execute(connection).await?.rows_affected() > 0)
}
