//! The gateway: everything that comes to a runtime's own host.
//!
//! HTTP and WebSockets pass unbuffered in both directions. What goes in is written anew from an allow-list with the identity that the session check
//! found ([`super::headers`]); what comes back is judged, and loses what would reach beyond the runtime's own host ([`super::outward`]).

use super::{
    Entry,
    connections::{Hold, Kind},
    cut::Reason,
    faults, guard, headers,
    intake::bounded,
    outward, tickets,
    upstream::{self, Cuttable},
    waiting, watching, websocket,
};
use crate::{data::ticket::Visit, error::chain, orchestrator::Route};
use axum::{body::Body, response::Response};
use contract::{Code, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use hyper_util::rt::TokioIo;
use std::{net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    if visit.watches() && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return fault(&entry, &watching::refusal(), page);
    }
    let (route, address) = match waiting::awake(&entry, &label, route).await {
        Ok(awake) => awake,
        Err(asleep) => return waiting::room(&entry, &asleep, &visit, page),
    };

    let Some(share) = entry.connections.share(visit.person_id, entry.limits.streams_per_person) else {
        let problem = Problem::new(Code::TooManyRequests, "You have too much open with your runtimes at once.");
        return fault(&entry, &problem.remedy("Close some of their pages, then try again.").retry_after(5), page);
    };
    let kind = if upgrade { Kind::WebSocket } else { Kind::Stream };
    let hold = entry.connections.hold(share, visit, token_hash, &label, address, kind).until(ends(&entry, &visit));
    // A revocation between the check above and the line before this one would have cut nothing: look again.
    if entry.connections.epoch() != epoch && !still(&entry, &route, &label, visit, token_hash).await {
        return fault(&entry, &Problem::new(Code::Unauthenticated, "You are signed out of this runtime."), page);
    }
    pass(entry, &route, &label, client, request, hold, address, upgrade, page).await
}

/// When a connection of somebody whom the runtime is shared with ends by itself.
fn ends(entry: &Entry, visit: &Visit) -> Option<Instant> {
    let left = visit.ends_at? - entry.clock.now();
    Some(Instant::now() + Duration::try_from(left).unwrap_or_default())
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
    let watches = hold.visit().watches();
    let identity =
        headers::Identity { email: &route.person_email, client: &client, authority: &authority, scheme: entry.origins.scheme(), watches };
    let (Some(inward), Some(uri)) = (headers::inward(request.headers(), &identity, upgrade), upstream_uri(address, request.uri())) else {
        return fault(&entry, &Problem::new(Code::Invalid, "This request cannot be passed on."), page);
    };
    let browser = upgrade.then(|| hyper::upgrade::on(&mut request));
    let events = headers::wants_events(request.headers());
    let sent = if upgrade { Body::empty() } else { std::mem::take(request.body_mut()) };
    let (sent, progress) = bounded(sent, None, entry.limits.body_patience());
    let mut onward = Request::new(sent);
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = uri;
    *onward.version_mut() = Version::HTTP_11;
    *onward.headers_mut() = inward;

    let chatter = upstream::chatter(&mut onward);
    let answer = tokio::select! {
        // In this order, so that an answer after too many that were none is not taken for one.
        biased;
        reason = hold.ended() => return fault(&entry, &reason.problem(), page),
        () = chatter.cancelled() => return broken(&entry, route, "it never comes to its answer", page),
        () = progress.quiet_for(entry.limits.first_byte(events)) => return fault(&entry, &too_late(), page),
        answer = entry.upstream.send(onward) => answer,
    };
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if let Some(refusal) = progress.refusal() {
                return fault(&entry, &refusal.problem(), page);
            }
            if upstream::is_broken(&error) {
                return broken(&entry, route, &chain(&error), page);
            }
            tracing::info!(runtime = %route.runtime_id, error = %chain(&error), "a runtime did not answer");
            return waiting::silent(&entry, route, hold.visit(), page);
        }
    };
    let status = answer.status();
    if let Err(why) = outward::judge(status, answer.headers()) {
        return broken(&entry, route, why, page);
    }
    let mut back = outward::outward(answer.headers(), &entry.origins, label);
    let stop = entry.stop.clone();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let Some(browser) = browser.filter(|_| names(answer.headers(), &header::UPGRADE, "websocket")) else {
            return broken(&entry, route, "it changes to a protocol that nobody asked for", page);
        };
        let runtime = hyper::upgrade::on(&mut answer);
        entry.tasks.spawn(bridge(browser, runtime, hold, stop));
        back.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        back.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return respond(status, back, Body::empty());
    }
    // A stream of events has no end of its own: a browser opens it again where the next server is.
    let endless = outward::is_event_stream(answer.headers());
    let ended = hold.ended();
    let ends = async move {
        tokio::select! {
            _ = ended => {}
            () = stop.cancelled(), if endless => {}
        }
    };
    respond(status, back, Body::new(Cuttable::new(answer.into_body(), ends, hold)))
}

/// Carries an upgraded connection until one side ends it, or it is cut.
async fn bridge(browser: hyper::upgrade::OnUpgrade, runtime: hyper::upgrade::OnUpgrade, hold: Hold, stop: CancellationToken) {
    let ended = hold.ended();
    let ends = async {
        tokio::select! {
            reason = ended => reason,
            () = stop.cancelled() => Reason::Restart,
        }
    };
    let carried = match futures::future::try_join(browser, runtime).await {
        Ok((browser, runtime)) if hold.visit().watches() => watching::carry(TokioIo::new(browser), TokioIo::new(runtime), ends).await,
        Ok((browser, runtime)) => websocket::carry(TokioIo::new(browser), TokioIo::new(runtime), ends).await,
        Err(error) => Err(std::io::Error::other(error)),
    };
    if let Err(error) = carried {
        tracing::debug!(%error, "a WebSocket ended");
    }
}

/// Said of an answer that is none. The reason is for the log: who reads the page cannot do anything about it.
fn broken(entry: &Entry, route: &Route, why: &str, page: bool) -> Response {
    tracing::info!(runtime = %route.runtime_id, why, "a runtime gave an answer that makes no sense");
    let problem = Problem::new(Code::RuntimeAnswerBroken, "The runtime gave an answer that makes no sense, so it was not passed on.");
    fault(entry, &problem.remedy("Try again. If it stays so, restart the runtime on its page."), page)
}

fn too_late() -> Problem {
    Problem::new(Code::RuntimeTimedOut, "The runtime did not begin to answer in time.").remedy("It may be busy. Try again in a moment.")
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

/// Whether this request is the handshake of a WebSocket.
pub(super) fn is_websocket(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET && names(headers, &header::CONNECTION, "upgrade") && names(headers, &header::UPGRADE, "websocket")
}

/// Whether this header's list holds this word, in any case.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
}

/// Whether this path is closed to browsers: ours, or OpenClaw's host-only door, in any spelling that a lenient parser would take for it.
pub(super) fn is_closed(path: &str) -> bool {
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
