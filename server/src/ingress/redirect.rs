//! The plain listener beside a TLS one: whoever comes over http is sent to the same place over https.

use super::{
    acme::Keeper,
    origins::{Origins, Place},
    router,
};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use url::Url;

/// Answers every request with where it is served. It knows the hosts that the public address makes, and sends nobody elsewhere. With certificates by ACME,
/// the ACME server finds its answers here, and nobody is sent to a host that has no certificate yet.
pub fn router(public_url: &Url, keeper: Option<Arc<Keeper>>) -> Router {
    Router::new().fallback(answer).with_state((Origins::of(public_url), keeper))
}

async fn answer(State((origins, keeper)): State<(Origins, Option<Arc<Keeper>>)>, request: Request) -> Response {
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let host = router::host(&request).unwrap_or_default();
    let place = origins.place(&host);
    if let Some(keeper) = keeper.filter(|_| place != Place::Elsewhere) {
        if let Some(answer) = keeper.challenge(request.uri().path()).await {
            return answer.map_or_else(
                || (StatusCode::NOT_FOUND, "No such challenge is under way.\n").into_response(),
                |answer| answer.into_response(),
            );
        }
        if !keeper.has(&host) {
            let text = "ClawLoops waits for the certificate of this address. Try again in a moment; whoever runs it finds in its log why it takes long.\n";
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, HeaderValue::from_static("10"))], text).into_response();
        }
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
