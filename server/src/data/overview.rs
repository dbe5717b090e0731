//! SQL of the overview: counts over everything.

use super::Connection;
use crate::Result;
use contract::Micros;

/// The counts.
pub struct Counts {
    /// People who may sign in.
    pub people: i64,
    /// Invitations that wait.
    pub invitations: i64,
    /// Runtimes that are ready.
    pub running: i64,
    /// Runtimes that were given up.
    pub failed: i64,
    /// Runtimes in all.
    pub runtimes: i64,
    /// What this month cost so far.
    pub cost_this_month: Micros,
    /// Model calls today.
    pub calls_today: i64,
    /// Memory of the runtimes that are to run and do not sleep without it, in bytes.
    pub memory_promised_bytes: i64,
    /// Whether a provider of one's own is there.
    pub has_provider: bool,
}

/// Counts everything; the month and the day begin in this time zone.
pub async fn counts(conn: &mut Connection, time_zone: &str) -> Result<Counts> {
    let counts = sqlx::query_as!(
        Counts,
        r#"select
               (select count(*) from person where status = 'active') as "people!",
               (select count(*) from invitation where consumed_at is null and revoked_at is null and expires_at > now()) as "invitations!",
               (select count(*) from runtime where deleted_at is null and phase = 'ready') as "running!",
               (select count(*) from runtime where deleted_at is null and phase = 'failed') as "failed!",
               (select count(*) from runtime where deleted_at is null) as "runtimes!",
               (select coalesce(sum(cost), 0)::bigint from usage_entry
                where at >= date_trunc('month', now(), $1)) as "cost_this_month!: Micros",
               (select coalesce(sum(calls), 0)::bigint from usage_entry where at >= date_trunc('day', now(), $1)) as "calls_today!",
               (select coalesce(sum(memory_bytes), 0)::bigint from runtime
                where deleted_at is null and desired_state = 'running' and phase <> 'failed'
                  and (phase <> 'asleep' or admitted_at is not null)) as "memory_promised_bytes!",
               exists (select from provider where kind not in ('demo', 'local')) as "has_provider!""#,
        time_zone,
    );
    Ok(counts.fetch_one(conn).await?)
}
