//! The wasm entry.

/// Brings the page that the server rendered to life.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
    // For whoever drives the page from outside: from now on it answers to more than its forms.
    if let Some(html) = leptos::prelude::document().document_element() {
        drop(html.set_attribute("data-alive", ""));
    }
}
