//! Header hygiene at the gateway: what goes in to a runtime is an allow-list. What comes back is judged in [`super::outward`].

use super::cookies::Jar;
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

/// Names of our own cookies begin so.
const OURS: &[&str] = &["__host-clawloops", "__host-http-clawloops"];

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
    /// The runtime's cookies, where its host has others' as well.
    pub jar: Option<Jar<'a>>,
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
    if let Some(cookie) = cookies_of_the_runtime(from, identity.jar.as_ref()) {
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
pub(super) fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// Whether a stream of server-sent events is asked for.
#[must_use]
pub fn wants_events(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|accept| accept.contains("text/event-stream"))
}

/// What a browser's cookies are without ours, and on a shared host without other runtimes'; none when nothing is left.
pub(super) fn cookies_of_the_runtime(headers: &HeaderMap, jar: Option<&Jar<'_>>) -> Option<HeaderValue> {
    if let Some(jar) = jar {
        return jar.inward(headers);
    }
    let mut kept: Vec<&str> = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        // Bytes that are no text are no cookie of a browser.
        let text = value.to_str().ok()?;
        kept.extend(text.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_ours(pair)));
    }
    (!kept.is_empty()).then(|| HeaderValue::from_str(&kept.join("; ")).ok()).flatten()
}

/// Whether this pair of a name and a value bears a name of ours. A cookie without a name says its value alone, so a leading `=` is looked past.
pub(super) fn is_ours(cookie: &str) -> bool {
    let cookie = cookie.trim_start_matches([' ', '\t', '=']);
    OURS.iter().any(|ours| cookie.get(..ours.len()).is_some_and(|start| start.eq_ignore_ascii_case(ours)))
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
        Identity { email: "ada@example.com", client: "192.0.2.1", authority: "ada.clawloops.localhost:3000", scheme: "http", jar: None };

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
        let headers = map(&[("cookie", "__Host-clawloops_runtime=x; theme=dark"), ("cookie", "__host-HTTP-CLAWLOOPS_session=y; a=b")]);
        let inside = inward(&headers, &ADA, false).unwrap();
        assert_eq!(inside.get("cookie").unwrap(), "theme=dark; a=b");
    }

    #[test]
    fn a_cookie_that_comes_twice_is_nobodys() {
        assert_eq!(cookie(&map(&[("cookie", "a=1; k=v")]), "k"), Some("v"));
        assert_eq!(cookie(&map(&[("cookie", "k=v; k=w")]), "k"), None);
        assert_eq!(cookie(&map(&[("cookie", "k=v"), ("cookie", "k=v")]), "k"), None);
    }
}
