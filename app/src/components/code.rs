//! Text to take along: copied with one press, or selected by hand where there is no script.

use super::icon::icon;
use crate::browser;
use leptos::prelude::*;

/// A line to copy. `name` is what the button copies, "address".
pub fn copy_line(name: &'static str, text: String) -> AnyView {
    let copied = RwSignal::new(false);
    let shown = text.clone();
    let press = move |_| {
        browser::copy(&text);
        copied.set(true);
        set_timeout(
            move || {
                let _ = copied.try_set(false);
            },
            std::time::Duration::from_secs(2),
        );
    };
    view! {
        <div class="copy">
            <code>{shown}</code>
            <button class="btn quiet needs-script" r#type="button" on:click=press aria-label=format!("Copy {name}")>
                {move || icon(if copied.get() { "check" } else { "copy" })}
                <span aria-live="polite">{move || if copied.get() { "Copied" } else { "Copy" }}</span>
            </button>
        </div>
    }
    .into_any()
}

/// A secret that is shown once.
pub fn secret(name: &'static str, text: String, told: &'static str) -> AnyView {
    view! {
        <section class="card shown-once" aria-label=format!("New {name}")>
            <div class="body stack">
                <p>{told}</p>
                {copy_line(name, text)}
            </div>
        </section>
    }
    .into_any()
}
