//! The door: `/v1` for runtimes and for outside clients, in OpenAI's shape.

mod answer;
mod call;
mod failure;
mod refusal;

use super::{
    Service, catalog,
    key_text::{self, Kind, NoKey},
    keys::{self, Proven},
    request::{Call, Malformed},
};
use crate::{Result, data};
use answer::Fault;
use axum::{
    Extension, Json, Router,
    body::{Bytes, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use contract::ModelView;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// On which listener a door stands: it decides which keys open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The dashboard's listener: people's own keys.
    Public,
    /// The internal listener: runtimes' keys.
    Internal,
}

/// A body larger than this is refused.
pub const MOST_BYTES: usize = 20 << 20;
/// How long a caller may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(120);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone)]
struct Door {
    service: Arc<Service>,
    side: Side,
}

/// Names a call: in its answer, in the log and in its usage record.
#[derive(Clone, Copy)]
struct CallId(Uuid);

/// What a call asks for by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Chat,
    Embeddings,
}

impl Shape {
    const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Embeddings => "/embeddings",
        }
    }

    const fn content(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Embeddings => "input",
        }
    }
}

/// The routes below `/v1`, with the whole path in them. Mounted on both listeners. They need a key, never a session.
pub fn router(service: Arc<Service>, side: Side) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(|door, id, key, request| take(door, id, key, request, Shape::Chat)))
        .route("/v1/embeddings", post(|door, id, key, request| take(door, id, key, request, Shape::Embeddings)))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .method_not_allowed_fallback(async || {
            Fault::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", "This address wants another method.")
        })
        .route(
            "/v1/{*rest}",
            any(async || {
                Fault::new(StatusCode::NOT_FOUND, "invalid_request_error", "unknown_url", "There is no such address in this API.")
            }),
        )
        .layer(middleware::from_fn_with_state(Door { service: service.clone(), side }, guard))
        .with_state(Door { service, side })
}

/// Every route wants a key that is good now; every answer carries the call's id.
async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = crate::clock::new_id::<Uuid>();
    let mut response = match prove(&door, request.headers()).await {
        Ok(key) => {
            request.extensions_mut().insert(CallId(id));
            request.extensions_mut().insert(Opened { key, began, took: began.elapsed() });
            next.run(request).await
        }
        Err(fault) => fault.into_response(),
    };
    if let Ok(text) = HeaderValue::from_str(&id.simple().to_string()) {
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
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(text) = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Fault::unauthenticated("No key came with the request. Send `Authorization: Bearer <key>`."));
    };
    let sent = key_text::parse(text.1.trim()).map_err(|no_key| {
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

async fn take(
    State(door): State<Door>,
    Extension(id): Extension<CallId>,
    Extension(opened): Extension<Opened>,
    request: Request,
    shape: Shape,
) -> Response {
    let headers = upstream_headers(request.headers());
    let bytes = match read(request).await {
        Ok(bytes) => bytes,
        Err(fault) => return fault.into_response(),
    };
    let began = Instant::now();
    let call = match Call::read(&bytes, shape.content()) {
        Ok(call) => call,
        Err(Malformed(message, member)) => {
            return Fault::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", message).param(member).into_response();
        }
    };
    let way = call::Way {
        service: door.service.clone(),
        key: opened.key,
        id: id.0,
        shape,
        call,
        headers,
        came: opened.began,
        read: began,
        proving: opened.took,
    };
    // A task of its own: what is held must be settled also when the caller goes now.
    let task = door.service.tracker.spawn(call::run(way));
    match task.await {
        Ok(response) => response,
        Err(error) => Fault::from_error(crate::Error::internal("answering a model call", error)).into_response(),
    }
}

async fn read(request: Request) -> Result<Bytes, Fault> {
    let too_large = || {
        Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "request_too_large",
            format!("The request is larger than {} MiB, which is the most.", MOST_BYTES >> 20),
        )
    };
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > MOST_BYTES as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MOST_BYTES)).await {
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
    for name in ["accept", "openai-beta", "traceparent"] {
        if let Some(value) = headers.get(name) {
            kept.insert(HeaderName::from_static(name), value.clone());
        }
    }
    kept
}

async fn models(State(door): State<Door>, Extension(opened): Extension<Opened>) -> Response {
    match offered(&door, &opened.key).await {
        Ok(models) => Json(json!({"object": "list", "data": models.iter().map(described).collect::<Vec<_>>()})).into_response(),
        Err(fault) => fault.into_response(),
    }
}

async fn model(State(door): State<Door>, Extension(opened): Extension<Opened>, Path(name): Path<String>) -> Response {
    match offered(&door, &opened.key).await {
        Ok(models) => match models.iter().find(|model| model.name == name) {
            Some(model) => Json(described(model)).into_response(),
            None => Fault::unknown_model(&name).into_response(),
        },
        Err(fault) => fault.into_response(),
    }
}

/// What whoever asks may call: a runtime what its profile allows, a person's own key what it was made for.
async fn offered(door: &Door, key: &Proven) -> Result<Vec<ModelView>, Fault> {
    let found = async {
        let mut connection = door.service.pool.acquire().await?;
        let mut models = catalog::offered(&mut connection).await?;
        let allowed = match key.runtime_id {
            Some(runtime_id) => data::model::allowed(&mut connection, runtime_id).await?,
            None => data::model_key::allowed(&mut connection, key.key_id).await?,
        };
        if let Some(allowed) = allowed {
            models.retain(|model| allowed.contains(&model.model_id));
        }
        Ok(models)
    };
    found.await.map_err(Fault::from_error)
}

/// OpenAI's four members; the rest is what clients like to know.
fn described(model: &ModelView) -> Value {
    json!({
        "id": model.name, "object": "model", "created": created(model), "owned_by": model.provider,
        "context_length": model.context_tokens, "max_output_tokens": model.output_tokens, "description": model.description,
    })
}

/// When it was added, in seconds: a uuid v7 knows.
fn created(model: &ModelView) -> u64 {
    model.model_id.0.get_timestamp().map_or(0, |at| at.to_unix().0)
}
