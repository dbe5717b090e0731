//! The pages and the server functions, rendered by `app`.

use super::{Entry, faults, router::logged, security};
use app::{Site, ports::Ports};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use contract::{Caller, Code, Problem};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list_with_exclusions_and_ssg_and_context};
use std::{path::Path, sync::Arc, time::Duration};

/// How long a page may take to be drawn. One that takes longer is drawn anew, once: see [`in_time`].
const PATIENCE: Duration = Duration::from_secs(10);

/// What every page, server function and the page of unknown addresses find in their context: the ports, the caller (`Option<Caller>`), and the
/// policy of this answer with its nonce, and where the built files are. The one place.
fn contexts(ports: Ports, site: Site, runtimes: String) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let caller = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Option<Caller>>().cloned()).flatten();
        provide_context::<Option<Caller>>(caller);
        provide_context(ports.clone());
        provide_context(site.clone());
        if let (Some(nonce), Some(answer)) = (use_nonce(), use_context::<ResponseOptions>())
            && let Ok(policy) = HeaderValue::from_str(&security::page_policy(&nonce, &runtimes))
        {
            answer.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// The options that the shell reads: the names of the built files.
fn options(site_dir: &Path) -> LeptosOptions {
    LeptosOptions::builder().output_name("clawloops").site_root(site_dir.to_string_lossy().into_owned()).build()
}

/// All pages and server functions, and the page for unknown addresses.
pub fn routes(entry: &Arc<Entry>, site_dir: &Path) -> Router {
    let options = options(site_dir);
    let contexts = contexts(entry.ports.clone(), entry.assets.site().clone(), entry.origins.any_runtime());
    let (list, _) = generate_route_list_with_exclusions_and_ssg_and_context(app::App, None, contexts.clone());
    let shell = {
        let site = entry.assets.site().clone();
        move || app::shell(&site)
    };
    let unknown = leptos_axum::render_app_async_with_context(contexts.clone(), shell.clone());
    Router::new()
        .leptos_routes_with_context(&options, list, contexts, shell)
        .fallback(move |request: Request<Body>| {
            let rendered = unknown(request);
            async move { not_found(rendered.await) }
        })
        .layer(from_fn(|request, next| in_time(request, next, PATIENCE)))
        .with_state(options)
}

/// Draws a page whole, within a time. Now and then, on a machine with much to do, leptos 0.8.23 does not notice that the last answer of a page has come,
/// and waits for ever (leptos issues 4673 and 4851; what was mended for them is not all): then the page is drawn anew, and the person is told if that
/// takes too long as well. To look at a page changes nothing, so it can be done twice.
async fn in_time(request: Request, next: Next, patience: Duration) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (head, _) = request.into_parts();
    for _ in 0..2 {
        let drawn = async {
            let (answer, body) = next.clone().run(Request::from_parts(head.clone(), Body::empty())).await.into_parts();
            to_bytes(body, usize::MAX).await.map(|whole| Response::from_parts(answer, Body::from(whole)))
        };
        match tokio::time::timeout(patience, drawn).await {
            Ok(Ok(page)) => return page,
            Ok(Err(error)) => tracing::warn!(path = logged(head.uri.path()), %error, "a page broke off while it was drawn"),
            Err(_) => tracing::warn!(path = logged(head.uri.path()), "a page was not drawn in time"),
        }
    }
    let problem =
        Problem::new(Code::Unavailable, "This page took too long.").remedy("The machine may be busy. Load the page again in a moment.");
    faults::as_page(&problem, None)
}

/// An address that no page has answers 404, unless the page itself said something else.
fn not_found(mut response: Response) -> Response {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tower::ServiceExt as _;

    const SHORT: Duration = Duration::from_millis(50);

    /// A page that is drawn, unless it is one of the first `stuck` times, when its head or its body never comes.
    async fn ask(method: Method, stuck: u32, in_body: bool) -> (StatusCode, u32) {
        let tries = Arc::new(AtomicU32::new(0));
        let page = {
            let tries = Arc::clone(&tries);
            move || {
                let sticks = tries.fetch_add(1, Ordering::Relaxed) < stuck;
                async move {
                    match (sticks, in_body) {
                        (true, true) => Response::new(Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())),
                        (true, false) => std::future::pending().await,
                        (false, _) => Response::new(Body::from("drawn")),
                    }
                }
            }
        };
        let pages = Router::new().route("/", get(page.clone()).post(page)).layer(from_fn(|request, next| in_time(request, next, SHORT)));
        let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        let status = tokio::time::timeout(SHORT * 10, pages.oneshot(request))
            .await
            .map_or(StatusCode::GATEWAY_TIMEOUT, |page| page.unwrap().status());
        (status, tries.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_sticks_is_drawn_anew_once_and_no_form_is_sent_twice() {
        assert_eq!(ask(Method::GET, 0, false).await, (StatusCode::OK, 1));
        assert_eq!(ask(Method::GET, 1, false).await, (StatusCode::OK, 2));
        assert_eq!(ask(Method::GET, 1, true).await, (StatusCode::OK, 2));
        assert_eq!(ask(Method::GET, 9, true).await, (StatusCode::SERVICE_UNAVAILABLE, 2));
        assert_eq!(ask(Method::POST, 1, false).await, (StatusCode::GATEWAY_TIMEOUT, 1));
    }
}
