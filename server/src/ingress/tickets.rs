//! From the dashboard's session to a runtime's own host: a one-use ticket, which becomes a cookie on that host alone.

use super::{Entry, faults, gateway, headers};
use crate::{
    Result,
    data::{self, ticket::Visit},
    orchestrator::Route,
    platform::secret::{Token, hash_of},
};
use axum::{
    extract::{Extension, Path, Query, State},
    response::{IntoResponse, Response},
};
use contract::{Caller, Code, Problem, RuntimeId};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;
use std::sync::Arc;
use time::Duration;

/// Below this path of a runtime's host we answer ourselves.
pub const RESERVED: &str = "/__clawloops";
/// Where a ticket is handed in.
pub const ENTER: &str = "/__clawloops/enter";
/// The cookie on a runtime's host.
pub const COOKIE: &str = "__Host-clawloops_runtime";
/// How long a ticket waits to be used.
const WAITS: Duration = Duration::seconds(60);

/// Where a page inside the runtime is asked for.
#[derive(Deserialize)]
pub struct To {
    to: Option<String>,
}

/// What a browser hands in.
#[derive(Deserialize)]
struct HandedIn {
    ticket: String,
    to: Option<String>,
}

/// `GET /open/{runtime_id}?to=/path`: makes a ticket and sends the browser in with it.
pub async fn open(
    State(entry): State<Arc<Entry>>,
    Extension(caller): Extension<Option<Caller>>,
    Path(runtime_id): Path<String>,
    Query(To { to }): Query<To>,
    method: Method,
    request_headers: HeaderMap,
) -> Response {
    let made = match (caller, runtime_id.parse::<RuntimeId>()) {
        (Some(caller), Ok(runtime_id)) => ticket(&entry, &caller, runtime_id, to.as_deref()).await,
        (None, _) => Err(Problem::new(Code::Unauthenticated, "You are signed out.")),
        (_, Err(_)) => Err(not_found()),
    };
    match made {
        Ok(location) => see_other(&location),
        Err(problem) if faults::wants_page(&method, &request_headers) => faults::as_page(&problem, Some(("/runtimes", "Your runtimes"))),
        Err(problem) => faults::as_json(&problem),
    }
}

async fn ticket(entry: &Entry, caller: &Caller, runtime_id: RuntimeId, to: Option<&str>) -> Result<String, Problem> {
    let origin = origin_for(entry, caller, runtime_id).await?;
    let token = Token::random()?;
    let now = entry.clock.now();
    put(entry, &token, caller, runtime_id, now).await?;
    let mut location = format!("{origin}{ENTER}?ticket={}", token.as_str());
    if let Some(to) = to.and_then(local) {
        location.push_str("&to=");
        location.extend(url::form_urlencoded::byte_serialize(to.as_bytes()));
    }
    Ok(location)
}

/// The origin of a runtime that the caller may enter: their own, or one that is shared with them. An administrator sees everyone's runtimes, but works
/// in nobody's.
async fn origin_for(entry: &Entry, caller: &Caller, runtime_id: RuntimeId) -> Result<String, Problem> {
    match entry.ports.runtimes.get(caller, runtime_id).await {
        Ok(runtime) if runtime.person_id == caller.person_id => return Ok(runtime.origin),
        Err(problem) if problem.code != Code::RuntimeNotFound => return Err(problem),
        Ok(_) | Err(_) => {}
    }
    let shared = entry.ports.sharing.shared(caller, Some(runtime_id)).await?.pop();
    shared.map(|shared| shared.origin).ok_or_else(not_found)
}

async fn put(entry: &Entry, token: &Token, caller: &Caller, runtime_id: RuntimeId, now: time::OffsetDateTime) -> Result<()> {
    let mut transaction = data::begin(&entry.pool).await?;
    data::ticket::put(&mut transaction, &token.hash(), caller.session_id, runtime_id, now, now + WAITS).await?;
    Ok(transaction.commit().await?)
}

fn not_found() -> Problem {
    Problem::new(Code::RuntimeNotFound, "There is no such runtime among yours.")
}

/// `GET /__clawloops/enter?ticket=…` on a runtime's host: uses the ticket up and leaves a cookie.
pub(super) async fn enter(entry: &Entry, route: &Route, label: &str, method: &Method, uri: &Uri) -> Response {
    let handed_in = (method == Method::GET).then(|| handed_in(uri.query().unwrap_or_default())).flatten();
    let Some(handed_in) = handed_in else { return refused(entry, route) };
    match admit(entry, route, &handed_in.ticket).await {
        Ok(Some(token)) => {
            let to = handed_in.to.as_deref().and_then(local).unwrap_or("/");
            let mut response = see_other(&format!("{}{to}", entry.origins.runtime(label)));
            let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; Secure; SameSite=Lax", token.as_str());
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
        Ok(None) => refused(entry, route),
        Err(error) => gateway::fault(entry, &error.into_problem(), true),
    }
}

fn handed_in(query: &str) -> Option<HandedIn> {
    let mut handed_in = HandedIn { ticket: String::new(), to: None };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "ticket" if handed_in.ticket.is_empty() => handed_in.ticket = value.into_owned(),
            "to" if handed_in.to.is_none() => handed_in.to = Some(value.into_owned()),
            _ => return None,
        }
    }
    (!handed_in.ticket.is_empty()).then_some(handed_in)
}

async fn admit(entry: &Entry, route: &Route, ticket: &str) -> Result<Option<Token>> {
    let now = entry.clock.now();
    let mut transaction = data::begin(&entry.pool).await?;
    // Used up even when it is refused below: a ticket that was seen on the wrong host opens nothing any more.
    let taken = data::ticket::take(&mut transaction, &hash_of(ticket)).await?;
    let Some(taken) = taken.filter(|taken| taken.runtime_id == route.runtime_id && taken.expires_at > now) else {
        transaction.commit().await?;
        return Ok(None);
    };
    let token = Token::random()?;
    data::ticket::admit(&mut transaction, &token.hash(), taken.session_id, taken.runtime_id, now).await?;
    transaction.commit().await?;
    Ok(Some(token))
}

fn refused(entry: &Entry, route: &Route) -> Response {
    let problem = Problem::new(Code::AccessDenied, "This way in was used already, or is too old.")
        .remedy("Open the runtime from its page: that makes a new one.");
    let page = format!("{}/runtimes/{}/open", entry.origins.dashboard(), route.runtime_id);
    gateway::framed(entry, faults::as_page(&problem, Some((&page, "Open it again"))))
}

/// The hash of the cookie that came, where one did.
pub(super) fn cookie_hash(request_headers: &HeaderMap) -> Option<[u8; 32]> {
    headers::cookie(request_headers, COOKIE).map(hash_of)
}

/// Who visits, when the cookie is good for this very runtime.
pub(super) async fn visitor(entry: &Entry, route: &Route, token_hash: [u8; 32]) -> Result<Option<Visit>> {
    Ok(entry.visit(token_hash).await?.filter(|visit| may_enter(visit, route)))
}

/// Whether this visit is to this runtime, by its owner or by somebody whom it is shared with.
pub(super) fn may_enter(visit: &Visit, route: &Route) -> bool {
    visit.runtime_id == route.runtime_id && (visit.person_id == route.person_id || visit.access.is_some())
}

/// The way back in for a browser without a cookie: over the dashboard, which knows its session.
pub(super) fn way_in(entry: &Entry, route: &Route, uri: &Uri) -> Response {
    let mut location = format!("{}/open/{}", entry.origins.dashboard(), route.runtime_id);
    if let Some(to) = uri.path_and_query().map(http::uri::PathAndQuery::as_str).and_then(local).filter(|to| *to != "/") {
        location.push_str("?to=");
        location.extend(url::form_urlencoded::byte_serialize(to.as_bytes()));
    }
    gateway::framed(entry, see_other(&location))
}

/// A path on the runtime's own host, and nothing that could lead elsewhere.
fn local(to: &str) -> Option<&str> {
    let safe =
        to.starts_with('/') && !to.starts_with("//") && !to.starts_with(RESERVED) && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    safe.then_some(to)
}

fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // The address holds a ticket.
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_to_the_runtimes_own_host_only() {
        for good in ["/", "/chat?session=main", "/a/b#c"] {
            assert_eq!(local(good), Some(good));
        }
        for bad in [
            "",
            "chat",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/__clawloops/enter?ticket=x",
            "/ä",
        ] {
            assert_eq!(local(bad), None, "{bad}");
        }
    }
}
