//! One call: the model, the reservation, the upstream, the answer, the settlement.

use super::{
    Shape,
    answer::Fault,
    failure::{self, SILENCE, limited_body},
    refusal::{Asker, Refusal},
};
use crate::{
    data::{
        self,
        budget::{Outcome, Used, Wanted},
    },
    model::{
        Service,
        budget::{self, Answer, Hold, LEASE},
        keys::Proven,
        litellm::Upstream,
        meter::{self, Count, Meter},
        request::Call,
    },
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use secrecy::ExposeSecret as _;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

const OVERHEAD: HeaderName = HeaderName::from_static("x-clawloops-overhead-ms");
/// So long after it was proven, a key is looked at once more before the call is sent.
const KEY_HOLDS: Duration = Duration::from_millis(500);
/// Fewer tokens are no answer.
const LEAST_OUTPUT: i64 = 16;
/// How long a call waits for a LiteLLM that starts, or that learns a new model.
const WAIT_FOR_LITELLM: Duration = Duration::from_secs(45);
/// How long the answer is read on after the caller went, to learn what it cost.
const READ_ON: Duration = Duration::from_secs(60);
/// How long a caller may take nothing from a stream before they count as gone.
const STALLED: Duration = Duration::from_secs(300);
/// An answer larger than this is not one.
const MOST_ANSWER: usize = 64 << 20;

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

    let now = way.service.clock.now();
    let output_tokens = match way.shape {
        Shape::Chat => way.call.most_output.map_or(model.output_tokens, |asked| asked.min(model.output_tokens)),
        Shape::Embeddings => 0,
    };
    let wanted = Wanted {
        id: way.id,
        person_id: way.key.person_id,
        runtime_id: way.key.runtime_id,
        key_id: way.key.key_id,
        model: model.name,
        route: model.provider,
        at: now,
        lease_until: now + LEASE,
        input_tokens: way.call.input_tokens(way.service.books.appetite(&way.call.model)),
        output_tokens,
        least_output_tokens: LEAST_OUTPUT,
        answers: way.call.answers,
        input_price: price.input.0,
        cached_input_price: price.cached_input.0,
        output_price: price.output.0,
    };
    let (hold, granted, limited) = match budget::reserve(&way.service, wanted).await.map_err(Fault::from_error)? {
        Answer::Held { hold, output_tokens, limited } => (hold, output_tokens, limited),
        Answer::Refused(spent) => return Ok(Refusal::Budget(spent).answer(&way.service, &asker).await),
    };
    hold.proven_by(way.key.secret_id);
    // A body that came slowly, or a wait for LiteLLM: the key may have died since it was proven.
    if way.came.elapsed() > KEY_HOLDS && !is_good(&way).await {
        hold.settle(way.nothing()).await;
        return Err(dead_key());
    }
    // Where a limit applies, the length that was reserved is the length that is sent.
    let bound = (way.shape == Shape::Chat && limited && way.call.most_output != Some(granted)).then_some(granted);
    let body = way.call.to_upstream(bound);
    let overhead = way.proving + way.read.elapsed().saturating_sub(waited);
    let sent = way
        .service
        .http
        .post(format!("{}{}", upstream.base, way.shape.path()))
        .headers(way.headers.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .bearer_auth(upstream.key.expose_secret())
        .body(body)
        .send();
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
            return Err(if connecting {
                Fault::unavailable("The model service is being started again. Try again in a moment.")
            } else {
                Fault::upstream("The model service did not answer.")
            });
        }
    };
    let mut response = if !answer.status().is_success() {
        let used = if failure::was_refused(answer.status()) { way.nothing() } else { way.broken(hold.wanted(), 0) };
        let fault = failure::told(way.id, &way.call.model, answer).await;
        hold.settle(used).await;
        fault.into_response()
    } else if is_stream(&answer) {
        stream(way, answer, hold, upstream)
    } else {
        whole(way, answer, hold).await
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{:.3}", overhead.as_secs_f64() * 1000.0)) {
        response.headers_mut().insert(OVERHEAD, value);
    }
    Ok(response)
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
    fn used(&self, count: Count, outcome: Outcome, first: Option<Duration>, estimated: bool) -> Used {
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
    fn estimate(&self, held: &Wanted, output: i64) -> Count {
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
        match self.shape {
            Shape::Chat => i64::try_from(bytes).unwrap_or(i64::MAX) / 4,
            Shape::Embeddings => 0,
        }
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

fn dead_key() -> Fault {
    Fault::unauthenticated("The key of this call is no longer good.")
}

/// An answer in one piece.
async fn whole(way: Way, answer: reqwest::Response, hold: Hold) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = match limited_body(answer, MOST_ANSWER).await {
        Ok(body) => body,
        Err(part) => {
            let used = way.broken(hold.wanted(), way.answered(part.len()));
            hold.settle(used).await;
            return Fault::upstream("The model's answer broke off.").into_response();
        }
    };
    let (count, estimated) = match meter::whole(&body) {
        Some(count) => (count, false),
        None => (way.estimate(hold.wanted(), way.answered(body.len())), true),
    };
    if !estimated && way.call.pictures == 0 {
        way.service.books.learn(&way.call.model, way.call.text_bytes, count.input);
    }
    let used = way.used(count, Outcome::Done, None, estimated);
    let is_cut = hold.cut().is_cancelled();
    // Settled beside the answer, not before it: a flush to the disk is no part of the caller's time.
    way.service.tracker.spawn(hold.settle(used));
    if is_cut {
        return dead_key().into_response();
    }
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/json")));
    response
}

/// An answer that streams: passed on as it comes, on a task that reads on when the caller goes.
fn stream(way: Way, answer: reqwest::Response, hold: Hold, upstream: Arc<Upstream>) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(32);
    let tracker = way.service.tracker.clone();
    tracker.spawn(async move {
        pump(way, answer, hold, sender).await;
        // Held to the end, so that a replaced LiteLLM is not ended under its last streams.
        drop(upstream);
    });
    let mut response = Body::from_stream(ReceiverStream::new(receiver)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn pump(way: Way, answer: reqwest::Response, hold: Hold, sender: mpsc::Sender<Result<Bytes, std::convert::Infallible>>) {
    let mut stream = answer.bytes_stream();
    let mut meter = Meter::new(way.call.wants_usage);
    let mut caller = Some(sender);
    let mut first = None;
    let mut until = None;
    let cut = hold.cut();
    let broken = loop {
        let silence = tokio::time::Instant::now() + SILENCE;
        let next = tokio::select! {
            next = timeout_at(until.map_or(silence, |until: tokio::time::Instant| until.min(silence)), stream.next()) => next,
            () = gone(caller.as_ref()) => {
                caller = None;
                until = Some(tokio::time::Instant::now() + READ_ON);
                continue;
            }
            () = cut.cancelled(), if caller.is_some() => {
                if let Some(sender) = caller.take() {
                    let fault = Fault::unauthenticated("The key of this call is no longer good.").json();
                    drop(sender.try_send(Ok(format!("data: {fault}\n\n").into())));
                }
                until = Some(tokio::time::Instant::now() + READ_ON);
                continue;
            }
        };
        let out = match next {
            Ok(Some(Ok(part))) => meter.pass(&part),
            Ok(None) => break !meter.is_done(),
            Ok(Some(Err(_))) | Err(_) => break true,
        };
        if out.is_empty() {
            continue;
        }
        first.get_or_insert_with(|| way.came.elapsed());
        if let Some(sender) = &caller
            && !matches!(timeout(STALLED, sender.send(Ok(out))).await, Ok(Ok(())))
        {
            caller = None;
            until = Some(tokio::time::Instant::now() + READ_ON);
        }
    };
    let hung_up = until.is_some();
    let rest = meter.end();
    if let Some(sender) = &caller {
        if !rest.is_empty() {
            drop(timeout(STALLED, sender.send(Ok(rest))).await);
        }
        if broken && !meter.has_failed() {
            let fault = Fault::upstream("The model's answer broke off.").json();
            drop(timeout(STALLED, sender.send(Ok(format!("data: {fault}\n\n").into()))).await);
        }
    }
    drop(caller);
    let (count, estimated) = match meter.count() {
        Some(count) => (count, false),
        None => (way.estimate(hold.wanted(), meter.estimate()), true),
    };
    if !estimated && way.call.pictures == 0 {
        way.service.books.learn(&way.call.model, way.call.text_bytes, count.input);
    }
    let outcome = match (hung_up, broken || meter.has_failed()) {
        (true, _) => Outcome::HungUp,
        (false, true) => Outcome::Failed,
        (false, false) => Outcome::Done,
    };
    hold.settle(way.used(count, outcome, first, estimated)).await;
}

/// Ends when the caller went; never when they went before.
async fn gone(caller: Option<&mpsc::Sender<Result<Bytes, std::convert::Infallible>>>) {
    match caller {
        Some(sender) => sender.closed().await,
        None => std::future::pending().await,
    }
}
