//! The plain listener beside a TLS one: whoever comes over http is sent to the same place over https.

use super::{
    origins::{Origins, Place},
    router,
};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

/// Answers every request with where it is served. It knows the hosts that the public address makes, and sends nobody elsewhere.
pub fn router(public_url: &Url) -> Router {
    Router::new().fallback(answer).with_state(Origins::of(public_url))
}

async fn answer(State(origins): State<Origins>, request: Request) -> Response {
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let origin = match origins.place(&router::host(&request).unwrap_or_default()) {
        Place::Dashboard => origins.dashboard(),
        Place::Runtime(label) => origins.runtime(&label),
        Place::Elsewhere => {
            return (StatusCode::MISDIRECTED_REQUEST, format!("ClawLoops is not at this address. It is at {}.\n", origins.dashboard()))
                .into_response();
        }
    };
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    match HeaderValue::from_str(&format!("{origin}{path}")) {
        // The method stays what it was (RFC 9110, 15.4.9).
        Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
