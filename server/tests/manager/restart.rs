//! The manager goes and comes back under a running server.

use super::{Managed, names};
use async_trait::async_trait;
use contract::{Caller, PersonId, Phase, Role, RuntimeId, SessionId};
use server::{
    clock::SystemClock,
    config::Config,
    data::{self, Pool, listen::Changes},
    orchestrator::{Doors, Orchestrator},
    platform::keyring::Keyring,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

struct NoDoors;

#[async_trait]
impl Doors for NoDoors {
    async fn open(&self, _gateway: IpAddr) -> server::Result<()> {
        Ok(())
    }
}

async fn row(pool: &Pool, id: RuntimeId) -> data::runtime::Row {
    data::runtime::get(&mut pool.acquire().await.unwrap(), id).await.unwrap().unwrap()
}

async fn until(pool: &Pool, id: RuntimeId, what: &str, holds: impl Fn(&data::runtime::Row) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let row = row(pool, id).await;
        if holds(&row) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}: {:?} {:?}", row.phase, row.problem);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_manager_that_restarts_is_found_again_and_no_wish_is_lost(pool: Pool) {
    let mut managed = Managed::new();
    let mut config = Config::for_tests();
    config.runtimes.runtime_image = "image".to_owned();
    config.runtimes.instance = names().instance().to_owned();
    let ada = Caller {
        person_id: PersonId(uuid::Uuid::now_v7()),
        session_id: SessionId(uuid::Uuid::now_v7()),
        email: "ada@example.org".to_owned(),
        name: "Ada".to_owned(),
        role: Role::Person,
        time_zone: "UTC".to_owned(),
    };
    sqlx::query("insert into person (person_id, email, name, role, password_hash) values ($1, $2, $3, 'person', 'none')")
        .bind(ada.person_id.0)
        .bind(&ada.email)
        .bind(&ada.name)
        .execute(&pool)
        .await
        .unwrap();
    let changes = Changes::new();
    let orchestrator = Arc::new(Orchestrator::new(
        pool.clone(),
        Arc::new(SystemClock),
        Arc::new(managed.remote()),
        Arc::new(config),
        Keyring::of(&[[7; 32]]),
        Arc::new(NoDoors),
        changes.clone(),
    ));
    let (feeding, stop) = (pool.clone(), CancellationToken::new());
    let feed = tokio::spawn(async move { changes.feed(&feeding).await });
    let run = tokio::spawn(Arc::clone(&orchestrator).run(stop.clone()));

    let id = orchestrator.create(&ada, "Main", None).await.unwrap();
    until(&pool, id, "ready", |row| row.phase == Phase::Ready).await;
    let attempts = row(&pool, id).await.attempts;

    // Away: what runs is left as it is, and a wish is taken and waits.
    managed.end().await;
    orchestrator.stop(&ada, id).await.unwrap();
    until(&pool, id, "told", |row| row.phase == Phase::Stopping && row.problem.is_some()).await;
    assert!(managed.engine.running(id).is_some());

    // Back: the wish is done, no try was counted.
    managed.serve(own());
    until(&pool, id, "stopped", |row| row.phase == Phase::Stopped).await;
    assert_eq!(managed.engine.count().containers, 0);
    orchestrator.start(&ada, id).await.unwrap();
    until(&pool, id, "ready again", |row| row.phase == Phase::Ready).await;
    assert_eq!(row(&pool, id).await.attempts, attempts);

    // Its events are heard again: a crash is seen sooner than the next pass would find it, once the stream is asked for anew.
    managed.end().await;
    managed.serve(own());
    tokio::time::sleep(Duration::from_secs(6)).await;
    for _ in 0..3 {
        managed.engine.end(id, 1);
        let seen = until(&pool, id, "seen", |row| row.phase != Phase::Ready).await;
        assert!(seen < Duration::from_millis(1500), "{seen:?}");
        until(&pool, id, "ready once more", |row| row.phase == Phase::Ready).await;
    }
    assert!(managed.engine.running(id).is_some());

    stop.cancel();
    run.await.unwrap();
    feed.abort();
    managed.end().await;
}

fn own() -> std::collections::BTreeSet<u32> {
    std::collections::BTreeSet::from([nix::unistd::geteuid().as_raw()])
}
