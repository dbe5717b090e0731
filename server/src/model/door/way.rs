//! A call on its way: who asks, what for, and what is told to the books.

use crate::{
    data::{
        budget::{Outcome, Used, Wanted},
        limit::Scope,
    },
    model::{Service, keys::Proven, meter::Count, request::Call, shape::Shape},
};
use axum::http::HeaderMap;
use contract::CountedIn;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A call on its way.
pub struct Way {
    pub service: Arc<Service>,
    pub key: Proven,
    /// Names it to the caller.
    pub id: Uuid,
    /// Names the try that is under way in the books.
    pub record: Uuid,
    pub shape: Shape,
    pub call: Call,
    /// What the model that is asked is counted in.
    pub counted_in: CountedIn,
    pub headers: HeaderMap,
    /// When the request came.
    pub came: Instant,
    /// When its body was read.
    pub read: Instant,
    /// How long the key took.
    pub proving: Duration,
    /// How long others took until now: a LiteLLM that starts, models that did not answer.
    pub waited: Duration,
}

impl Way {
    /// What the limits of this call are looked for by.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            person_id: self.key.person_id,
            runtimes: self.key.runtime_id.into_iter().collect(),
            keys: vec![self.key.key_id],
            model: Some(self.call.model.clone()),
        }
    }

    /// Whether a sentence of ours may stand before the answer: in a runtime's chat, where the answer is text for a person.
    pub(super) fn tells(&self) -> bool {
        self.key.runtime_id.is_some() && self.shape == Shape::Chat && self.call.is_prose()
    }

    /// Lets go of what nobody needs once the answer began: no other model is asked then. An answer may stream for minutes, of a request of megabytes.
    pub(super) fn forget_request(&mut self) {
        self.call.forget_body();
        // Each value would keep what was read with it.
        self.headers = HeaderMap::new();
    }

    /// Our own time until now, without that of LiteLLM's start and of models that did not answer.
    pub(super) fn overhead(&self) -> Duration {
        self.proving + self.read.elapsed().saturating_sub(self.waited)
    }

    pub(super) fn used(&self, count: Count, outcome: Outcome, first: Option<Duration>, estimated: bool) -> Used {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Used {
            input_tokens: count.input,
            cached_input_tokens: count.cached,
            output_tokens: count.output,
            latency_ms: millis(self.came.elapsed()),
            first_token_ms: first.map(millis),
            outcome,
            estimated,
        }
    }

    /// What an answer without a count most likely cost, never more than was held.
    pub(super) fn estimate(&self, held: &Wanted, output: i64) -> Count {
        let input =
            if self.shape.is_media() { held.input_tokens } else { self.call.likely_input_tokens().clamp(1, held.input_tokens.max(1)) };
        Count { input, cached: 0, output: output.min(held.output_tokens * held.answers) }
    }

    /// Whether its true count teaches how many tokens a byte of text is.
    pub(super) fn teaches(&self) -> bool {
        !self.shape.is_media() && self.call.is_plain()
    }

    /// A call that reached no provider, or that one refused: nobody bills it.
    pub(super) fn nothing(&self) -> Used {
        self.used(Count::default(), Outcome::Failed, None, false)
    }

    /// A call that was sent and whose answer did not come whole. A provider may have done the work all the same: what was sent and what was
    /// seen of the answer count.
    pub(super) fn broken(&self, held: &Wanted, output: i64) -> Used {
        self.used(self.estimate(held, output), Outcome::Failed, None, true)
    }

    /// How many tokens an answer of so many bytes most likely has; of pictures and audio bytes do not tell, so it is as many as there may be.
    pub(super) fn answered(&self, bytes: usize) -> i64 {
        if self.shape.is_media() {
            return i64::MAX;
        }
        if self.shape.answers() { i64::try_from(bytes).unwrap_or(i64::MAX) / 4 } else { 0 }
    }
}
