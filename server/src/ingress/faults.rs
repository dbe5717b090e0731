//! The last step: a [`Problem`] as HTTP, as JSON or as a small page of ours that needs neither script nor style sheet.

use axum::{
    Json,
    response::{Html, IntoResponse, Response},
};
use contract::Problem;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Whether whoever asks wants a page to look at.
#[must_use]
pub fn wants_page(method: &Method, headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest").and_then(|v| v.to_str().ok());
    match destination {
        Some("document" | "iframe" | "frame" | "embed" | "object") => true,
        Some("empty" | "script" | "style" | "image" | "font" | "worker" | "sharedworker" | "serviceworker" | "manifest") => false,
        _ => {
            *method != Method::OPTIONS
                && headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
        }
    }
}

/// The status of a problem.
#[must_use]
pub fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The problem as JSON, the same shape as everywhere.
#[must_use]
pub fn as_json(problem: &Problem) -> Response {
    finish((status(problem), Json(problem)).into_response(), problem)
}

/// The problem as a page with a link on.
#[must_use]
pub fn as_page(problem: &Problem, link: Option<(&str, &str)>) -> Response {
    let mut page = Page::new(title(problem)).say(&problem.message);
    if let Some(remedy) = &problem.remedy {
        page = page.say(remedy);
    }
    if let Some((href, text)) = link {
        page = page.link(href, text);
    }
    if !problem.id.is_empty() {
        page = page.note(&format!("{} · {}", problem.code, problem.id));
    }
    finish((status(problem), page.render()).into_response(), problem)
}

fn title(problem: &Problem) -> &'static str {
    match problem.code.status() {
        401 => "You are signed out",
        403 => "This is not allowed",
        404 => "There is nothing here",
        503 => "Not available right now",
        _ => "This did not work",
    }
}

fn finish(mut response: Response, problem: &Problem) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A small page that stands alone: one card, no script, its style inside.
pub struct Page {
    title: String,
    body: String,
    refresh: Option<u32>,
    wide: bool,
}

/// The style of the small pages. Their policy allows it by the hash that [`style_hash`] makes.
const STYLE: &str = include_str!("page.css");

impl Page {
    /// A page with this heading.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new(), refresh: None, wide: false }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn say(mut self, text: &str) -> Self {
        self.body.push_str(&format!("<p>{}</p>", escape(text)));
        self
    }

    /// With room for more than a few lines.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// Adds what is markup already: what comes from elsewhere was escaped in it.
    #[must_use]
    pub(super) fn raw(mut self, markup: &str) -> Self {
        self.body.push_str(markup);
        self
    }

    /// Adds a link, which leaves a frame.
    #[must_use]
    pub fn link(mut self, href: &str, text: &str) -> Self {
        self.body.push_str(&format!("<p><a class=\"button\" target=\"_top\" href=\"{}\">{}</a></p>", escape(href), escape(text)));
        self
    }

    /// Adds a line in small print.
    #[must_use]
    pub fn note(mut self, text: &str) -> Self {
        self.body.push_str(&format!("<p class=\"note\">{}</p>", escape(text)));
        self
    }

    /// Looks again by itself, in seconds.
    #[must_use]
    pub fn refresh(mut self, seconds: u32) -> Self {
        self.refresh = Some(seconds);
        self.body.insert_str(0, "<div class=\"progress\" role=\"progressbar\" aria-label=\"Waiting\"><i></i></div>");
        self
    }

    /// The page.
    #[must_use]
    pub fn render(self) -> Response {
        let refresh = self.refresh.map(|s| format!("<meta http-equiv=\"refresh\" content=\"{s}\">")).unwrap_or_default();
        let title = escape(&self.title);
        let class = if self.wide { " class=\"wide\"" } else { "" };
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">{refresh}<title>{title} · ClawLoops</title><style>{STYLE}</style></head>\
             <body><main{class}><p class=\"brand\">ClawLoops</p><h1>{title}</h1>{}</main></body></html>",
            self.body
        );
        let mut response = Html(html).into_response();
        if let Ok(policy) =
            HeaderValue::from_str(&format!("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'", style_hash()))
        {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// SHA-256 of the style, as a content security policy names it.
fn style_hash() -> &'static str {
    use base64::Engine as _;
    use sha2::Digest as _;
    static HASH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HASH.get_or_init(|| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(STYLE.as_bytes())))
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_text_not_markup() {
        assert_eq!(escape("<b a=\"x\">&'"), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn a_fetch_gets_json_and_a_navigation_a_page() {
        let with = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        assert!(wants_page(&Method::GET, &with("sec-fetch-dest", "iframe")));
        assert!(!wants_page(&Method::GET, &with("sec-fetch-dest", "empty")));
        assert!(wants_page(&Method::GET, &with("accept", "text/html,*/*;q=0.8")));
        assert!(!wants_page(&Method::GET, &with("accept", "application/json")));
    }
}
