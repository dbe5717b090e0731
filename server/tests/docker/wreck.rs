//! The engine itself is restarted, under everything that runs in it: one of its own, since this machine's belongs to others.

use super::{
    faults::SEEN,
    storm::compare,
    world::{BOOT, World},
};
use bollard::query_parameters::KillContainerOptions;
use contract::Phase;
use futures::FutureExt as _;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use server::data::Pool;
use std::{
    panic::AssertUnwindSafe,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long the engine may take to come and to go.
const PATIENCE: Duration = Duration::from_secs(60);

#[sqlx::test(migrations = "../migrations")]
async fn a_restart_of_the_engine_ends_no_runtime_and_loses_no_wish(pool: Pool) {
    let engine = Daemon::new();
    engine.begin().await;
    engine.take_image().await;
    let world = World::on(pool, Some(engine.host())).await;
    let played = AssertUnwindSafe(restarted(&world, &engine)).catch_unwind().await;
    // Also when it failed half way: what runs is reached through it alone.
    engine.begin().await;
    world.sweep().await;
    engine.end().await;
    if let Err(panic) = played {
        std::panic::resume_unwind(panic);
    }
}

async fn restarted(world: &World, engine: &Daemon) {
    let life = world.live();
    assert!(life.orchestrator.engine().health().await.unwrap().keeps_containers, "as its configuration says");
    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    let other = life.orchestrator.create(&world.caller, "Other", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    world.until(other, Phase::Ready, BOOT).await;
    let (before, ran_in) = (world.inspect(id).await.state.unwrap(), world.row(id).await.unwrap().ran_in);
    assert!(ran_in.as_ref().is_some_and(|life| !life.ends_with('/')), "the engine is not told from another: {ran_in:?}");

    engine.end().await;
    life.orchestrator.stop(&world.caller, other).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready, "what is not known is not called broken");
    engine.begin().await;

    world.until(other, Phase::Stopped, Duration::from_secs(60)).await;
    let after = world.inspect(id).await.state.unwrap();
    assert_eq!((after.running, after.started_at), (Some(true), before.started_at), "it runs on");
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready);
    compare(world).await;
    // That the engine is another one is read from who listens at its socket, for it writes no pid file where Docker does.
    let known = Instant::now();
    while world.row(id).await.unwrap().ran_in == ran_in {
        assert!(known.elapsed() < PATIENCE, "nobody noticed that the engine is another one");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Its events are heard again, and what ends from here on was not ended with it.
    // The first time it may be the next pass that sees it and asks for the events; from then on they tell.
    for patience in [Duration::from_secs(8), SEEN] {
        world.docker.kill_container(&world.name(id), None::<KillContainerOptions>).await.unwrap();
        world.until(id, Phase::Retrying, patience).await;
        world.until(id, Phase::Ready, BOOT).await;
    }
}

/// A Docker Engine of this test's own, with a folder of its own for everything.
struct Daemon {
    folder: tempfile::TempDir,
    child: Mutex<Option<Child>>,
}

impl Daemon {
    fn new() -> Self {
        // On the disk: an image and its layers are too much for a folder in memory.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // What the operator is told to write.
        std::fs::write(folder.path().join("daemon.json"), "{\"live-restore\": true}\n").unwrap();
        Self { folder, child: Mutex::default() }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.at("docker.sock"))
    }

    /// Starts it, unless it runs, and waits until it answers. The machine's rules and its default bridge are not its own.
    async fn begin(&self) {
        if self.child.lock().unwrap().is_none() {
            let own = self.folder.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_lowercase();
            let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
            let child = Command::new("dockerd")
                .args(["--config-file", &self.at("daemon.json"), "--host", &self.host(), "--pidfile", &self.at("pid")])
                .args(["--data-root", &self.at("data"), "--exec-root", &self.at("run")])
                // Where a containerd of the machine runs, it is shared.
                .args(["--containerd-namespace", &own, "--containerd-plugins-namespace", &format!("{own}-plugins")])
                .args(["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"])
                .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var_os("PATH").unwrap_or_default().to_string_lossy()))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("dockerd is installed, and this is root");
            *self.child.lock().unwrap() = Some(child);
        }
        self.wait("it does not answer", || self.docker(&["version"]).status().unwrap().success()).await;
    }

    /// Ends it in order. What runs in it runs on.
    async fn end(&self) {
        let Some(mut child) = self.child.lock().unwrap().take() else { return };
        signal::kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.wait("it does not end", || child.try_wait().unwrap().is_some()).await;
    }

    /// The runtime image, from the machine's engine.
    async fn take_image(&self) {
        let image =
            std::env::var_os("CLAWLOOPS_RUNTIME_IMAGE").expect("CLAWLOOPS_RUNTIME_IMAGE names the runtime image that this test runs");
        let image = image.into_string().unwrap();
        let mut save = Command::new("docker").args(["save", &image]).stdout(Stdio::piped()).spawn().unwrap();
        let mut load = self.docker(&["load"]).stdin(save.stdout.take().unwrap()).spawn().unwrap();
        let loaded = tokio::task::spawn_blocking(move || load.wait().unwrap().success() && save.wait().unwrap().success());
        assert!(loaded.await.unwrap(), "{image} is not taken over");
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    async fn wait(&self, otherwise: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            let said = std::fs::read_to_string(self.at("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "{otherwise}: {}", said.lines().rev().take(5).collect::<Vec<_>>().join(" / "));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            drop(child.kill());
            drop(child.wait());
        }
        // Whatever it mounted would keep its folder from being removed.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut ours: Vec<&str> =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&self.at(""))).collect();
        ours.sort_unstable_by(|one, other| other.cmp(one));
        for path in ours {
            drop(Command::new("umount").arg(path).status());
        }
    }
}
