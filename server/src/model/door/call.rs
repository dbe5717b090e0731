//! One call: the model, the reservation, the upstream, the answer, the settlement.

use super::{
    answer::Fault,
    failure::{self, SILENCE, limited_body},
    media,
    rates::Rate,
    readable,
    refusal::{self, Asker, Refusal},
    route::Route,
    stream::stream,
    way::Way,
};
use crate::{
    data::{
        self,
        budget::{Outcome, Wanted},
        limit::Scope,
        slice::Amount,
    },
    model::{
        Service,
        budget::{self, Answer, Hold, LEASE},
        health::Trial,
        known,
        shape::Shape,
    },
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use contract::BudgetView;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const OVERHEAD: HeaderName = HeaderName::from_static("x-clawloops-overhead-ms");
/// Which model answered, where it is not the one that was asked.
const MODEL: HeaderName = HeaderName::from_static("x-clawloops-model");
/// So long after it was proven, a key is looked at once more before the call is sent.
const KEY_HOLDS: Duration = Duration::from_millis(500);
/// An answer larger than this is not one.
const MOST_ANSWER: usize = 64 << 20;
/// How long an answer waits for what is left to be read, which was begun with the call.
const WAIT_FOR_RATES: Duration = Duration::from_millis(200);

/// Answers a call. Runs on its own task, to its end.
pub async fn run(way: Way) -> Response {
    match send(way).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

/// Sends a call to its model and, where that does not answer, to those that answer in its place.
async fn send(way: Way) -> Result<Response, Fault> {
    let (told, mut way, fallbacks) = match attempt(way).await? {
        Tried::Answered(response) => return Ok(response),
        Tried::Missed { told, way, fallbacks } => (told, way, fallbacks),
    };
    for name in fallbacks {
        tracing::info!(call = %way.id, model = way.call.model, fallback = name, "another model is asked in its place");
        let said = HeaderValue::from_str(&name);
        way.call.model = name;
        way.record = crate::clock::new_id();
        match attempt(*way).await? {
            Tried::Answered(mut response) => {
                if let Ok(name) = said {
                    response.headers_mut().insert(MODEL, name);
                }
                return Ok(response);
            }
            Tried::Missed { way: back, .. } => way = back,
        }
    }
    // What went wrong first is what the caller can do something about.
    Ok(told)
}

/// What came of asking one model.
enum Tried {
    Answered(Response),
    /// It did not answer, and nothing went to the caller: what to tell them if no other model does, and which may be asked.
    Missed {
        told: Response,
        way: Box<Way>,
        fallbacks: Vec<String>,
    },
}

/// Asks one model: reserved, settled and recorded by itself.
async fn attempt(mut way: Way) -> Result<Tried, Fault> {
    let asker = Asker { runtime: way.key.runtime_id.is_some(), stream: way.call.stream, shape: way.shape, id: way.id };
    let refused = |told, way| Ok(Tried::Missed { told, way: Box::new(way), fallbacks: Vec::new() });
    let found = known::model(&way.service, &way.call.model, &way.key).await;
    let Some(model) = found.map_err(Fault::from_error)? else {
        return refused(Refusal::UnknownModel(way.call.model.clone()).answer(&way.service, &asker).await, way);
    };
    if let Some(by) = &model.kept_out {
        return refused(Refusal::KeptOut { model: model.name.clone(), by: by.clone() }.answer(&way.service, &asker).await, way);
    }
    let Some(price) = model.price else {
        return refused(Refusal::Unpriced(model.name.clone()).answer(&way.service, &asker).await, way);
    };
    if !way.shape.may_be_counted_in(model.counted_in) {
        let refusal = Refusal::OtherPrice { model: model.name.clone(), counted_in: model.counted_in };
        return refused(refusal.answer(&way.service, &asker).await, way);
    }
    way.counted_in = model.counted_in;
    // A vector is of use beside others of the same model alone.
    let fallbacks = if way.shape.answers() || way.shape.is_media() { model.fallbacks.clone() } else { Vec::new() };
    let trial = match way.service.health.admit(model.model_id, way.service.clock.now()) {
        Ok(trial) => trial,
        Err(wait) => {
            let told = failure::left_alone(&model.name, wait).into_response();
            return Ok(Tried::Missed { told, way: Box::new(way), fallbacks });
        }
    };
    let waiting = Instant::now();
    let route = Route::find(&way.service, &model, way.shape).await?;
    way.waited += waiting.elapsed();

    if way.shape == Shape::TokenCount {
        return count_tokens(&way, &route).await.map(Tried::Answered);
    }

    let now = way.service.clock.now();
    let worst = way.worst(&model);
    let wanted = Wanted {
        id: way.record,
        person_id: way.key.person_id,
        runtime_id: way.key.runtime_id,
        key_id: way.key.key_id,
        model: model.name.clone(),
        route: model.provider.clone(),
        at: now,
        lease_until: now + LEASE,
        input_tokens: worst.input,
        output_tokens: worst.output,
        least_output_tokens: worst.least_output,
        answers: worst.answers,
        input_price: price.input.0,
        cached_input_price: price.cached_input.0,
        output_price: price.output.0,
        tells: way.tells(),
    };
    let (hold, granted, limited, warning) = match budget::reserve(&way.service, wanted).await.map_err(Fault::from_error)? {
        Answer::Held { hold, output_tokens, limited, warning } => (hold, output_tokens, limited, warning),
        Answer::Refused(spent) => {
            let mut response = Refusal::Budget(spent).answer(&way.service, &asker).await;
            let limits = limits(&way.service, way.scope()).await;
            Rate::tell(&limits, Amount::default(), response.headers_mut(), way.shape.dialect(), now);
            return refused(response, way);
        }
    };
    hold.proven_by(way.key.secret_id);
    // A body that came slowly, or a wait for LiteLLM: the key may have died since it was proven.
    if way.came.elapsed() > KEY_HOLDS {
        let good = is_good(&way).await;
        if !matches!(good, Ok(true)) {
            hold.settle(way.nothing()).await;
            return Err(good.map_or_else(Fault::from_error, |_| dead_key()));
        }
    }
    // Where a limit applies, the length that was reserved is the length that is sent.
    let bound = if limited { way.call.bound(granted) } else { None };
    let body = way.call.to_upstream(&route.model, bound);
    let note = match &warning {
        Some(warning) => refusal::note(&way.service, warning).await,
        None => None,
    };
    let known = if limited { hold.limits() } else { None };
    // What is left is read while the provider works, so that nobody waits for it.
    let rates = (limited && known.is_none()).then(|| {
        let (service, scope) = (way.service.clone(), way.scope());
        way.service.tracker.spawn(async move { limits(&service, scope).await })
    });
    let overhead = way.overhead();
    let asked = Instant::now();
    let answer = match timeout(SILENCE, route.send(way.shape, way.headers.clone(), way.call.content_type(), body)).await {
        Ok(Ok(answer)) => answer,
        failed => {
            let connecting = match failed {
                Ok(Err(error)) => {
                    let connecting = error.is_connect();
                    tracing::warn!(call = %way.id, error = %crate::error::chain(&error.without_url()), "the upstream could not be asked");
                    connecting
                }
                _ => false,
            };
            let used = if connecting { way.nothing() } else { way.broken(hold.wanted(), 0) };
            hold.settle(used).await;
            if route.is_direct() {
                trial.failed(if connecting { "It cannot be reached" } else { "It does not answer" }, way.service.clock.now());
            }
            let fault = match (route.is_direct(), connecting) {
                (true, true) => failure::unreachable(&way.call.model),
                (false, true) => restarting(),
                (_, false) => silent(),
            };
            way.waited += asked.elapsed();
            return Ok(Tried::Missed { told: fault.into_response(), way: Box::new(way), fallbacks });
        }
    };
    let (dialect, status) = (way.shape.dialect(), answer.status());
    let mut response = if !status.is_success() {
        // A picture is an answer, and none was seen.
        let is_free = failure::was_refused(status) || way.shape == Shape::Images;
        let used = if is_free { way.nothing() } else { way.broken(hold.wanted(), 0) };
        let fault = failure::told(way.id, &way.call.model, answer).await;
        hold.settle(used).await;
        if failure::is_the_providers_own(status) {
            trial.failed(&format!("HTTP {status}"), way.service.clock.now());
        }
        if failure::may_go_well_elsewhere(status) {
            way.waited += asked.elapsed();
            return Ok(Tried::Missed { told: fault.into_response(), way: Box::new(way), fallbacks });
        }
        fault.into_response()
    } else if is_stream(&answer) {
        way.forget_request();
        trial.went_well();
        let note = note.map(|note| readable::chat_event(&note, way.id, now));
        stream(way, answer, hold, route, note)
    } else if way.shape == Shape::Speech {
        way.forget_request();
        trial.went_well();
        media::speech(way, answer, hold, route)
    } else {
        way.forget_request();
        whole(way, answer, hold, trial, note).await
    };
    tell_overhead(&mut response, overhead);
    if let Some(rates) = rates
        && let Ok(Ok(limits)) = timeout(WAIT_FOR_RATES, rates).await
    {
        Rate::tell(&limits, Amount::default(), response.headers_mut(), dialect, now);
    }
    if let Some((limits, unused)) = known {
        Rate::tell(&limits, unused, response.headers_mut(), dialect, now);
    }
    Ok(Tried::Answered(response))
}

/// Counts a prompt's tokens: LiteLLM does it, or the provider, and neither bills it. So nothing is held and nothing is recorded.
async fn count_tokens(way: &Way, route: &Route) -> Result<Response, Fault> {
    let overhead = way.overhead();
    let body = way.call.to_upstream(&route.model, None);
    let answer = match timeout(SILENCE, route.send(way.shape, way.headers.clone(), way.call.content_type(), body)).await {
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

async fn is_good(way: &Way) -> crate::Result<bool> {
    let mut connection = way.service.pool.acquire().await?;
    let now = way.service.clock.now();
    let dead = data::model_key::dead_among(&mut connection, &[way.key.key_id.0], now).await?;
    let ended = data::model_key::ended_among(&mut connection, &[way.key.secret_id], now).await?;
    Ok(dead.is_empty() && ended.is_empty())
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
async fn whole(way: Way, answer: reqwest::Response, hold: Hold, trial: Trial, note: Option<String>) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = match limited_body(answer, MOST_ANSWER).await {
        Ok(body) => body,
        Err(part) => {
            let used = way.broken(hold.wanted(), way.answered(part.len()));
            hold.settle(used).await;
            trial.failed("Its answer broke off", way.service.clock.now());
            return broken_off().into_response();
        }
    };
    trial.went_well();
    let (count, estimated) = match way.told(&body) {
        Some(count) => (count, false),
        None => (way.estimate(hold.wanted(), way.answered(body.len())), true),
    };
    if !estimated && way.teaches() {
        way.service.books.learn(&way.call.model, way.call.text_bytes, count.input);
    }
    let used = way.used(count, Outcome::Done, None, estimated);
    let is_cut = hold.cut().is_cancelled();
    // Settled beside the answer, not before it: a flush to the disk is no part of the caller's time.
    hold.settle_beside(used);
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
