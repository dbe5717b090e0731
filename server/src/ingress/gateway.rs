//! The gateway: everything that comes to a runtime's own host.
//!
//! HTTP and WebSockets pass unbuffered in both directions. What goes in is written anew from an allow-list with the identity that the session check
//! found; what comes back loses what would reach beyond the runtime's own host ([`super::headers`]).

use super::{Entry, connections::Hold, faults, guard, headers, tickets, upstream::Cuttable, waiting};
use crate::{data::ticket::Visit, error::chain, orchestrator::Route};
use axum::{body::Body, response::Response};
use contract::{Code, Problem};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use hyper_util::rt::TokioIo;
use std::{net::IpAddr, net::SocketAddr, sync::Arc};

/// OpenClaw's host-only door: the server calls it at the container's address, browsers never.
const HOST_DOOR: &str = "/api/v1/admin/rpc";
/// Told to a runtime in place of a loopback address, which OpenClaw would take for its own proxy's (RFC 5737).
const SOMEWHERE: &str = "192.0.2.1";

/// Answers a request to the host of the runtime with this label.
pub async fn serve(entry: Arc<Entry>, label: String, client: IpAddr, request: Request<Body>) -> Response {
    let page = faults::wants_page(request.method(), request.headers());
    let route = match entry.route(&label).await {
        Ok(Some(route)) => route,
        Ok(None) => return fault(&entry, &Problem::new(Code::RuntimeNotFound, "There is no runtime of this name."), page),
        Err(error) => return fault(&entry, &error.into_problem(), page),
    };
    if request.uri().path() == tickets::ENTER {
        return tickets::enter(&entry, &route, &label, request.method(), request.uri()).await;
    }
    let epoch = entry.connections.epoch();
    let token_hash = tickets::cookie_hash(request.headers());
    let visit = match token_hash {
        Some(token_hash) => match tickets::visitor(&entry, &route, token_hash).await {
            Ok(visit) => visit,
            Err(error) => return fault(&entry, &error.into_problem(), page),
        },
        None => None,
    };
    let (Some(visit), Some(token_hash)) = (visit, token_hash) else {
        return if page && request.method() == Method::GET {
            tickets::way_in(&entry, &route, request.uri())
        } else {
            fault(&entry, &Problem::new(Code::Unauthenticated, "You are signed out of this runtime.").remedy("Reload the page."), false)
        };
    };
    if is_closed(request.uri().path()) {
        return fault(&entry, &Problem::new(Code::NotFound, "There is nothing here."), page);
    }
    let upgrade = is_websocket(request.method(), request.headers());
    let origin = entry.origins.runtime(&label);
    let judged = if upgrade {
        guard::judge_upgrade(request.headers(), &origin)
    } else {
        guard::judge(request.method(), request.headers(), &origin, false)
    };
    if let Err(problem) = judged {
        return fault(&entry, &problem, page);
    }
    let (route, address) = match waiting::awake(&entry, &label, route).await {
        Ok(awake) => awake,
        Err(asleep) => return waiting::room(&entry, &asleep, page),
    };

    let hold = entry.connections.hold(visit, token_hash, &label, address);
    // A revocation between the check above and the line before this one would have cut nothing: look again.
    if entry.connections.epoch() != epoch && !still(&entry, &route, &label, visit, token_hash).await {
        return fault(&entry, &Problem::new(Code::Unauthenticated, "You are signed out of this runtime."), page);
    }
    pass(entry, &route, &label, client, request, hold, address, upgrade, page).await
}

async fn still(entry: &Entry, route: &Route, label: &str, visit: Visit, token_hash: [u8; 32]) -> bool {
    matches!(entry.visit_now(token_hash).await, Ok(Some(now)) if now == visit)
        && matches!(entry.route(label).await, Ok(Some(now)) if now.address == route.address)
}

#[expect(clippy::too_many_arguments, reason = "what was found out about one request, used once")]
async fn pass(
    entry: Arc<Entry>,
    route: &Route,
    label: &str,
    client: IpAddr,
    mut request: Request<Body>,
    hold: Hold,
    address: SocketAddr,
    upgrade: bool,
    page: bool,
) -> Response {
    let authority = entry.origins.runtime_authority(label);
    let client = if client.is_loopback() { SOMEWHERE.to_owned() } else { client.to_string() };
    let identity = headers::Identity { email: &route.person_email, client: &client, authority: &authority, scheme: entry.origins.scheme() };
    let (Some(inward), Some(uri)) = (headers::inward(request.headers(), &identity, upgrade), upstream_uri(address, request.uri())) else {
        return fault(&entry, &Problem::new(Code::Invalid, "This request cannot be passed on."), page);
    };
    let browser = upgrade.then(|| hyper::upgrade::on(&mut request));
    let mut onward = Request::new(if upgrade { Body::empty() } else { std::mem::take(request.body_mut()) });
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = uri;
    *onward.version_mut() = Version::HTTP_11;
    *onward.headers_mut() = inward;

    let cut = hold.cut().clone();
    let answer = tokio::select! {
        () = cut.cancelled() => return fault(&entry, &Problem::new(Code::Unauthenticated, "You are signed out of this runtime."), page),
        answer = entry.upstream.send(onward) => answer,
    };
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::info!(runtime = %route.runtime_id, error = %chain(&error), "a runtime did not answer");
            return waiting::silent(&entry, route, page);
        }
    };
    let mut outward = headers::outward(answer.headers(), &entry.origins.dashboard());
    let status = answer.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let Some(browser) = browser else { return fault(&entry, &malformed(), page) };
        let runtime = hyper::upgrade::on(&mut answer);
        let stop = entry.stop.clone();
        entry.tasks.spawn(bridge(browser, runtime, hold, stop));
        outward.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        outward.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return respond(status, outward, Body::empty());
    }
    let cut = hold.cut().clone().cancelled_owned();
    respond(status, outward, Body::new(Cuttable::new(answer.into_body(), cut, hold)))
}

/// Carries an upgraded connection until one side ends it, or it is cut.
async fn bridge(
    browser: hyper::upgrade::OnUpgrade,
    runtime: hyper::upgrade::OnUpgrade,
    hold: Hold,
    stop: tokio_util::sync::CancellationToken,
) {
    let carried = async {
        let (browser, runtime) = futures::future::try_join(browser, runtime).await.map_err(std::io::Error::other)?;
        let (mut browser, mut runtime) = (TokioIo::new(browser), TokioIo::new(runtime));
        tokio::io::copy_bidirectional(&mut browser, &mut runtime).await
    };
    tokio::select! {
        () = hold.cut().cancelled() => {}
        () = stop.cancelled() => {}
        carried = carried => if let Err(error) = carried {
            tracing::debug!(%error, "a WebSocket ended");
        },
    }
}

fn malformed() -> Problem {
    Problem::new(Code::UpstreamFailed, "The runtime gave an answer that makes no sense.")
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn upstream_uri(address: SocketAddr, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build().ok()
}

fn is_websocket(method: &Method, headers: &HeaderMap) -> bool {
    let names = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    method == Method::GET && names(header::CONNECTION, "upgrade") && names(header::UPGRADE, "websocket")
}

/// Whether this path is closed to browsers: ours, or OpenClaw's host-only door, in any spelling that a lenient parser would take for it.
fn is_closed(path: &str) -> bool {
    let mut text = path.to_owned();
    for _ in 0..4 {
        let decoded = percent_decoded(&text);
        if decoded == text {
            break;
        }
        text = decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let plain = format!("/{}/", segments.join("/").to_ascii_lowercase());
    plain.contains(&format!("{HOST_DOOR}/")) || plain.starts_with(&format!("{}/", tickets::RESERVED))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let raw = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        let pair = (byte == b'%').then(|| raw.get(at + 1..at + 3)).flatten();
        let value = pair.and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A problem on a runtime's host.
pub(super) fn fault(entry: &Entry, problem: &Problem, page: bool) -> Response {
    let home = entry.origins.dashboard();
    let response = if page { faults::as_page(problem, Some((&home, "Go to ClawLoops"))) } else { faults::as_json(problem) };
    framed(entry, response)
}

/// Lets the dashboard, and nobody else, show this answer of ours in its frame.
pub(super) fn framed(entry: &Entry, mut response: Response) -> Response {
    let ancestors = format!("frame-ancestors {}", entry.origins.dashboard());
    let policy = match response.headers().get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok()) {
        Some(policy) => format!("{policy}; {ancestors}"),
        None => format!("default-src 'none'; {ancestors}"),
    };
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_door_is_closed_in_every_spelling() {
        for closed in [
            "/api/v1/admin/rpc",
            "/api/v1/admin/rpc/",
            "/api/v1/admin/rpc/x",
            "/API/v1/Admin/rpc",
            "//api/v1/admin/rpc",
            "//x/api/v1/admin/rpc",
            "/x/../api/v1/admin/rpc",
            "/api/v1/admin/%72pc",
            "/api/v1/admin/%2572pc",
            "/api%2fv1%2fadmin%2frpc",
            "/api\\v1\\admin\\rpc",
            "/api/./v1/%2e%2e/v1/admin/rpc",
            "/__clawloops/enter",
            "/__clawloops/x",
        ] {
            assert!(is_closed(closed), "{closed}");
        }
        for open in ["/", "/api/v1/admin", "/api/v1/admin/rpcs", "/chat", "/__openclaw__/cap/x", "/%zz"] {
            assert!(!is_closed(open), "{open}");
        }
    }

    #[test]
    fn only_a_whole_handshake_is_a_websocket() {
        let map = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
        };
        assert!(is_websocket(&Method::GET, &map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])));
        assert!(!is_websocket(&Method::GET, &map(&[("connection", "Upgrade"), ("upgrade", "h2c")])));
        assert!(!is_websocket(&Method::POST, &map(&[("connection", "Upgrade"), ("upgrade", "websocket")])));
    }
}
