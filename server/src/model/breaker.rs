//! The breaker on the rate of spend: a runtime in a loop is paused for model calls, well before its day's limit is gone.

use super::Service;
use crate::{
    Result,
    config::Models,
    data::{
        self,
        breaker::Spending,
        listen::{self, Change},
    },
    platform::audit::{self, Actor},
};
use contract::{Caller, PersonId, RuntimeId};
use time::Duration;

/// What counts as lately.
const LATELY: Duration = Duration::minutes(5);

/// Looks at a runtime that ended calls, and pauses it where it spends too fast.
pub async fn judge(service: &Service, runtime_id: RuntimeId) -> Result<()> {
    let now = service.clock.now();
    let mut transaction = data::begin(&service.pool).await?;
    let Some(spending) = data::breaker::spending(&mut transaction, runtime_id, now - LATELY).await? else { return Ok(()) };
    let Some(reason) = reason(&service.config.models, &spending) else { return Ok(()) };
    if data::breaker::pause(&mut transaction, runtime_id, &reason, now).await? {
        audit::record(&mut transaction, Actor::ClawLoops, "runtime.calls_paused", Some(spending.person_id), &spending.name, &reason)
            .await?;
        listen::notify(&mut transaction, Change::Runtime { runtime_id, person_id: spending.person_id }).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Why a runtime is to be paused, as a clause; none where it is well.
fn reason(settings: &Models, spending: &Spending) -> Option<String> {
    let share = |part: i64, whole: Option<i64>| whole.filter(|whole| *whole > 0).map_or(0, |whole| part.saturating_mul(100) / whole);
    let most = i64::from(settings.breaker_percent);
    let gone = share(spending.cost, spending.day_cost).max(share(spending.tokens, spending.day_tokens));
    if most > 0 && gone >= most {
        return Some(format!("it used {gone} % of a whole day's limit within 5 minutes"));
    }
    if settings.breaker_calls > 0 && spending.calls >= settings.breaker_calls {
        return Some(format!("it made {} model calls within 5 minutes", spending.calls));
    }
    None
}

/// Lets a runtime of this person call models again. The caller is known to be its owner or an administrator.
pub async fn resume(service: &Service, caller: &Caller, runtime_id: RuntimeId, person_id: PersonId, name: &str) -> Result<()> {
    let mut transaction = data::begin(&service.pool).await?;
    if data::breaker::resume(&mut transaction, runtime_id, service.clock.now()).await? {
        service.record(&mut transaction, caller, "runtime.calls_resumed", Some(person_id), name, "").await?;
        listen::notify(&mut transaction, Change::Runtime { runtime_id, person_id }).await?;
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_loop_is_told_from_work() {
        let settings = Config::for_tests().models;
        let spent = |calls, cost, tokens| Spending {
            person_id: crate::clock::new_id(),
            name: String::new(),
            calls,
            cost,
            tokens,
            day_cost: Some(1_000_000),
            day_tokens: None,
        };
        for (spending, is_loop) in [
            (spent(20, 100_000, 0), false),
            (spent(20, 249_999, 0), false),
            (spent(3, 250_000, 0), true),
            (spent(299, 0, 900_000), false),
            (spent(300, 0, 0), true),
        ] {
            assert_eq!(reason(&settings, &spending).is_some(), is_loop, "{} calls, {}", spending.calls, spending.cost);
        }
        let off = Models { breaker_percent: 0, breaker_calls: 0, ..settings };
        assert_eq!(reason(&off, &spent(100_000, 1_000_000, 0)), None);
    }
}
