//! How much is left, told in the headers of the API that was called.
//!
//! Only what is true: of the limits on tokens and on calls that apply, the one of each with the least left, as it stood when the headers of the answer were written (of calls that come fast, up to two seconds before). A limit in money has
//! no header in either API, and what a provider says of its own limits concerns everyone's account and not the caller.

use crate::{data::slice::Amount, model::shape::Dialect};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use contract::{BudgetView, Unit};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What a limit had, has and when it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    limit: i64,
    remaining: i64,
    resets_at: Option<OffsetDateTime>,
}

impl Rate {
    /// The tightest of these limits on this unit.
    fn tightest(limits: &[BudgetView], unused: i64, unit: Unit) -> Option<Self> {
        let rates = limits.iter().filter(|limit| limit.unit == unit).map(|limit| Self {
            limit: limit.amount,
            remaining: (limit.amount - limit.settled - limit.reserved + unused).max(0),
            resets_at: limit.resets_at,
        });
        rates.min_by_key(|rate| rate.remaining)
    }

    /// Writes what is left of the tightest limits into an answer's headers. `unused` of what is reserved is held for the caller's own next calls.
    pub fn tell(limits: &[BudgetView], unused: Amount, headers: &mut HeaderMap, dialect: Dialect, now: OffsetDateTime) {
        for (unit, openai, anthropic) in UNITS {
            let unused = if unit == Unit::Tokens { unused.tokens } else { unused.calls };
            let Some(rate) = Self::tightest(limits, unused, unit) else { continue };
            let (names, reset) = match dialect {
                Dialect::OpenAi => (openai, rate.resets_at.map(|at| span((at - now).whole_seconds().max(0)))),
                Dialect::Anthropic => (anthropic, rate.resets_at.and_then(|at| at.format(&Rfc3339).ok())),
            };
            for (name, value) in names.into_iter().zip([Some(rate.limit.to_string()), Some(rate.remaining.to_string()), reset]) {
                if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
    }
}

/// The units that the APIs have headers for, with their names: how much there is, how much is left, when it begins anew.
const UNITS: [(Unit, [&str; 3], [&str; 3]); 2] = [
    (
        Unit::Tokens,
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
        ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
    ),
    (
        Unit::Requests,
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
        ["anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"],
    ),
];

/// Seconds as OpenAI writes them: `12h0m3s`.
fn span(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_is_written_as_openai_does() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (43_203, "12h0m3s")] {
            assert_eq!(span(seconds), text);
        }
    }
}
