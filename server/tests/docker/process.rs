//! `clawloops serve` as a process of its own, on a test's world.

use super::world::World;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use server::{
    clock::SystemClock,
    data::listen::Changes,
    manager::docker::DockerEngine,
    orchestrator::{Doors, Orchestrator},
    platform::keyring::Keyring,
};
use sqlx::ConnectOptions as _;
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// One server. Killed when it is dropped, also while it stands still.
pub struct Server {
    child: Child,
    /// Where its pages are.
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server whose pages are on this port.
pub fn serve(world: &World, port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clawloops"));
    command
        .arg("serve")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DATABASE_URL", world.pool.connect_options().to_url_lossy().to_string())
        .env("LITELLM_URL", "http://127.0.0.1:9")
        .env("CLAWLOOPS_LISTEN", format!("127.0.0.1:{port}"))
        .env("CLAWLOOPS_PUBLIC_URL", world.config.entry.public_url.as_str())
        .env("CLAWLOOPS_INTERNAL_PORT", world.config.entry.internal_port.to_string())
        .env("CLAWLOOPS_DATA_DIR", &world.config.data.data_dir)
        .env("CLAWLOOPS_INSTANCE", &world.config.runtimes.instance)
        .env("CLAWLOOPS_RUNTIME_IMAGE", &world.config.runtimes.runtime_image);
    if let Some(host) = &world.config.runtimes.docker_host {
        command.env("DOCKER_HOST", host);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Server { child, port }
}

/// Whoever makes wishes beside servers that carry them out: it never runs itself, and they hear of it by the database.
pub fn wishes(world: &World) -> Orchestrator {
    Orchestrator::new(
        world.pool.clone(),
        Arc::new(SystemClock),
        Arc::new(DockerEngine::new(&world.config).unwrap()),
        Arc::clone(&world.config),
        Keyring::of(&[[7; 32]]),
        Arc::clone(&world.doors) as Arc<dyn Doors>,
        Changes::new(),
    )
}

impl Server {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Whether it has ended well, within this time.
    pub async fn ends(&mut self, patience: Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(begun.elapsed() < patience, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
