//! The request behind a page or a server function, as the server's context hands it over.

use crate::{api::ApiError, ports::Ports};
use contract::{Caller, Code, Problem};
use http::{HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// The name of the cookie that carries a secret over one redirect, to a page without script. By its beginning a browser takes it from a header alone.
const SHOWN: &str = "__Host-Http-clawloops_shown";

/// Who asks; `Unauthenticated` when nobody is signed in.
pub fn caller() -> Result<Caller, ApiError> {
    signed_in().ok_or_else(|| Problem::new(Code::Unauthenticated, "You are signed out.").remedy("Sign in again.").into())
}

/// Who asks, if anybody is signed in.
pub fn signed_in() -> Option<Caller> {
    use_context::<Option<Caller>>().flatten()
}

/// What the server implements.
pub fn ports() -> Result<Ports, ApiError> {
    use_context::<Ports>().ok_or_else(|| Problem::new(Code::Internal, "This page has no server behind it.").into())
}

/// The browser's own name for itself.
pub fn agent() -> String {
    header_text(&header::USER_AGENT)
}

/// Sends the browser elsewhere after this answer.
pub fn redirect(path: &str) {
    leptos_axum::redirect(path);
}

/// Sends whoever asked for the page that is being rendered elsewhere, whatever it accepts.
pub fn redirect_page(path: &str) {
    if let (true, Some(options), Ok(location)) = (is_page(), use_context::<ResponseOptions>(), HeaderValue::from_str(path)) {
        options.insert_header(header::LOCATION, location);
        options.set_status(StatusCode::FOUND);
    }
}

/// The status of the page that is being rendered.
pub fn set_page_status(status: u16) {
    if is_page() {
        set_status(status);
    }
}

/// The status of a server function's answer to a script.
pub fn set_answer_status(status: u16) {
    if !wants_html() {
        set_status(status);
    }
}

/// Adds a `Set-Cookie` header to the answer.
pub fn set_cookie(cookie: &str) {
    if let (Some(options), Ok(value)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(cookie)) {
        options.append_header(header::SET_COOKIE, value);
    }
}

/// Keeps a secret for the page that follows a plain form's redirect. A script gets the secret in the answer and needs no cookie.
pub fn keep_shown(secret: &str) {
    if wants_html() {
        set_cookie(&format!("{SHOWN}={secret}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"));
    }
}

/// Takes the kept secret: it is shown once.
pub fn take_shown() -> Option<String> {
    let cookies = header_text(&header::COOKIE);
    let secret = cookies.split(';').find_map(|pair| pair.trim().strip_prefix(SHOWN)?.strip_prefix('=').map(str::to_owned))?;
    set_cookie(&format!("{SHOWN}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"));
    Some(secret)
}

/// Whether a browser without script posted a form: it is led back and sees no answer.
pub fn is_plain_form() -> bool {
    wants_html()
}

fn header_text(name: &header::HeaderName) -> String {
    use_context::<Parts>().and_then(|parts| parts.headers.get(name)?.to_str().ok().map(str::to_owned)).unwrap_or_default()
}

fn wants_html() -> bool {
    header_text(&header::ACCEPT).contains("text/html")
}

fn is_page() -> bool {
    use_context::<Parts>().is_some_and(|parts| parts.method == http::Method::GET)
}

fn set_status(status: u16) {
    if let (Some(options), Ok(status)) = (use_context::<ResponseOptions>(), StatusCode::from_u16(status)) {
        options.set_status(status);
    }
}
