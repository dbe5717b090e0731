//! An engine in memory, for tests: as well or as miserable as the test says, and strict about what it is asked.

mod hand;

use super::{Capacity, ContainerState, Engine, EngineEvent, Health, LogLine, Made, Seen, SeenContainer, World, epoch::Epoch};
use crate::{
    Error, Result,
    clock::Clock,
    runtime::spec::{Isolation, Limits, OPENCLAW_PORT, RuntimeSpec},
};
use async_trait::async_trait;
use contract::{Code, Problem, RuntimeId, RuntimeStats};
use futures::{StreamExt as _, stream::BoxStream};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio_stream::wrappers::{BroadcastStream, UnboundedReceiverStream};

pub use hand::Meddled;

/// When a server dies, seen from an effect on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The call was never made.
    Before,
    /// The call was made and its answer never read.
    After,
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Misery {
    /// The engine does not answer.
    pub down: bool,
    /// OpenClaw never becomes ready.
    pub never_ready: bool,
    /// Containers end as soon as they are started, with this code; 137 is for lack of memory.
    pub ends_at_start: Option<i64>,
    /// The image is not there.
    pub no_image: bool,
    /// Containers end with the engine.
    pub no_live_restore: bool,
    /// The rules around runtimes cannot be set.
    pub no_walls: bool,
    /// Containers cannot be started: the engine says no.
    pub no_start: bool,
    /// OpenClaw does not end by itself: it is ended when its time is over.
    pub deaf: bool,
    /// Containers cannot be frozen: the engine says no.
    pub no_freeze: bool,
    /// Limits cannot be changed while a container runs: the engine says no.
    pub no_update: bool,
    /// Every call takes this long.
    pub slow: Option<Duration>,
    /// A list of everything takes this long.
    pub slow_list: Option<Duration>,
    /// The server dies at this effect, counted from 1; the call then never returns.
    pub dies_at: Option<(u32, Moment)>,
    /// The engine says no to this effect, counted from 1.
    pub refuses_at: Option<u32>,
    /// These effects, counted from 1, are done twice.
    pub repeats: std::ops::Range<u32>,
}

/// An engine in memory.
pub struct FakeEngine {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    died: Notify,
    events: broadcast::Sender<EngineEvent>,
}

#[derive(Default)]
struct State {
    containers: BTreeMap<RuntimeId, (RuntimeSpec, ContainerState)>,
    /// What was done to a container by hand.
    meddled: BTreeMap<RuntimeId, Meddled>,
    newest_image: Option<String>,
    logs: BTreeMap<RuntimeId, Vec<LogLine>>,
    /// Who hears what a container says, until it ends.
    followers: BTreeMap<RuntimeId, Vec<mpsc::UnboundedSender<LogLine>>>,
    isolations: BTreeMap<RuntimeId, Isolation>,
    configurations: BTreeMap<RuntimeId, String>,
    workspaces: BTreeSet<String>,
    /// What workspaces hold, where that is not next to nothing.
    sizes: BTreeMap<String, i64>,
    walls: bool,
    misery: Misery,
    capacity: Option<Capacity>,
    effects: u32,
    looks: usize,
    grace: Option<Duration>,
    /// How often the machine and the engine were restarted.
    machine: u32,
    engine: u32,
    wrongs: Vec<String>,
}

/// What is there, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Containers, in any state.
    pub containers: usize,
    /// Networks.
    pub isolations: usize,
    /// Configuration files.
    pub configurations: usize,
    /// Workspaces.
    pub workspaces: usize,
}

impl FakeEngine {
    /// An engine that is well.
    #[must_use]
    pub fn well(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default(), died: Notify::new(), events: broadcast::channel(1024).0 })
    }

    /// Changes what goes wrong. Effects are counted anew.
    pub fn suffer(&self, misery: Misery) {
        let mut state = self.state();
        state.misery = misery;
        state.effects = 0;
    }

    /// How long the last one that was stopped had to end by itself.
    pub fn last_grace(&self) -> Option<Duration> {
        self.state().grace
    }

    /// Gives the machine another size.
    pub fn resize(&self, capacity: Capacity) {
        self.state().capacity = Some(capacity);
    }

    /// How many effects there were since the last change of what goes wrong.
    #[must_use]
    pub fn effects(&self) -> u32 {
        self.state().effects
    }

    /// Waits until the server died at the effect it was to die at.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// Whether a runtime's container stands still.
    #[must_use]
    pub fn is_frozen(&self, runtime_id: RuntimeId) -> bool {
        matches!(self.state().containers.get(&runtime_id), Some((_, ContainerState::Frozen { .. })))
    }

    /// The limits of a runtime's container.
    #[must_use]
    pub fn limits(&self, runtime_id: RuntimeId) -> Option<Limits> {
        self.state().seen(runtime_id).container.and_then(|container| container.made).map(|made| made.limits)
    }

    /// How often somebody looked closely at one runtime.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.state().looks
    }

    /// What is there.
    #[must_use]
    pub fn count(&self) -> Count {
        let state = self.state();
        Count {
            containers: state.containers.len(),
            isolations: state.isolations.len(),
            configurations: state.configurations.len(),
            workspaces: state.workspaces.len(),
        }
    }

    /// The revision of a runtime's container, when it runs.
    #[must_use]
    pub fn running(&self, runtime_id: RuntimeId) -> Option<i64> {
        match self.state().containers.get(&runtime_id) {
            Some((spec, ContainerState::Running { .. })) => Some(spec.revision),
            _ => None,
        }
    }

    /// Whether the rules around runtimes stand.
    #[must_use]
    pub fn has_walls(&self) -> bool {
        self.state().walls
    }

    /// What the engine was asked that no engine should be asked.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        self.state().wrongs.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self) -> Result<()> {
        let (down, slow) = {
            let state = self.state();
            (state.misery.down, state.misery.slow)
        };
        if let Some(time) = slow {
            tokio::time::sleep(time).await;
        }
        if down {
            let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            return Err(Error::Engine { context: "calling the fake engine".to_owned(), source: Box::new(source) });
        }
        Ok(())
    }

    /// Does something to the engine, unless the server dies of it.
    async fn effect<T>(&self, mut act: impl FnMut(&mut State) -> Result<T>) -> Result<T> {
        self.answer().await?;
        let (done, dies) = {
            let mut state = self.state();
            state.effects += 1;
            if state.misery.refuses_at == Some(state.effects) {
                return Err(Problem::new(Code::RuntimeStartFailed, "The engine refused.").into());
            }
            if state.misery.repeats.contains(&state.effects) {
                act(&mut state)?;
            }
            let dies = state.misery.dies_at.filter(|(at, _)| *at == state.effects).map(|(_, moment)| moment);
            (if dies == Some(Moment::Before) { None } else { Some(act(&mut state)) }, dies)
        };
        match (done, dies) {
            (Some(done), None) => done,
            (_, _) => {
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// What every container says when it starts.
const FIRST_WORDS: [&str; 3] = ["starting", "key is cl_rt_00112233445566778899_0011223344", "bye"];

fn no_walls() -> Error {
    Problem::new(Code::Unavailable, "The rules cannot be set.").remedy("Set them.").into()
}

fn isolation() -> Isolation {
    Isolation { gateway: IpAddr::V4(Ipv4Addr::new(10, 213, 0, 1)) }
}

fn ended(code: i64) -> ContainerState {
    ContainerState::Ended { code, out_of_memory: code == 137 }
}

impl State {
    fn seen(&self, runtime_id: RuntimeId) -> Seen {
        Seen {
            container: self.containers.get(&runtime_id).map(|(spec, state)| {
                let meddled = self.meddled.get(&runtime_id).cloned().unwrap_or_default();
                SeenContainer {
                    revision: spec.revision,
                    spec_hash: meddled.spec_hash.unwrap_or_else(|| spec.hash()),
                    state: state.clone(),
                    breaches: meddled.breaches,
                    made: Some(Made {
                        image: spec.image.clone(),
                        image_id: "first".to_owned(),
                        newest_id: Some(self.newest_image.clone().unwrap_or_else(|| "first".to_owned())),
                        workspace: Some(spec.workspace.clone()),
                        limits: meddled.limits.unwrap_or_else(|| spec.limits()),
                        gpu: spec.gpu,
                        oci_runtime: spec.oci_runtime.clone(),
                    }),
                    out_of_memory: Some(meddled.out_of_memory),
                }
            }),
            isolation: self.isolations.get(&runtime_id).copied(),
            configuration: self.configurations.get(&runtime_id).cloned(),
            epoch: Some(Epoch { machine: self.machine.to_string(), engine: Some(self.engine.to_string()) }),
        }
    }

    fn stand_still(&mut self, runtime_id: RuntimeId, still: bool) {
        if let Some((_, container)) = self.containers.get_mut(&runtime_id) {
            *container = match (container.clone(), still) {
                (ContainerState::Running { since, address }, true) => ContainerState::Frozen { since, address },
                (ContainerState::Frozen { since, address }, false) => ContainerState::Running { since, address },
                (other, _) => other,
            };
        }
    }

    fn wrong(&mut self, what: impl Into<String>) {
        self.wrongs.push(what.into());
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn health(&self) -> Result<Health> {
        self.answer().await?;
        Ok(Health { version: "fake engine".to_owned(), keeps_containers: !self.state().misery.no_live_restore })
    }

    async fn capacity(&self) -> Result<Capacity> {
        self.answer().await?;
        Ok(self.state().capacity.unwrap_or(Capacity { memory_bytes: 1 << 50, cores: 1000 }))
    }

    async fn workspaces(&self) -> Result<BTreeSet<String>> {
        self.answer().await?;
        Ok(self.state().workspaces.clone())
    }

    async fn has_image(&self, _image: &str) -> Result<bool> {
        self.answer().await?;
        Ok(!self.state().misery.no_image)
    }

    async fn survey(&self) -> Result<World> {
        self.answer().await?;
        let slow = self.state().misery.slow_list;
        if let Some(time) = slow {
            tokio::time::sleep(time).await;
        }
        let state = self.state();
        let ids: BTreeSet<RuntimeId> =
            state.containers.keys().chain(state.isolations.keys()).chain(state.configurations.keys()).copied().collect();
        Ok(ids.into_iter().map(|id| (id, state.seen(id))).collect())
    }

    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen> {
        self.answer().await?;
        let mut state = self.state();
        state.looks += 1;
        Ok(state.seen(runtime_id))
    }

    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation> {
        self.effect(|state| {
            if state.misery.no_walls {
                return Err(no_walls());
            }
            state.walls = true;
            Ok(*state.isolations.entry(runtime_id).or_insert_with(isolation))
        })
        .await
    }

    async fn release(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(|state| {
            if state.containers.contains_key(&runtime_id) {
                state.wrong("a network was removed under a container");
            }
            state.isolations.remove(&runtime_id);
            state.configurations.remove(&runtime_id);
            Ok(())
        })
        .await
    }

    async fn keep_workspace(&self, workspace: &str) -> Result<()> {
        self.effect(|state| {
            state.workspaces.insert(workspace.to_owned());
            Ok(())
        })
        .await
    }

    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>> {
        self.answer().await?;
        let state = self.state();
        Ok(state.workspaces.contains(workspace).then(|| state.sizes.get(workspace).copied().unwrap_or(4096)))
    }

    async fn wipe_workspace(&self, workspace: &str) -> Result<()> {
        self.effect(|state| {
            if state.containers.values().any(|(spec, _)| spec.workspace == workspace) {
                state.wrong("a workspace was wiped under a container");
            }
            state.workspaces.remove(workspace);
            Ok(())
        })
        .await
    }

    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()> {
        self.effect(|state| {
            state.configurations.insert(runtime_id, configuration.to_owned());
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &RuntimeSpec) -> Result<()> {
        self.effect(|state| {
            if state.misery.no_image {
                return Err(Problem::new(Code::RuntimeStartFailed, "The runtime image is not on this machine.").into());
            }
            let id = spec.runtime_id;
            if !state.isolations.contains_key(&id) || !state.configurations.contains_key(&id) || !state.workspaces.contains(&spec.workspace)
            {
                state.wrong("a container was made before its place");
            }
            state.containers.entry(id).or_insert_with(|| (spec.clone(), ContainerState::Created));
            Ok(())
        })
        .await
    }

    async fn start(&self, runtime_id: RuntimeId) -> Result<()> {
        let since = self.clock.now();
        self.effect(|state| {
            if state.misery.no_start {
                return Err(Problem::new(Code::RuntimeStartFailed, "The engine refused starting a container.").into());
            }
            let ends = state.misery.ends_at_start;
            if let Some((_, container)) = state.containers.get_mut(&runtime_id) {
                let address = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), OPENCLAW_PORT));
                *container = ends.map_or(ContainerState::Running { since, address }, ended);
                let log = FIRST_WORDS.map(|text| LogLine { at: since, text: text.to_owned() });
                state.logs.entry(runtime_id).or_default().extend(log);
            }
            Ok(())
        })
        .await
    }

    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool> {
        self.answer().await?;
        Ok(self.running(runtime_id).is_some() && !self.state().misery.never_ready)
    }

    async fn stop(&self, runtime_id: RuntimeId, grace: Duration) -> Result<()> {
        self.effect(|state| {
            let deaf = state.misery.deaf;
            if let Some((_, container)) = state.containers.get_mut(&runtime_id) {
                *container = if deaf { ContainerState::Ended { code: 137, out_of_memory: false } } else { ended(0) };
                state.grace = Some(grace);
            }
            state.followers.remove(&runtime_id);
            Ok(())
        })
        .await
    }

    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(|state| {
            if state.misery.no_freeze {
                return Err(Problem::new(Code::RuntimeStartFailed, "The engine refused freezing a container.").into());
            }
            state.stand_still(runtime_id, true);
            Ok(())
        })
        .await
    }

    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(|state| {
            state.stand_still(runtime_id, false);
            Ok(())
        })
        .await
    }

    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()> {
        self.effect(|state| {
            if state.misery.no_update {
                return Err(Problem::new(Code::RuntimeStartFailed, "The engine refused changing a container.").into());
            }
            if state.containers.contains_key(&runtime_id) {
                state.meddled.entry(runtime_id).or_default().limits = Some(*limits);
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, runtime_id: RuntimeId) -> Result<()> {
        self.effect(|state| {
            state.containers.remove(&runtime_id);
            state.meddled.remove(&runtime_id);
            state.logs.remove(&runtime_id);
            state.followers.remove(&runtime_id);
            Ok(())
        })
        .await
    }

    async fn stats(&self, runtime_id: RuntimeId) -> Result<Option<RuntimeStats>> {
        self.answer().await?;
        let running = self.running(runtime_id);
        Ok(running.map(|_| RuntimeStats { memory_bytes: 700 << 20, memory_limit_bytes: 2 << 30, cpu_percent: 1.6 }))
    }

    async fn logs(&self, runtime_id: RuntimeId, lines: usize) -> Result<Vec<String>> {
        self.answer().await?;
        let log = self.state().logs.get(&runtime_id).cloned().unwrap_or_default();
        Ok(log.into_iter().rev().take(lines).rev().map(|line| line.text).collect())
    }

    async fn output(&self, runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool) -> Result<BoxStream<'static, LogLine>> {
        self.answer().await?;
        let mut state = self.state();
        let runs = matches!(state.containers.get(&runtime_id), Some((_, ContainerState::Running { .. })));
        let mut log = state.logs.get(&runtime_id).cloned().unwrap_or_default();
        log.retain(|line| since.is_none_or(|since| line.at.unix_timestamp() >= since.unix_timestamp()));
        let said = futures::stream::iter(log);
        if !(follow && runs) {
            return Ok(said.boxed());
        }
        let (follower, later) = mpsc::unbounded_channel();
        state.followers.entry(runtime_id).or_default().push(follower);
        Ok(said.chain(UnboundedReceiverStream::new(later)).boxed())
    }

    async fn hold_walls(&self) -> Result<()> {
        self.answer().await?;
        let mut state = self.state();
        state.walls |= !state.misery.no_walls;
        if state.misery.no_walls { Err(no_walls()) } else { Ok(()) }
    }

    async fn lift_walls(&self) -> Result<()> {
        self.answer().await?;
        self.state().walls = false;
        Ok(())
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>> {
        self.answer().await?;
        let events = BroadcastStream::new(self.events.subscribe());
        Ok(events.filter_map(|event| futures::future::ready(event.ok())).boxed())
    }
}
