//! All pages over people, runtimes and numbers that are made up: no Docker, no database, no models.
//!
//! `cargo run -p server --example preview` serves them at <http://127.0.0.1:3100>, or at the port that is named behind it. Build the script first (see `docs/DESIGN_LANGUAGE.md`), or
//! look at the pages as they are without it. Sign in with any password but `wrong`, as one of
//! `mira@acme.example` (administrator), `ada@…` (at work), `sana@…` (everything failed), `jonas@…` (starting), `lena@…` (a runtime in every state, standing still),
//! `new@…` (nothing yet).
//! The cookie `preview=<name>` does the same without a form.

mod fake;
mod groups;
mod sample;
mod sharing;
mod states;
mod usage;

use app::{App, Site, ports::Ports};
use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode, header},
    response::{Html, IntoResponse, Response, Sse, sse::Event},
    routing::get,
};
use contract::Caller;
use fake::Fake;
use leptos::{config::LeptosOptions, prelude::*};
use leptos_axum::{LeptosRoutes, generate_route_list};
use std::{convert::Infallible, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};
use tokio_stream::{StreamExt, wrappers::IntervalStream};
use tower::ServiceExt;
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let fake = Arc::new(Fake::new());
    let options = LeptosOptions::builder().output_name("clawloops").site_root(root.join("target/site").display().to_string()).build();
    let site = Site::new("", &std::fs::read_to_string(root.join("target/site/pkg/parts.txt")).unwrap_or_default());
    let contexts = {
        let site = site.clone();
        move || {
            leptos::nonce::provide_nonce();
            provide_context(ports(&fake));
            provide_context(site.clone());
            provide_context(caller());
        }
    };
    let files = {
        let (contexts, root, site) = (contexts.clone(), root.clone(), site.clone());
        move |request: Request<Body>| file_or_page(request, contexts.clone(), root.clone(), site.clone())
    };
    let shell = move || app::shell(&site);
    let router = Router::new()
        .route("/events", get(events))
        .route("/open/{id}", get(opened))
        .route(
            "/pkg/clawloops.css",
            get({
                let root = root.clone();
                move || style(root.clone())
            }),
        )
        .leptos_routes_with_context(&options, generate_route_list(App), contexts, shell)
        .fallback(files)
        .with_state(options);
    let port = std::env::args().nth(1).map_or(Ok(3100), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

fn ports(fake: &Arc<Fake>) -> Ports {
    Ports {
        accounts: fake.clone(),
        runtimes: fake.clone(),
        profiles: fake.clone(),
        models: fake.clone(),
        usage: fake.clone(),
        admin: fake.clone(),
        groups: fake.clone(),
        providers: fake.clone(),
        sharing: fake.clone(),
    }
}

/// Whom the cookie names.
fn caller() -> Option<Caller> {
    let parts = use_context::<http::request::Parts>()?;
    let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?.to_owned();
    let name = cookies.split(';').find_map(|pair| pair.trim().strip_prefix("preview=").map(str::to_owned))?;
    sample::caller(&name)
}

/// The style sheet, put together from its files on each request.
async fn style(root: PathBuf) -> Response {
    let mut css = String::new();
    for file in ["main", "tokens", "base", "layout", "components", "pages"] {
        css.push_str(&tokio::fs::read_to_string(root.join(format!("style/{file}.css"))).await.unwrap_or_default());
    }
    let css: String = css.lines().filter(|line| !line.starts_with("@import")).flat_map(|line| [line, "\n"]).collect();
    ([(header::CONTENT_TYPE, "text/css")], css).into_response()
}

/// Files of `public` and of the script's build; the app's own page for everything else.
async fn file_or_page(request: Request<Body>, contexts: impl Fn() + Clone + Send + Sync + 'static, root: PathBuf, site: Site) -> Response {
    let (parts, body) = request.into_parts();
    for folder in ["public", "target/site"] {
        let asked = Request::from_parts(parts.clone(), Body::empty());
        if let Ok(found) = ServeDir::new(root.join(folder)).append_index_html_on_directories(false).oneshot(asked).await
            && (found.status().is_success() || found.status() == StatusCode::NOT_MODIFIED)
        {
            return found.into_response();
        }
    }
    let render = leptos_axum::render_app_async_with_context(contexts, move || app::shell(&site));
    render(Request::from_parts(parts, body)).await.into_response()
}

/// Says every five seconds that runtimes changed.
async fn events() -> impl IntoResponse {
    let ticks = IntervalStream::new(tokio::time::interval(Duration::from_secs(5)));
    Sse::new(ticks.map(|_| Ok::<_, Infallible>(Event::default().data(r#"{"what":"runtime"}"#))))
}

/// What stands in for OpenClaw's own page.
async fn opened(Path(id): Path<String>) -> Html<String> {
    Html(format!(
        "<body style='font:15px sans-serif;display:grid;place-items:center;height:95vh;color:#777'>OpenClaw's own page stands here ({id})</body>"
    ))
}
