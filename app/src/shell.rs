//! The document around the app.

use crate::{App, Site};
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// The whole document. Its scripts carry the nonce of the answer's content policy. It names whatever the page begins with, so that all of it comes at
/// once: the first file of the code, what ties its parts together, and by [`MetaTags`] the part of the page itself.
pub fn shell(site: &Site) -> impl IntoView + use<> {
    let (style, script, wasm) = (site.address("clawloops.css"), site.address("clawloops.js"), site.address("clawloops_bg.wasm"));
    let module = |href| view! { <link rel="modulepreload" href=href crossorigin="anonymous" nonce=use_nonce() /> };
    let start = format!("import({script:?}).then(page => page.default({{ module_or_path: {wasm:?} }}).then(() => page.hydrate()))");
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#f6f6f4" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#0f1013" media="(prefers-color-scheme: dark)" />
                <link rel="preload" href="/inter-latin.woff2" r#as="font" r#type="font/woff2" crossorigin="anonymous" />
                <link rel="stylesheet" href=style />
                <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
                {module(script)}
                {site.joint().map(module)}
                <link rel="preload" href=wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous" />
                <script r#type="module" nonce=use_nonce() inner_html=start></script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
