//! The engine itself is restarted, under everything that runs. By its name the last of these tests: it has the engine alone, and so waits for the others.

use super::{
    faults::SEEN,
    storm::compare,
    world::{self, BOOT, ENGINE, World},
};
use bollard::query_parameters::KillContainerOptions;
use contract::Phase;
use server::data::Pool;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

#[sqlx::test(migrations = "../migrations")]
async fn a_restart_of_the_engine_ends_no_runtime_and_loses_no_wish(pool: Pool) {
    if Path::new("/run/systemd/system").exists() {
        eprintln!("this machine's Docker belongs to systemd and to others: it is not restarted for a test");
        return;
    }
    let _alone = ENGINE.write().await;
    world::play_alone(pool, restarted).await;
}

async fn restarted(world: &World) {
    let life = world.live();
    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    let other = life.orchestrator.create(&world.caller, "Other", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    world.until(other, Phase::Ready, BOOT).await;
    let before = world.inspect(id).await.state.unwrap();
    let ran_in = world.row(id).await.unwrap().ran_in;

    let pid = std::fs::read_to_string("/var/run/docker.pid").unwrap();
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    while world.docker.ping().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    life.orchestrator.stop(&world.caller, other).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready, "what is not known is not called broken");
    let set_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/setup/docker.sh");
    let begun = Instant::now();
    while Path::new(&format!("/proc/{}", pid.trim())).exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the engine does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(tokio::task::spawn_blocking(move || Command::new(set_up).status()).await.unwrap().unwrap().success());

    world.until(other, Phase::Stopped, Duration::from_secs(60)).await;
    let after = world.inspect(id).await.state.unwrap();
    assert_eq!((after.running, after.started_at), (Some(true), before.started_at), "it runs on");
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready);
    compare(world).await;
    // Its events are heard again, and what ends from here on was not ended with it.
    let begun = Instant::now();
    while world.row(id).await.unwrap().ran_in == ran_in {
        assert!(begun.elapsed() < Duration::from_secs(8), "nobody noticed that the engine is another one");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.docker.kill_container(&world.name(id), None::<KillContainerOptions>).await.unwrap();
    world.until(id, Phase::Retrying, SEEN).await;
}
