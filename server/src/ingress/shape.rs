//! The shape of a request: what two programs on its way could take for two different things is refused before anything else is looked at.
//!
//! The parser below (hyper) refuses a broken head by itself: a space before a colon, a folded line, a length with a sign, a coding that does not end
//! in `chunked`, two lengths that differ, HTTP/1.0 with a coding. Here stands what it lets through.

use super::gateway::is_websocket;
use crate::config;
use axum::extract::Request;
use contract::{Code, Problem};
use http::{HeaderMap, Method, Uri, Version, header};

/// Refuses a request of two meanings, or one whose head is larger than allowed.
///
/// # Errors
/// `Malformed`, `HeadersTooLarge`.
pub fn judge<B>(request: &Request<B>, limits: &config::Limits) -> Result<(), Problem> {
    judge_size(request.uri(), request.headers(), limits)?;
    let two = |message: &str| Err(Problem::new(Code::Malformed, message));
    if !is_one_host(request.uri(), request.headers(), request.version()) {
        return two("This request does not say clearly which host it is for.");
    }
    if !is_one_length(request.headers()) {
        return two("This request does not say clearly where it ends.");
    }
    let has_body = is_coded(request.headers()) || request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body && is_websocket(request.method(), request.headers()) {
        return two("A request for a WebSocket has no body.");
    }
    let path = request.uri().path();
    let is_whole = path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS);
    if !is_whole {
        return two("This request names no path.");
    }
    Ok(())
}

fn judge_size(uri: &Uri, headers: &HeaderMap, limits: &config::Limits) -> Result<(), Problem> {
    let line = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let bytes = line + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if bytes <= limits.header_bytes() && headers.len() <= limits.header_count {
        return Ok(());
    }
    Err(Problem::new(Code::HeadersTooLarge, "The headers of this request are larger, or more, than allowed.")
        .remedy("Mostly it is the cookies: remove those of this site in your browser."))
}

/// Whether exactly one host is named. HTTP/2 names it in the address, HTTP/1.1 in `Host`; where both are there, they are the same.
fn is_one_host(uri: &Uri, headers: &HeaderMap, version: Version) -> bool {
    let mut said = headers.get_all(header::HOST).iter();
    let (host, more) = (said.next(), said.next());
    if more.is_some() || !host.is_none_or(|host| is_host(host.as_bytes())) {
        return false;
    }
    match (uri.authority(), host) {
        // An authority without a scheme is for CONNECT alone, which nobody answers.
        (Some(authority), host) => {
            is_host(authority.as_str().as_bytes())
                && uri.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https")
                && host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
        }
        (None, Some(_)) => true,
        (None, None) => version == Version::HTTP_10,
    }
}

/// The characters of a name or an address with its port: no user part, no list, no path.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte))
}

/// Whether the length of the body is said once and in one way.
fn is_one_length(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(one), None) => lengths == 0 && one.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Whether the body is coded in chunks. After such a request its connection is closed: had it said a length as well, which the parser leaves out without
/// a word, then whoever counted by that one would take what follows for something else (RFC 9112, section 6.1).
#[must_use]
pub fn is_coded(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn judged(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Code> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        judge(&request.body(Body::empty()).unwrap(), &config::Config::for_tests().limits).map_err(|problem| problem.code)
    }

    #[test]
    fn one_host_is_named_and_it_is_one() {
        for good in [
            judged("GET", "/", &[("host", "ada.clawloops.localhost:3000")]),
            judged("GET", "/", &[("host", "[::1]:3000")]),
            judged("GET", "http://a.example/x", &[("host", "A.example")]),
            judged("GET", "https://a.example:1/x", &[]),
            judged("OPTIONS", "*", &[("host", "a.example")]),
        ] {
            assert_eq!(good, Ok(()));
        }
        for bad in [
            judged("GET", "/", &[]),
            judged("GET", "/", &[("host", "a"), ("host", "a")]),
            judged("GET", "/", &[("host", "a, b")]),
            judged("GET", "/", &[("host", "evil@a.example")]),
            judged("GET", "/", &[("host", "a.example/x")]),
            judged("GET", "/", &[("host", "a.example:3000 b.example")]),
            judged("GET", "http://a.example/", &[("host", "b.example")]),
            judged("GET", "http://evil@a.example/", &[("host", "a.example")]),
            judged("GET", "ftp://a.example/", &[("host", "a.example")]),
            judged("GET", "a.example", &[("host", "a.example")]),
            judged("GET", "*", &[("host", "a.example")]),
        ] {
            assert_eq!(bad, Err(Code::Malformed));
        }
    }

    #[test]
    fn one_length_is_said_once() {
        let post = |headers: &[(&str, &str)]| judged("POST", "/", &[&[("host", "a")], headers].concat());
        assert_eq!(post(&[("content-length", "5")]), Ok(()));
        assert_eq!(post(&[("transfer-encoding", "Chunked")]), Ok(()));
        for bad in [
            &[("content-length", "5"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "5"), ("content-length", "5")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "identity, chunked")],
            &[("transfer-encoding", "gzip, chunked")],
        ] {
            assert_eq!(post(bad), Err(Code::Malformed), "{bad:?}");
        }
        let upgrade = [("host", "a"), ("connection", "Upgrade"), ("upgrade", "websocket")];
        assert_eq!(judged("GET", "/", &upgrade), Ok(()));
        assert_eq!(judged("GET", "/", &[&upgrade[..], &[("content-length", "0")]].concat()), Ok(()));
        for body in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            assert_eq!(judged("GET", "/", &[&upgrade[..], &[body]].concat()), Err(Code::Malformed), "{body:?}");
        }
    }

    #[test]
    fn a_head_is_no_larger_than_allowed() {
        let large = "x".repeat(70_000);
        assert_eq!(judged("GET", "/", &[("host", "a"), ("cookie", &large)]), Err(Code::HeadersTooLarge));
        let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
        let mut many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        assert_eq!(judged("GET", "/", &many), Err(Code::HeadersTooLarge));
        many.truncate(99);
        many.push(("host", "a"));
        assert_eq!(judged("GET", "/", &many), Ok(()));
    }
}
