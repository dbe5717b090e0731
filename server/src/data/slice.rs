//! SQL of slices: reservations that calls of one key and model draw from.

use super::{
    Connection,
    budget::{Outcome, Used, Wanted},
};
use crate::Result;
use std::ops::{AddAssign, SubAssign};
use time::OffsetDateTime;
use uuid::Uuid;

/// An amount in every unit that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Calls.
    pub calls: i64,
    /// Tokens, sent and answered.
    pub tokens: i64,
    /// Money, in micro-units.
    pub micros: i64,
}

impl Amount {
    /// Whether so much is within another.
    #[must_use]
    pub const fn is_within(&self, other: &Self) -> bool {
        self.calls <= other.calls && self.tokens <= other.tokens && self.micros <= other.micros
    }

    /// The lesser of each.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self { calls: self.calls.min(other.calls), tokens: self.tokens.min(other.tokens), micros: self.micros.min(other.micros) }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.micros += other.micros;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        self.calls -= other.calls;
        self.tokens -= other.tokens;
        self.micros -= other.micros;
    }
}

/// What a slice is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many calls of this kind it is to hold at once, at most.
    pub cases: i64,
    /// How many calls may draw from it one after another, at most.
    pub calls: i64,
}

/// A slice that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it holds.
    pub amount: Amount,
    /// Whether a limit on money or tokens applies.
    pub limited: bool,
}

/// Takes a slice named `slice` for calls like this one. None where too little is left of a limit, or calls are to be judged one by one.
///
/// Good for a call only after [`super::settlement::flush`].
pub async fn take(connection: &mut Connection, slice: Uuid, like: &Wanted, size: Size) -> Result<Option<Taken>> {
    let row = sqlx::query!(
        r#"select taken_calls as "calls!", taken_tokens as "tokens!", taken_micros as "micros!", limited as "limited!"
           from take_slice($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"#,
        slice,
        like.person_id.0,
        like.runtime_id.map(|id| id.0),
        like.key_id.0,
        like.model,
        like.route,
        like.at,
        like.lease_until,
        like.input_tokens,
        like.output_tokens.saturating_mul(like.answers),
        size.cases,
        size.calls,
        like.input_price,
        like.cached_input_price,
        like.output_price
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Taken { amount: Amount { calls: row.calls, tokens: row.tokens, micros: row.micros }, limited: row.limited }))
}

/// A call that drew from a slice, and ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Names the usage record.
    pub id: Uuid,
    /// When it came.
    pub at: OffsetDateTime,
    /// What it used.
    pub used: Used,
}

/// Records calls that ended, counts what they used, and lowers what the slice holds to `left`; nothing left ends it. Done twice it is done once. False where
/// nothing is known of the slice. On the disk only after [`super::settlement::flush`].
pub async fn settle(connection: &mut Connection, slice: Uuid, left: Amount, ended: &[Ended]) -> Result<bool> {
    let each = |of: fn(&Used) -> i64| ended.iter().map(|call| of(&call.used)).collect::<Vec<_>>();
    let ids: Vec<Uuid> = ended.iter().map(|call| call.id).collect();
    let came: Vec<OffsetDateTime> = ended.iter().map(|call| call.at).collect();
    let first: Vec<Option<i64>> = ended.iter().map(|call| call.used.first_token_ms).collect();
    let outcomes: Vec<Outcome> = ended.iter().map(|call| call.used.outcome).collect();
    let estimated: Vec<bool> = ended.iter().map(|call| call.used.estimated).collect();
    let known = sqlx::query_scalar!(
        "select settle_slice($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        slice,
        left.calls,
        left.tokens,
        left.micros,
        &ids,
        &came,
        &each(|used| used.input_tokens),
        &each(|used| used.cached_input_tokens),
        &each(|used| used.output_tokens),
        &each(|used| used.latency_ms),
        &first as &[Option<i64>],
        &outcomes as &[Outcome],
        &estimated
    )
    .fetch_one(connection)
    .await?;
    Ok(known.unwrap_or_default())
}
