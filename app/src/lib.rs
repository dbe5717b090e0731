//! What a person sees: pages, components, server functions, and the ports that the server implements.

#[cfg(feature = "ssr")]
pub mod ports;
