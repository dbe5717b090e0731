//! The same with `clawloops runtime-manager` in a process of its own between the server and Docker.

use super::world::{self, BOOT, World};
use contract::{Phase, Retention};
use server::{
    data::Pool,
    manager::{Engine, remote::Remote},
    runtime::spec::RuntimeSpec,
};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Killed with its test, as by SIGKILL.
struct Manager(Child);

impl Drop for Manager {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn socket(world: &World) -> PathBuf {
    world.config.data.data_dir.join("run/manager.sock")
}

/// Where the manager keeps configurations: not where a server would.
fn data_dir(world: &World) -> PathBuf {
    world.config.data.data_dir.join("managed")
}

/// The manager with nothing of the test's environment but what it is told.
async fn manager(world: &World) -> Manager {
    let child = Command::new(env!("CARGO_BIN_EXE_clawloops"))
        .arg("runtime-manager")
        .env_clear()
        .env("CLAWLOOPS_RUNTIME_MANAGER", socket(world))
        .env("CLAWLOOPS_MANAGER_DATA_DIR", data_dir(world))
        .env("CLAWLOOPS_INSTANCE", &world.config.runtimes.instance)
        .env("CLAWLOOPS_INTERNAL_PORT", world.config.entry.internal_port.to_string())
        .env("CLAWLOOPS_RUNTIME_IMAGE", &world.config.runtimes.runtime_image)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (manager, remote, began) = (Manager(child), Remote::new(&socket(world), None), Instant::now());
    while let Err(error) = remote.health().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    manager
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_lives_with_docker_in_another_process(pool: Pool) {
    world::play(pool, split_life).await;
}

async fn split_life(world: &World) {
    let first = manager(world).await;
    let remote = Arc::new(Remote::new(&socket(world), None));
    let life = world.live_over(Arc::clone(&remote) as Arc<dyn Engine>);

    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    assert!(data_dir(world).join("runtimes").join(id.to_string()).join("openclaw.json").exists());
    assert!(!world.config.data.data_dir.join("runtimes").exists(), "the server writes nothing of a runtime");
    let made = world.inspect(id).await;
    let host = made.host_config.clone().unwrap();
    assert_eq!((host.readonly_rootfs, host.privileged, host.memory), (Some(true), Some(false), Some(2048 * 1024 * 1024)));
    assert!(life.orchestrator.engine().stats(id).await.unwrap().is_some());
    assert!(!life.orchestrator.engine().logs(id, 50).await.unwrap().is_empty());

    // What a server in other hands might try: a limit that is none, and another image of this machine.
    let spec = |image: &str, memory_bytes| RuntimeSpec {
        runtime_id: server::clock::new_id(),
        revision: 1,
        image: image.to_owned(),
        workspace: server::manager::names::Names::new(&world.config.runtimes.instance).workspace(id),
        memory_bytes,
        cpu_millis: 1000,
        pids: 100,
        gpu: false,
        oci_runtime: None,
    };
    for refused in [spec(&world.config.runtimes.runtime_image, 0), spec("clawloops/debian:bookworm", 1 << 30)] {
        assert!(matches!(remote.create(&refused).await, Err(server::Error::Problem(_))));
    }
    assert!(remote.lift_walls().await.is_err(), "the walls stay");
    assert_eq!(world.count().await, (1, 1, 1));

    // The manager is killed, and the runtime runs on. The next one's events are heard.
    drop(first);
    assert!(remote.health().await.is_err());
    let _second = manager(world).await;
    assert_eq!(world.inspect(id).await.state.unwrap().started_at, made.state.unwrap().started_at);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let said = super::logs::said(world, &life, id).await;
    world.docker.kill_container(&world.name(id), None::<bollard::query_parameters::KillContainerOptions>).await.unwrap();
    world.until(id, Phase::Retrying, Duration::from_secs(5)).await;
    world.until(id, Phase::Ready, BOOT).await;
    super::logs::outlived(world, &life, id, &said).await;

    life.orchestrator.stop(&world.caller, id).await.unwrap();
    world.until(id, Phase::Stopped, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 1));
    life.orchestrator.delete(&world.caller, id, Retention::WipeWorkspace).await.unwrap();
    world.until(id, Phase::Deleted, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 0));
    remote.lift_walls().await.unwrap();
}
