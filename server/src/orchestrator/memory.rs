//! What is remembered of a container beside the wish: what a hand did to it, and what was restarted under it, is told from our own work by that.

use super::{
    Orchestrator,
    reconcile::{Next, stored},
    store::Written,
};
use crate::{
    Result,
    data::{
        container::Memory,
        runtime::{Noted, Row},
    },
    manager::{ContainerState, Seen, epoch::Restarted},
    orchestrator::decide,
    runtime::token::hex,
};
use contract::{Code, Phase, Problem};
use sha2::{Digest as _, Sha256};

/// What is remembered of a configuration.
#[must_use]
pub(super) fn hash(configuration: &str) -> String {
    hex(&Sha256::digest(configuration.as_bytes()))
}

/// Whether a configuration was written or removed by another hand since we wrote it.
pub(super) fn is_edited(row: &Row, seen: &Seen) -> bool {
    let is = seen.configuration.as_deref().map(hash);
    row.configuration_hash.is_some() && row.configuration_hash != is
}

/// What was restarted since the container was last seen to run.
pub(super) fn restarted(row: &Row, seen: &Seen) -> Option<Restarted> {
    seen.epoch.as_ref()?.since(row.ran_in.as_deref()?)
}

/// Whether what runs is known to run in this life of the machine and the engine: what ends before that is known might be taken for ended with them.
pub(super) fn is_of_now(row: &Row, seen: &Seen) -> bool {
    seen.epoch.as_ref().is_none_or(|epoch| row.ran_in.as_deref() == Some(&epoch.to_string()))
}

/// What a restart of the machine or the engine is to whoever waits for the runtime; kept until it is ready again.
pub(super) fn interruption(row: &Row) -> Option<&Problem> {
    row.problem.as_ref().map(|problem| &problem.0).filter(|problem| problem.code == Code::RuntimeInterrupted)
}

impl Orchestrator {
    /// Remembers what a look found as it should be: the configuration that was written before its hash was, the life that it runs in.
    pub(super) async fn remember_seen(&self, row: &Row, seen: &Seen, current: bool) -> Result<()> {
        let runs = seen.container.as_ref().is_some_and(|container| {
            container.revision == row.revision && matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. })
        });
        let hash = seen.configuration.as_deref().filter(|_| current).map(hash).or_else(|| row.configuration_hash.clone());
        let ran_in = seen.epoch.as_ref().filter(|_| runs).map(ToString::to_string).or_else(|| row.ran_in.clone());
        if hash == row.configuration_hash && ran_in == row.ran_in {
            return Ok(());
        }
        self.store.remember(row, Memory { configuration_hash: hash.as_deref(), ran_in: ran_in.as_deref() }).await
    }

    /// It is started, or about to be, in this life of the machine: what ends from here on ended by itself.
    pub(super) async fn remember_start(&self, row: &Row, seen: &Seen) -> Result<()> {
        let Some(epoch) = &seen.epoch else { return Ok(()) };
        let ran_in = epoch.to_string();
        if row.ran_in.as_deref() == Some(&ran_in) {
            return Ok(());
        }
        self.store.remember(row, Memory { configuration_hash: row.configuration_hash.as_deref(), ran_in: Some(&ran_in) }).await
    }

    /// Writes the configuration, with the key in it, which is good before anybody can read it. Cut off half way, what stands there is nobody's hand. With
    /// a key that is rotated at this moment it is not written: the next round knows the new one.
    pub(super) async fn write_configuration(&self, row: &Row, text: &str) -> Result<()> {
        let key = self.key_of(row, row.key_number)?;
        if self.store.give_key(row, &stored(&key), self.clock.now()).await? == Written::Moved {
            return Ok(());
        }
        let ran_in = row.ran_in.as_deref();
        if row.configuration_hash.is_some() {
            self.store.remember(row, Memory { configuration_hash: None, ran_in }).await?;
        }
        self.engine.configure(row.runtime_id, text).await?;
        self.store.remember(row, Memory { configuration_hash: Some(&hash(text)), ran_in }).await
    }

    /// It was ended with its machine or engine, or shortly before them, as they were going down. That is no failed try; everything that ran then waits its turn, so that not all boot at once.
    pub(super) async fn recover(&self, row: &Row, seen: &Seen, restarted: Restarted) -> Result<Next> {
        let now = self.clock.now();
        let message = match restarted {
            Restarted::Machine => "This machine was restarted, and OpenClaw with it. It starts again by itself.",
            Restarted::Engine => "The container engine was restarted, and OpenClaw with it. It starts again by itself.",
        };
        let problem =
            Problem::new(Code::RuntimeInterrupted, message).remedy("Your workspace is safe. What it was just doing may be unfinished.");
        tracing::info!(runtime = %row.runtime_id, name = row.name, ?restarted, "a runtime was ended with what it runs on, and starts again");
        let attempts = decide::remembered_after_restart(row.attempts, row.phase, row.phase_since, now);
        let noted = Noted { phase: Phase::Pending, problem: Some(&problem), attempts, retry_at: None, holds: false };
        // Once for each restart: what fails from here on fails in this life. Where another wish came in between, nobody has heard of the restart yet, and the
        // next look tells it under that wish.
        if self.store.interrupt(row, &noted, restarted, now).await? == Written::Done {
            self.remember_start(row, seen).await?;
        }
        Ok(Next::Again)
    }
}
