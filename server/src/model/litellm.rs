//! LiteLLM: its configuration, rendered from the database, and its supervision.

use super::Service;
use contract::PartHealth;

/// How LiteLLM is, for the doctor and the overview.
pub async fn health(_service: &Service) -> PartHealth {
    PartHealth { name: "LiteLLM".to_owned(), detail: String::new(), problem: None }
}
