//! The app's ports, by calling the layers. Translation only: no logic of its own.

mod accounts;
mod admin;
mod models;
mod providers;
mod runtimes;
mod usage;
