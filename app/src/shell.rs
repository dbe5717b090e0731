//! The document around the app.

use crate::App;
use leptos::{config::LeptosOptions, prelude::*};
use leptos_meta::MetaTags;

/// The whole document. Its scripts carry the nonce of the answer's content policy.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let style = format!("/{}/{}.css", options.site_pkg_dir, options.output_name);
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
                <HydrationScripts options=options.clone() />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
