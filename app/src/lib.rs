//! What a person sees: pages, components, server functions, and the ports that the server implements.
#![recursion_limit = "256"]

mod api;
mod app;
mod ask;
mod browser;
mod components;
mod deed;
mod live;
mod pages;
#[cfg(feature = "ssr")]
mod parse;
#[cfg(feature = "ssr")]
pub mod ports;
#[cfg(not(feature = "ssr"))]
mod post;
#[cfg(feature = "ssr")]
mod request;
mod routes;
mod server_fns;
mod shell;
mod words;

pub use api::ApiError;
pub use app::App;
pub use shell::shell;
