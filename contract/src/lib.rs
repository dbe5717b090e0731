//! The words that the dashboard and the server share.
//!
//! No framework lives here, so that the crate builds for the browser as well as for the server, and so that a state or a field has one name on
//! the page, in the API, in Rust and in SQL.

pub mod admin;
pub mod group;
pub mod ids;
pub mod key;
pub mod model;
pub mod moment;
pub mod money;
pub mod more;
pub mod person;
pub mod problem;
pub mod profile;
pub mod runtime;
pub mod share;
pub mod sleep;
pub mod task;
pub mod usage;

pub use admin::*;
pub use group::*;
pub use ids::*;
pub use key::*;
pub use model::*;
pub use money::Micros;
pub use more::*;
pub use person::*;
pub use problem::{Code, Problem};
pub use profile::*;
pub use runtime::*;
pub use share::*;
pub use sleep::*;
pub use task::*;
pub use usage::*;

/// A result whose error can be shown to a person.
pub type Answer<T> = Result<T, Problem>;
