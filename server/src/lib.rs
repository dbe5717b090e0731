//! Everything of ClawLoops that touches the world. See `docs/ARCHITECTURE.md` for the layers and who may use whom.
#![recursion_limit = "256"]

pub mod backend;
pub mod boot;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod data;
pub mod doctor;
pub mod error;
pub mod ingress;
pub mod manager;
pub mod model;
pub mod orchestrator;
pub mod platform;
pub mod runtime;

pub use error::{Error, Result};
