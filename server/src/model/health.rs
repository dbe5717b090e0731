//! The health of routes: a model whose provider fails again and again is left alone for a while, so that callers hear so at once.
//!
//! A circuit breaker (M. Nygard, Release It!): closed, open, and half open, where one call is let through to see. Each server has its own: what one
//! cannot reach another may.

use contract::{ModelId, Unhealthy};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use time::{Duration, OffsetDateTime};

/// So many failures in a row open it.
const MOST: u32 = 5;
/// For so long at first; twice as long after each try that failed,
const FIRST: Duration = Duration::seconds(5);
/// and so long at most.
const LONGEST: Duration = Duration::seconds(60);

/// How a model's route fares.
#[derive(Default)]
struct Route {
    /// Failures in a row.
    failures: u32,
    /// Set while it is left alone.
    open: Option<Open>,
}

struct Open {
    unhealthy: Unhealthy,
    lasts: Duration,
    /// One call is under way to see whether it is well again.
    is_tried: bool,
}

/// What one server knows of its routes.
#[derive(Default)]
pub struct Health(Mutex<HashMap<ModelId, Route>>);

impl Health {
    /// Lets a call through.
    ///
    /// # Errors
    /// How long to wait, when the route is left alone.
    pub fn admit(self: &Arc<Self>, model: ModelId, now: OffsetDateTime) -> Result<Trial, Duration> {
        let mut is_probe = false;
        if let Some(open) = self.routes().get_mut(&model).and_then(|route| route.open.as_mut()) {
            if now < open.unhealthy.until {
                return Err(open.unhealthy.until - now);
            }
            if std::mem::replace(&mut open.is_tried, true) {
                return Err(Duration::SECOND);
            }
            is_probe = true;
        }
        Ok(Trial { health: Arc::clone(self), model, is_probe })
    }

    /// Whether a model is left alone, and why.
    #[must_use]
    pub fn unhealthy(&self, model: ModelId) -> Option<Unhealthy> {
        self.routes().get(&model)?.open.as_ref().map(|open| open.unhealthy.clone())
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<ModelId, Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through. Dropped without a word it says nothing of the route: the caller went, or asked for what is not to be had.
pub struct Trial {
    health: Arc<Health>,
    model: ModelId,
    /// Let through to see whether the route is well again.
    is_probe: bool,
}

impl Trial {
    /// It was answered.
    pub fn went_well(self) {
        if self.health.routes().remove(&self.model).is_some_and(|route| route.open.is_some()) {
            tracing::info!(model_id = %self.model.0, "a model's route is well again");
        }
    }

    /// Its provider failed, in these few words.
    pub fn failed(self, said: &str, now: OffsetDateTime) {
        let mut routes = self.health.routes();
        let route = routes.entry(self.model).or_default();
        route.failures += 1;
        let (since, lasts) = match &route.open {
            // A call that was on its way before it was opened tells nothing new.
            Some(_) if !self.is_probe => return,
            Some(open) => (open.unhealthy.since, std::cmp::min(open.lasts * 2, LONGEST)),
            None if route.failures < MOST => return,
            None => (now, FIRST),
        };
        tracing::warn!(model_id = %self.model.0, said, "a model's route is left alone for {} s", lasts.whole_seconds());
        route.open = Some(Open { unhealthy: Unhealthy { since, until: now + lasts, said: said.to_owned() }, lasts, is_tried: false });
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.is_probe
            && let Some(open) = self.health.routes().get_mut(&self.model).and_then(|route| route.open.as_mut())
        {
            open.is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const MODEL: ModelId = ModelId(uuid::Uuid::from_u128(1));
    const NOON: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    fn failed(health: &Arc<Health>, at: OffsetDateTime) {
        health.admit(MODEL, at).ok().unwrap().failed("HTTP 500", at);
    }

    #[test]
    fn a_route_that_fails_is_left_alone_and_tried_again_by_one_call() {
        let health = Arc::new(Health::default());
        for _ in 1..MOST {
            failed(&health, NOON);
        }
        assert_eq!(health.unhealthy(MODEL), None);
        failed(&health, NOON);
        let seen = health.unhealthy(MODEL).unwrap();
        assert_eq!((seen.since, seen.until, seen.said.as_str()), (NOON, NOON + FIRST, "HTTP 500"));
        assert_eq!(health.admit(MODEL, NOON).err(), Some(FIRST));
        assert!(health.admit(ModelId(uuid::Uuid::from_u128(2)), NOON).is_ok(), "another one is not concerned");

        // One is let through, and only one.
        let later = NOON + FIRST;
        let trial = health.admit(MODEL, later).ok().unwrap();
        assert_eq!(health.admit(MODEL, later).err(), Some(Duration::SECOND));
        trial.failed("HTTP 502", later);
        let seen = health.unhealthy(MODEL).unwrap();
        assert_eq!((seen.since, seen.until), (NOON, later + FIRST * 2), "twice as long");

        // One that says nothing leaves the next one to see.
        let later = later + FIRST * 2;
        drop(health.admit(MODEL, later).ok().unwrap());
        health.admit(MODEL, later).ok().unwrap().went_well();
        assert_eq!(health.unhealthy(MODEL), None);
    }

    #[test]
    fn a_success_forgets_failures_and_a_pause_has_an_end() {
        let health = Arc::new(Health::default());
        for _ in 0..20 {
            for _ in 1..MOST {
                failed(&health, NOON);
            }
            health.admit(MODEL, NOON).ok().unwrap().went_well();
        }
        assert_eq!(health.unhealthy(MODEL), None);
        // Calls on their way when it was opened do not prolong it.
        let trials: Vec<Trial> = (0..20).map(|_| health.admit(MODEL, NOON).ok().unwrap()).collect();
        trials.into_iter().for_each(|trial| trial.failed("no answer", NOON + Duration::SECOND));
        assert_eq!(health.unhealthy(MODEL).unwrap().until, NOON + Duration::SECOND + FIRST);
        let mut now = NOON;
        for _ in 0..20 {
            now = health.unhealthy(MODEL).unwrap().until;
            failed(&health, now);
        }
        assert_eq!(health.unhealthy(MODEL).unwrap().until - now, LONGEST);
    }
}
