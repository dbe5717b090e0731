//! Forward auth: an ingress that carries the traffic of runtimes itself asks here, for every request, whether it may pass.
//!
//! The check is the gateway's own, from the same caches. What the ingress says of the request decides whose runtime it is for, so it is taken from one
//! set of headers only, and from nobody who was not allowed to ask ([`super::proxies`]).

use super::{Entry, assertion::Claims, gateway, guard, headers, origins::Place, proxies::only, tickets, waiting};
use crate::orchestrator::Route;
use axum::{
    Json,
    body::Body,
    response::{IntoResponse as _, Response},
};
use contract::{Code, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

/// Where an ingress asks.
pub const VERIFY: &str = "/auth/verify";
/// What checks our assertions.
pub const KEYS: &str = "/auth/keys";
/// The header with the assertion.
pub const ASSERTION: &str = "x-clawloops-assertion";

/// A request that an ingress asks about.
struct Asked {
    method: Method,
    host: String,
    uri: Uri,
    /// Whether the ingress passes a redirect on. nginx does not: it knows 401 and 403, and takes all else for a failure.
    passes_redirects: bool,
}

impl Asked {
    /// Reads what Traefik and Caddy say (`X-Forwarded-*`), or what nginx is configured to (`X-Original-*`). Of both sets at once one comes from the
    /// browser, which would choose its own runtime so: then nothing is believed.
    fn of(said: &HeaderMap) -> Option<Self> {
        let sets =
            [["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"], ["x-original-method", "x-original-host", "x-original-uri"]];
        // Most proxies say the forwarded host by themselves, of the question to us as well; the address of a request only who asks about one.
        let spoken = sets.map(|set| set.into_iter().any(|name| !name.ends_with("-host") && said.contains_key(name)));
        let (names, passes_redirects) = match spoken {
            [true, false] => (&sets[0], true),
            [false, true] => (&sets[1], false),
            _ => return None,
        };
        let [method, host, uri] = names.map(|name| only(said, name));
        let uri = uri.filter(|uri| uri.starts_with('/'))?.parse().ok()?;
        Some(Self { method: method?.parse().ok()?, host: host?.to_owned(), uri, passes_redirects })
    }
}

/// Answers whether a request may pass: 200 with who asks, 302 to the way in, 401, 403, or 503 with the waiting room.
pub(super) async fn verify(entry: &Entry, said: &HeaderMap) -> Response {
    let Some(asked) = Asked::of(said) else {
        return gateway::fault(
            entry,
            &Problem::new(Code::AccessDenied, "The ingress does not say, or says twice, which request it asks about.").remedy(
                "It sends X-Forwarded-Method, -Host and -Uri, or X-Original-Method, -Host and -URI, and drops what a browser says of them.",
            ),
            false,
        );
    };
    let page = super::faults::wants_page(&asked.method, said);
    let answer = judge(entry, &asked, said, page).await;
    if answer.status().is_redirection() && !asked.passes_redirects { gateway::fault(entry, &signed_out(), false) } else { answer }
}

async fn judge(entry: &Entry, asked: &Asked, said: &HeaderMap, page: bool) -> Response {
    let fault = |problem: &Problem| gateway::fault(entry, problem, page);
    let denied = || fault(&Problem::new(Code::AccessDenied, "This is not a runtime of yours."));
    let Place::Runtime(label) = entry.origins.place(&asked.host) else { return denied() };
    let route = match entry.route(&label).await {
        Ok(Some(route)) => route,
        Ok(None) => return denied(),
        Err(error) => return fault(&error.into_problem()),
    };
    // What is ours on a runtime's host never passes to it.
    if gateway::is_closed(asked.uri.path()) {
        return fault(&Problem::new(Code::AccessDenied, "There is nothing here."));
    }
    let visit = match tickets::cookie_hash(said) {
        Some(token_hash) => match entry.visit(token_hash).await {
            Ok(visit) => visit,
            Err(error) => return fault(&error.into_problem()),
        },
        None => None,
    };
    let Some(visit) = visit else {
        return if page && asked.method == Method::GET { way_in(entry, &route, &asked.uri) } else { fault(&signed_out()) };
    };
    if !tickets::may_enter(&visit, &route) {
        return denied();
    }
    // What a watcher says on a WebSocket is looked through by the built-in gateway alone.
    if visit.watches() {
        return fault(&Problem::new(Code::AccessDenied, "Watching a runtime is not offered behind this ingress."));
    }
    let origin = entry.origins.runtime(&label);
    // The ingress drops `Upgrade`, which is for one hop only, but not what else a handshake has.
    let judged = if said.contains_key(header::SEC_WEBSOCKET_KEY) || said.contains_key(header::UPGRADE) {
        guard::judge_upgrade(said, &origin)
    } else {
        guard::judge(&asked.method, said, &origin, false)
    };
    if let Err(problem) = judged {
        return fault(&problem);
    }
    let route = match waiting::awake(entry, &label, route).await {
        Ok((route, _)) => route,
        Err(asleep) => return waiting::room(entry, &asleep, &visit, page),
    };
    let claims =
        Claims { issuer: &entry.origins.dashboard(), audience: &origin, visit: &visit, email: &route.person_email, now: entry.clock.now() };
    match entry.signer.sign(&claims) {
        Ok(assertion) => passed(entry, &label, &route, said, &assertion)
            .unwrap_or_else(|| fault(&Problem::new(Code::AccessDenied, "This request cannot be passed on."))),
        Err(error) => fault(&error.into_problem()),
    }
}

/// What the ingress puts into the request in place of what the browser said: it takes these headers, and drops those that are missing here.
fn passed(entry: &Entry, label: &str, route: &Route, said: &HeaderMap, assertion: &str) -> Option<Response> {
    let mut response = Response::new(Body::empty());
    let to = response.headers_mut();
    let mut say =
        |name: HeaderName, value: &str| HeaderValue::from_bytes(value.as_bytes()).ok().map(|value| to.insert(name, value)).map(drop);
    say(HeaderName::from_static("x-forwarded-user"), &route.person_email)?;
    say(HeaderName::from_static("x-forwarded-host"), &entry.origins.runtime_authority(label))?;
    say(HeaderName::from_static("x-forwarded-proto"), entry.origins.scheme())?;
    say(HeaderName::from_static(ASSERTION), assertion)?;
    say(header::CACHE_CONTROL, "no-store")?;
    // Our own cookies never reach a runtime. Said when nothing is left, too, so that the ingress has something to put there.
    to.insert(header::COOKIE, headers::cookies_of_the_runtime(said).unwrap_or(HeaderValue::from_static("")));
    Some(response)
}

/// 302 and not 303: what is asked about is a GET, and ingresses know 302.
fn way_in(entry: &Entry, route: &Route, uri: &Uri) -> Response {
    let mut response = tickets::way_in(entry, route, uri);
    if response.status() == StatusCode::SEE_OTHER {
        *response.status_mut() = StatusCode::FOUND;
    }
    response
}

fn signed_out() -> Problem {
    Problem::new(Code::Unauthenticated, "You are signed out of this runtime.").remedy("Reload the page.")
}

/// `GET /auth/keys`: what checks our assertions.
pub(super) fn keys(entry: &Entry) -> Response {
    match entry.signer.published() {
        Ok(keys) => ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))], Json(keys)).into_response(),
        Err(error) => super::faults::as_json(&error.into_problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> Option<(String, String, String, bool)> {
        let map = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        Asked::of(&map).map(|asked| (asked.method.to_string(), asked.host, asked.uri.to_string(), asked.passes_redirects))
    }

    const TRAEFIK: [(&str, &str); 3] =
        [("x-forwarded-method", "GET"), ("x-forwarded-host", "ada.claw.example"), ("x-forwarded-uri", "/chat?session=main")];
    const NGINX: [(&str, &str); 3] = [("x-original-method", "POST"), ("x-original-host", "ada.claw.example"), ("x-original-uri", "/")];

    #[test]
    fn both_ways_of_asking_are_understood() {
        let of = |method: &str, uri: &str, redirects| Some((method.to_owned(), "ada.claw.example".to_owned(), uri.to_owned(), redirects));
        assert_eq!(asked(&TRAEFIK), of("GET", "/chat?session=main", true));
        assert_eq!(asked(&NGINX), of("POST", "/", false));
        // nginx says the host of its question to us by itself.
        assert_eq!(asked(&[&NGINX[..], &[("x-forwarded-host", "127.0.0.1")]].concat()), of("POST", "/", false));
    }

    #[test]
    fn a_browser_cannot_choose_what_is_asked_about() {
        assert_eq!(asked(&[&TRAEFIK[..], &NGINX[..]].concat()), None);
        for forged in ["x-forwarded-uri", "x-forwarded-method"] {
            assert_eq!(asked(&[&NGINX[..], &[(forged, "/")]].concat()), None, "{forged}");
        }
        for forged in ["x-original-uri", "x-original-method"] {
            assert_eq!(asked(&[&TRAEFIK[..], &[(forged, "/")]].concat()), None, "{forged}");
        }
        let mut twice: HeaderMap = TRAEFIK.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        twice.append("x-forwarded-host", "bob.claw.example".parse().unwrap());
        assert!(Asked::of(&twice).is_none());
    }

    #[test]
    fn what_is_not_said_in_full_is_not_guessed() {
        assert_eq!(asked(&[]), None);
        for left_out in 0..3 {
            let mut pairs = TRAEFIK.to_vec();
            pairs.remove(left_out);
            assert_eq!(asked(&pairs), None);
        }
        for uri in ["", "http://bob.claw.example/", "chat"] {
            assert_eq!(asked(&[TRAEFIK[0], TRAEFIK[1], ("x-forwarded-uri", uri)]), None, "{uri}");
        }
    }
}
