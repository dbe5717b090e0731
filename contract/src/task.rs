//! Tasks: a wish, followed from the press of a button to its end.

use crate::{
    ids::{RuntimeId, TaskId},
    runtime::Phase,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A new runtime.
    Create,
    /// A container that is ready.
    Start,
    /// No container.
    Stop,
    /// A new container in place of the present one.
    Restart,
    /// No runtime.
    Delete,
    /// A runtime of another profile.
    ChangeProfile,
}

impl TaskKind {
    /// The word on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Restart => "Restart",
            Self::Delete => "Delete",
            Self::ChangeProfile => "Change of profile",
        }
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Written down, not begun.
    Accepted,
    /// Being done.
    Running,
    /// It is as was asked.
    Succeeded,
    /// Given up; the message says why.
    Failed,
    /// A newer wish took its place.
    Superseded,
}

impl TaskStatus {
    /// What a task becomes when its runtime is seen in this phase under the task's own wish.
    #[must_use]
    pub const fn after(phase: Phase) -> Self {
        match phase {
            Phase::Pending | Phase::Queued => Self::Accepted,
            Phase::Creating
            | Phase::Starting
            | Phase::Waiting
            | Phase::Waking
            | Phase::Draining
            | Phase::Stopping
            | Phase::Deleting
            | Phase::Retrying => Self::Running,
            Phase::Ready | Phase::Asleep | Phase::Stopped | Phase::Deleted => Self::Succeeded,
            Phase::Failed => Self::Failed,
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_end(self) -> bool {
        match self {
            Self::Accepted | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Superseded => true,
        }
    }

    /// The word on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Running => "Under way",
            Self::Succeeded => "Done",
            Self::Failed => "Failed",
            Self::Superseded => "Superseded",
        }
    }
}

/// A task, as the runtime's owner and an administrator see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// Which.
    pub task_id: TaskId,
    /// Of which runtime.
    pub runtime_id: RuntimeId,
    /// Who asked; none when the platform did.
    pub asked_by: Option<String>,
    /// What was asked for.
    pub kind: TaskKind,
    /// Where it stands.
    pub status: TaskStatus,
    /// What became of it, in words; empty while it runs.
    pub message: String,
    /// When it was asked.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "crate::moment::option")]
    pub ended_at: Option<OffsetDateTime>,
}
