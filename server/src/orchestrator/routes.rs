//! Where a runtime's host name leads.

use super::Orchestrator;
use crate::Result;
use contract::{PersonId, Phase, Problem, RuntimeId};
use std::net::SocketAddr;

/// What the gateway needs to know of a runtime's host.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub person_id: PersonId,
    /// The identity that OpenClaw is told.
    pub person_email: String,
    /// The name its owner gave it.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// Where OpenClaw listens; only when it is ready.
    pub address: Option<SocketAddr>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

impl Orchestrator {
    /// Where the host of this label leads; none when no runtime has it.
    pub async fn address_of(&self, _host_label: &str) -> Result<Option<Route>> {
        Ok(None)
    }
}
