//! The model door as its callers see it: over real sockets, with a database per test and an upstream that misbehaves on demand.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says that it fails by panicking")]

mod budgets;
mod calls;
mod clients;
mod groups;
mod key_limits;
mod keys;
mod limits;
mod media;
mod ollama;
mod outages;
mod profiles;
mod providers;
mod real;
mod retention;
mod rotation;
mod routes;
mod settling;
mod shapes;
mod slices;
mod storm;
mod support;
mod upstream;
mod windows;
