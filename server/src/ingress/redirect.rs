//! The plain listener beside a TLS one: whoever comes over http is sent to the same place over https, but for the page that tells how to trust it.

use super::{
    origins::{Origins, Place},
    router,
    trust::Trust,
};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use std::sync::Arc;

/// Answers every request with where it is served. It knows the hosts that the public address makes, and sends nobody elsewhere.
pub fn router(origins: Origins, trust: Option<Trust>) -> Router {
    Router::new().fallback(answer).with_state(Arc::new((origins, trust)))
}

async fn answer(State(state): State<Arc<(Origins, Option<Trust>)>>, request: Request) -> Response {
    let (origins, trust) = &*state;
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let place = origins.place(&router::host(&request).unwrap_or_default());
    if let (Place::Dashboard, Some(trust)) = (&place, trust)
        && let Some(answer) = trust.answer(request.uri().path()).await
    {
        return answer;
    }
    let origin = match place {
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
