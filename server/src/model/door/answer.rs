//! Errors, in the words of the API that was called.

use crate::{
    Error,
    model::shape::{Dialect, Shape},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{Code, Problem};
use serde_json::{Value, json};
use uuid::Uuid;

/// What the clients of both APIs look for before they try again by themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error as a client of the API gets it. As a response it has no body yet: [`Fault::said`] gives it one, in the caller's words.
#[derive(Clone, Debug)]
pub struct Fault {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    /// Seconds until a new try makes sense.
    retry_after: Option<u64>,
    /// Whether a new try at once is in vain.
    lasts: bool,
}

impl Fault {
    /// An error with its status, OpenAI's type, a code and a sentence.
    pub fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code, message: message.into(), param: None, retry_after: None, lasts: false }
    }

    /// Names the member of the body that is wrong.
    pub fn param(mut self, param: Option<&'static str>) -> Self {
        self.param = param;
        self
    }

    /// Says when a new try makes sense, in seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Says that a new try at once is in vain.
    pub fn lasts(mut self) -> Self {
        self.lasts = true;
        self
    }

    /// No good key.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key", message)
    }

    /// A model that is not offered.
    pub fn unknown_model(name: &str) -> Self {
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(80).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            "model_not_found",
            format!("The model `{name}` does not exist here, or is not published. GET /v1/models lists what there is."),
        )
        .param(Some("model"))
    }

    /// A model service that is away for a moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "service_unavailable", message).retry_after(5)
    }

    /// An upstream that failed.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "server_error", "upstream_failed", message)
    }

    /// Any error of ours, logged under the id that the client sees.
    pub fn from_error(error: Error) -> Self {
        let problem = error.into_problem();
        if problem.code == Code::Unauthenticated {
            return Self::unauthenticated(sentence(&problem));
        }
        let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut fault = Self::new(status, "server_error", "server_error", format!("{} [{}]", sentence(&problem), problem.id));
        fault.retry_after = problem.retry_after.map(u64::from);
        fault
    }

    /// Anthropic's word for it goes by the status.
    fn anthropic_kind(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            StatusCode::GATEWAY_TIMEOUT => "timeout_error",
            status if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The error as JSON.
    fn json(&self, dialect: Dialect, id: Uuid) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": self.inner()}),
            Dialect::Anthropic => json!({
                "type": "error", "error": {"type": self.anthropic_kind(), "message": self.message}, "request_id": id.simple().to_string(),
            }),
        }
    }

    fn inner(&self) -> Value {
        json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.code})
    }

    /// The error as an event in a stream that has begun.
    pub fn event(&self, shape: Shape, id: Uuid) -> Bytes {
        match shape {
            Shape::Chat | Shape::Completions | Shape::Embeddings | Shape::Images | Shape::Speech | Shape::Transcription => {
                format!("data: {}\n\n", self.json(Dialect::OpenAi, id))
            }
            Shape::Responses => {
                // The reference has the members beside the type, the API itself sends them within `error`, and clients look for either.
                let mut event = self.inner();
                event["error"] = self.inner();
                event["type"] = "error".into();
                format!("event: error\ndata: {event}\n\n")
            }
            Shape::Messages | Shape::TokenCount => format!("event: error\ndata: {}\n\n", self.json(Dialect::Anthropic, id)),
        }
        .into()
    }

    /// Gives a response that is an error its body; others stay as they are.
    pub fn said(response: Response, dialect: Dialect, id: Uuid) -> Response {
        let (mut parts, body) = response.into_parts();
        let Some(fault) = parts.extensions.remove::<Self>() else { return Response::from_parts(parts, body) };
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Response::from_parts(parts, Body::from(fault.json(dialect, id).to_string()))
    }
}

fn sentence(problem: &Problem) -> String {
    match &problem.remedy {
        Some(remedy) => format!("{} {remedy}", problem.message),
        None => problem.message.clone(),
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        if let Some(value) = self.retry_after.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok()) {
            headers.insert(header::RETRY_AFTER, value);
        }
        if self.lasts {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
