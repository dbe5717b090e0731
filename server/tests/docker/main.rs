//! Once over the real thing: Docker Engine, the runtime image, OpenClaw. Fails where one of them is missing.
//!
//! Works under an instance name of its own, and leaves nothing behind.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test says what it wants by failing")]

mod bench;
mod drift;
mod faults;
mod keys;
mod lead;
mod logs;
mod process;
mod sleep;
mod split;
mod steps;
mod storm;
mod walls;
mod world;
mod wreck;

use bollard::query_parameters::KillContainerOptions;
use contract::{DesiredState, Phase, Retention};
use server::data::{self, Pool};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;
use world::{BOOT, World};

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_lives_its_whole_life_on_real_docker(pool: Pool) {
    world::play(pool, whole_life).await;
}

async fn whole_life(world: &World) {
    let life = world.live();
    // Start to ready.
    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    let took = world.until(id, Phase::Ready, BOOT).await;
    eprintln!("start to ready: {took:?}");
    let route = life.orchestrator.address_of("main").await.unwrap().unwrap();
    let address = route.address.expect("a ready runtime has an address");
    let page = get(address).await;
    assert!(page.contains("200 OK"), "{page}");

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
    keys::rotated(world, &life, id).await;

    drift::changed_by_hand(world, &life, id).await;
    let first = world.inspect(id).await;

    // A new server finds it and leaves it alone.
    drop(life);
    let life = world.live();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Ready);
    assert_eq!(world.inspect(id).await.state.unwrap().started_at, first.state.clone().unwrap().started_at);

    // Killed behind our back, it comes back by itself, of the same revision.
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
    let again = life.orchestrator.create(&world.caller, "main", None).await.unwrap();
    world.until(again, Phase::Ready, BOOT).await;
    assert_eq!(world.inside(again, "cat /home/claw/.openclaw/note").await.trim(), "kept");
    assert_eq!(world.row(again).await.unwrap().desired_state, DesiredState::Running);

    // Wiped, nothing is left.
    life.orchestrator.delete(&world.caller, again, Retention::WipeWorkspace).await.unwrap();
    world.until(again, Phase::Deleted, Duration::from_secs(60)).await;
    assert_eq!(world.count().await, (0, 0, 0));
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
