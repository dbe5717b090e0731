//! What an administrator sees of the whole.

use crate::{ids::AuditEntryId, money::Micros, problem::Problem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Whether a part of the platform works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHealth {
    /// The part: Docker Engine, PostgreSQL, LiteLLM, runtime image, …
    pub name: String,
    /// What it said of itself, a version mostly.
    pub detail: String,
    /// What is wrong and what to do; none when it is fine.
    pub problem: Option<Problem>,
}

/// The platform at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// People who may sign in.
    pub people: i64,
    /// Invitations that wait.
    pub invitations: i64,
    /// Runtimes that are ready.
    pub running: i64,
    /// Runtimes that were given up.
    pub failed: i64,
    /// Runtimes in all.
    pub runtimes: i64,
    /// What this month cost so far.
    pub cost_this_month: Micros,
    /// Model calls today.
    pub calls_today: i64,
    /// Memory promised to running runtimes, in bytes.
    pub memory_promised_bytes: i64,
    /// Memory of the host, in bytes.
    pub memory_host_bytes: i64,
    /// Each part's health.
    pub parts: Vec<PartHealth>,
    /// Whether a provider other than the demo and the local model is there.
    pub has_provider: bool,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Which.
    pub audit_entry_id: AuditEntryId,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: OffsetDateTime,
    /// Who did it: a person's address, or `ClawLoops`.
    pub actor: String,
    /// What was done, `person.disabled`.
    pub action: String,
    /// To whom or what, by name.
    pub subject: String,
    /// More, in words; empty where there is none.
    pub detail: String,
}
