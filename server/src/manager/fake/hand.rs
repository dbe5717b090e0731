//! What happens to the engine in memory behind everybody's back: a hand at its containers, a machine that is restarted.

use super::{FakeEngine, State, ended, isolation};
use crate::{
    manager::{ContainerState, EngineEvent, LogLine},
    runtime::spec::Limits,
};
use contract::RuntimeId;
use time::OffsetDateTime;

/// What a hand at the engine did to a container.
#[derive(Clone, Debug, Default)]
pub struct Meddled {
    /// Other limits.
    pub limits: Option<Limits>,
    /// Weaker walls.
    pub breaches: Vec<String>,
    /// The hash of its making, as an older ClawLoops would have labelled it.
    pub spec_hash: Option<String>,
    /// A process inside was ended for lack of memory.
    pub out_of_memory: bool,
}

/// What a container that was ended with its machine says as its exit code.
const ENDED_WITH_ITS_MACHINE: i64 = 255;

impl FakeEngine {
    /// Fills a workspace up to this many bytes.
    pub fn fill(&self, workspace: &str, bytes: i64) {
        self.state().sizes.insert(workspace.to_owned(), bytes);
    }

    /// Ends a container behind everybody's back.
    pub fn end(&self, runtime_id: RuntimeId, code: i64) {
        {
            let mut state = self.state();
            if let Some((_, container)) = state.containers.get_mut(&runtime_id) {
                *container = ended(code);
            }
            state.followers.remove(&runtime_id);
        }
        drop(self.events.send(EngineEvent { runtime_id }));
    }

    /// A runtime's container says something, at this moment.
    pub fn say(&self, runtime_id: RuntimeId, at: OffsetDateTime, text: &str) {
        let mut state = self.state();
        let line = LogLine { at, text: text.to_owned() };
        state.logs.entry(runtime_id).or_default().push(line.clone());
        if let Some(followers) = state.followers.get_mut(&runtime_id) {
            followers.retain(|follower| follower.send(line.clone()).is_ok());
        }
    }

    /// Freezes or thaws a container behind everybody's back.
    pub fn pause(&self, runtime_id: RuntimeId, still: bool) {
        self.state().stand_still(runtime_id, still);
        drop(self.events.send(EngineEvent { runtime_id }));
    }

    /// Changes a container behind everybody's back.
    pub fn meddle(&self, runtime_id: RuntimeId, meddled: Meddled) {
        self.state().meddled.insert(runtime_id, meddled);
        drop(self.events.send(EngineEvent { runtime_id }));
    }

    /// The image's name means this one from now on; containers that are there run the older one.
    pub fn renew_image(&self, image_id: &str) {
        self.state().newest_image = Some(image_id.to_owned());
    }

    /// Puts a network there that no row knows of.
    pub fn leave_over(&self, runtime_id: RuntimeId) {
        self.state().isolations.insert(runtime_id, isolation());
    }

    /// Puts a configuration there that no row knows of.
    pub fn leave_configuration_over(&self, runtime_id: RuntimeId) {
        self.state().configurations.insert(runtime_id, "{}".to_owned());
    }

    /// Removes a container; no event tells.
    pub fn take(&self, runtime_id: RuntimeId) {
        self.state().containers.remove(&runtime_id);
    }

    /// Edits a runtime's configuration, or removes it.
    pub fn edit(&self, runtime_id: RuntimeId, text: Option<&str>) {
        let mut state = self.state();
        match text {
            Some(text) => drop(state.configurations.insert(runtime_id, text.to_owned())),
            None => drop(state.configurations.remove(&runtime_id)),
        }
    }

    /// A runtime's configuration.
    #[must_use]
    pub fn configuration(&self, runtime_id: RuntimeId) -> Option<String> {
        self.state().configurations.get(&runtime_id).cloned()
    }

    /// The machine is restarted: nothing runs any more, and no event tells.
    pub fn restart_machine(&self) {
        let mut state = self.state();
        state.machine += 1;
        state.end_all();
    }

    /// The engine is restarted. What it runs goes on, unless it `ends` with it.
    pub fn restart_engine(&self, ends: bool) {
        let mut state = self.state();
        state.engine += 1;
        if ends {
            state.end_all();
        }
    }
}

impl State {
    fn end_all(&mut self) {
        for (_, container) in self.containers.values_mut() {
            if matches!(container, ContainerState::Running { .. } | ContainerState::Frozen { .. }) {
                *container = ended(ENDED_WITH_ITS_MACHINE);
            }
        }
    }
}
