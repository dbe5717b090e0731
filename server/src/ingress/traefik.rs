//! The configuration of a Traefik in front, over its HTTP provider: which host leads to which container, and what is asked and dropped on the way.
//!
//! Traefik reads it again and again. A runtime that is not ready is not in it: its host leads to the built-in gateway then, which starts, wakes and waits.

use super::{Entry, faults, forward_auth, tickets};
use crate::orchestrator::Route;
use axum::response::{IntoResponse as _, Response};
use contract::{Code, Problem};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Where Traefik asks.
pub const PROVIDER: &str = "/internal/traefik";

/// What forward auth says goes in place of what the browser said; what it leaves out is dropped.
const FROM_CHECK: &[&str] =
    &["X-Forwarded-User", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Clawloops-Assertion", "Cookie", "X-Openclaw-Scopes", "Forwarded"];
/// Identity under other names, as far as Traefik can be told: by the exact name.
const NOT_INWARD: &[&str] = &[
    "Forwarded",
    "Remote-User",
    "Remote_user",
    "True-Client-Ip",
    "X-Auth-Request-User",
    "X-Client-Ip",
    "X-Clawloops-Assertion",
    "X-Clawloops-Ingress",
    "X-Openclaw-Scopes",
    "X-Original-Method",
    "X-Original-Uri",
    "X-Original-Url",
    "X-Remote-User",
    "X_forwarded_for",
    "X_forwarded_host",
    "X_forwarded_proto",
    "X_forwarded_user",
    "X_openclaw_scopes",
];
/// What a runtime may not say to a browser.
const NOT_OUTWARD: &[&str] = &[
    "Alt-Svc",
    "Clear-Site-Data",
    "Nel",
    "Report-To",
    "Reporting-Endpoints",
    "Service-Worker-Allowed",
    "Strict-Transport-Security",
    "X-Frame-Options",
];

/// `GET /internal/traefik`, with the bearer token of the settings.
pub(super) async fn configuration(entry: &Entry, said: &HeaderMap) -> Response {
    // Traefik finds runtimes by their host names, and cannot rename what cookies a runtime sets on a host that others share.
    if !entry.proxies.has_token() || entry.origins.by_port() {
        return super::router::nothing_here();
    }
    if !entry.proxies.bears_token(said) {
        let mut refused = faults::as_json(&Problem::new(Code::Unauthenticated, "The token of this ingress is wrong or missing."));
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    }
    let ready = match entry.routes.ready().await {
        Ok(ready) => ready,
        // Traefik keeps what it had.
        Err(error) => return faults::as_json(&error.into_problem()),
    };
    let text = render(entry, &ready).to_string();
    let tag = format!("\"{}\"", hex(&Sha256::digest(text.as_bytes())[..16]));
    let known = said.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let unchanged = known.map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let headers =
        [(header::ETAG, tag), (header::CACHE_CONTROL, "no-store".to_owned()), (header::CONTENT_TYPE, "application/json".to_owned())];
    if unchanged { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, text).into_response() }
}

fn render(entry: &Entry, ready: &[(String, Route)]) -> Value {
    let origins = &entry.origins;
    let (host, own) = (origins.host(), entry.own_url.trim_end_matches('/'));
    let mut routers = Map::new();
    let mut services = Map::new();
    let service = |address: String| json!({"loadBalancer": {"passHostHeader": true, "servers": [{"url": address}], "responseForwarding": {"flushInterval": "1ms"}}});
    services.insert("clawloops".to_owned(), service(own.to_owned()));
    routers.insert("clawloops".to_owned(), json!({"rule": format!("Host(`{host}`)"), "service": "clawloops", "priority": 100}));
    let any = format!("HostRegexp(`^[a-z0-9-]+\\.{}$`)", host.replace('.', "\\."));
    routers.insert("clawloops-gateway".to_owned(), json!({"rule": any, "service": "clawloops", "priority": 10}));
    for (label, route) in ready {
        let Some(address) = route.address else { continue };
        let name = format!("runtime-{label}");
        let rule = format!("Host(`{label}.{host}`)");
        services.insert(name.clone(), service(format!("http://{address}")));
        routers.insert(
            name.clone(),
            json!({
                "rule": rule,
                "service": name,
                "priority": 50,
                "middlewares": ["clawloops-inward", "clawloops-check", "clawloops-outward"],
            }),
        );
        // The way in is ours on every host.
        routers.insert(
            format!("{name}-way-in"),
            json!({"rule": format!("{rule} && PathPrefix(`{}/`)", tickets::RESERVED), "service": "clawloops", "priority": 60}),
        );
    }
    let nothing = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!(""))).collect::<Map<_, _>>();
    let mut outward = nothing(NOT_OUTWARD);
    // Traefik sets a header or drops it; it cannot change a part of one.
    outward.insert("Content-Security-Policy".to_owned(), json!(format!("frame-ancestors {}", origins.dashboard())));
    if origins.scheme() == "https" {
        outward.insert("Strict-Transport-Security".to_owned(), json!("max-age=31536000"));
    }
    json!({"http": {
        "routers": routers,
        "services": services,
        "middlewares": {
            "clawloops-inward": {"headers": {"customRequestHeaders": nothing(NOT_INWARD)}},
            "clawloops-check": {"forwardAuth": {
                "address": format!("{own}{}", forward_auth::VERIFY),
                "trustForwardHeader": false,
                "authResponseHeaders": FROM_CHECK,
            }},
            "clawloops-outward": {"headers": {"customResponseHeaders": outward}},
        },
    }})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
