//! SQL of `transition_history`: how long starts, wakings, stops and deletions took on this machine.

use super::Connection;
use crate::Result;
use contract::Phase;
use time::{Duration, OffsetDateTime};

/// No machine moves a runtime this slowly; the server was away.
const LONGEST_LESSON: Duration = Duration::minutes(15);

/// A way from one state to another that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Transition {
    /// From the press of the button until OpenClaw is ready.
    Start,
    /// From a visit until a frozen OpenClaw is ready.
    Wake,
    /// From the end of its turns until nothing is left but the workspace.
    Stop,
    /// Until the runtime is gone.
    Delete,
}

impl Transition {
    /// The way that a runtime of this phase is on; none for one that stays where it is, or whose time is its own turns'.
    #[must_use]
    pub const fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Pending | Phase::Queued | Phase::Creating | Phase::Starting | Phase::Waiting | Phase::Retrying => Some(Self::Start),
            Phase::Waking => Some(Self::Wake),
            Phase::Stopping => Some(Self::Stop),
            Phase::Deleting => Some(Self::Delete),
            Phase::Stopped | Phase::Ready | Phase::Asleep | Phase::Draining | Phase::Failed | Phase::Deleted => None,
        }
    }

    /// The way that ended when a runtime went from one phase to another. A start has its own end, with its steps.
    #[must_use]
    pub const fn ended_by(before: Phase, after: Phase) -> Option<Self> {
        match (before, after) {
            (Phase::Waking, Phase::Ready) => Some(Self::Wake),
            (Phase::Stopping, Phase::Stopped) => Some(Self::Stop),
            (Phase::Deleting, Phase::Deleted) => Some(Self::Delete),
            _ => None,
        }
    }
}

/// What the last transitions of an image teach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lesson {
    /// How long they usually took, in milliseconds.
    pub median_ms: Option<i64>,
    /// How long the slow ones took, in milliseconds.
    pub p95_ms: Option<i64>,
}

/// Notes how long one took that began at `began`. What took too long to be true teaches nothing.
pub async fn insert(
    connection: &mut Connection,
    transition: Transition,
    image: &str,
    began: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    if now - began >= LONGEST_LESSON {
        return Ok(());
    }
    let took_ms = i64::try_from((now - began).whole_milliseconds()).unwrap_or(i64::MAX).max(0);
    sqlx::query!(
        "insert into transition_history (transition, image, took_ms, at) values ($1, $2, $3, $4)",
        transition as Transition,
        image,
        took_ms,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the last twenty of these transitions of the image teach.
pub async fn lesson(connection: &mut Connection, transition: Transition, image: &str) -> Result<Lesson> {
    let found = sqlx::query!(
        r#"select percentile_disc(0.5) within group (order by took_ms) as median_ms, percentile_disc(0.95) within group (order by took_ms) as p95_ms
             from (select took_ms from transition_history where transition = $1 and image = $2 order by at desc limit 20) as recent"#,
        transition as Transition,
        image
    )
    .fetch_one(connection)
    .await?;
    Ok(Lesson { median_ms: found.median_ms, p95_ms: found.p95_ms })
}
