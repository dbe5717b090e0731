//! Header hygiene at the gateway: what goes in to a runtime is an allow-list; what comes back is judged too.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a browser may say to a runtime. All else stays outside: identity headers under any alias among it.
const INWARD: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "dnt",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "service-worker",
    "upgrade-insecure-requests",
    "user-agent",
    "x-requested-with",
];

/// What belongs to the WebSocket handshake and passes on upgrades only.
const HANDSHAKE: &[&str] = &["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"];

/// What a runtime may not say to a browser: hop-by-hop headers, framing (the gateway says it), and what would reach beyond its own host or outlive it.
const NOT_OUTWARD: &[&str] = &[
    "alt-svc",
    "clear-site-data",
    "connection",
    "keep-alive",
    "nel",
    "proxy-authenticate",
    "proxy-connection",
    "report-to",
    "reporting-endpoints",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-frame-options",
];

/// Names of our own cookies begin so.
const OURS: &str = "__host-clawloops";

/// Who asks, as a runtime is told.
pub struct Identity<'a> {
    /// The person's address: OpenClaw's user.
    pub email: &'a str,
    /// The client's address, never a loopback one.
    pub client: &'a str,
    /// Host and port of the runtime's origin.
    pub authority: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
}

/// The headers that go in to a runtime. None when the identity cannot be written as a header: then nothing may go in.
#[must_use]
pub fn inward(from: &HeaderMap, identity: &Identity<'_>, upgrade: bool) -> Option<HeaderMap> {
    let named = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 6);
    for (name, value) in from {
        let name_text = name.as_str();
        if named.iter().any(|n| n == name_text) {
            continue;
        }
        if INWARD.contains(&name_text) || (upgrade && HANDSHAKE.contains(&name_text)) {
            to.append(name, value.clone());
        }
    }
    if let Some(cookie) = cookies_of_the_runtime(from) {
        to.append(header::COOKIE, cookie);
    }
    let mut say = |name: &'static str, value: &str| {
        HeaderValue::from_bytes(value.as_bytes()).ok().map(|value| to.insert(HeaderName::from_static(name), value)).map(drop)
    };
    say("host", identity.authority)?;
    say("x-forwarded-for", identity.client)?;
    say("x-forwarded-host", identity.authority)?;
    say("x-forwarded-proto", identity.scheme)?;
    say("x-forwarded-user", identity.email)?;
    if upgrade {
        say("connection", "Upgrade")?;
        say("upgrade", "websocket")?;
    }
    Some(to)
}

/// The headers that `Connection` names: they are for one hop only.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn cookies_of_the_runtime(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut kept: Vec<&str> = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        // Bytes that are no text are no cookie of a browser.
        let text = value.to_str().ok()?;
        kept.extend(text.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_ours(pair)));
    }
    (!kept.is_empty()).then(|| HeaderValue::from_str(&kept.join("; ")).ok()).flatten()
}

fn is_ours(cookie: &str) -> bool {
    cookie.trim_start().get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS))
}

/// The value of one of our cookies. A name that comes twice is nobody's.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The headers that come back out of a runtime. `dashboard` alone may frame it.
#[must_use]
pub fn outward(from: &HeaderMap, dashboard: &str) -> HeaderMap {
    let named = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 1);
    let mut framing_said = false;
    for (name, value) in from {
        let name_text = name.as_str();
        if NOT_OUTWARD.contains(&name_text) || named.iter().any(|n| n == name_text) {
            continue;
        }
        if *name == header::SET_COOKIE {
            if is_own_cookie(value) {
                to.append(name, value.clone());
            }
            continue;
        }
        if *name == header::CONTENT_SECURITY_POLICY {
            if let Some(policy) = value.to_str().ok().and_then(|text| HeaderValue::from_str(&framed_by(text, dashboard)).ok()) {
                to.append(name, policy);
                framing_said = true;
            }
            continue;
        }
        to.append(name, value.clone());
    }
    if !framing_said && let Ok(policy) = HeaderValue::from_str(&format!("frame-ancestors {dashboard}")) {
        to.append(header::CONTENT_SECURITY_POLICY, policy);
    }
    to
}

/// A runtime sets cookies for its own host only, and never ours.
fn is_own_cookie(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';');
    let named_ours = parts.next().is_some_and(is_ours);
    let wide = parts.any(|attribute| attribute.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case("domain")));
    !named_ours && !wide
}

/// The policy with its `frame-ancestors` replaced; all else is kept as it is.
fn framed_by(policies: &str, dashboard: &str) -> String {
    policies
        .split(',')
        .map(|policy| {
            let mut directives: Vec<String> = policy
                .split(';')
                .map(str::trim)
                .filter(|directive| {
                    !directive.is_empty()
                        && !directive.split_ascii_whitespace().next().is_some_and(|name| name.eq_ignore_ascii_case("frame-ancestors"))
                })
                .map(str::to_owned)
                .collect();
            directives.push(format!("frame-ancestors {dashboard}"));
            directives.join("; ")
        })
        .collect::<Vec<_>>()
        .join(", ")
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

    const ADA: Identity<'static> =
        Identity { email: "ada@example.com", client: "192.0.2.1", authority: "ada.clawloops.localhost:3000", scheme: "http" };

    #[test]
    fn identity_headers_from_outside_never_go_in() {
        let forged = map(&[
            ("host", "evil.example"),
            ("X-Forwarded-User", "root@example.com"),
            ("x_forwarded_user", "root@example.com"),
            ("x.forwarded.user", "root@example.com"),
            ("x-forwarded_user", "root@example.com"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("x-openclaw-scopes", "operator.admin"),
            ("remote-user", "root"),
            ("connection", "close, accept-language"),
            ("accept-language", "de"),
            ("accept", "text/html"),
        ]);
        let inside = inward(&forged, &ADA, false).unwrap();
        let mut names: Vec<_> = inside.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "accept=text/html",
                "host=ada.clawloops.localhost:3000",
                "x-forwarded-for=192.0.2.1",
                "x-forwarded-host=ada.clawloops.localhost:3000",
                "x-forwarded-proto=http",
                "x-forwarded-user=ada@example.com",
            ]
        );
    }

    #[test]
    fn our_cookies_stay_outside_and_the_runtimes_own_go_in() {
        let headers = map(&[("cookie", "__Host-clawloops_runtime=x; theme=dark"), ("cookie", "__host-CLAWLOOPS_session=y; a=b")]);
        let inside = inward(&headers, &ADA, false).unwrap();
        assert_eq!(inside.get("cookie").unwrap(), "theme=dark; a=b");
    }

    #[test]
    fn a_cookie_that_comes_twice_is_nobodys() {
        assert_eq!(cookie(&map(&[("cookie", "a=1; k=v")]), "k"), Some("v"));
        assert_eq!(cookie(&map(&[("cookie", "k=v; k=w")]), "k"), None);
        assert_eq!(cookie(&map(&[("cookie", "k=v"), ("cookie", "k=v")]), "k"), None);
    }

    #[test]
    fn framing_is_for_the_dashboard_alone_and_the_rest_of_the_policy_stays() {
        let back = outward(
            &map(&[("x-frame-options", "DENY"), ("content-security-policy", "default-src 'self'; Frame-Ancestors 'none'; img-src *")]),
            "http://clawloops.localhost:3000",
        );
        assert!(back.get("x-frame-options").is_none());
        assert_eq!(
            back.get("content-security-policy").unwrap(),
            "default-src 'self'; img-src *; frame-ancestors http://clawloops.localhost:3000"
        );
        let silent = outward(&HeaderMap::new(), "http://clawloops.localhost:3000");
        assert_eq!(silent.get("content-security-policy").unwrap(), "frame-ancestors http://clawloops.localhost:3000");
    }

    #[test]
    fn a_runtime_cannot_plant_a_cookie_beyond_its_host() {
        let back = outward(
            &map(&[
                ("set-cookie", "theme=dark; Path=/"),
                ("set-cookie", "x=1; DOMAIN =clawloops.localhost"),
                ("set-cookie", "__Host-clawloops_session=stolen; Path=/; Secure"),
                ("clear-site-data", "\"*\""),
            ]),
            "http://clawloops.localhost:3000",
        );
        assert_eq!(back.get_all("set-cookie").iter().collect::<Vec<_>>(), ["theme=dark; Path=/"]);
        assert!(back.get("clear-site-data").is_none());
    }
}
