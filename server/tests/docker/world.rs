//! A world of its own on the real engine, and what is asked of it.

use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    exec::{CreateExecOptions, StartExecResults},
    models::ContainerInspectResponse,
    query_parameters::{
        InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    },
};
use contract::{Caller, PersonId, Phase, Role, RuntimeId, SessionId};
use futures::{FutureExt as _, TryStreamExt as _};
use server::{
    clock::SystemClock,
    config::Config,
    data::{self, Pool, listen::Changes},
    manager::{Engine, docker::DockerEngine, names},
    orchestrator::{Doors, Orchestrator, logs::Logs, rest::Policy},
    platform::keyring::Keyring,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long OpenClaw may take to boot here.
pub const BOOT: Duration = Duration::from_secs(240);

/// Plays a test in a world of its own, and removes what is left of it also when it failed half way.
pub async fn play(pool: Pool, test: impl AsyncFnOnce(&World)) {
    let world = World::new(pool).await;
    let played = std::panic::AssertUnwindSafe(test(&world)).catch_unwind().await;
    world.sweep().await;
    if let Err(panic) = played {
        std::panic::resume_unwind(panic);
    }
}

/// The internal listener, standing in for the entry layer's: says hello to whoever reaches it.
pub struct Hello {
    pub port: u16,
    open: Mutex<HashMap<IpAddr, JoinHandle<()>>>,
}

#[async_trait]
impl Doors for Hello {
    async fn open(&self, gateway: IpAddr) -> server::Result<()> {
        if self.open.lock().unwrap().contains_key(&gateway) {
            return Ok(());
        }
        let listener = TcpListener::bind((gateway, self.port)).await.map_err(|error| server::Error::internal("opening a door", error))?;
        let task = tokio::spawn(greet(listener, "internal"));
        self.open.lock().unwrap().insert(gateway, task);
        Ok(())
    }
}

pub async fn greet(listener: TcpListener, word: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{word}", word.len());
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

/// A server's life: ends without a word when it is dropped, as a SIGKILL would have it.
pub struct Life {
    pub orchestrator: Arc<Orchestrator>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub struct World {
    pub pool: Pool,
    pub config: Arc<Config>,
    pub docker: Docker,
    pub doors: Arc<Hello>,
    pub caller: Caller,
    _folder: tempfile::TempDir,
}

static WORLDS: AtomicUsize = AtomicUsize::new(0);

impl World {
    pub async fn new(pool: Pool) -> Self {
        Self::on(pool, None).await
    }

    /// On another engine than the machine's: the one at this address.
    pub async fn on(pool: Pool, docker_host: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Each test sweeps what bears its own name.
        let instance = format!("cltest{}x{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut config = Config::for_tests();
        config.runtimes.instance = instance;
        config.runtimes.runtimes_per_person = 10;
        config.runtimes.runtime_image = std::env::var_os("CLAWLOOPS_RUNTIME_IMAGE")
            .expect("CLAWLOOPS_RUNTIME_IMAGE names the runtime image that this test runs")
            .into_string()
            .unwrap();
        config.runtimes.docker_host = docker_host;
        config.data.data_dir = folder.path().to_owned();
        config.entry.internal_port = port;
        let config = Arc::new(config);
        let docker = match &config.runtimes.docker_host {
            Some(host) => Docker::connect_with_unix(host, 120, API_DEFAULT_VERSION),
            None => Docker::connect_with_unix_defaults(),
        };
        let docker = docker.unwrap().negotiate_version().await.expect("Docker Engine answers");
        let caller = Caller {
            person_id: PersonId(uuid::Uuid::now_v7()),
            session_id: SessionId(uuid::Uuid::now_v7()),
            email: "ada@example.org".to_owned(),
            name: "Ada".to_owned(),
            role: Role::Person,
            time_zone: "UTC".to_owned(),
        };
        sqlx::query("insert into person (person_id, email, name, role, password_hash) values ($1, $2, $3, 'person', 'none')")
            .bind(caller.person_id.0)
            .bind(&caller.email)
            .bind(&caller.name)
            .execute(&pool)
            .await
            .unwrap();
        Self { pool, config, docker, doors: Arc::new(Hello { port, open: Mutex::default() }), caller, _folder: folder }
    }

    pub fn live(&self) -> Life {
        self.live_over(Arc::new(DockerEngine::new(&self.config).unwrap()))
    }

    /// As [`World::live`], with another rule of sleep.
    pub fn live_resting(&self, rest: Policy) -> Life {
        self.live_with(Arc::new(DockerEngine::new(&self.config).unwrap()), |orchestrator| orchestrator.resting(rest))
    }

    pub fn live_over(&self, engine: Arc<dyn Engine>) -> Life {
        self.live_with(engine, |orchestrator| orchestrator)
    }

    fn live_with(&self, engine: Arc<dyn Engine>, made: impl FnOnce(Orchestrator) -> Orchestrator) -> Life {
        let changes = Changes::new();
        let logs = Logs::new(&self.config, Arc::clone(&engine), Arc::new(SystemClock));
        let orchestrator = Orchestrator::new(
            self.pool.clone(),
            Arc::new(SystemClock),
            engine,
            Arc::clone(&self.config),
            Keyring::of(&[[7; 32]]),
            Arc::clone(&self.doors) as Arc<dyn Doors>,
            changes.clone(),
        );
        let orchestrator = Arc::new(made(orchestrator.keeping(logs)));
        let pool = self.pool.clone();
        let tasks = vec![
            tokio::spawn(async move { changes.feed(&pool).await }),
            tokio::spawn(Arc::clone(&orchestrator).run(CancellationToken::new())),
        ];
        Life { orchestrator, tasks }
    }

    pub async fn row(&self, id: RuntimeId) -> Option<data::runtime::Row> {
        data::runtime::get(&mut self.pool.acquire().await.unwrap(), id).await.unwrap()
    }

    pub async fn until(&self, id: RuntimeId, wanted: Phase, patience: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let row = self.row(id).await;
            let phase = row.as_ref().map_or(Phase::Deleted, |row| row.phase);
            if phase == wanted {
                return began.elapsed();
            }
            assert!(began.elapsed() < patience, "still {phase:?} after {patience:?}, wanted {wanted:?}: {row:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn name(&self, id: RuntimeId) -> String {
        names::Names::new(&self.config.runtimes.instance).runtime(id)
    }

    pub async fn inspect(&self, id: RuntimeId) -> ContainerInspectResponse {
        self.docker.inspect_container(&self.name(id), None::<InspectContainerOptions>).await.unwrap()
    }

    /// What a shell command inside the runtime prints.
    pub async fn inside(&self, id: RuntimeId, command: &str) -> String {
        let options = CreateExecOptions {
            cmd: Some(vec!["sh", "-c", command]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.docker.create_exec(&self.name(id), options).await.unwrap();
        match self.docker.start_exec(&exec.id, None).await.unwrap() {
            StartExecResults::Attached { output, .. } => {
                let pieces: Vec<_> = output.try_collect().await.unwrap();
                pieces.into_iter().map(|piece| String::from_utf8_lossy(&piece.into_bytes()).into_owned()).collect()
            }
            StartExecResults::Detached => String::new(),
        }
    }

    /// Removes whatever bears this test's label: also after a test that failed half way.
    pub async fn sweep(&self) {
        let label = HashMap::from([("label".to_owned(), vec![format!("{}={}", names::LABEL_INSTANCE, self.config.runtimes.instance)])]);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&label).build();
        for container in self.docker.list_containers(Some(containers)).await.unwrap() {
            let force = RemoveContainerOptionsBuilder::default().force(true).build();
            drop(self.docker.remove_container(&container.id.unwrap(), Some(force)).await);
        }
        let networks = ListNetworksOptionsBuilder::default().filters(&label).build();
        for network in self.docker.list_networks(Some(networks)).await.unwrap() {
            drop(self.docker.remove_network(&network.id.unwrap()).await);
        }
        let volumes = ListVolumesOptionsBuilder::default().filters(&label).build();
        for volume in self.docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default() {
            drop(self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await);
        }
        DockerEngine::new(&self.config).unwrap().firewall().lift().await.unwrap();
    }

    /// How many containers, networks and volumes bear this test's label.
    pub async fn count(&self) -> (usize, usize, usize) {
        let label = HashMap::from([("label".to_owned(), vec![format!("{}={}", names::LABEL_INSTANCE, self.config.runtimes.instance)])]);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&label).build();
        let networks = ListNetworksOptionsBuilder::default().filters(&label).build();
        let volumes = ListVolumesOptionsBuilder::default().filters(&label).build();
        (
            self.docker.list_containers(Some(containers)).await.unwrap().len(),
            self.docker.list_networks(Some(networks)).await.unwrap().len(),
            self.docker.list_volumes(Some(volumes)).await.unwrap().volumes.unwrap_or_default().len(),
        )
    }
}

/// The machine's own addresses, other bridges' among them.
pub fn own_addresses() -> Vec<String> {
    let said = std::process::Command::new("ip").args(["-4", "-o", "address"]).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    let addresses = text.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next());
    addresses.filter(|address| !address.starts_with("127.")).map(str::to_owned).collect()
}
