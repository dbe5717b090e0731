//! The platform at a glance, for administrators.

use crate::{Result, data::Pool, platform::people};
use contract::{Caller, Overview};

/// Counts of people, runtimes and usage; days and months in the administrator's time zone. The host's memory and the parts' health are left for
/// whoever knows them.
///
/// # Errors
/// `AccessDenied`.
pub async fn glance(pool: &Pool, caller: &Caller) -> Result<Overview> {
    people::administrators_only(caller)?;
    let counts = crate::data::overview::counts(&mut *pool.acquire().await?, &caller.time_zone).await?;
    Ok(Overview {
        people: counts.people,
        invitations: counts.invitations,
        running: counts.running,
        failed: counts.failed,
        runtimes: counts.runtimes,
        cost_this_month: counts.cost_this_month,
        calls_today: counts.calls_today,
        memory_promised_bytes: counts.memory_promised_bytes,
        memory_host_bytes: 0,
        parts: Vec::new(),
        has_provider: counts.has_provider,
    })
}
