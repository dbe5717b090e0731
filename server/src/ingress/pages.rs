//! The pages and the server functions, rendered by `app`.

use super::{Entry, security};
use app::ports::Ports;
use axum::{Router, body::Body, extract::Request, response::Response};
use contract::Caller;
use http::{HeaderValue, StatusCode, header, request::Parts};
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list_with_exclusions_and_ssg_and_context};
use std::{path::Path, sync::Arc};

/// What every page, server function and the page of unknown addresses find in their context: the ports, the caller (`Option<Caller>`), and the
/// policy of this answer with its nonce. The one place.
fn contexts(ports: Ports, runtimes: String) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        let caller = use_context::<Parts>().and_then(|parts| parts.extensions.get::<Option<Caller>>().cloned()).flatten();
        provide_context::<Option<Caller>>(caller);
        provide_context(ports.clone());
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
    let contexts = contexts(entry.ports.clone(), entry.origins.any_runtime());
    let (list, _) = generate_route_list_with_exclusions_and_ssg_and_context(app::App, None, contexts.clone());
    let shell = {
        let version = entry.assets.version().to_owned();
        move || app::shell(&version)
    };
    let unknown = leptos_axum::render_app_async_with_context(contexts.clone(), shell.clone());
    Router::new()
        .leptos_routes_with_context(&options, list, contexts, shell)
        .fallback(move |request: Request<Body>| {
            let rendered = unknown(request);
            async move { not_found(rendered.await) }
        })
        .with_state(options)
}

/// An address that no page has answers 404, unless the page itself said something else.
fn not_found(mut response: Response) -> Response {
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
