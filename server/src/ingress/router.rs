//! The router: first the host, then the path.

use super::{
    Entry, Parts, download, export, faults, forward_auth, gateway, guard, intake, live, origins::Place, pages, security, session, shape,
    tickets, traefik, watch,
};
use crate::Error;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use contract::{Code, Problem};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Instant,
};
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;

/// Identity headers that no browser may say to us begin so. Nothing here reads them; a part added later shall not find them either. Names with other
/// characters than letters, digits and `-` are dropped all: programs take `_` and `.` for `-`, and that is all they are good for.
const IDENTITY: &[&str] = &[
    "forwarded",
    "proxy-",
    "remote-",
    "true-client-ip",
    "x-auth-",
    "x-authenticated-",
    "x-clawloops-",
    "x-client-ip",
    "x-forwarded",
    "x-openclaw-",
    "x-real-ip",
    "x-remote-",
    "x-user",
];

/// The whole entry: what to serve, and the watch to run beside it until the server stops.
pub fn router(parts: Parts) -> (Arc<Entry>, Router, impl Future<Output = ()> + Send + 'static) {
    let site_dir = parts.config.entry.site_dir.clone();
    let (entry, models) = Entry::new(parts);
    let site = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/events", get(live::events))
        .route("/open/{runtime_id}", get(tickets::open))
        .route("/runtimes/{id}/log", get(download::log))
        .route("/usage.csv", get(export::usage))
        .route("/usage.json", get(export::usage))
        .route("/admin/usage.csv", get(export::usage))
        .route("/admin/usage.json", get(export::usage))
        .with_state(Arc::clone(&entry))
        .merge(pages::routes(&entry, &site_dir).layer(CompressionLayer::new().br(true).gzip(true)))
        .layer(from_fn_with_state(Arc::clone(&entry), session::check))
        .layer(from_fn_with_state(Arc::clone(&entry), judge))
        .layer(from_fn_with_state(Arc::clone(&entry), files))
        .layer(from_fn_with_state(Arc::clone(&entry), security::headers));
    let whole = Router::new().fallback_service(site).layer(from_fn_with_state(Hosts { entry: Arc::clone(&entry), models }, split));
    let watched = watch::watch(Arc::clone(&entry));
    (entry, whole, watched)
}

/// Whether another server is to be asked in this one's place: it answers whatever it is asked until it stops.
async fn ready(State(entry): State<Arc<Entry>>) -> (StatusCode, &'static str) {
    if entry.leaving.is_cancelled() { (StatusCode::SERVICE_UNAVAILABLE, "leaving\n") } else { (StatusCode::OK, "ready\n") }
}

#[derive(Clone)]
struct Hosts {
    entry: Arc<Entry>,
    models: Router,
}

/// Sends a request to the dashboard, to a runtime, to the model door, or away.
async fn split(State(hosts): State<Hosts>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let host = host(&request).unwrap_or_default();
    let (secure, leaving) = (hosts.entry.origins.scheme() == "https", hosts.entry.leaving.clone());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or((Ipv4Addr::LOCALHOST, 0).into(), |info| info.0);
    let client = hosts.entry.proxies.client(peer.ip(), request.headers());
    // Who counts as trying too often is the client, and not the proxy that all of them come through.
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, peer.port())));

    let (coded, page) = (shape::is_coded(request.headers()), faults::wants_page(&method, request.headers()));
    let mut response = if method == Method::CONNECT || method == Method::TRACE {
        closing(StatusCode::METHOD_NOT_ALLOWED.into_response())
    } else if let Err(problem) = shape::judge(&request, &hosts.entry.limits) {
        tracing::info!(code = %problem.code, path = logged(&path), "a request was refused for its shape");
        closing(told(&problem, page))
    } else {
        let answered = async {
            let place = hosts.entry.origins.place(&host);
            if let Some(answer) = asked_by_ingress(&hosts.entry, &place, peer.ip(), &path, request.headers()).await {
                return answer;
            }
            match place {
                Place::Runtime(label) => gateway::serve(hosts.entry, label, client, request).await,
                place => {
                    drop_identity(&mut request);
                    if path.starts_with("/v1/") {
                        hosts.models.oneshot(request).await.into_response()
                    } else if place == Place::Dashboard || path == "/healthz" || path == "/readyz" {
                        within(&hosts.entry, request, next, page).await
                    } else {
                        elsewhere(&hosts.entry, &request)
                    }
                }
            }
        };
        // A fault of ours costs its own request and no other on the connection.
        match AssertUnwindSafe(answered).catch_unwind().await {
            Ok(response) => response,
            Err(_) => broken(page),
        }
    };
    // A server that leaves says so with every answer: the next request is then made where another one is.
    let ends = coded || leaving.is_cancelled();
    if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response = closing(response);
    }
    if secure {
        response.headers_mut().entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static("max-age=31536000"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().entry(HeaderName::from_static("x-request-id")).or_insert(value);
    }
    tracing::debug!(request = id, %method, host, path = logged(&path), status = response.status().as_u16(), ms = began.elapsed().as_millis(), "answered");
    response
}

/// What the dashboard is sent, within its bounds of size and time.
async fn within(entry: &Entry, request: Request, next: Next, page: bool) -> Response {
    let most = entry.limits.form_bytes();
    if http_body::Body::size_hint(request.body()).lower() > most {
        return closing(told(&intake::Refusal::Large.problem(), page));
    }
    let (head, body) = request.into_parts();
    let (body, progress) = intake::bounded(body, Some(most), entry.limits.body_patience());
    let answer = next.run(Request::from_parts(head, body)).await;
    // Whoever read the body knows only that it broke off.
    progress.refusal().map_or(answer, |refusal| closing(told(&refusal.problem(), page)))
}

fn told(problem: &Problem, page: bool) -> Response {
    if page { faults::as_page(problem, Some(("/", "Go to ClawLoops"))) } else { faults::as_json(problem) }
}

/// An answer after which nothing more is read from its connection.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What an ingress asks, which has no session: it is judged there by its address or its token. On a runtime's host these are the runtime's own paths,
/// unless one that may ask does so under the host that it asks about, as Caddy does.
async fn asked_by_ingress(entry: &Entry, place: &Place, peer: IpAddr, path: &str, said: &HeaderMap) -> Option<Response> {
    let runtime = matches!(place, Place::Runtime(_));
    match path {
        forward_auth::VERIFY if entry.proxies.may_ask(peer, said) => Some(forward_auth::verify(entry, said).await),
        forward_auth::VERIFY | forward_auth::KEYS | traefik::PROVIDER if runtime => None,
        forward_auth::VERIFY | forward_auth::KEYS if !entry.proxies.any_may_ask() => Some(nothing_here()),
        forward_auth::VERIFY => Some(faults::as_json(&Problem::new(Code::AccessDenied, "Nobody but an ingress that is known asks here."))),
        forward_auth::KEYS => Some(forward_auth::keys(entry)),
        traefik::PROVIDER => Some(traefik::configuration(entry, said).await),
        _ => None,
    }
}

/// Said where a setting is missing that would open an address.
pub(super) fn nothing_here() -> Response {
    faults::as_json(&Problem::new(Code::NotFound, "There is nothing here."))
}

fn broken(page: bool) -> Response {
    let problem = Error::internal("answering a request", "the code panicked; the log has where").into_problem();
    told(&problem, page)
}

/// A path as the log may have it: one-use links open something, so their tokens are left out.
pub(super) fn logged(path: &str) -> &str {
    ["/setup/", "/invitation/"].into_iter().find(|start| path.starts_with(start)).unwrap_or(path)
}

fn request_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// The host of a request: of the address when it has one (HTTP/2, or a proxy's form), of the header otherwise. Two hosts are none.
pub(super) fn host(request: &Request) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    let mut said = request.headers().get_all(header::HOST).iter();
    let first = said.next()?.to_str().ok()?.to_owned();
    said.next().is_none().then_some(first)
}

/// Takes away what could be taken for a word on who asks.
fn drop_identity(request: &mut Request<Body>) {
    let forged: Vec<HeaderName> = request
        .headers()
        .keys()
        .filter(|name| {
            let name = name.as_str();
            !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') || IDENTITY.iter().any(|start| name.starts_with(start))
        })
        .cloned()
        .collect();
    for name in forged {
        request.headers_mut().remove(&name);
    }
}

fn elsewhere(entry: &Entry, request: &Request) -> Response {
    let home = entry.origins.dashboard();
    let text = format!("ClawLoops is not at this address. It is at {home}.");
    if !faults::wants_page(request.method(), request.headers()) {
        return (StatusCode::MISDIRECTED_REQUEST, text + "\n").into_response();
    }
    let page = faults::Page::new("Another address").say(&text).link(&home, "Go there").render();
    (StatusCode::MISDIRECTED_REQUEST, page).into_response()
}

/// Serves a file of the built page, where the address is one.
async fn files(State(entry): State<Arc<Entry>>, request: Request, next: Next) -> Response {
    match entry.assets.find(request.method(), request.uri(), request.headers()).await {
        Some(file) => file,
        // Nobody reads a page where a script is wanted.
        None if request.uri().path().starts_with("/pkg/") => (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
        None => next.run(request).await,
    }
}

/// Lets the guard judge what comes to the dashboard.
async fn judge(State(entry): State<Arc<Entry>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let pages_only = path.starts_with("/api/") || path == "/events";
    match guard::judge(request.method(), request.headers(), &entry.origins.dashboard(), pages_only) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            tracing::info!(path = logged(path), code = %problem.code, "a request from another site was refused");
            if faults::wants_page(request.method(), request.headers()) {
                faults::as_page(&problem, Some(("/", "Go to ClawLoops")))
            } else {
                faults::as_json(&problem)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_alias_of_an_identity_header_comes_to_the_dashboard_or_to_the_models() {
        let mut request = Request::new(Body::empty());
        let forged = [
            "X-Forwarded-User",
            "x_forwarded_user",
            "x.forwarded.user",
            "x-forwarded_user",
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "remote-user",
            "REMOTE_USER",
            "X-Auth-User",
            "X_Auth_User",
            "X.Authenticated.User",
            "X-Authenticated-User",
            "x-openclaw-scopes",
            "x-clawloops-person",
            "Proxy-Authorization",
            "x-user-id",
            "x_forwarded_proto",
        ];
        for name in forged {
            request.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("root"));
        }
        let kept = [
            "authorization",
            "x-api-key",
            "anthropic-version",
            "openai-beta",
            "cookie",
            "sec-fetch-site",
            "x-requested-with",
            "x-stainless-os",
        ];
        for name in kept {
            request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        drop_identity(&mut request);
        let mut left: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let mut kept = kept;
        kept.sort_unstable();
        assert_eq!(left, kept);
    }

    #[test]
    fn a_one_use_link_is_not_logged() {
        assert_eq!(logged("/setup/0123456789abcdef"), "/setup/");
        assert_eq!(logged("/invitation/0123456789abcdef"), "/invitation/");
        assert_eq!(logged("/runtimes/0199"), "/runtimes/0199");
    }
}
