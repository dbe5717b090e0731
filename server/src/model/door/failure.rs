//! An upstream that refused or failed: what it means for the bill and for the caller.

use super::answer::Fault;
use axum::{
    body::Bytes,
    http::{HeaderName, StatusCode, header},
};
use futures::StreamExt as _;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How long an upstream may be silent.
pub const SILENCE: Duration = Duration::from_secs(600);

/// Whether a status says that the call was not done. LiteLLM's own word for a provider that was too slow is among the client's errors, and that
/// provider may have been at work.
pub fn was_refused(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::REQUEST_TIMEOUT
}

/// Whether a status says that the provider is not well, or not set up well, so that every call would fail. What a caller can bring about by asking for
/// too much, or for what is not there, is none of these.
pub fn is_the_providers_own(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN | StatusCode::REQUEST_TIMEOUT)
}

/// Whether another model may take what this one did not.
pub fn may_go_well_elsewhere(status: StatusCode) -> bool {
    is_the_providers_own(status) || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::NOT_FOUND)
}

/// A model that is left alone, since it failed again and again.
pub fn left_alone(model: &str, wait: time::Duration) -> Fault {
    let seconds = wait.whole_seconds().max(1).unsigned_abs();
    let message =
        format!("The provider of `{model}` failed several times in a row, and is tried again in {seconds} s. Or choose another model.");
    Fault::unavailable(message).retry_after(seconds)
}

/// A provider that cannot be reached.
pub fn unreachable(model: &str) -> Fault {
    Fault::unavailable(format!("The provider of `{model}` cannot be reached. Try again in a moment, or choose another model."))
}

/// What an upstream's error means to the caller. A key of ours that a provider refused is not the caller's fault, and must not look like it.
pub async fn told(call: Uuid, model: &str, answer: reqwest::Response) -> Fault {
    let status = answer.status();
    // LiteLLM passes a provider's own header on under another name.
    let seconds = |name: &HeaderName| answer.headers().get(name)?.to_str().ok()?.parse().ok();
    let retry_after = seconds(&header::RETRY_AFTER).or_else(|| seconds(&HeaderName::from_static("llm_provider-retry-after")));
    let body = limited_body(answer, 1 << 20).await.unwrap_or_else(|part| part);
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = said.pointer("/error/message").or_else(|| said.pointer("/detail")).map(|text| match text.as_str() {
        Some(text) => text.to_owned(),
        None => text.to_string(),
    });
    let message: String = message.unwrap_or_default().chars().take(1000).collect();
    tracing::warn!(%call, model, status = status.as_u16(), message, "an upstream refused or failed");
    let quota = ["insufficient_quota", "billing", "credit balance"].iter().any(|word| message.to_ascii_lowercase().contains(word));
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
            let told = message.split("\n\nLiteLLM:").next().unwrap_or_default().trim_start_matches("litellm.").to_owned();
            Fault::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "invalid_request",
                format!("The model `{model}` did not take this request: {told}"),
            )
        }
        StatusCode::TOO_MANY_REQUESTS if !quota => {
            let fault = Fault::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "rate_limit_exceeded",
                format!("The provider of `{model}` takes no more requests at this moment. Try again shortly."),
            );
            fault.retry_after(retry_after.unwrap_or(5))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED | StatusCode::TOO_MANY_REQUESTS => Fault::upstream(
            format!("The provider of `{model}` does not accept the key or the account that was set up for it. Tell your administrator."),
        ),
        StatusCode::NOT_FOUND => {
            Fault::upstream(format!("The provider of `{model}` does not know this model any more. Tell your administrator."))
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            Fault::unavailable(format!("The provider of `{model}` is not available. Try again in a moment."))
        }
        _ => Fault::upstream(format!("The provider of `{model}` failed. Try again in a moment, or choose another model.")),
    }
}

/// Reads a body of at most `most` bytes. What had come, where it broke off or went on for longer.
pub async fn limited_body(answer: reqwest::Response, most: usize) -> Result<Bytes, Bytes> {
    let mut stream = answer.bytes_stream();
    let mut body = Vec::new();
    loop {
        match timeout(SILENCE, stream.next()).await {
            Ok(None) => return Ok(body.into()),
            Ok(Some(Ok(part))) if body.len() + part.len() <= most => body.extend_from_slice(&part),
            Ok(Some(_)) | Err(_) => return Err(body.into()),
        }
    }
}
