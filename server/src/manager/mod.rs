//! The deed: whoever runs runtimes, in the words of runtimes, workspaces and isolation.
//!
//! Every method looks first, takes "already there" and "already gone" for success, and touches nothing that does not bear this installation's labels.
//! An engine that does not answer is [`crate::Error::Engine`]; one that answers no, with a reason for people, is [`crate::Error::Problem`].

pub mod allowance;
pub mod bounded;
pub mod docker;
pub mod docker_address;
mod docker_container;
mod docker_file;
mod docker_host;
mod docker_log;
mod docker_network;
mod docker_volume;
mod docker_walls;
pub mod door;
pub mod epoch;
pub mod fake;
pub mod firewall;
pub mod names;
pub mod plan;
pub mod remote;
pub mod rpc;
pub mod warden;
mod wire;

use crate::{
    Result,
    config::Config,
    runtime::spec::{Isolation, Limits, RuntimeSpec},
};
use async_trait::async_trait;
use contract::{RuntimeId, RuntimeStats};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use time::OffsetDateTime;

/// What there is of one runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its container.
    pub container: Option<SeenContainer>,
    /// Its network.
    pub isolation: Option<Isolation>,
    /// Its configuration file, as it stands there.
    pub configuration: Option<String>,
    /// The life of the machine and the engine in which this was seen; none where it cannot be told.
    pub epoch: Option<epoch::Epoch>,
}

/// A container, as the engine tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenContainer {
    /// The revision it was made for.
    pub revision: i64,
    /// The hash of what it was made from.
    pub spec_hash: String,
    /// Where it stands.
    pub state: ContainerState,
    /// What weakens its walls, or takes it out of them, in words. From [`Engine::survey`] only what a list shows.
    pub breaches: Vec<String>,
    /// What it is made of; none from [`Engine::survey`].
    pub made: Option<Made>,
    /// Whether one of its processes was ended for lack of memory, while it runs; none from [`Engine::survey`], or where it cannot be told.
    pub out_of_memory: Option<bool>,
}

/// What a container is really made of, whatever its labels say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The image, as it was named.
    pub image: String,
    /// The image that it runs, by its content.
    pub image_id: String,
    /// What the name means now, by its content; none when the image is gone.
    pub newest_id: Option<String>,
    /// The workspace that is mounted.
    pub workspace: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Whether it has this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtime below it, as the engine says it.
    pub oci_runtime: Option<String>,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Runs.
    Running {
        /// Since when.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Where OpenClaw listens.
        address: Option<SocketAddr>,
    },
    /// Stands still: its processes are there, with their memory, and do nothing.
    Frozen {
        /// Since when it runs, the time that it stood still included.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Where OpenClaw listens. Connections are taken, and answered after the thaw.
        address: Option<SocketAddr>,
    },
    /// Ended, or half removed.
    Ended {
        /// The exit code; 137 is a kill.
        code: i64,
        /// Whether the kernel killed it for memory.
        out_of_memory: bool,
    },
}

/// Everything of this installation that the engine holds.
pub type World = BTreeMap<RuntimeId, Seen>;

/// Something happened to a container of this installation: look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineEvent {
    /// Whose container.
    pub runtime_id: RuntimeId,
}

/// One line of a runtime's output, without colours and control characters. Keys may stand in it: it is masked before it is shown or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When the engine took it, to the nanosecond.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What it says. A line of more than 64 KiB is cut.
    pub text: String,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What it is, and which version.
    pub version: String,
    /// Whether containers outlive a restart of it.
    pub keeps_containers: bool,
}

/// What a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Memory, in bytes.
    pub memory_bytes: i64,
    /// Cores.
    pub cores: i64,
}

/// The engine that the settings name: a runtime manager's, or Docker in this process.
///
/// # Errors
/// When the data directory cannot be named.
pub fn engine(config: &Config) -> Result<Arc<dyn Engine>> {
    Ok(match &config.runtimes.runtime_manager {
        Some(socket) => Arc::new(remote::Remote::new(socket, config.runtimes.runtime_manager_token.as_deref())),
        None => Arc::new(docker::DockerEngine::new(config)?),
    })
}

/// Runs runtimes.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What the engine is, and how it is; an error when it does not answer.
    async fn health(&self) -> Result<Health>;
    /// What the engine's machine has.
    async fn capacity(&self) -> Result<Capacity>;
    /// The names of all workspaces of this installation.
    async fn workspaces(&self) -> Result<BTreeSet<String>>;
    /// Whether the image is there.
    async fn has_image(&self, image: &str) -> Result<bool>;
    /// Everything of this installation, in few calls. Exit codes of ended containers may be missing (0): [`Engine::look`] knows.
    async fn survey(&self) -> Result<World>;
    /// What there is of one runtime, exactly.
    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen>;
    /// Puts the walls up: the runtime's own network and the rules that hold it. Refuses when they cannot be held.
    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation>;
    /// Takes the runtime's network and configuration away.
    async fn release(&self, runtime_id: RuntimeId) -> Result<()>;
    /// Makes the workspace, if it is not there.
    async fn keep_workspace(&self, workspace: &str) -> Result<()>;
    /// What the workspace holds on disk, in bytes; none when it is not there, or cannot be read by whoever speaks to the engine.
    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>>;
    /// Removes the workspace for good.
    async fn wipe_workspace(&self, workspace: &str) -> Result<()>;
    /// Writes the configuration; a running OpenClaw reads it again by itself.
    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()>;
    /// Makes the container, in its isolation, with its workspace and configuration, which are there.
    async fn create(&self, spec: &RuntimeSpec) -> Result<()>;
    /// Starts the container.
    async fn start(&self, runtime_id: RuntimeId) -> Result<()>;
    /// Whether OpenClaw answers and is ready.
    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool>;
    /// Asks the container to end and kills it after `grace`; one that stands still goes on to end.
    async fn stop(&self, runtime_id: RuntimeId, grace: Duration) -> Result<()>;
    /// Lets the running container stand still. One that does not run is left as it is.
    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()>;
    /// Lets the container that stands still go on.
    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()>;
    /// Puts the container's limits back, while it runs.
    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()>;
    /// Removes the container; a running one is killed.
    async fn remove(&self, runtime_id: RuntimeId) -> Result<()>;
    /// What it uses now; none unless it runs.
    async fn stats(&self, runtime_id: RuntimeId) -> Result<Option<RuntimeStats>>;
    /// Its last lines of output, oldest first; empty without a container.
    async fn logs(&self, runtime_id: RuntimeId, lines: usize) -> Result<Vec<String>>;
    /// Its whole output, oldest first, or from the second of `since` on: as it is now, or with `follow` until the container ends. Ends without a word when
    /// the engine goes away; empty without a container.
    async fn output(&self, runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool) -> Result<BoxStream<'static, LogLine>>;
    /// Whether the rules that hold all runtimes stand; puts them back when they do not.
    async fn hold_walls(&self) -> Result<()>;
    /// Takes those rules away: for when no runtime is left behind them.
    async fn lift_walls(&self) -> Result<()>;
    /// What happens to containers of this installation. Ends when the engine goes away; may miss some.
    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>>;
}
