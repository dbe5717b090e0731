//! One slice, and how fast the calls come that it is for.

use super::Moment;
use crate::data::{
    budget::{Used, Wanted},
    slice::Amount,
};
use contract::{BudgetView, KeyId, PersonId, RuntimeId};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// So long calls draw from a slice: no limit, key or group that changed unheard is believed longer.
pub const LIFE: Duration = Duration::from_secs(2);
/// After so much of it the next one is taken.
const RENEWED: Duration = Duration::from_millis(1500);
/// So long what a call used waits to be written with others.
const LINGER: Duration = Duration::from_millis(200);

/// The calls of one key and model.
pub struct Place {
    pub person_id: PersonId,
    pub runtime_id: Option<RuntimeId>,
    /// The second that is counted now.
    pub second: Instant,
    pub calls: u32,
    /// How many came in the one before.
    pub before: u32,
    /// What they draw from.
    pub slice: Option<Uuid>,
    pub is_taking: bool,
    /// Something changed since what is being taken was asked for: it is given back.
    pub is_recalled: bool,
    pub not_before: Option<Instant>,
    /// How much of what calls drew they used lately, in thousandths.
    pub share: i64,
}

pub struct Slice {
    pub key_id: KeyId,
    pub person_id: PersonId,
    pub runtime_id: Option<RuntimeId>,
    pub route: String,
    pub prices: [i64; 3],
    pub limited: bool,
    pub limits: Arc<[BudgetView]>,
    pub stream: u64,
    pub made: Instant,
    pub from: OffsetDateTime,
    pub until: OffsetDateTime,
    /// Nothing is drawn from it any more.
    pub is_over: bool,
    pub whole: Amount,
    pub free: Amount,
    /// What calls in progress drew.
    pub drawn: Amount,
    pub ended: Vec<(Wanted, Used)>,
    pub oldest: Option<Instant>,
    /// What the database holds for it, as far as is known.
    pub written: Amount,
    pub tries: u32,
}

/// The minute that a time lies in: its beginning and its end.
pub fn minute(at: OffsetDateTime) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let begins = OffsetDateTime::from_unix_timestamp(at.unix_timestamp() - at.unix_timestamp().rem_euclid(60)).ok()?;
    Some((begins, begins + time::Duration::MINUTE))
}

/// Micro-units, rounded up, as the database counts them; beyond all bounds where they do not fit.
pub fn cost(input: i64, cached: i64, output: i64, [input_price, cached_price, output_price]: [i64; 3]) -> i64 {
    let of = |tokens: i64, price: i64| i128::from(tokens) * i128::from(price);
    let micros = of(input - cached, input_price) + of(cached, cached_price) + of(output, output_price);
    i64::try_from((micros + 999_999).div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

pub const fn prices(wanted: &Wanted) -> [i64; 3] {
    [wanted.input_price, wanted.cached_input_price, wanted.output_price]
}

/// What a call holds, as the database counts it.
pub fn worst(wanted: &Wanted) -> Amount {
    let [input, cached, output] = prices(wanted);
    let answer = wanted.output_tokens.saturating_mul(wanted.answers);
    Amount {
        calls: 1,
        tokens: wanted.input_tokens.saturating_add(answer),
        micros: cost(wanted.input_tokens, 0, answer, [input.max(cached), 0, output]),
    }
}

/// What a call used.
pub fn spent(wanted: &Wanted, used: &Used) -> Amount {
    let cached = used.cached_input_tokens.min(used.input_tokens);
    Amount {
        calls: 1,
        tokens: used.input_tokens.saturating_add(used.output_tokens),
        micros: cost(used.input_tokens, cached, used.output_tokens, prices(wanted)),
    }
}

impl Place {
    pub fn new(wanted: &Wanted, now: Instant) -> Self {
        let (person_id, runtime_id) = (wanted.person_id, wanted.runtime_id);
        Self {
            person_id,
            runtime_id,
            second: now,
            calls: 0,
            before: 0,
            slice: None,
            is_taking: false,
            is_recalled: false,
            not_before: None,
            share: 1000,
        }
    }

    pub fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.second);
        if passed >= Duration::from_secs(1) {
            self.before = if passed < Duration::from_secs(2) { self.calls } else { 0 };
            self.calls = 0;
            self.second = now;
        }
        self.calls = self.calls.saturating_add(1);
    }

    /// Learns what calls use of what they draw: quickly upwards, slowly downwards.
    pub fn learn(&mut self, used: &Amount, drawn: &Amount) {
        let of = |used: i64, drawn: i64| if drawn > 0 { used.saturating_mul(1000) / drawn } else { 0 };
        let seen = of(used.tokens, drawn.tokens).max(of(used.micros, drawn.micros)).clamp(0, 1000);
        self.share = seen.max((self.share * 7 + seen) / 8);
    }

    pub fn pace(&self) -> u32 {
        self.calls.max(self.before)
    }
}

impl Slice {
    /// Whether a call may draw from it now.
    pub fn is_good(&self, now: Moment) -> bool {
        !self.is_over
            && now.stream == Some(self.stream)
            && self.from <= now.clock
            && now.clock < self.until
            && now.instant.saturating_duration_since(self.made) < LIFE
    }

    pub fn is_for(&self, wanted: &Wanted) -> bool {
        self.prices == prices(wanted)
            && self.route == wanted.route
            && self.person_id == wanted.person_id
            && self.runtime_id == wanted.runtime_id
    }

    /// Whether the next one is to be taken while this is drawn from.
    pub fn wanes(&self, now: Moment, worst: &Amount) -> bool {
        // Early: the next one waits for the disk.
        self.free.calls * 2 < self.whole.calls
            || self.free.tokens < worst.tokens * 2
            || self.free.micros < worst.micros * 2
            || now.instant.saturating_duration_since(self.made) >= RENEWED
    }

    /// What its server answers for.
    pub fn left(&self) -> Amount {
        let mut left = self.free;
        left += self.drawn;
        left
    }

    /// Ends it: what is free is given back with the next write, and never drawn.
    pub fn end(&mut self) {
        self.is_over = true;
        self.free = Amount::default();
    }

    pub fn is_due(&self, now: Instant) -> bool {
        match self.oldest {
            Some(oldest) if now.saturating_duration_since(oldest) >= LINGER => true,
            _ => self.is_over && (self.left() != self.written || !self.ended.is_empty()),
        }
    }
}
