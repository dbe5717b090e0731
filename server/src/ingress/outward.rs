//! The way back: what a runtime may say to a browser. It may be turned against its own person, so its answer is judged like a request.
//!
//! What stays goes unchanged to the runtime's own host. What goes is whatever would reach beyond that host, outlive the answer, or speak to a proxy
//! in front of us. `Link` and `Refresh` stay: they do nothing that a page of the runtime could not do by markup or script on its own host.

use super::{
    cookies::Jar,
    headers::{is_ours, named_by_connection},
    origins::{Origins, Place},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// What a runtime may not say to a browser: hop-by-hop headers, framing (the gateway says it), and what would reach beyond its own host or outlive it.
const NOT_OUTWARD: &[&str] = &[
    "alt-svc",
    "clear-site-data",
    "connection",
    "expect-ct",
    "keep-alive",
    "nel",
    "proxy-authenticate",
    "proxy-connection",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-frame-options",
    "x-sendfile",
];

/// Headers that a proxy in front of us takes for its own orders begin so: nginx, lighttpd, LiteSpeed, and sessions that a browser binds to a device.
const NOT_OUTWARD_STARTS: &[&str] = &["x-accel-", "x-lighttpd-", "x-litespeed-", "secure-session-", "sec-session-"];

/// More headers than this, or more bytes of them, are no answer of OpenClaw's.
const MOST_HEADERS: usize = 100;
const MOST_BYTES: usize = 64 * 1024;
/// So many cookies of one answer go through; browsers keep about as many for a host (RFC 6265, section 6.1).
const MOST_COOKIES: usize = 50;
/// A longer cookie goes nowhere: browsers drop it as well (RFC 6265, section 6.1).
const LONGEST_COOKIE: usize = 4096;

/// Why an answer is none: its length, or its end, could be understood in two ways.
///
/// # Errors
/// With what is wrong, for the log.
pub fn judge(status: StatusCode, from: &HeaderMap) -> Result<(), &'static str> {
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Err("it is no final answer");
    }
    if from.len() > MOST_HEADERS {
        return Err("it has too many headers");
    }
    if from.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() > MOST_BYTES {
        return Err("its headers are too large");
    }
    let mut codings = from.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if codings.next().is_some() || coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err("it is coded in a way that is not understood");
    }
    let lengths = from.get_all(header::CONTENT_LENGTH).iter().count();
    if lengths > 1 {
        return Err("it says its length twice");
    }
    if lengths == 1 && coding.is_some() {
        return Err("it says its length in two ways");
    }
    Ok(())
}

/// The headers that come back out of the runtime with this label. The dashboard alone may frame it. Where its host has others' cookies as well, its own
/// go by its `jar`.
#[must_use]
pub fn outward(from: &HeaderMap, origins: &Origins, label: &str, jar: Option<&Jar<'_>>) -> HeaderMap {
    let dashboard = origins.dashboard();
    let named = named_by_connection(from);
    let shared_with_us = from.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN).iter().any(|value| names_ours(value, origins, label));
    let mut to = HeaderMap::with_capacity(from.len() + 2);
    let mut framing_said = false;
    let mut cookies = 0;
    for (name, value) in from {
        let name_text = name.as_str();
        let goes = NOT_OUTWARD.contains(&name_text)
            || NOT_OUTWARD_STARTS.iter().any(|start| name_text.starts_with(start))
            || (shared_with_us && name_text.starts_with("access-control-"))
            || named.iter().any(|n| n == name_text);
        if goes {
            continue;
        }
        if *name == header::SET_COOKIE {
            if cookies < MOST_COOKIES
                && let Some(cookie) = own_cookie(value, jar)
            {
                to.append(name, cookie);
                cookies += 1;
            }
        } else if *name == header::CONTENT_SECURITY_POLICY {
            if let Some(policy) = value.to_str().ok().and_then(|text| HeaderValue::from_str(&framed_by(text, &dashboard)).ok()) {
                to.append(name, policy);
                framing_said = true;
            }
        } else if *name == header::CONTENT_SECURITY_POLICY_REPORT_ONLY {
            if let Some(policy) = value.to_str().ok().and_then(|text| HeaderValue::from_str(&reported_at_home(text)).ok()) {
                to.append(name, policy);
            }
        } else {
            to.append(name, value.clone());
        }
    }
    if !framing_said && let Ok(policy) = HeaderValue::from_str(&format!("frame-ancestors {dashboard}")) {
        to.append(header::CONTENT_SECURITY_POLICY, policy);
    }
    if is_event_stream(from) {
        // Said by us, since what a runtime says to a proxy is dropped: a stream is not to be gathered there.
        to.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    to
}

/// Whether the answer is a stream of server-sent events.
#[must_use]
pub fn is_event_stream(answer: &HeaderMap) -> bool {
    let kind = answer.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Whether a CORS header lets pages of the dashboard, or of another runtime, read this one.
fn names_ours(value: &HeaderValue, origins: &Origins, label: &str) -> bool {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split([' ', '\t', ',']).filter_map(|origin| origin.split_once("://")).any(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match origins.place(authority) {
            Place::Dashboard => true,
            Place::Runtime(other) => other != label,
            Place::Elsewhere => false,
        }
    })
}

/// The cookie as a runtime may set it: on its own host, never by a name of ours. One with `Domain` loses that and stays on the runtime's host, so that a
/// program that signs its person in so still works; without the attribute a browser keeps it for this very host (RFC 6265, section 5.3).
fn own_cookie(value: &HeaderValue, jar: Option<&Jar<'_>>) -> Option<HeaderValue> {
    let bytes = value.as_bytes();
    if bytes.len() > LONGEST_COOKIE {
        return None;
    }
    let mut parts = bytes.split(|byte| *byte == b';');
    let pair = parts.next()?;
    if is_ours(&String::from_utf8_lossy(pair)) {
        return None;
    }
    let mut kept = pair.to_vec();
    for attribute in parts.filter(|attribute| !is_domain(attribute)) {
        kept.push(b';');
        kept.extend_from_slice(attribute);
    }
    match jar {
        Some(jar) => jar.outward(&kept),
        None => HeaderValue::from_bytes(&kept).ok(),
    }
}

fn is_domain(attribute: &[u8]) -> bool {
    attribute.split(|byte| *byte == b'=').next().is_some_and(|key| key.trim_ascii().eq_ignore_ascii_case(b"domain"))
}

/// The policy with its `frame-ancestors` replaced; all else is kept as it is, but for reports that would go elsewhere.
fn framed_by(policies: &str, dashboard: &str) -> String {
    each_policy(policies, Some(&format!("frame-ancestors {dashboard}")))
}

/// A policy that only reports: to its own host, or not at all.
fn reported_at_home(policies: &str) -> String {
    each_policy(policies, None)
}

fn each_policy(policies: &str, added: Option<&str>) -> String {
    policies
        .split(',')
        .map(|policy| {
            let mut directives: Vec<String> = policy.split(';').filter_map(|directive| kept(directive.trim(), added.is_some())).collect();
            directives.extend(added.map(str::to_owned));
            directives.join("; ")
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// A directive as it may stay. Browsers send reports wherever a policy says; here they go to a path of the runtime's own host alone.
fn kept(directive: &str, framed: bool) -> Option<String> {
    let mut words = directive.split_ascii_whitespace();
    let name = words.next()?;
    if name.eq_ignore_ascii_case("report-to") || (framed && name.eq_ignore_ascii_case("frame-ancestors")) {
        return None;
    }
    if name.eq_ignore_ascii_case("report-uri") {
        let home: Vec<&str> = words.filter(|uri| uri.starts_with('/') && !uri.starts_with("//") && !uri.contains('\\')).collect();
        return (!home.is_empty()).then(|| format!("{name} {}", home.join(" ")));
    }
    Some(directive.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn back(pairs: &[(&str, &str)]) -> HeaderMap {
        outward(&map(pairs), &Origins::of(&"http://clawloops.localhost:3000".parse().unwrap()), "ada", None)
    }

    #[test]
    fn framing_is_for_the_dashboard_alone_and_the_rest_of_the_policy_stays() {
        let framed =
            back(&[("x-frame-options", "DENY"), ("content-security-policy", "default-src 'self'; Frame-Ancestors 'none'; img-src *")]);
        assert!(framed.get("x-frame-options").is_none());
        assert_eq!(framed["content-security-policy"], "default-src 'self'; img-src *; frame-ancestors http://clawloops.localhost:3000");
        assert_eq!(back(&[])["content-security-policy"], "frame-ancestors http://clawloops.localhost:3000");
        // One header may hold two policies, and each would let somebody frame it.
        let two = back(&[("content-security-policy", "frame-ancestors *, img-src *")]);
        let each = "frame-ancestors http://clawloops.localhost:3000";
        assert_eq!(two["content-security-policy"].to_str().unwrap(), format!("{each}, img-src *; {each}"));
    }

    #[test]
    fn a_cookie_stays_on_the_runtimes_host_and_never_bears_our_names() {
        let set = back(&[
            ("set-cookie", "theme=dark; Path=/"),
            ("set-cookie", "x=1; DOMAIN =clawloops.localhost; Path=/"),
            ("set-cookie", "y=1;\tdomain=.localhost;Secure; domain"),
            ("set-cookie", "__Host-clawloops_session=stolen; Path=/; Secure"),
            ("set-cookie", " \t__hOST-cLawloops_runtime=stolen; Path=/; Secure"),
            ("set-cookie", "=__Host-clawloops_session=stolen; Path=/; Secure"),
            ("set-cookie", "__Host-Http-clawloops_session=stolen; Path=/; Secure; HttpOnly"),
            ("set-cookie", &format!("long={}", "x".repeat(4096))),
            ("set-cookie2", "old=1"),
            ("clear-site-data", "\"*\""),
        ]);
        assert_eq!(set.get_all("set-cookie").iter().collect::<Vec<_>>(), ["theme=dark; Path=/", "x=1; Path=/", "y=1;Secure"]);
        assert!(!set.contains_key("set-cookie2") && !set.contains_key("clear-site-data"));
        let many: Vec<(&str, String)> = (0..80).map(|n| ("set-cookie", format!("c{n}=1"))).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(back(&many).get_all("set-cookie").iter().count(), 50);
    }

    #[test]
    fn what_reaches_beyond_the_host_or_speaks_to_a_proxy_is_dropped() {
        for name in NOT_OUTWARD.iter().chain(&["x-accel-redirect", "x-accel-expires", "x-lighttpd-send-file", "sec-session-registration"]) {
            assert!(!back(&[(name, "x")]).contains_key(*name), "{name}");
        }
        for name in ["content-type", "location", "link", "refresh", "etag", "cross-origin-opener-policy", "permissions-policy", "vary"] {
            assert!(back(&[(name, "x")]).contains_key(name), "{name}");
        }
        assert!(!back(&[("connection", "x-private"), ("x-private", "1")]).contains_key("x-private"));
        let stream = back(&[("content-type", "Text/Event-Stream; charset=utf-8"), ("x-accel-buffering", "yes")]);
        assert_eq!(stream["x-accel-buffering"], "no");
    }

    #[test]
    fn no_page_of_ours_may_read_a_runtime() {
        for ours in [
            "http://clawloops.localhost:3000",
            "http://CLAWLOOPS.localhost",
            "https://clawloops.localhost.",
            "http://bob.clawloops.localhost:3000",
            "http://elsewhere.example, http://clawloops.localhost:3000",
        ] {
            let shared = [("access-control-allow-origin", ours), ("access-control-allow-credentials", "true"), ("vary", "origin")];
            let said = back(&shared);
            assert!(!said.contains_key("access-control-allow-origin") && !said.contains_key("access-control-allow-credentials"), "{ours}");
            assert!(said.contains_key("vary"));
        }
        for other in ["*", "null", "http://ada.clawloops.localhost:3000", "https://elsewhere.example"] {
            assert_eq!(back(&[("access-control-allow-origin", other)])["access-control-allow-origin"], other);
        }
    }

    #[test]
    fn reports_go_to_the_runtimes_own_host_or_nowhere() {
        let policy = "default-src 'self'; report-uri https://elsewhere.example/r //elsewhere.example /csp; report-to group";
        let kept = "default-src 'self'; report-uri /csp";
        assert_eq!(back(&[("content-security-policy-report-only", policy)])["content-security-policy-report-only"], kept);
        let framed = back(&[("content-security-policy", policy)]);
        assert_eq!(framed["content-security-policy"].to_str().unwrap(), format!("{kept}; frame-ancestors http://clawloops.localhost:3000"));
    }

    #[test]
    fn an_answer_of_two_meanings_is_none() {
        let judged = |pairs: &[(&str, &str)]| judge(StatusCode::OK, &map(pairs));
        assert_eq!(judged(&[("content-length", "5"), ("content-type", "text/html")]), Ok(()));
        assert_eq!(judged(&[("transfer-encoding", "Chunked")]), Ok(()));
        for broken in [
            &[("content-length", "5"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "5"), ("content-length", "6")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        ] {
            assert!(judged(broken).is_err(), "{broken:?}");
        }
        let many: Vec<(String, &str)> = (0..101).map(|n| (format!("x-{n}"), "1")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert!(judged(&many).is_err() && judged(&many[..100]).is_ok());
        assert!(judged(&[("x-large", &"x".repeat(70_000))]).is_err());
        assert!(judge(StatusCode::EARLY_HINTS, &HeaderMap::new()).is_err());
    }
}
