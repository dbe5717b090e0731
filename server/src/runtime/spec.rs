//! The values of a runtime: who it is, what it may use, how hard its walls are.

use super::token::hex;
use contract::RuntimeId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;

/// The port of OpenClaw's gateway inside its runtime.
pub const OPENCLAW_PORT: u16 = 18789;
/// The environment variable that OpenClaw reads its model key from.
pub const MODEL_KEY: &str = "CLAWLOOPS_MODEL_KEY";
/// Where the image wants its configuration.
pub const CONFIG_PATH: &str = "/etc/clawloops/openclaw.json";
/// Where OpenClaw keeps everything that a person would miss.
pub const STATE_DIR: &str = "/home/claw/.openclaw";
/// The user inside: without rights, on every image of ours.
pub const USER: &str = "1000:1000";
/// The version of how containers are made: grows whenever the same values make another container than before.
const VERSION: u32 = 2;
/// Bytes of `/tmp`, in memory.
pub const TMP_BYTES: i64 = 256 * 1024 * 1024;

/// A runtime to be made: everything that the engine needs, nothing that it decides. Written out it bears its key, so only towards an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSpec {
    /// Which.
    pub runtime_id: RuntimeId,
    /// Which container of it: grows when a new one is asked for.
    pub revision: i64,
    /// The image.
    pub image: String,
    /// The name of its workspace.
    pub workspace: String,
    /// Memory, in bytes; swap is none on top.
    pub memory_bytes: i64,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes and threads.
    pub pids: i64,
    /// Whether it gets this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime below its container; none takes the engine's default.
    pub oci_runtime: Option<String>,
    /// The key it calls models with.
    #[serde(with = "key")]
    pub model_key: SecretString,
}

/// What a container may use: what can be changed while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// Swap on top of the memory, in bytes; negative where it is not bounded.
    pub swap_bytes: i64,
    /// Processor time, in thousandths of a core.
    pub cpu_millis: i64,
    /// Processes and threads; 0 where they are not bounded.
    pub pids: i64,
    /// Whether the engine starts it again by itself. Never, as made by us: the orchestrator alone knows the wish.
    pub restarts: bool,
}

impl RuntimeSpec {
    /// What the container may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { memory_bytes: self.memory_bytes, swap_bytes: 0, cpu_millis: self.cpu_millis, pids: self.pids, restarts: false }
    }

    /// What the container was made from, without secrets, after the version of how: two containers of one hash are the same.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let text = format!(
            "v{VERSION}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
            self.runtime_id,
            self.revision,
            self.image,
            self.workspace,
            self.memory_bytes,
            self.cpu_millis,
            self.pids,
            self.gpu,
            self.oci_runtime.as_deref().unwrap_or_default()
        );
        hash.update(text.as_bytes());
        format!("v{VERSION}-{}", hex(&hash.finalize()[..8]))
    }

    /// Whether what bears this hash was made in an older way than containers are made now, whatever it was made from.
    #[must_use]
    pub fn is_older(hash: &str) -> bool {
        // The hash stood alone while version 2 was the newest.
        let version = hash.strip_prefix('v').and_then(|rest| rest.split_once('-')).and_then(|(version, _)| version.parse().ok());
        version.unwrap_or(2) < VERSION
    }
}

/// The walls around a runtime: its own network, from which it reaches the internal listener and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The host's address inside: where the internal listener stands.
    pub gateway: IpAddr,
}

/// The key, written out in the one place where it must be.
mod key {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(key.expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
        String::deserialize(deserializer).map(SecretString::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_way_of_making_is_told_by_the_hash() {
        assert!(RuntimeSpec::is_older("v1-0011223344556677"));
        assert!(!RuntimeSpec::is_older(&format!("v{VERSION}-0011223344556677")));
        assert!(!RuntimeSpec::is_older(&format!("v{}-0011223344556677", VERSION + 1)), "made by a newer ClawLoops");
        assert_eq!(RuntimeSpec::is_older("0011223344556677"), 2 < VERSION, "as it was before the version stood in it");
    }
}
