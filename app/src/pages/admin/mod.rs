//! The pages for administrators. The server refuses anyone else.

pub mod audit;
pub mod budgets;
pub mod groups;
mod model_form;
pub mod models;
pub mod overview;
pub mod people;
pub mod person;
pub mod profiles;
pub mod requests;
pub mod runtimes;
pub mod usage;
