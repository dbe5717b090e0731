//! Once over the real thing: Docker Engine, the runtime image, OpenClaw. Fails where one of them is missing.
//!
//! Works under an instance name of its own, and leaves nothing behind.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test says what it wants by failing")]

use async_trait::async_trait;
use bollard::{
    Docker,
    exec::{CreateExecOptions, StartExecResults},
    models::ContainerInspectResponse,
    query_parameters::{
        InspectContainerOptions, KillContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
        RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    },
};
use contract::{Caller, DesiredState, PersonId, Phase, Retention, Role, RuntimeId, SessionId};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use server::{
    clock::SystemClock,
    config::Config,
    data::{self, Pool, listen::Changes},
    manager::{Engine, docker::DockerEngine, names},
    orchestrator::{Doors, Orchestrator, logs::Logs},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

#[path = "docker/drift.rs"]
mod drift;
#[path = "docker/logs.rs"]
mod logs;
#[path = "docker/split.rs"]
mod split;

/// The internal listener, standing in for the entry layer's: says hello to whoever reaches it.
struct Hello {
    port: u16,
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

async fn greet(listener: TcpListener, word: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{word}", word.len());
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

/// A server's life: ends without a word when it is dropped, as a SIGKILL would have it.
struct Life {
    orchestrator: Arc<Orchestrator>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct World {
    pool: Pool,
    config: Arc<Config>,
    docker: Docker,
    doors: Arc<Hello>,
    caller: Caller,
    _folder: tempfile::TempDir,
}

static WORLDS: AtomicUsize = AtomicUsize::new(0);

impl World {
    async fn new(pool: Pool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Each test sweeps what bears its own name.
        let instance = format!("cltest{}x{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut config = Config::for_tests();
        config.runtimes.instance = instance;
        config.runtimes.runtime_image = std::env::var_os("CLAWLOOPS_RUNTIME_IMAGE")
            .expect("CLAWLOOPS_RUNTIME_IMAGE names the runtime image that this test runs")
            .into_string()
            .unwrap();
        config.data.data_dir = folder.path().to_owned();
        config.entry.internal_port = port;
        let config = Arc::new(config);
        let docker = Docker::connect_with_unix_defaults().unwrap().negotiate_version().await.expect("Docker Engine answers");
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

    fn live(&self) -> Life {
        self.live_over(Arc::new(DockerEngine::new(&self.config).unwrap()))
    }

    fn live_over(&self, engine: Arc<dyn Engine>) -> Life {
        let changes = Changes::new();
        let logs = Logs::new(&self.config, Arc::clone(&engine), Arc::new(SystemClock));
        let orchestrator = Orchestrator::new(
            self.pool.clone(),
            Arc::new(SystemClock),
            engine,
            Arc::clone(&self.config),
            [7; 32],
            Arc::clone(&self.doors) as Arc<dyn Doors>,
            changes.clone(),
        );
        let orchestrator = Arc::new(orchestrator.keeping(logs));
        let pool = self.pool.clone();
        let tasks = vec![
            tokio::spawn(async move { changes.feed(&pool).await }),
            tokio::spawn(Arc::clone(&orchestrator).run(CancellationToken::new())),
        ];
        Life { orchestrator, tasks }
    }

    async fn row(&self, id: RuntimeId) -> Option<data::runtime::Row> {
        data::runtime::get(&mut self.pool.acquire().await.unwrap(), id).await.unwrap()
    }

    async fn until(&self, id: RuntimeId, wanted: Phase, patience: Duration) -> Duration {
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

    fn name(&self, id: RuntimeId) -> String {
        names::Names::new(&self.config.runtimes.instance).runtime(id)
    }

    async fn inspect(&self, id: RuntimeId) -> ContainerInspectResponse {
        self.docker.inspect_container(&self.name(id), None::<InspectContainerOptions>).await.unwrap()
    }

    /// What a shell command inside the runtime prints.
    async fn inside(&self, id: RuntimeId, command: &str) -> String {
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
    async fn sweep(&self) {
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
    async fn count(&self) -> (usize, usize, usize) {
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

const BOOT: Duration = Duration::from_secs(240);

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_lives_its_whole_life_on_real_docker(pool: Pool) {
    let world = World::new(pool).await;
    let lived = std::panic::AssertUnwindSafe(whole_life(&world)).catch_unwind().await;
    world.sweep().await;
    if let Err(panic) = lived {
        std::panic::resume_unwind(panic);
    }
}

async fn whole_life(world: &World) {
    let life = world.live();
    let elsewhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let elsewhere_port = elsewhere.local_addr().unwrap().port();
    let elsewhere = tokio::spawn(greet(elsewhere, "elsewhere"));

    // Start to ready.
    let id = life.orchestrator.create(&world.caller, "Main").await.unwrap();
    let took = world.until(id, Phase::Ready, BOOT).await;
    eprintln!("start to ready: {took:?}");
    let route = life.orchestrator.address_of("main").await.unwrap().unwrap();
    let address = route.address.expect("a ready runtime has an address");
    let page = get(address).await;
    assert!(page.contains("200 OK"), "{page}");

    // The walls, by inspection.
    let first = world.inspect(id).await;
    let host = first.host_config.clone().unwrap();
    assert_eq!(host.memory, host.memory_swap);
    assert_eq!(host.memory, Some(2048 * 1024 * 1024));
    assert_eq!(host.nano_cpus, Some(2_000_000_000));
    assert_eq!(host.pids_limit, Some(512));
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.privileged, Some(false));
    assert!(host.security_opt.unwrap().iter().any(|option| option.starts_with("no-new-privileges")));
    assert!(host.port_bindings.unwrap_or_default().is_empty());
    assert_eq!(first.config.as_ref().unwrap().user.as_deref(), Some("1000:1000"));
    let networks: Vec<String> = first.network_settings.clone().unwrap().networks.unwrap().into_keys().collect();
    assert_eq!(networks, [world.name(id)]);

    // The walls, from inside.
    let gateway = first.network_settings.clone().unwrap().networks.unwrap()[&world.name(id)].gateway.clone().unwrap();
    let ask = async |address: String| world.inside(id, &format!("curl -s -m 2 http://{address}/ || echo ' refused'")).await;
    assert_eq!(ask(format!("{gateway}:{}", world.doors.port)).await, "internal");
    let own = own_addresses();
    for host in own.iter().chain([&gateway]) {
        let answer = ask(format!("{host}:{elsewhere_port}")).await;
        assert!(answer.contains("refused"), "another listener of this machine is reached at {host}: {answer}");
    }
    assert!(ask("169.254.169.254:80".to_owned()).await.contains("refused"));
    assert!(world.inside(id, "id -u").await.trim() == "1000");
    assert!(world.inside(id, "grep CapEff /proc/self/status").await.contains("0000000000000000"));
    assert!(world.inside(id, "touch /usr/x 2>&1 || true").await.contains("Read-only"));
    assert!(world.inside(id, "cat /etc/clawloops/openclaw.json").await.contains("ada@example.org"));
    // A model more is there without a restart.
    sqlx::query(
        "with provider as (insert into provider (provider_id, kind, name) values (gen_random_uuid(), 'open_ai_compatible', 'Test') returning provider_id)
         insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price, output_price, published)
         select gen_random_uuid(), provider_id, 'model-of-the-test', 'x', 8192, 1024, 0, 0, 0, true from provider",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    data::listen::notify(&mut world.pool.acquire().await.unwrap(), data::listen::Change::Catalog).await.unwrap();
    let told = Instant::now();
    while !world.inside(id, "cat /etc/clawloops/openclaw.json").await.contains("model-of-the-test") {
        assert!(told.elapsed() < Duration::from_secs(3), "the configuration inside is the old one");
    }
    world.inside(id, "echo kept > /home/claw/.openclaw/note").await;

    drift::changed_by_hand(world, &life, id).await;
    let first = world.inspect(id).await;

    // A new server finds it and leaves it alone.
    drop(life);
    let life = world.live();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready);
    assert_eq!(world.inspect(id).await.state.unwrap().started_at, first.state.clone().unwrap().started_at);

    // Killed behind our back, it comes back by itself, without its key's revision changing.
    let said = logs::said(world, &life, id).await;
    world.docker.kill_container(&world.name(id), None::<KillContainerOptions>).await.unwrap();
    world.until(id, Phase::Retrying, Duration::from_secs(5)).await;
    world.until(id, Phase::Ready, BOOT).await;
    logs::outlived(world, &life, id, &said).await;
    let stats = life.orchestrator.engine().stats(id).await.unwrap().expect("a running runtime has statistics");
    assert!(stats.memory_bytes > 100 * 1024 * 1024 && stats.memory_limit_bytes == 2048 * 1024 * 1024, "{stats:?}");
    assert!(!life.orchestrator.engine().logs(id, 50).await.unwrap().is_empty());

    // Stopped, only the workspace is left.
    life.orchestrator.stop(&world.caller, id).await.unwrap();
    world.until(id, Phase::Stopped, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 1));

    // Started by servers that are killed again and again.
    life.orchestrator.start(&world.caller, id).await.unwrap();
    drop(life);
    for moment in [5, 40, 120, 300, 700, 1500] {
        let life = world.live();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        drop(life);
    }
    let life = world.live();
    world.until(id, Phase::Ready, BOOT).await;
    assert_eq!(world.count().await, (1, 1, 1));
    assert_eq!(world.inside(id, "cat /home/claw/.openclaw/note").await.trim(), "kept");

    // Deleted and kept, the workspace is found again by a runtime of the same name.
    life.orchestrator.delete(&world.caller, id, Retention::PreserveWorkspace).await.unwrap();
    world.until(id, Phase::Deleted, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 1));
    let again = life.orchestrator.create(&world.caller, "main").await.unwrap();
    world.until(again, Phase::Ready, BOOT).await;
    assert_eq!(world.inside(again, "cat /home/claw/.openclaw/note").await.trim(), "kept");
    assert_eq!(world.row(again).await.unwrap().desired_state, DesiredState::Running);

    // Wiped, nothing is left.
    life.orchestrator.delete(&world.caller, again, Retention::WipeWorkspace).await.unwrap();
    world.until(again, Phase::Deleted, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 0));
    elsewhere.abort();
}

/// What a plain GET of the page at this address answers.
async fn get(address: SocketAddr) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: main.clawloops.localhost:3000\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-host: main.clawloops.localhost:3000\r\n\
                   x-forwarded-proto: http\r\nx-forwarded-user: ada@example.org\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The machine's own addresses, other bridges' among them.
fn own_addresses() -> Vec<String> {
    let said = std::process::Command::new("ip").args(["-4", "-o", "address"]).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    let addresses = text.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next());
    addresses.filter(|address| !address.starts_with("127.")).map(str::to_owned).collect()
}
