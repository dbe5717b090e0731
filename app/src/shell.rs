//! The document around the app.

use crate::App;
use leptos::{nonce::use_nonce, prelude::*};
use leptos_meta::MetaTags;

/// The whole document. Its scripts carry the nonce of the answer's content policy. `version` stands behind the addresses of the built files and
/// changes with them, so that a browser may keep each for good; empty where nobody knows it.
pub fn shell(version: &str) -> impl IntoView + use<> {
    let built = |name: &str| if version.is_empty() { format!("/pkg/{name}") } else { format!("/pkg/{name}?v={version}") };
    let (style, script, wasm) = (built("clawloops.css"), built("clawloops.js"), built("clawloops_bg.wasm"));
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
                <link rel="modulepreload" href=script crossorigin="anonymous" nonce=use_nonce() />
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
