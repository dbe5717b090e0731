//! The guard: requests that another site, or a runtime's page, makes a browser send.
//!
//! Runtimes are neighbours on the same site, so that `SameSite` alone does not keep them away: the browser's own word on where a request comes from
//! does (Fetch Metadata, and `Origin` where it is missing).

use contract::{Code, Problem};
use http::{HeaderMap, Method, header};

/// What a request is, as far as the guard cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// From a page of this very origin, or typed by the person.
    Own,
    /// From anywhere else.
    Foreign,
    /// Nobody says: not a browser, which has no cookie to abuse.
    Unsaid,
}

fn source(headers: &HeaderMap, origin: &str) -> Source {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    match text(http::HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin" | "none") => Source::Own,
        Some(_) => Source::Foreign,
        None => match text(header::ORIGIN) {
            Some(said) if said.eq_ignore_ascii_case(origin) => Source::Own,
            Some(_) => Source::Foreign,
            None => Source::Unsaid,
        },
    }
}

/// Whether the request may pass, towards the host whose own origin is `origin`. `pages_only` are paths that nobody but our own pages asks for.
///
/// # Errors
/// `CrossSite`.
pub fn judge(method: &Method, headers: &HeaderMap, origin: &str, pages_only: bool) -> Result<(), Problem> {
    let reading = method == Method::GET || method == Method::HEAD;
    let navigation = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    let passes = match source(headers, origin) {
        Source::Own | Source::Unsaid => true,
        Source::Foreign => reading && !pages_only && (navigation || !headers.contains_key("sec-fetch-site")),
    };
    if passes {
        return Ok(());
    }
    Err(Problem::new(Code::CrossSite, "This request came from another site, so nothing was done.")
        .remedy("Open the page itself and try there."))
}

/// Whether a WebSocket may be opened: its `Origin` must be there and be the host's own.
///
/// # Errors
/// `CrossSite`.
pub fn judge_upgrade(headers: &HeaderMap, origin: &str) -> Result<(), Problem> {
    let mut said = headers.get_all(header::ORIGIN).iter();
    match (said.next(), said.next()) {
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(origin.as_bytes()) => judge(&Method::GET, headers, origin, true),
        _ => Err(Problem::new(Code::CrossSite, "This connection was opened from another site.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "http://clawloops.localhost:3000";

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn passes(method: Method, pairs: &[(&'static str, &str)]) -> bool {
        judge(&method, &map(pairs), HERE, false).is_ok()
    }

    #[test]
    fn a_form_of_another_site_or_of_a_runtime_is_refused() {
        for site in ["cross-site", "same-site"] {
            assert!(!passes(Method::POST, &[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]));
            assert!(!passes(Method::GET, &[("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]));
            assert!(passes(Method::GET, &[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]));
        }
        assert!(!passes(Method::POST, &[("origin", "http://ada.clawloops.localhost:3000")]));
        assert!(!passes(Method::POST, &[("origin", "null")]));
        // The browser's own word weighs more than a header that an old one could be made to send.
        assert!(!passes(Method::POST, &[("sec-fetch-site", "cross-site"), ("origin", HERE)]));
    }

    #[test]
    fn our_own_pages_pass() {
        assert!(passes(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(passes(Method::POST, &[("origin", HERE)]));
        assert!(passes(Method::POST, &[]));
        assert!(passes(Method::GET, &[("sec-fetch-site", "none")]));
    }

    #[test]
    fn a_websocket_says_where_it_comes_from() {
        assert!(judge_upgrade(&map(&[("origin", HERE)]), HERE).is_ok());
        assert!(judge_upgrade(&map(&[]), HERE).is_err());
        assert!(judge_upgrade(&map(&[("origin", "http://ada.clawloops.localhost:3000")]), HERE).is_err());
        assert!(judge_upgrade(&map(&[("origin", HERE), ("sec-fetch-site", "same-site")]), HERE).is_err());
    }
}
