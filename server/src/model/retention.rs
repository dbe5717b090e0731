//! Retention of usage: records older than `CLAWLOOPS_USAGE_RETENTION_DAYS` become totals.

use super::Service;
use crate::{Result, data};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often is looked for records that have become old.
const PERIOD: Duration = Duration::from_secs(3600);
/// Records folded at once: a fraction of a second of work.
const BATCH: i64 = 2000;
/// Between two of them, so that calls do not wait for the clearing of a backlog.
const PAUSE: Duration = Duration::from_millis(100);

/// Records from before then are folded; none where they are kept for ever.
fn horizon(service: &Service) -> Option<OffsetDateTime> {
    let days = service.config.models.usage_retention_days;
    (days > 0).then(|| service.clock.now().saturating_sub(time::Duration::days(days)))
}

/// Whether the record of a call that came then has become part of a total.
pub(super) fn is_folded(service: &Service, came: OffsetDateTime) -> bool {
    horizon(service).is_some_and(|horizon| came < horizon)
}

/// Folds all records that are old enough, some at a time, until `stop`. Answers how many.
///
/// # Errors
/// When the database fails. What was folded before stays folded.
pub async fn fold(service: &Service, stop: &CancellationToken) -> Result<i64> {
    let Some(before) = horizon(service) else { return Ok(0) };
    let mut folded = 0;
    while !stop.is_cancelled() {
        let some = data::usage_total::fold(&mut *service.pool.acquire().await?, before, BATCH).await?;
        folded += some;
        if some < BATCH {
            break;
        }
        sleep(PAUSE).await;
    }
    if folded > 0 {
        tracing::info!(records = folded, %before, "old usage records were folded into totals");
    }
    Ok(folded)
}

/// Folds every hour. Ends after `stop`.
pub(super) async fn tend(service: std::sync::Arc<Service>, stop: CancellationToken) {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = fold(&service, &stop).await {
            tracing::warn!(error = %crate::error::chain(&error), "old usage records could not be folded; it is tried again");
        }
    }
}
