//! Server functions: three lines each. Take the caller and the port from context, call it, answer.

pub mod accounts;
pub mod admin;
pub mod groups;
pub mod models;
pub mod profiles;
pub mod providers;
pub mod runtimes;
pub mod sharing;
pub mod usage;
