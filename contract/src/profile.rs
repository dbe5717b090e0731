//! Profiles: what a runtime may be and use. Quotas: what all runtimes of a person may use together.

use crate::ids::{ModelId, ProfileId};
use serde::{Deserialize, Serialize};

/// A profile of runtimes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileView {
    /// Which.
    pub profile_id: ProfileId,
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub description: String,
    /// The image; none takes the installation's.
    pub image: Option<String>,
    /// Memory of a runtime, in bytes.
    pub memory_bytes: i64,
    /// Processor time of a runtime, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes of a runtime.
    pub pids: i64,
    /// What a workspace may grow to, in bytes. Measured: a larger one is not started again.
    pub workspace_bytes: i64,
    /// The models that its runtimes may call; none allows all that are offered.
    pub models: Option<Vec<ModelId>>,
    /// Whether its runtimes get this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime below its containers (`runsc`, `kata-runtime`); none takes the engine's default.
    pub oci_runtime: Option<String>,
    /// Without use for so many minutes a runtime is frozen, and no later one may be chosen for it; 0 is never, none is what the settings say.
    pub sleep_after_minutes: Option<i32>,
    /// After so many minutes of sleep it gives its memory back as well; 0 is never, none is what the settings say.
    pub sleep_stop_after_minutes: Option<i32>,
    /// Its place in the list. The first that is offered is the one that new runtimes take.
    pub position: i64,
    /// Whether people may choose it. Runtimes that have it keep it.
    pub offered: bool,
    /// How many runtimes have it.
    pub runtimes: i64,
}

/// A profile to add, or what an existing one becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub description: String,
    /// The image; none takes the installation's.
    pub image: Option<String>,
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes.
    pub pids: i64,
    /// What a workspace may grow to, in bytes.
    pub workspace_bytes: i64,
    /// The models; none allows all that are offered.
    pub models: Option<Vec<ModelId>>,
    /// Whether its runtimes get this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime; none takes the engine's default.
    pub oci_runtime: Option<String>,
    /// Minutes without use until a runtime is frozen; 0 is never, none is what the settings say.
    pub sleep_after_minutes: Option<i32>,
    /// Minutes of sleep until it gives its memory back as well; 0 is never, none is what the settings say.
    pub sleep_stop_after_minutes: Option<i32>,
    /// Its place in the list.
    pub position: i64,
    /// Whether people may choose it.
    pub offered: bool,
}

/// Amounts of what a quota counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Runtimes.
    pub runtimes: i64,
    /// Memory of those that run or are to run, in bytes.
    pub memory_bytes: i64,
    /// Processor time of those that run or are to run, in thousandths of a core.
    pub cpu_millis: i64,
    /// Disk of every workspace that exists, in bytes: what it may grow to, or holds where that is more.
    pub workspace_bytes: i64,
}

/// A person's own values in place of everyone's; none takes everyone's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnQuota {
    /// Runtimes.
    pub runtimes: Option<i64>,
    /// Memory, in bytes.
    pub memory_bytes: Option<i64>,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: Option<i64>,
    /// Disk, in bytes.
    pub workspace_bytes: Option<i64>,
}

impl OwnQuota {
    /// What the person may use, where everyone may use `everyones`.
    #[must_use]
    pub fn over(self, everyones: Resources) -> Resources {
        Resources {
            runtimes: self.runtimes.unwrap_or(everyones.runtimes),
            memory_bytes: self.memory_bytes.unwrap_or(everyones.memory_bytes),
            cpu_millis: self.cpu_millis.unwrap_or(everyones.cpu_millis),
            workspace_bytes: self.workspace_bytes.unwrap_or(everyones.workspace_bytes),
        }
    }
}

/// What a person may use, and what of it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// What they may use.
    pub quota: Resources,
    /// What is in use.
    pub used: Resources,
    /// Which of it was set for this person.
    pub own: OwnQuota,
}
