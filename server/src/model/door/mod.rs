//! The door: `/v1` for runtimes and for outside clients, in the shapes of OpenAI's API and of Anthropic's.

mod answer;
mod call;
mod failure;
mod form;
mod media;
mod models;
mod rates;
mod readable;
mod refusal;
mod route;
mod stream;
mod way;

use super::{
    Service,
    key_text::{self, Kind, NoKey},
    keys::{self, Proven},
    request::{Call, Malformed},
    shape::{Dialect, Shape},
};
use crate::Result;
use answer::Fault;
use axum::{
    Extension, Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use contract::CountedIn;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;
use way::Way;

/// On which listener a door stands: it decides which keys open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The dashboard's listener: people's own keys.
    Public,
    /// The internal listener: runtimes' keys.
    Internal,
}

/// A body larger than this is refused,
pub const MOST_BYTES: usize = 20 << 20;
/// and a form with a recording larger than this: the 25 MB that OpenAI takes, and room for the other fields.
pub const MOST_FORM_BYTES: usize = 26 << 20;
/// How long a caller may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(120);
/// The call's id, as OpenAI's clients look for it, and as Anthropic's do.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const ANTHROPIC_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

#[derive(Clone)]
struct Door {
    service: Arc<Service>,
    side: Side,
}

/// Names a call: in its answer, in the log and in its usage record.
#[derive(Clone, Copy)]
struct CallId(Uuid);

/// In whose words the answer is to be.
#[derive(Clone, Copy)]
struct Spoken(Dialect);

/// The routes below `/v1`, with the whole path in them. Mounted on both listeners. They need a key, never a session.
pub fn router(service: Arc<Service>, side: Side) -> Router {
    let calls = Shape::ALL.into_iter().fold(Router::new(), |router, shape| {
        router.route(&format!("/v1{}", shape.path()), post(move |door, id, key, request| take(door, id, key, request, shape)))
    });
    calls
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::one))
        .method_not_allowed_fallback(async || {
            Fault::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", "This address wants another method.")
        })
        .route("/v1/{*rest}", any(nowhere))
        .layer(middleware::from_fn_with_state(Door { service: service.clone(), side }, guard))
        .with_state(Door { service, side })
}

/// What the APIs have and this one has not.
async fn nowhere(request: Request) -> Fault {
    let path = request.uri().path();
    let message = if path.starts_with("/v1/audio") || path.starts_with("/v1/images") {
        "Of audio and images there are /v1/images/generations, /v1/audio/speech and /v1/audio/transcriptions here."
    } else {
        "There is no such address in this API. It has /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/messages, \
         /v1/messages/count_tokens, /v1/images/generations, /v1/audio/speech, /v1/audio/transcriptions and /v1/models."
    };
    Fault::new(StatusCode::NOT_FOUND, "invalid_request_error", "unknown_url", message)
}

/// By the path of a call; elsewhere by a header that only Anthropic's clients send.
fn dialect_of(request: &Request) -> Dialect {
    let path = request.uri().path().strip_prefix("/v1").unwrap_or_default();
    let called = Shape::ALL.into_iter().find(|shape| shape.path() == path).map(Shape::dialect);
    let is_anthropic = path.starts_with("/messages/") || request.headers().contains_key(ANTHROPIC_VERSION);
    called.unwrap_or(if is_anthropic { Dialect::Anthropic } else { Dialect::OpenAi })
}

/// Every route wants a key that is good now; every answer carries the call's id.
async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = crate::clock::new_id::<Uuid>();
    let dialect = dialect_of(&request);
    let response = match prove(&door, request.headers()).await {
        Ok(key) => {
            request.extensions_mut().insert(CallId(id));
            request.extensions_mut().insert(Spoken(dialect));
            request.extensions_mut().insert(Opened { key, began, took: began.elapsed() });
            next.run(request).await
        }
        Err(fault) => fault.into_response(),
    };
    let mut response = Fault::said(response, dialect, id);
    if let Ok(text) = HeaderValue::from_str(&id.simple().to_string()) {
        if dialect == Dialect::Anthropic {
            response.headers_mut().insert(ANTHROPIC_REQUEST_ID, text.clone());
        }
        response.headers_mut().insert(REQUEST_ID, text);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A request whose key is proven.
#[derive(Clone, Copy)]
struct Opened {
    key: Proven,
    began: Instant,
    took: Duration,
}

async fn prove(door: &Door, headers: &HeaderMap) -> Result<Proven, Fault> {
    let Some(text) = sent_key(headers) else {
        return Err(Fault::unauthenticated("No key came with the request. Send `Authorization: Bearer <key>`, or `x-api-key: <key>`."));
    };
    let sent = key_text::parse(text).map_err(|no_key| {
        Fault::unauthenticated(match no_key {
            NoKey::Foreign => "This is not a ClawLoops key. One begins with `cl_live_`.",
            NoKey::Mistyped => {
                "This key was mistyped, or a part of it is missing: its last six characters do not match the others. Copy it again from where \
                 you keep it, or make a new key on the page Models & keys."
            }
        })
    })?;
    match (sent.kind, door.side) {
        (Kind::Person, Side::Public) | (Kind::Runtime, Side::Internal) => {}
        (Kind::Runtime, Side::Public) => return Err(Fault::unauthenticated("A runtime's key opens nothing outside its runtime.")),
        (Kind::Person, Side::Internal) => return Err(Fault::unauthenticated("Within a runtime its own key is used.")),
    }
    keys::prove(&door.service, &sent).await.map_err(Fault::from_error)
}

/// The key, as OpenAI's clients send it or as Anthropic's do. One that sends both may mean ours by either.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION)
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    let sent = [bearer, text(ANTHROPIC_KEY).map(str::trim)];
    sent.iter().flatten().find(|key| key.starts_with("cl_")).or_else(|| sent.iter().flatten().next()).copied()
}

async fn take(
    State(door): State<Door>,
    Extension(id): Extension<CallId>,
    Extension(opened): Extension<Opened>,
    request: Request,
    shape: Shape,
) -> Response {
    let headers = upstream_headers(request.headers());
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let most = if shape == Shape::Transcription { MOST_FORM_BYTES } else { MOST_BYTES };
    let bytes = match read(request, most).await {
        Ok(bytes) => bytes,
        Err(fault) => return fault.into_response(),
    };
    let began = Instant::now();
    let call = match shape {
        Shape::Transcription => form::read(content_type.as_ref(), bytes).await.and_then(Call::of_form),
        _ => Call::read(&bytes, shape),
    };
    let call = match call {
        Ok(call) => call,
        Err(Malformed(message, member)) => {
            return Fault::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", message).param(member).into_response();
        }
    };
    let way = Way {
        service: door.service.clone(),
        key: opened.key,
        id: id.0,
        record: id.0,
        shape,
        call,
        counted_in: CountedIn::Tokens,
        headers,
        came: opened.began,
        read: began,
        proving: opened.took,
        waited: Duration::ZERO,
    };
    // A task of its own: what is held must be settled also when the caller goes now.
    let task = door.service.tracker.spawn(call::run(way));
    match task.await {
        Ok(response) => response,
        Err(error) => Fault::from_error(crate::Error::internal("answering a model call", error)).into_response(),
    }
}

async fn read(request: Request, most: usize) -> Result<Bytes, Fault> {
    let too_large = || {
        Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "request_too_large",
            format!("The request is larger than {} MiB, which is the most.", most >> 20),
        )
    };
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if crate::error::chain(&error).contains("limit") => Err(too_large()),
        Ok(Err(_)) | Err(_) => {
            Err(Fault::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", "The request's body did not come whole."))
        }
    }
}

/// Of the caller's headers only these reach a provider.
fn upstream_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in ["accept", "anthropic-beta", "anthropic-version", "openai-beta", "traceparent"] {
        if let Some(value) = headers.get(name) {
            kept.insert(HeaderName::from_static(name), value.clone());
        }
    }
    kept
}
