//! The Docker Engine behind [`Engine`]. Only files of this name know bollard.

use super::{
    Capacity, ContainerState, Engine, EngineEvent, Health, LogLine, Made, Seen, SeenContainer, World, docker_address, docker_container,
    docker_file, docker_host, docker_log, docker_network, docker_volume,
    docker_walls::{self, Ought},
    door::Door,
    firewall::Firewall,
    names::{self, Names},
};
use crate::{
    Error, Result,
    config::Config,
    runtime::spec::{Isolation, Limits, OPENCLAW_PORT, RuntimeSpec},
};
use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error as DockerError,
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummaryStateEnum, EndpointSettings, VolumeCreateRequest},
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions, StatsOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use contract::{Code, Problem, RuntimeId, RuntimeStats};
use futures::{StreamExt as _, stream::BoxStream};
use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::{Mutex, OnceCell};

/// Seconds until the engine is taken for dead. A stop waits up to its grace within one call.
const PATIENCE_SECONDS: u64 = 90;

/// One Docker Engine, as far as it is one installation's.
pub struct DockerEngine {
    /// As it was said; judged when it is first used.
    address: Option<String>,
    connection: OnceCell<Docker>,
    names: Names,
    firewall: Firewall,
    door: Door,
    /// Where configuration files lie, one folder a runtime.
    folder: PathBuf,
    /// Address plans are read, then taken: one at a time.
    planning: Mutex<()>,
    /// Processor counters at the last look: (container's, system's).
    counters: Mutex<HashMap<RuntimeId, (u64, u64)>>,
}

/// Which engine, for which installation, from which folder.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The engine's address; the local socket without it.
    pub docker_host: Option<&'a str>,
    /// The installation.
    pub instance: &'a str,
    /// Port of the internal listener: the one of the host that runtimes reach.
    pub internal_port: u16,
    /// Configuration files lie in `runtimes` within it.
    pub data_dir: &'a Path,
}

impl DockerEngine {
    /// Names the engine; it is not called before it is needed, and may come later.
    ///
    /// # Errors
    /// When the data directory cannot be named.
    pub fn new(config: &Config) -> Result<Self> {
        Self::at(Place {
            docker_host: config.runtimes.docker_host.as_deref(),
            instance: &config.runtimes.instance,
            internal_port: config.entry.internal_port,
            data_dir: &config.data.data_dir,
        })
    }

    /// As [`DockerEngine::new`], for whoever has other settings than a server's.
    ///
    /// # Errors
    /// When the data directory cannot be named.
    pub fn at(place: Place<'_>) -> Result<Self> {
        let folder =
            std::path::absolute(place.data_dir).map_err(|error| Error::internal("finding the data directory", error))?.join("runtimes");
        let names = Names::new(place.instance);
        Ok(Self {
            address: place.docker_host.map(str::to_owned),
            connection: OnceCell::new(),
            firewall: Firewall::new(&names, place.internal_port),
            names,
            door: Door::new(),
            folder,
            planning: Mutex::default(),
            counters: Mutex::default(),
        })
    }

    /// The rules around this installation's runtimes.
    #[must_use]
    pub fn firewall(&self) -> &Firewall {
        &self.firewall
    }

    fn address(&self) -> Result<&str> {
        docker_address::local(self.address.as_deref())
    }

    async fn docker(&self) -> Result<&Docker> {
        let address = self.address()?;
        self.connection
            .get_or_try_init(|| async {
                let docker = if address.starts_with("unix://") {
                    Docker::connect_with_unix(address, PATIENCE_SECONDS, API_DEFAULT_VERSION)?
                } else {
                    Docker::connect_with_http(address, PATIENCE_SECONDS, API_DEFAULT_VERSION)?
                };
                docker.negotiate_version().await
            })
            .await
            .map_err(|error| failed("connecting", error))
    }

    fn file(&self, runtime_id: RuntimeId) -> PathBuf {
        self.folder.join(runtime_id.to_string()).join("openclaw.json")
    }

    async fn read_configuration(&self, runtime_id: RuntimeId) -> Option<String> {
        tokio::fs::read_to_string(self.file(runtime_id)).await.ok()
    }

    /// The runtimes that have a configuration file.
    async fn configured(&self) -> Vec<RuntimeId> {
        let mut found = Vec::new();
        // Without the folder there is none.
        let Ok(mut folder) = tokio::fs::read_dir(&self.folder).await else { return found };
        while let Ok(Some(entry)) = folder.next_entry().await {
            if let Some(runtime_id) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                && self.file(runtime_id).exists()
            {
                found.push(runtime_id);
            }
        }
        found
    }

    /// The container, when it is there and ours.
    async fn inspect(&self, runtime_id: RuntimeId) -> Result<Option<ContainerInspectResponse>> {
        let name = self.names.runtime(runtime_id);
        let found = self.docker().await?.inspect_container(&name, None::<InspectContainerOptions>).await;
        let Some(found) = absent(found, "looking at a container")? else { return Ok(None) };
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        self.check_ours(labels, names::LABEL_RUNTIME, &runtime_id.to_string(), &name)?;
        Ok(Some(found))
    }

    fn check_ours(&self, labels: Option<&HashMap<String, String>>, label: &str, value: &str, name: &str) -> Result<()> {
        let bears = |label: &str, value: &str| labels.and_then(|labels| labels.get(label)).is_some_and(|found| found == value);
        if bears(names::LABEL_INSTANCE, self.names.instance()) && bears(label, value) {
            return Ok(());
        }
        Err(Problem::new(
            Code::Conflict,
            format!("Something on this machine is called {name} and was not made by ClawLoops. It was not touched."),
        )
        .remedy("An administrator renames or removes it.")
        .into())
    }

    fn labels(&self, label: &str, value: &str) -> HashMap<String, String> {
        HashMap::from([(names::LABEL_INSTANCE.to_owned(), self.names.instance().to_owned()), (label.to_owned(), value.to_owned())])
    }

    fn ours(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{}={}", names::LABEL_INSTANCE, self.names.instance())])])
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn health(&self) -> Result<Health> {
        let info = self.docker().await?.info().await.map_err(|error| failed("asking how it is", error))?;
        Ok(Health {
            version: format!("Docker Engine {}", info.server_version.unwrap_or_default()),
            keeps_containers: info.live_restore_enabled.unwrap_or(false),
        })
    }

    async fn capacity(&self) -> Result<Capacity> {
        let info = self.docker().await?.info().await.map_err(|error| failed("asking for the machine's size", error))?;
        Ok(Capacity { memory_bytes: info.mem_total.unwrap_or_default(), cores: info.ncpu.unwrap_or(1) })
    }

    async fn workspaces(&self) -> Result<BTreeSet<String>> {
        let ours = HashMap::from([("label", vec![format!("{}={}", names::LABEL_INSTANCE, self.names.instance())])]);
        let options = ListVolumesOptionsBuilder::default().filters(&ours).build();
        let found = self.docker().await?.list_volumes(Some(options)).await.map_err(|error| failed("listing workspaces", error))?;
        Ok(found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    async fn has_image(&self, image: &str) -> Result<bool> {
        let found = self.docker().await?.inspect_image(image).await;
        Ok(absent(found, "looking at the image")?.is_some())
    }

    async fn survey(&self) -> Result<World> {
        let docker = self.docker().await?;
        let options = ListContainersOptionsBuilder::default().all(true).filters(&self.ours()).build();
        let containers = docker.list_containers(Some(options)).await.map_err(|error| failed("listing containers", error))?;
        let mut world = World::new();
        for container in containers {
            let labels = container.labels.clone().unwrap_or_default();
            let Some(runtime_id) = runtime_of(&labels) else { continue };
            let (network, file) = (self.names.runtime(runtime_id), self.file(runtime_id));
            let breaches = Ought { network: &network, configuration: &file }.of_listed(&container);
            let networks = container.network_settings.and_then(|settings| settings.networks);
            let since = container.created.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let state = match container.state {
                Some(ContainerSummaryStateEnum::CREATED) => ContainerState::Created,
                Some(ContainerSummaryStateEnum::RUNNING) => {
                    ContainerState::Running { since, address: self.address_in(runtime_id, networks.as_ref()) }
                }
                Some(ContainerSummaryStateEnum::PAUSED) => {
                    ContainerState::Frozen { since, address: self.address_in(runtime_id, networks.as_ref()) }
                }
                _ => ContainerState::Ended { code: 0, out_of_memory: false },
            };
            world.entry(runtime_id).or_default().container = Some(seen_container(&labels, state, breaches, None));
        }
        for (runtime_id, isolation) in docker_network::list(docker, &self.names, self.ours()).await? {
            world.entry(runtime_id).or_default().isolation = isolation;
        }
        // A configuration may be all that a crash left of a runtime.
        for runtime_id in self.configured().await {
            world.entry(runtime_id).or_default().configuration = self.read_configuration(runtime_id).await;
        }
        let epoch = docker_host::epoch(self.address()?).await;
        world.values_mut().for_each(|seen| seen.epoch.clone_from(&epoch));
        Ok(world)
    }

    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen> {
        let isolation = match docker_network::find(self.docker().await?, &self.names.runtime(runtime_id)).await? {
            Some(network) => {
                self.check_ours(network.labels.as_ref(), names::LABEL_RUNTIME, &runtime_id.to_string(), &self.names.runtime(runtime_id))?;
                docker_network::isolation(&network, &self.names.bridge(runtime_id))
            }
            None => None,
        };
        let inspected = self.inspect(runtime_id).await?;
        let image = inspected.as_ref().and_then(|container| container.config.as_ref()?.image.clone());
        let newest_id = match image {
            Some(image) => absent(self.docker().await?.inspect_image(&image).await, "looking at the image")?.and_then(|image| image.id),
            None => None,
        };
        let out_of_memory = match inspected.as_ref().and_then(|container| Some((container.id.as_ref()?, container.state.as_ref()?.pid?))) {
            Some((id, pid)) if pid > 0 => docker_host::ran_out_of_memory(id, pid).await,
            Some(_) | None => None,
        };
        let container = inspected.map(|container| {
            let (network, file) = (self.names.runtime(runtime_id), self.file(runtime_id));
            let breaches = Ought { network: &network, configuration: &file }.of_inspected(&container);
            let made = docker_walls::made(&container, newest_id);
            let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
            let networks = container.network_settings.and_then(|settings| settings.networks);
            let state = container.state.unwrap_or_default();
            let started = state.started_at.as_deref().and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
            let (since, address) = (started.unwrap_or(OffsetDateTime::UNIX_EPOCH), self.address_in(runtime_id, networks.as_ref()));
            let state = match state.status {
                Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
                Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running { since, address },
                Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Frozen { since, address },
                _ => ContainerState::Ended { code: state.exit_code.unwrap_or(-1), out_of_memory: state.oom_killed.unwrap_or(false) },
            };
            SeenContainer { out_of_memory, ..seen_container(&labels, state, breaches, Some(made)) }
        });
        let epoch = docker_host::epoch(self.address()?).await;
        Ok(Seen { container, isolation, configuration: self.read_configuration(runtime_id).await, epoch })
    }

    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation> {
        self.firewall.hold().await?;
        if let Some(isolation) = self.look(runtime_id).await?.isolation {
            return Ok(isolation);
        }
        let _one_at_a_time = self.planning.lock().await;
        // One of this name that is not as it was made: nothing is in it by now.
        self.remove_network(runtime_id).await?;
        let labels = self.labels(names::LABEL_RUNTIME, &runtime_id.to_string());
        docker_network::make(self.docker().await?, &self.names, runtime_id, labels).await
    }

    async fn release(&self, runtime_id: RuntimeId) -> Result<()> {
        self.remove_network(runtime_id).await?;
        match tokio::fs::remove_dir_all(self.folder.join(runtime_id.to_string())).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::internal("removing a runtime's configuration", error)),
            _ => Ok(()),
        }
    }

    async fn keep_workspace(&self, workspace: &str) -> Result<()> {
        let docker = self.docker().await?;
        if let Some(volume) = absent(docker.inspect_volume(workspace).await, "looking at a workspace")? {
            return self.check_ours(Some(&volume.labels), names::LABEL_WORKSPACE, workspace, workspace);
        }
        let labels = self.labels(names::LABEL_WORKSPACE, workspace);
        let request = VolumeCreateRequest { name: Some(workspace.to_owned()), labels: Some(labels), ..Default::default() };
        docker.create_volume(request).await.map_err(|error| failed("making a workspace", error))?;
        Ok(())
    }

    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>> {
        let Some(volume) = absent(self.docker().await?.inspect_volume(workspace).await, "looking at a workspace")? else { return Ok(None) };
        self.check_ours(Some(&volume.labels), names::LABEL_WORKSPACE, workspace, workspace)?;
        Ok(docker_volume::measure(Path::new(&volume.mountpoint)).await)
    }

    async fn wipe_workspace(&self, workspace: &str) -> Result<()> {
        let docker = self.docker().await?;
        let Some(volume) = absent(docker.inspect_volume(workspace).await, "looking at a workspace")? else { return Ok(()) };
        self.check_ours(Some(&volume.labels), names::LABEL_WORKSPACE, workspace, workspace)?;
        absent(docker.remove_volume(workspace, None::<RemoveVolumeOptions>).await, "removing a workspace")?;
        Ok(())
    }

    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()> {
        docker_file::write_in_place(&self.file(runtime_id), configuration)
            .await
            .map_err(|error| Error::internal("writing a runtime's configuration", error))
    }

    async fn create(&self, spec: &RuntimeSpec) -> Result<()> {
        if self.inspect(spec.runtime_id).await?.is_some() {
            return Ok(());
        }
        docker_container::create(self.docker().await?, &self.names, &self.file(spec.runtime_id), spec).await
    }

    async fn start(&self, runtime_id: RuntimeId) -> Result<()> {
        // The rules may have been flushed since the network was made.
        self.firewall.hold().await?;
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(());
        }
        let started = self.docker().await?.start_container(&self.names.runtime(runtime_id), None::<StartContainerOptions>).await;
        started.map_err(|error| failed("starting a container", error))
    }

    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool> {
        match self.look(runtime_id).await?.container {
            Some(SeenContainer { state: ContainerState::Running { address: Some(address), .. }, .. }) => {
                Ok(self.door.is_ready(address).await)
            }
            _ => Ok(false),
        }
    }

    async fn stop(&self, runtime_id: RuntimeId, grace: Duration) -> Result<()> {
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(());
        }
        // One that stands still could not end by itself.
        self.thaw(runtime_id).await?;
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let stopped = self.docker().await?.stop_container(&self.names.runtime(runtime_id), Some(options)).await;
        absent(stopped, "stopping a container").map(drop)
    }

    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()> {
        if !matches!(self.state_of(runtime_id).await?, Some(ContainerStateStatusEnum::RUNNING)) {
            return Ok(());
        }
        let paused = self.docker().await?.pause_container(&self.names.runtime(runtime_id)).await;
        absent(paused, "freezing a container").map(drop)
    }

    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()> {
        if !matches!(self.state_of(runtime_id).await?, Some(ContainerStateStatusEnum::PAUSED)) {
            return Ok(());
        }
        let thawed = self.docker().await?.unpause_container(&self.names.runtime(runtime_id)).await;
        absent(thawed, "thawing a container").map(drop)
    }

    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()> {
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(());
        }
        let updated = self.docker().await?.update_container(&self.names.runtime(runtime_id), docker_walls::order(limits)).await;
        absent(updated, "putting a container's limits back").map(drop)
    }

    async fn remove(&self, runtime_id: RuntimeId) -> Result<()> {
        self.counters.lock().await.remove(&runtime_id);
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(());
        }
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let removed = self.docker().await?.remove_container(&self.names.runtime(runtime_id), Some(options)).await;
        match removed {
            // Another call removes it already.
            Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            other => absent(other, "removing a container").map(drop),
        }
    }

    async fn stats(&self, runtime_id: RuntimeId) -> Result<Option<RuntimeStats>> {
        let container = self.look(runtime_id).await?.container;
        if !matches!(container, Some(SeenContainer { state: ContainerState::Running { .. } | ContainerState::Frozen { .. }, .. })) {
            return Ok(None);
        }
        let docker = self.docker().await?;
        let name = self.names.runtime(runtime_id);
        let mut before = self.counters.lock().await.get(&runtime_id).copied();
        if before.is_none() {
            let Some((_, counters)) = sample(docker, &name).await? else { return Ok(None) };
            before = Some(counters);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let Some((mut stats, now)) = sample(docker, &name).await? else { return Ok(None) };
        if let Some(before) = before {
            stats.cpu_percent = docker_container::cpu_percent(before, now);
        }
        self.counters.lock().await.insert(runtime_id, now);
        Ok(Some(stats))
    }

    async fn logs(&self, runtime_id: RuntimeId, lines: usize) -> Result<Vec<String>> {
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(Vec::new());
        }
        docker_log::last(self.docker().await?, &self.names.runtime(runtime_id), lines).await
    }

    async fn output(&self, runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool) -> Result<BoxStream<'static, LogLine>> {
        if self.inspect(runtime_id).await?.is_none() {
            return Ok(futures::stream::empty().boxed());
        }
        Ok(docker_log::output(self.docker().await?, &self.names.runtime(runtime_id), since, follow))
    }

    async fn hold_walls(&self) -> Result<()> {
        self.firewall.hold().await
    }

    async fn lift_walls(&self) -> Result<()> {
        self.firewall.lift().await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>> {
        let mut filters = self.ours();
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert(
            "event".to_owned(),
            ["start", "die", "oom", "destroy", "update", "rename", "pause", "unpause"].map(str::to_owned).to_vec(),
        );
        let docker = self.docker().await?.clone();
        let events = docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build()));
        Ok(events
            .take_while(|event| futures::future::ready(event.is_ok()))
            .filter_map(|event| {
                let attributes = event.ok().and_then(|event| event.actor).and_then(|actor| actor.attributes);
                futures::future::ready(attributes.as_ref().and_then(runtime_of).map(|runtime_id| EngineEvent { runtime_id }))
            })
            .boxed())
    }
}

impl DockerEngine {
    /// Where our container stands; none without one.
    async fn state_of(&self, runtime_id: RuntimeId) -> Result<Option<ContainerStateStatusEnum>> {
        Ok(self.inspect(runtime_id).await?.and_then(|container| container.state?.status))
    }

    async fn remove_network(&self, runtime_id: RuntimeId) -> Result<()> {
        let name = self.names.runtime(runtime_id);
        let docker = self.docker().await?;
        let Some(network) = docker_network::find(docker, &name).await? else { return Ok(()) };
        self.check_ours(network.labels.as_ref(), names::LABEL_RUNTIME, &runtime_id.to_string(), &name)?;
        absent(docker.remove_network(&name).await, "removing a network").map(drop)
    }

    fn address_in(&self, runtime_id: RuntimeId, networks: Option<&HashMap<String, EndpointSettings>>) -> Option<SocketAddr> {
        let endpoint = networks?.get(&self.names.runtime(runtime_id))?;
        Some(SocketAddr::new(endpoint.ip_address.as_ref()?.parse().ok()?, OPENCLAW_PORT))
    }
}

fn runtime_of(labels: &HashMap<String, String>) -> Option<RuntimeId> {
    labels.get(names::LABEL_RUNTIME)?.parse().ok()
}

fn seen_container(labels: &HashMap<String, String>, state: ContainerState, breaches: Vec<String>, made: Option<Made>) -> SeenContainer {
    SeenContainer {
        revision: labels.get(names::LABEL_REVISION).and_then(|text| text.parse().ok()).unwrap_or(0),
        spec_hash: labels.get(names::LABEL_SPEC).cloned().unwrap_or_default(),
        state,
        breaches,
        made,
        out_of_memory: None,
    }
}

async fn sample(docker: &Docker, name: &str) -> Result<Option<(RuntimeStats, (u64, u64))>> {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut answers = std::pin::pin!(docker.stats(name, Some(options)));
    match answers.next().await {
        Some(answer) => Ok(absent(answer, "reading a container's use")?.map(|stats| docker_container::read_stats(&stats))),
        None => Ok(None),
    }
}

/// What the engine's error is to the rest: a no is a problem to tell, silence is [`Error::Engine`].
pub(super) fn failed(context: &str, error: DockerError) -> Error {
    match &error {
        DockerError::DockerResponseServerError { status_code, message } => {
            tracing::warn!(context, status_code, message, "the container engine refused");
            Problem::new(Code::RuntimeStartFailed, format!("The container engine refused {context}: {}", message.trim())).into()
        }
        _ => Error::Engine { context: context.to_owned(), source: Box::new(error) },
    }
}

/// Not there is not an error.
pub(super) fn absent<T>(found: std::result::Result<T, DockerError>, context: &str) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failed(context, error)),
    }
}
