//! The headers that every answer of the dashboard carries.

use super::{Entry, origins::Origins};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::sync::Arc;

/// The policy of a page: its own script and style by nonce, runtimes in frames, nothing else from anywhere.
#[must_use]
pub fn page_policy(nonce: &str, runtimes: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; frame-src 'self' {runtimes}; form-action 'self'; base-uri 'none'"
    )
}

/// Adds what is missing. Only the way into a runtime may be framed, by the dashboard itself.
pub async fn headers(State(entry): State<Arc<Entry>>, request: Request, next: Next) -> Response {
    let framable = request.uri().path().starts_with("/open/");
    let mut response = next.run(request).await;
    dress(response.headers_mut(), framable, &entry.origins);
    response
}

fn dress(headers: &mut HeaderMap, framable: bool, origins: &Origins) {
    let ancestors = if framable { "frame-ancestors 'self'" } else { "frame-ancestors 'none'" };
    let policy = match headers.get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok()) {
        Some(policy) => format!("{policy}; {ancestors}"),
        None => format!("default-src 'none'; {ancestors}"),
    };
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let mut say = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::X_FRAME_OPTIONS, if framable { "SAMEORIGIN" } else { "DENY" });
    // Not `no-referrer`: a form without script finds its way back by it.
    say(header::REFERRER_POLICY, "same-origin");
    say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // Pages of another port, or of a name below, get no process and no `document.domain` in common with ours.
    say(HeaderName::from_static("origin-agent-cluster"), "?1");
    // Pages show what is private: nothing of them is kept. Files of the page say otherwise for themselves.
    say(header::CACHE_CONTROL, "no-store");
    if origins.pins_https() {
        say(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    // A runtime in its frame may listen when its person allows it: OpenClaw takes spoken messages.
    let permissions = format!("camera=(), geolocation=(), microphone=(self \"{}\"), payment=(), usb=()", origins.any_runtime());
    if let Ok(permissions) = HeaderValue::from_str(&permissions) {
        headers.insert(HeaderName::from_static("permissions-policy"), permissions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_frames_the_dashboard_but_the_way_in_is_framed_by_it() {
        let origins = Origins::of(&"http://claw.localhost".parse().unwrap());
        let mut page = HeaderMap::new();
        page.insert(header::CONTENT_SECURITY_POLICY, page_policy("n", "http://*.claw.localhost").parse().unwrap());
        dress(&mut page, false, &origins);
        let policy = page["content-security-policy"].to_str().unwrap();
        assert!(policy.ends_with("; frame-ancestors 'none'") && policy.contains("'nonce-n'") && !policy.contains("script-src 'unsafe"));
        assert_eq!(page["x-frame-options"], "DENY");

        let mut way_in = HeaderMap::new();
        dress(&mut way_in, true, &origins);
        assert_eq!(way_in["content-security-policy"], "default-src 'none'; frame-ancestors 'self'");
    }
}
