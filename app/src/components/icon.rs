//! Icons from the sprite, and the mark.

use leptos::prelude::*;

/// An icon of `public/icons.svg`, by its name. It says nothing to readers: the text beside it does.
pub fn icon(name: &str) -> AnyView {
    sized(name, 16)
}

/// An icon of this size, in pixels.
pub fn sized(name: &str, size: u8) -> AnyView {
    let href = format!("/icons.svg#{name}");
    view! { <svg width=size height=size aria-hidden="true"><use_ href=href /></svg> }.into_any()
}

/// The mark of ClawLoops.
pub fn mark(size: u8) -> AnyView {
    view! {
        <svg width=size height=size viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="9" fill="var(--brand)" />
            <g fill="none" stroke="#fff" stroke-width="3.2" stroke-linecap="round" stroke-linejoin="round">
                <path d="M22.6 11.2a8 8 0 1 0 0 9.6" />
                <path d="M22.4 11.3 17.8 16l4.6 4.7" />
            </g>
        </svg>
    }
    .into_any()
}
