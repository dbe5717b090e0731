//! Errors in OpenAI's shape.

use crate::Error;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{Code, Problem};
use serde_json::json;

/// An error as a client of the API gets it.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    message: String,
    param: Option<&'static str>,
    /// Seconds until a new try makes sense.
    retry_after: Option<u64>,
}

impl Fault {
    /// An error with its status, OpenAI's type, a code and a sentence.
    pub fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code, message: message.into(), param: None, retry_after: None }
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

    /// The error as JSON.
    pub fn json(&self) -> serde_json::Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
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
        let mut response = (self.status, Json(self.json())).into_response();
        if let Some(value) = self.retry_after.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
