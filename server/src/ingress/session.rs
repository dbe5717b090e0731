//! The session check. Closed by default: what needs no session is one visible list.

use super::{Entry, faults, headers};
use crate::platform::sessions;
use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::{Caller, Code, Problem};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use std::{net::SocketAddr, sync::Arc};

/// What needs no session. Everything else does; a `*` stands for any rest. A test walks all routes against this list.
pub const OPEN: &[&str] = &[
    "/healthz",
    // Keys are judged there, never cookies.
    "/v1/*",
    // How to trust this server, and its authority; nothing else lies there.
    "/trust",
    "/trust/*",
    "/sign-in",
    "/setup/*",
    "/invitation/*",
    "/api/ui/me",
    "/api/ui/sign-in",
    "/api/ui/setup",
    "/api/ui/accept-setup",
    "/api/ui/invitation",
    "/api/ui/accept-invitation",
];

/// Whether this path needs no session.
#[must_use]
pub fn is_open(path: &str) -> bool {
    OPEN.iter().any(|open| match open.strip_suffix('*') {
        Some(start) => path.len() > start.len() && path.starts_with(start),
        None => path == *open,
    })
}

/// Finds the caller, hands them on as the extension `Option<Caller>`, and keeps everyone else out of what is not open.
pub async fn check(State(entry): State<Arc<Entry>>, mut request: Request, next: Next) -> Response {
    let before = || headers::cookie(request.headers(), sessions::COOKIE_BEFORE).filter(|_| !entry.origins.by_port());
    let caller = match headers::cookie(request.headers(), sessions::COOKIE).or_else(before) {
        Some(token) => match sessions::find(&entry.pool, entry.clock.as_ref(), token).await {
            Ok(caller) => caller,
            Err(error) => return refused(&request, error.into_problem(), request.uri().path()),
        },
        None => None,
    };
    if caller.is_none() && !is_open(request.uri().path()) {
        return signed_out(&request);
    }
    // Whoever sends a form without a session tries a password or a link.
    if caller.is_none()
        && request.method() == Method::POST
        && let Some(ConnectInfo(client)) = request.extensions().get::<ConnectInfo<SocketAddr>>()
        && let Err(error) = entry.throttle.address(client.ip().to_canonical())
    {
        return refused(&request, error.into_problem(), "/sign-in");
    }
    request.extensions_mut().insert::<Option<Caller>>(caller);
    next.run(request).await
}

fn refused(request: &Request, problem: Problem, again: &str) -> Response {
    if faults::wants_page(request.method(), request.headers()) {
        faults::as_page(&problem, Some((again, "Try again")))
    } else {
        faults::as_json(&problem)
    }
}

fn signed_out(request: &Request) -> Response {
    let problem = Problem::new(Code::Unauthenticated, "You are signed out.").remedy("Sign in and try again.");
    let page = faults::wants_page(request.method(), request.headers());
    let framed = request.headers().get("sec-fetch-dest").is_some_and(|destination| destination == "iframe");
    if !page {
        return faults::as_json(&problem);
    }
    let back = if request.method() == Method::GET { sign_in_for(request.uri()) } else { "/sign-in".to_owned() };
    if framed {
        // Signing in happens in the whole window, not in a frame.
        return faults::as_page(&problem, Some(("/sign-in", "Sign in")));
    }
    match HeaderValue::from_str(&back) {
        Ok(location) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
                .into_response()
        }
        Err(_) => faults::as_page(&problem, Some(("/sign-in", "Sign in"))),
    }
}

/// The sign-in page that leads back here. The way into a runtime's host is no page, so it leads back to the page around it.
fn sign_in_for(uri: &Uri) -> String {
    if let Some(id) = uri.path().strip_prefix("/open/").filter(|id| id.parse::<contract::RuntimeId>().is_ok()) {
        return format!("/sign-in?to=%2Fruntimes%2F{id}%2Fopen");
    }
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None | Some("/") => "/sign-in".to_owned(),
        Some(to) => format!("/sign-in?to={}", url::form_urlencoded::byte_serialize(to.as_bytes()).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_is_what_the_list_says_and_no_more() {
        for path in ["/healthz", "/v1/models", "/sign-in", "/setup/abc", "/api/ui/sign-in"] {
            assert!(is_open(path), "{path}");
        }
        for path in ["/", "/setup/", "/sign-in/", "/v1", "/healthz/x", "/events", "/open/1", "/api/ui/people"] {
            assert!(!is_open(path), "{path}");
        }
    }

    #[test]
    fn sign_in_leads_back() {
        assert_eq!(sign_in_for(&Uri::from_static("/")), "/sign-in");
        assert_eq!(sign_in_for(&Uri::from_static("/usage?days=7&x=1")), "/sign-in?to=%2Fusage%3Fdays%3D7%26x%3D1");
    }
}
