//! The wasm entry.

/// Brings the page that the server rendered to life, once the part that its code is in is here.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    wasm_bindgen_futures::spawn_local(async {
        if !app::arrived().await {
            return;
        }
        let document = leptos::prelude::document();
        if let Some(body) = document.body() {
            leptos::mount::hydrate_from_async(body, app::App).await.forget();
        }
        // For whoever drives the page from outside: from now on it answers to more than its forms.
        if let Some(html) = document.document_element() {
            drop(html.set_attribute("data-alive", ""));
        }
    });
}
