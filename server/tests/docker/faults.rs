//! What happens behind our back: containers killed, removed, driven out of memory and cut off, a disk that is full.

use super::{
    storm::compare,
    world::{self, BOOT, Life, World},
};
use bollard::{
    models::{NetworkDisconnectRequest, VolumeCreateRequest},
    query_parameters::{KillContainerOptions, RemoveContainerOptionsBuilder},
};
use contract::{Code, Phase, Retention, RuntimeId};
use server::{data::Pool, manager::names};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Within this a crash is seen.
pub const SEEN: Duration = Duration::from_secs(2);
/// And within this the next try has begun. When its container is there is the engine's matter.
const BEGUN: Duration = Duration::from_secs(5);

#[sqlx::test(migrations = "../migrations")]
async fn what_is_broken_behind_our_back_comes_back_by_itself(pool: Pool) {
    world::play(pool, broken).await;
}

async fn broken(world: &World) {
    let life = world.live();
    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;

    // Killed: seen at once, begun anew soon.
    let before = container(world, id).await;
    let begun = Instant::now();
    world.docker.kill_container(&world.name(id), None::<KillContainerOptions>).await.unwrap();
    let seen = world.until(id, Phase::Retrying, SEEN).await;
    eprintln!("a crash was seen after {seen:?}, the next try begun after {:?}", again(world, id, begun).await);
    another(world, id, before.as_deref()).await;
    world.until(id, Phase::Ready, BOOT).await;

    // Removed.
    let before = container(world, id).await;
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    world.docker.remove_container(&world.name(id), Some(force)).await.unwrap();
    let begun = Instant::now();
    while world.row(id).await.unwrap().phase == Phase::Ready {
        assert!(begun.elapsed() < SEEN, "nobody saw that it was removed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    again(world, id, begun).await;
    another(world, id, before.as_deref()).await;
    eprintln!("a removed container was made anew after {:?}", begun.elapsed());
    world.until(id, Phase::Ready, BOOT).await;

    out_of_memory(world, &life, id).await;

    // Cut off: its network taken from it and removed.
    let cut = NetworkDisconnectRequest { container: world.name(id), force: Some(true) };
    world.docker.disconnect_network(&world.name(id), cut).await.unwrap();
    world.docker.remove_network(&world.name(id)).await.unwrap();
    let began = Instant::now();
    while world.row(id).await.unwrap().phase == Phase::Ready {
        assert!(began.elapsed() < Duration::from_secs(40), "nobody saw that its network is gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("a removed network was seen after {:?}", began.elapsed());
    world.until(id, Phase::Ready, BOOT).await;
    compare(world).await;
}

/// OpenClaw itself is ended by the kernel: its processes are offered first, and then memory is eaten beside them.
async fn out_of_memory(world: &World, life: &Life, id: RuntimeId) {
    let ran_out = async || life.orchestrator.engine().look(id).await.unwrap().container.unwrap().out_of_memory;
    assert_eq!(ran_out().await, Some(false));
    // A process inside, while OpenClaw runs on.
    let eats = "node -e 'const all = []; for (;;) all.push(Buffer.alloc(64 << 20, 1))'";
    world.inside(id, &format!("echo 1000 > /proc/self/oom_score_adj; exec {eats}")).await;
    assert_eq!((ran_out().await, world.row(id).await.unwrap().phase), (Some(true), Phase::Ready));

    let hungry = "for p in /proc/[0-9]*; do echo 1000 > $p/oom_score_adj; done 2>/dev/null; echo 0 > /proc/self/oom_score_adj 2>/dev/null; \
                  node -e 'const all = []; for (;;) all.push(Buffer.alloc(64 << 20, 1))'";
    let options = bollard::exec::CreateExecOptions { cmd: Some(vec!["sh", "-c", hungry]), ..Default::default() };
    let exec = world.docker.create_exec(&world.name(id), options).await.unwrap();
    let detached = bollard::exec::StartExecOptions { detach: true, ..Default::default() };
    world.docker.start_exec(&exec.id, Some(detached)).await.unwrap();
    world.until(id, Phase::Retrying, Duration::from_secs(60)).await;
    let problem = life.orchestrator.find(&world.caller, id).await.unwrap().problem.expect("a failed try has its reason");
    assert_eq!(problem.code, Code::OutOfMemory);
    assert!(
        problem.message.starts_with("OpenClaw ran out of memory (2 GiB). Ask for a larger profile. It ended with exit code "),
        "{problem:?}"
    );
    world.until(id, Phase::Ready, BOOT).await;
}

/// Waits until the next try has begun. How long after the last one ended.
async fn again(world: &World, id: RuntimeId, ended: Instant) -> Duration {
    while world.row(id).await.unwrap().phase == Phase::Retrying {
        assert!(ended.elapsed() < BEGUN, "no new try {:?} after the last one ended", ended.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ended.elapsed()
}

/// Waits for another container than this one.
async fn another(world: &World, id: RuntimeId, before: Option<&str>) {
    let begun = Instant::now();
    while container(world, id).await.is_none_or(|present| Some(present.as_str()) == before) {
        assert!(begun.elapsed() < BOOT, "no new container");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Its present container; none without one.
async fn container(world: &World, id: RuntimeId) -> Option<String> {
    let found = world.docker.inspect_container(&world.name(id), None::<bollard::query_parameters::InspectContainerOptions>).await;
    found.ok().and_then(|container| container.id)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_full_disk_is_said_and_stop_works_all_the_same(pool: Pool) {
    world::play(pool, full_disk).await;
}

async fn full_disk(world: &World) {
    // Wished while nobody reconciles, so that its workspace can be made first: two MiB.
    let life = world.live();
    let wishes = std::sync::Arc::clone(&life.orchestrator);
    drop(life);
    let id = wishes.create(&world.caller, "Main", None).await.unwrap();
    let volume = world.row(id).await.unwrap().volume;
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=2m,uid=1000,gid=1000")];
    let request = VolumeCreateRequest {
        name: Some(volume.clone()),
        driver_opts: Some(options.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        labels: Some(HashMap::from([
            (names::LABEL_INSTANCE.to_owned(), world.config.runtimes.instance.clone()),
            (names::LABEL_WORKSPACE.to_owned(), volume),
        ])),
        ..Default::default()
    };
    world.docker.create_volume(request).await.unwrap();

    let life = world.live();
    let began = Instant::now();
    let problem = loop {
        let row = world.row(id).await.unwrap();
        if let (Phase::Retrying | Phase::Failed, Some(problem)) = (row.phase, row.problem) {
            break problem.0;
        }
        assert!(began.elapsed() < BOOT, "OpenClaw boots on a full disk: {:?}", row.phase);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    eprintln!("a full disk: {}", problem.message);
    assert!(problem.message.starts_with("OpenClaw found no room on its disk"), "{problem:?}");
    life.orchestrator.stop(&world.caller, id).await.unwrap();
    world.until(id, Phase::Stopped, Duration::from_secs(60)).await;
    life.orchestrator.delete(&world.caller, id, Retention::WipeWorkspace).await.unwrap();
    world.until(id, Phase::Deleted, Duration::from_secs(60)).await;
    compare(world).await;
    assert_eq!(world.count().await, (0, 0, 0));
}
