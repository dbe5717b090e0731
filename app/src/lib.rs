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
mod part;
#[cfg(feature = "ssr")]
pub mod ports;
#[cfg(not(feature = "ssr"))]
mod post;
#[cfg(feature = "ssr")]
mod request;
mod routes;
mod server_fns;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
mod site;
mod words;

pub use api::ApiError;
pub use app::App;
#[cfg(feature = "hydrate")]
pub use part::arrived;
#[cfg(feature = "ssr")]
pub use shell::shell;
#[cfg(feature = "ssr")]
pub use site::Site;
