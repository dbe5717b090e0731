//! Runtimes: what was asked of them, where they stand, and what a start is doing.

use crate::{
    ids::{PersonId, ProfileId, RuntimeId},
    problem::{Code, Problem},
    sleep::{SleepRule, SleepView},
    task::TaskKind,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// A container that is ready.
    Running,
    /// No container; the workspace stays.
    Stopped,
    /// Nothing but, where asked for, the workspace.
    Deleted,
}

/// Where a runtime stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No container.
    Stopped,
    /// Asked to run, not looked at yet.
    Pending,
    /// Waits its turn: for memory, or for starts before it.
    Queued,
    /// Network, volume and container are being made.
    Creating,
    /// The container is being started.
    Starting,
    /// The container runs; OpenClaw is still booting.
    Waiting,
    /// OpenClaw answers: it can be opened.
    Ready,
    /// Nobody used it, and OpenClaw agreed to sleep: a visit or its next schedule wakes it.
    Asleep,
    /// It is being woken.
    Waking,
    /// It is to end, and finishes what it does before, within a bound.
    Draining,
    /// The container is being stopped.
    Stopping,
    /// Container and network are being removed.
    Deleting,
    /// It broke; a new try comes by itself.
    Retrying,
    /// It broke and was given up; a person decides.
    Failed,
    /// Removed.
    Deleted,
}

impl Phase {
    /// The word on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stopped => "Stopped",
            Self::Pending | Self::Creating | Self::Starting | Self::Waiting => "Starting",
            Self::Queued => "Waiting its turn",
            Self::Ready => "Running",
            Self::Asleep => "Asleep",
            Self::Waking => "Waking",
            Self::Draining => "Finishing",
            Self::Stopping => "Stopping",
            Self::Deleting => "Deleting",
            Self::Retrying => "Restarting",
            Self::Failed => "Stopped working",
            Self::Deleted => "Deleted",
        }
    }

    /// The word on the page for a runtime with this problem: what is wrong, where that has a word of its own.
    #[must_use]
    pub const fn label_with(self, problem: Option<Code>) -> &'static str {
        match (self, problem) {
            (Self::Ready, Some(Code::RuntimeSlow)) => "Answers slowly",
            (Self::Retrying, Some(Code::RuntimeNotReady)) => "Does not get ready",
            (Self::Retrying, Some(Code::RuntimeFlapping)) => "Keeps ending",
            (phase, _) => phase.label(),
        }
    }

    /// Whether it moves on by itself, so that a page should watch it.
    #[must_use]
    pub const fn is_moving(self) -> bool {
        match self {
            Self::Pending
            | Self::Queued
            | Self::Creating
            | Self::Starting
            | Self::Waiting
            | Self::Waking
            | Self::Draining
            | Self::Stopping
            | Self::Deleting
            | Self::Retrying => true,
            Self::Stopped | Self::Ready | Self::Asleep | Self::Failed | Self::Deleted => false,
        }
    }
}

/// What becomes of the workspace when a runtime is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// The volume stays; a new runtime of the same name finds it.
    PreserveWorkspace,
    /// The volume is removed for good.
    WipeWorkspace,
}

/// The steps of a start, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum StartStep {
    /// Network and volume are there.
    Place,
    /// The container is made.
    Create,
    /// The container is started.
    Start,
    /// OpenClaw boots.
    Wait,
}

impl StartStep {
    /// All steps, in order.
    pub const ALL: [Self; 4] = [Self::Place, Self::Create, Self::Start, Self::Wait];
}

/// One step of the present start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Which.
    pub step: StartStep,
    /// When it began; none while it waits its turn.
    #[serde(with = "crate::moment::option")]
    pub began_at: Option<OffsetDateTime>,
    /// How long it took, in milliseconds; none until it is done.
    pub took_ms: Option<i64>,
}

/// A start that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When the person asked.
    #[serde(with = "crate::moment")]
    pub began_at: OffsetDateTime,
    /// How long it took so far by the server's clock, in milliseconds.
    pub elapsed_ms: i64,
    /// How long starts usually take on this machine, in milliseconds; none before the first.
    pub expected_ms: Option<i64>,
    /// All four steps, in order.
    pub steps: Vec<StepView>,
}

/// A place in the start queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// How many come first.
    pub ahead: usize,
    /// Whether the first of them waits for memory, and not for others to have booted.
    pub memory: bool,
}

/// A try after others that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Which one comes, or is under way, from 1.
    pub number: i32,
    /// After how many it is given up.
    pub of: i32,
    /// When it begins at the latest; none once it has.
    #[serde(with = "crate::moment::option")]
    pub begins_at: Option<OffsetDateTime>,
}

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// What happened, in words.
    pub message: String,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: OffsetDateTime,
}

/// What an administrator may ask of several runtimes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A container that is ready.
    Start,
    /// No container.
    Stop,
    /// A new container.
    Restart,
}

/// What one runtime answered when several were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Which.
    pub runtime_id: RuntimeId,
    /// Why not; none when it is asked for.
    pub problem: Option<Problem>,
}

/// What somebody else asked of a runtime than its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OthersWish {
    /// Who asked; none when the platform did.
    pub asked_by: Option<String>,
    /// What was asked for.
    pub kind: TaskKind,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: OffsetDateTime,
}

/// What a runtime leaves behind when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// Nothing: its workspace goes with it.
    Nothing,
    /// Its workspace, which a new runtime of the same name finds.
    Workspace,
    /// Its workspace, which this runtime has found.
    InUse(RuntimeId),
}

/// A runtime, as its owner and an administrator see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeView {
    /// Which.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub person_id: PersonId,
    /// The owner's name.
    pub owner: String,
    /// The name its owner gave it.
    pub name: String,
    /// Its own origin, `http://name.clawloops.localhost:3000`.
    pub origin: String,
    /// What was asked for.
    pub desired_state: DesiredState,
    /// Where it stands.
    pub phase: Phase,
    /// Since when it stands there.
    #[serde(with = "crate::moment")]
    pub phase_since: OffsetDateTime,
    /// When all this was so, by the server's clock and in the time zone of whoever asked.
    #[serde(with = "crate::moment")]
    pub told_at: OffsetDateTime,
    /// What is wrong, or was when it last ended.
    pub problem: Option<Problem>,
    /// The newest wish, where it was not its owner's.
    pub others_wish: Option<OthersWish>,
    /// What it leaves behind, in the phases `Deleting` and `Deleted`.
    pub leftover: Option<Leftover>,
    /// The start that is under way.
    pub progress: Option<Progress>,
    /// How long what is under way, a stop say, usually takes on this machine, in milliseconds; none before the first, and where nothing is.
    pub usual_ms: Option<i64>,
    /// Its place in the start queue, in the phase `Queued`.
    pub turn: Option<Turn>,
    /// Which try it is, in a start after one that failed.
    pub retry: Option<Try>,
    /// How often it was started again after a try that failed.
    pub restarts: i64,
    /// Why the last try failed that did.
    pub last_error: Option<LastError>,
    /// Why its model calls are paused, where they are: it spent too fast.
    pub calls_paused: Option<LastError>,
    /// Its profile.
    pub profile_id: ProfileId,
    /// Its profile's name.
    pub profile: String,
    /// Memory it may use, in bytes.
    pub memory_bytes: i64,
    /// Processor time it may use, in thousandths of a core.
    pub cpu_millis: i64,
    /// What its workspace may grow to, in bytes.
    pub workspace_bytes: i64,
    /// What its workspace held when it was last measured, in bytes; none before the first time.
    pub workspace_used_bytes: Option<i64>,
    /// The image it runs, or will run.
    pub image: String,
    /// The way to more memory, where it ran out of it.
    pub more_memory: Option<MoreMemory>,
    /// What only a restart brings, in words; none when nothing waits for one.
    #[serde(default)]
    pub restart_brings: Option<String>,
    /// How it sleeps, in the phases `Asleep` and `Waking`.
    pub sleep: Option<SleepView>,
    /// When it goes to sleep.
    pub sleep_rule: SleepRule,
    /// By when it ends at the latest, in the phase `Draining`; in the time zone of whoever asked.
    #[serde(with = "crate::moment::option")]
    pub drain_until: Option<OffsetDateTime>,
    /// Its model of choice, where it has one.
    pub model: Option<String>,
    /// When it was made.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
}

/// A part of a runtime's log: the newest lines, or the newest of those that were searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// The lines, oldest first, keys masked, each with its moment in UTC before it.
    pub lines: Vec<String>,
    /// Whether there are more of them further back.
    pub more: bool,
}

/// What helps a runtime that ran out of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoreMemory {
    /// A larger profile, which its owner may use and which fits what they may use in all.
    Profile {
        /// Which.
        profile_id: ProfileId,
        /// Its name.
        name: String,
        /// The memory it gives, in bytes.
        memory_bytes: i64,
    },
    /// Somebody who can give more: there is no such profile.
    Ask {
        /// An administrator's address; none where there is no administrator.
        whom: Option<String>,
    },
}

/// What a running container uses now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeStats {
    /// Memory in use without the page cache, in bytes.
    pub memory_bytes: i64,
    /// Memory it may use, in bytes.
    pub memory_limit_bytes: i64,
    /// Processor use, in percent of one core.
    pub cpu_percent: f64,
}

/// What is open towards a runtime now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnections {
    /// WebSockets.
    pub websockets: u32,
    /// Requests whose answer has not ended.
    pub streams: u32,
}

/// How much of a runtime is made use of now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuntimeUse {
    /// What its container uses; none unless it runs and could be measured in time.
    pub stats: Option<RuntimeStats>,
    /// What is open towards it through the server that was asked.
    pub open: OpenConnections,
}
