//! One call: the model, the reservation, the upstream, the answer, the settlement.

use super::{
    answer::Fault,
    failure::{self, SILENCE, limited_body},
    rates::Rate,
    readable,
    refusal::{self, Asker, Refusal},
    stream::stream,
};
use crate::{
    data::{
        self,
        budget::{Outcome, Used, Wanted},
        limit::Scope,
    },
    model::{
        Service,
        budget::{self, Answer, Hold, LEASE},
        keys::Proven,
        litellm::Upstream,
        meter::{self, Count},
        request::Call,
        shape::Shape,
    },
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use contract::BudgetView;
use secrecy::ExposeSecret as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use uuid::Uuid;

const OVERHEAD: HeaderName = HeaderName::from_static("x-clawloops-overhead-ms");
/// So long after it was proven, a key is looked at once more before the call is sent.
const KEY_HOLDS: Duration = Duration::from_millis(500);
/// How long a call waits for a LiteLLM that starts, or that learns a new model.
const WAIT_FOR_LITELLM: Duration = Duration::from_secs(45);
/// An answer larger than this is not one.
const MOST_ANSWER: usize = 64 << 20;
/// How long an answer waits for what is left to be read, which was begun with the call.
const WAIT_FOR_RATES: Duration = Duration::from_millis(200);

/// A call on its way.
pub struct Way {
    pub service: Arc<Service>,
    pub key: Proven,
    pub id: Uuid,
    pub shape: Shape,
    pub call: Call,
    pub headers: HeaderMap,
    /// When the request came.
    pub came: Instant,
    /// When its body was read.
    pub read: Instant,
    /// How long the key took.
    pub proving: Duration,
}

/// Answers a call. Runs on its own task, to its end.
pub async fn run(way: Way) -> Response {
    match send(way).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn send(way: Way) -> Result<Response, Fault> {
    let asker = Asker { runtime: way.key.runtime_id.is_some(), stream: way.call.stream, shape: way.shape, id: way.id };
    let found = async {
        let mut connection = way.service.pool.acquire().await?;
        data::model::find_published(&mut connection, &way.call.model, way.key.key_id, way.key.runtime_id).await
    };
    let Some(model) = found.await.map_err(Fault::from_error)? else {
        return Ok(Refusal::UnknownModel(way.call.model.clone()).answer(&way.service, &asker).await);
    };
    if let Some(by) = model.kept_out {
        return Ok(Refusal::KeptOut { model: model.name, by }.answer(&way.service, &asker).await);
    }
    let Some(price) = model.price else {
        return Ok(Refusal::Unpriced(model.name).answer(&way.service, &asker).await);
    };
    let waiting = Instant::now();
    let upstream = upstream_for(&way.service, &model.name).await?;
    let waited = waiting.elapsed();

    if way.shape == Shape::TokenCount {
        return count_tokens(&way, &upstream, waited).await;
    }

    let now = way.service.clock.now();
    let wanted = Wanted {
        id: way.id,
        person_id: way.key.person_id,
        runtime_id: way.key.runtime_id,
        key_id: way.key.key_id,
        model: model.name,
        route: model.provider,
        at: now,
        lease_until: now + LEASE,
        input_tokens: way.call.input_tokens(way.service.books.appetite(&way.call.model), model.context_tokens),
        output_tokens: way.call.output_tokens(model.output_tokens),
        least_output_tokens: way.call.least_output,
        answers: way.call.answers,
        input_price: price.input.0,
        cached_input_price: price.cached_input.0,
        output_price: price.output.0,
        tells: way.tells(),
    };
    let (hold, granted, limited, warning) = match budget::reserve(&way.service, wanted).await.map_err(Fault::from_error)? {
        Answer::Held { hold, output_tokens, limited, warning } => (hold, output_tokens, limited, warning),
        Answer::Refused(spent) => {
            let mut response = Refusal::Budget(spent).answer(&way.service, &asker).await;
            Rate::tell(&limits(&way.service, way.scope()).await, response.headers_mut(), way.shape.dialect(), now);
            return Ok(response);
        }
    };
    hold.proven_by(way.key.secret_id);
    // A body that came slowly, or a wait for LiteLLM: the key may have died since it was proven.
    if way.came.elapsed() > KEY_HOLDS && !is_good(&way).await {
        hold.settle(way.nothing()).await;
        return Err(dead_key());
    }
    // Where a limit applies, the length that was reserved is the length that is sent.
    let bound = if limited { way.call.bound(granted) } else { None };
    let body = way.call.to_upstream(bound);
    let note = match &warning {
        Some(warning) => refusal::note(&way.service, warning).await,
        None => None,
    };
    // What is left is read while the provider works, so that nobody waits for it.
    let rates = limited.then(|| {
        let (service, scope) = (way.service.clone(), way.scope());
        way.service.tracker.spawn(async move { limits(&service, scope).await })
    });
    let overhead = way.overhead(waited);
    let sent = way.sent(&upstream, body);
    let answer = match timeout(SILENCE, sent).await {
        Ok(Ok(answer)) => answer,
        failed => {
            let connecting = match failed {
                Ok(Err(error)) => {
                    let connecting = error.is_connect();
                    tracing::warn!(call = %way.id, error = %crate::error::chain(&error.without_url()), "LiteLLM could not be asked");
                    connecting
                }
                _ => false,
            };
            let used = if connecting { way.nothing() } else { way.broken(hold.wanted(), 0) };
            hold.settle(used).await;
            return Err(if connecting { restarting() } else { silent() });
        }
    };
    let dialect = way.shape.dialect();
    let mut response = if !answer.status().is_success() {
        let used = if failure::was_refused(answer.status()) { way.nothing() } else { way.broken(hold.wanted(), 0) };
        let fault = failure::told(way.id, &way.call.model, answer).await;
        hold.settle(used).await;
        fault.into_response()
    } else if is_stream(&answer) {
        let note = note.map(|note| readable::chat_event(&note, way.id, now));
        stream(way, answer, hold, upstream, note)
    } else {
        whole(way, answer, hold, note).await
    };
    tell_overhead(&mut response, overhead);
    if let Some(rates) = rates
        && let Ok(Ok(limits)) = timeout(WAIT_FOR_RATES, rates).await
    {
        Rate::tell(&limits, response.headers_mut(), dialect, now);
    }
    Ok(response)
}

/// Counts a prompt's tokens: LiteLLM does it, or the provider, and neither bills it. So nothing is held and nothing is recorded.
async fn count_tokens(way: &Way, upstream: &Upstream, waited: Duration) -> Result<Response, Fault> {
    let overhead = way.overhead(waited);
    let answer = match timeout(SILENCE, way.sent(upstream, way.call.to_upstream(None))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.is_connect() => return Err(restarting()),
        Ok(Err(_)) | Err(_) => return Err(silent()),
    };
    if !answer.status().is_success() {
        return Err(failure::told(way.id, &way.call.model, answer).await);
    }
    let body = limited_body(answer, MOST_ANSWER).await.map_err(|_| broken_off())?;
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    tell_overhead(&mut response, overhead);
    Ok(response)
}

/// The limits that apply; none where the database does not say.
async fn limits(service: &Service, scope: Scope) -> Vec<BudgetView> {
    let found = async {
        let mut connection = service.pool.acquire().await?;
        data::limit::applying(&mut connection, &scope, service.clock.now()).await
    };
    found.await.unwrap_or_default()
}

fn tell_overhead(response: &mut Response, overhead: Duration) {
    if let Ok(value) = HeaderValue::from_str(&format!("{:.3}", overhead.as_secs_f64() * 1000.0)) {
        response.headers_mut().insert(OVERHEAD, value);
    }
}

async fn is_good(way: &Way) -> bool {
    let found = async {
        let mut connection = way.service.pool.acquire().await?;
        let now = way.service.clock.now();
        let dead = data::model_key::dead_among(&mut connection, &[way.key.key_id.0], now).await?;
        let ended = data::model_key::ended_among(&mut connection, &[way.key.secret_id], now).await?;
        Ok::<_, crate::Error>(dead.is_empty() && ended.is_empty())
    };
    found.await.is_ok_and(|good| good)
}

impl Way {
    /// The call on its way to LiteLLM.
    fn sent(&self, upstream: &Upstream, body: Vec<u8>) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
        self.service
            .http
            .post(format!("{}{}", upstream.base, self.shape.path()))
            .headers(self.headers.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .bearer_auth(upstream.key.expose_secret())
            .body(body)
            .send()
    }

    /// What the limits of this call are looked for by.
    fn scope(&self) -> Scope {
        Scope {
            person_id: self.key.person_id,
            runtimes: self.key.runtime_id.into_iter().collect(),
            keys: vec![self.key.key_id],
            model: Some(self.call.model.clone()),
        }
    }

    /// Whether a sentence of ours may stand before the answer: in a runtime's chat, where the answer is text for a person.
    fn tells(&self) -> bool {
        self.key.runtime_id.is_some() && self.shape == Shape::Chat && self.call.is_prose()
    }

    /// Our own time until now, without that of LiteLLM's start.
    fn overhead(&self, waited: Duration) -> Duration {
        self.proving + self.read.elapsed().saturating_sub(waited)
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
        let input = self.call.likely_input_tokens().clamp(1, held.input_tokens.max(1));
        Count { input, cached: 0, output: output.min(held.output_tokens * held.answers) }
    }

    /// A call that reached no provider, or that one refused: nobody bills it.
    fn nothing(&self) -> Used {
        self.used(Count::default(), Outcome::Failed, None, false)
    }

    /// A call that was sent and whose answer did not come whole. A provider may have done the work all the same: what was sent and what was
    /// seen of the answer count.
    fn broken(&self, held: &Wanted, output: i64) -> Used {
        self.used(self.estimate(held, output), Outcome::Failed, None, true)
    }

    /// How many tokens an answer of so many bytes most likely has.
    fn answered(&self, bytes: usize) -> i64 {
        if self.shape.answers() { i64::try_from(bytes).unwrap_or(i64::MAX) / 4 } else { 0 }
    }
}

/// A LiteLLM that knows the model, waiting while it starts.
async fn upstream_for(service: &Service, model: &str) -> Result<Arc<Upstream>, Fault> {
    let mut present = service.upstream.subscribe();
    let known = present.wait_for(|upstream| upstream.as_ref().is_some_and(|upstream| upstream.knows(model)));
    match timeout(WAIT_FOR_LITELLM, known).await {
        Ok(Ok(upstream)) => upstream.clone().ok_or_else(away),
        Ok(Err(_)) | Err(_) => Err(away()),
    }
}

fn away() -> Fault {
    Fault::unavailable("The model service does not answer yet. Try again in a moment; if it lasts, tell your administrator.")
        .retry_after(10)
}

fn is_stream(answer: &reqwest::Response) -> bool {
    answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn restarting() -> Fault {
    Fault::unavailable("The model service is being started again. Try again in a moment.")
}

fn silent() -> Fault {
    Fault::upstream("The model service did not answer.")
}

pub(super) fn broken_off() -> Fault {
    Fault::upstream("The model's answer broke off.")
}

pub(super) fn dead_key() -> Fault {
    Fault::unauthenticated("The key of this call is no longer good.")
}

/// An answer in one piece.
async fn whole(way: Way, answer: reqwest::Response, hold: Hold, note: Option<String>) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = match limited_body(answer, MOST_ANSWER).await {
        Ok(body) => body,
        Err(part) => {
            let used = way.broken(hold.wanted(), way.answered(part.len()));
            hold.settle(used).await;
            return broken_off().into_response();
        }
    };
    let (count, estimated) = match meter::whole(&body, way.shape.dialect()) {
        Some(count) => (count, false),
        None => (way.estimate(hold.wanted(), way.answered(body.len())), true),
    };
    if !estimated && way.call.is_plain() {
        way.service.books.learn(&way.call.model, way.call.text_bytes, count.input);
    }
    let used = way.used(count, Outcome::Done, None, estimated);
    let is_cut = hold.cut().is_cancelled();
    // Settled beside the answer, not before it: a flush to the disk is no part of the caller's time.
    way.service.tracker.spawn(hold.settle(used));
    if is_cut {
        return dead_key().into_response();
    }
    let body = match note {
        Some(note) => readable::before_chat(&note, body),
        None => body,
    };
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/json")));
    response
}
