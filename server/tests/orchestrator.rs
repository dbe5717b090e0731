//! The orchestrator over PostgreSQL and an engine in memory: crashes at every effect, wishes that cross, an engine that is gone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it wants by failing")]

use async_trait::async_trait;
use contract::{Caller, Code, DesiredState, PersonId, Phase, Problem, Retention, Role, RuntimeId, SessionId};
use server::{
    Error,
    clock::{Clock, HandClock},
    config::Config,
    data::{self, Pool, listen::Changes, runtime::Row},
    manager::fake::{Count, FakeEngine, Misery, Moment},
    orchestrator::{Doors, Orchestrator, commands, reconcile::Next},
    platform::keyring::Keyring,
};
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use steps::Wish;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

#[path = "orchestrator/drift.rs"]
mod drift;
#[path = "orchestrator/keys.rs"]
mod keys;
#[path = "orchestrator/lead.rs"]
mod lead;
#[path = "orchestrator/logs.rs"]
mod logs;
#[path = "orchestrator/profiles.rs"]
mod profiles;
#[path = "orchestrator/queue.rs"]
mod queue;
#[path = "orchestrator/refusals.rs"]
mod refusals;
#[path = "orchestrator/rest.rs"]
mod rest;
#[path = "orchestrator/restarts.rs"]
mod restarts;
#[path = "orchestrator/routes.rs"]
mod routes;
#[path = "orchestrator/sleep.rs"]
mod sleep;
#[path = "orchestrator/states.rs"]
mod states;
#[path = "orchestrator/steps.rs"]
mod steps;

#[derive(Default)]
struct CountedDoors(AtomicUsize);

#[async_trait]
impl Doors for CountedDoors {
    async fn open(&self, _gateway: IpAddr) -> server::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct World {
    pool: Pool,
    clock: Arc<HandClock>,
    engine: Arc<FakeEngine>,
    config: Arc<Config>,
    changes: Changes,
    doors: Arc<CountedDoors>,
    ada: Caller,
}

impl World {
    async fn new(pool: Pool) -> Self {
        let clock = HandClock::at(time::macros::datetime!(2026-11-22 12:00 UTC));
        let engine = FakeEngine::well(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut config = Config::for_tests();
        config.runtimes.runtimes_per_person = 1000;
        (config.runtimes.memory_per_person_mib, config.runtimes.disk_per_person_mib) = (Some(1 << 30), Some(1 << 30));
        config.runtimes.cpu_per_person_millis = Some(1 << 30);
        let ada = person(&pool, "ada@example.org", Role::Person).await;
        Self { pool, clock, engine, config: Arc::new(config), changes: Changes::new(), doors: Arc::default(), ada }
    }

    /// A server's orchestrator, freshly started.
    fn server(&self) -> Arc<Orchestrator> {
        self.server_over(self.pool.clone())
    }

    /// The same with another way to the database.
    fn server_over(&self, pool: Pool) -> Arc<Orchestrator> {
        self.server_with(pool, Keyring::of(&[[7; 32]]))
    }

    /// The same with other master keys.
    fn server_with(&self, pool: Pool, keys: Arc<Keyring>) -> Arc<Orchestrator> {
        Arc::new(Orchestrator::new(
            pool,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Arc::clone(&self.engine) as _,
            Arc::clone(&self.config),
            keys,
            Arc::clone(&self.doors) as Arc<dyn Doors>,
            self.changes.clone(),
        ))
    }

    async fn row(&self, id: RuntimeId) -> Option<Row> {
        data::runtime::get(&mut self.pool.acquire().await.unwrap(), id).await.unwrap()
    }

    async fn phase(&self, id: RuntimeId) -> Phase {
        self.row(id).await.map_or(Phase::Deleted, |row| row.phase)
    }

    async fn problem(&self, id: RuntimeId) -> Option<Problem> {
        self.row(id).await.and_then(|row| row.problem).map(|problem| problem.0)
    }

    /// Passes and steps until all is at rest, with the clock moved by hand.
    async fn settle(&self, server: &Orchestrator) {
        for _ in 0..100 {
            let restless = server.pass().await.unwrap();
            if restless.is_empty() {
                return;
            }
            for id in restless {
                self.attend(server, id).await;
            }
        }
        panic!("does not come to rest");
    }

    async fn attend(&self, server: &Orchestrator, id: RuntimeId) {
        for _ in 0..1000 {
            match server.step(id).await.unwrap() {
                Next::Again => {}
                Next::After(time) => self.clock.advance(time.try_into().unwrap()),
                Next::Rest => return,
            }
        }
        panic!("does not come to rest: {:?}", self.row(id).await);
    }

    /// Settles, unless the server dies of it. Whether it died.
    async fn settle_or_die(&self, server: Arc<Orchestrator>) -> bool {
        tokio::select! {
            () = self.settle(&server) => false,
            () = self.engine.died() => true,
        }
    }

    async fn running(&self) -> RuntimeId {
        self.engine.suffer(Misery::default());
        let server = self.server();
        let id = server.create(&self.ada, "Main", None).await.unwrap();
        self.settle(&server).await;
        assert_eq!(self.phase(id).await, Phase::Ready);
        id
    }

    async fn wipe_all(&self) {
        self.engine.suffer(Misery::default());
        let server = self.server();
        for row in data::runtime::all(&mut self.pool.acquire().await.unwrap()).await.unwrap() {
            server.delete(&self.ada, row.runtime_id, Retention::WipeWorkspace).await.unwrap();
        }
        self.settle(&server).await;
    }
}

async fn person(pool: &Pool, email: &str, role: Role) -> Caller {
    let caller = Caller {
        person_id: PersonId(uuid::Uuid::now_v7()),
        session_id: SessionId(uuid::Uuid::now_v7()),
        email: email.to_owned(),
        name: email.split('@').next().unwrap().to_owned(),
        role,
        time_zone: "UTC".to_owned(),
    };
    sqlx::query("insert into person (person_id, email, name, role, password_hash) values ($1, $2, $3, $4, 'none')")
        .bind(caller.person_id.0)
        .bind(&caller.email)
        .bind(&caller.name)
        .bind(role)
        .execute(pool)
        .await
        .unwrap();
    caller
}

fn count(containers: usize, isolations: usize, workspaces: usize) -> Count {
    Count { containers, isolations, configurations: isolations, workspaces }
}

fn code(error: Error) -> Code {
    match error {
        Error::Problem(problem) => problem.code,
        other => panic!("{other:?}"),
    }
}

/// The server dies before and after every effect of every wish; the next one makes it so, and nothing is left over.
#[sqlx::test(migrations = "../migrations")]
async fn a_crash_at_any_effect_ends_as_wished(pool: Pool) {
    let world = World::new(pool).await;
    let mut crashes = 0;
    for wish in Wish::ALL {
        for moment in [Moment::Before, Moment::After] {
            let mut effect = 0;
            loop {
                effect += 1;
                let before = wish.prepare(&world).await;
                world.engine.suffer(Misery { dies_at: Some((effect, moment)), ..Misery::default() });
                let server = wish.server(&world);
                let id = wish.say(&world, &server, before).await;
                let died = world.settle_or_die(server).await;
                world.engine.suffer(Misery::default());

                let place = format!("{wish:?}, dead {moment:?} effect {effect}");
                steps::come_to_end(&world, &wish.server(&world), wish, id, &place).await;
                if let Some(row) = world.row(id).await {
                    assert_eq!(row.attempts, 0, "a crash of ours is not the runtime's failure: {place}");
                    assert_eq!(world.engine.running(id), (row.phase == Phase::Ready).then_some(row.revision), "{place}");
                }
                assert_eq!(world.engine.wrongs(), Vec::<String>::new(), "{place}");
                if matches!(wish, Wish::Keep) {
                    // Found again by the next of that name, and only then wiped.
                    let again = world.running().await;
                    assert_eq!(world.engine.count(), count(1, 1, 1), "{place}");
                    assert_ne!(again, id);
                }
                world.wipe_all().await;
                assert_eq!(world.engine.count(), count(0, 0, 0), "{place}");
                if !died {
                    break;
                }
                crashes += 1;
            }
            // One that does a single thing to the engine dies over it and then lives through it.
            assert!(effect > if matches!(wish, Wish::Sleep | Wish::Thaw) { 1 } else { 2 }, "{wish:?} has effects");
        }
    }
    assert!(crashes >= 70, "{crashes}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stop_during_a_start_wins_at_once(pool: Pool) {
    let world = World::new(pool).await;
    // The first step gives it its turn; from the second on there is something to clear away.
    for steps in 2..9 {
        world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
        let server = world.server();
        let id = server.create(&world.ada, "Main", None).await.unwrap();
        for _ in 0..steps {
            server.step(id).await.unwrap();
        }
        assert!(world.phase(id).await.is_moving());
        let before = world.clock.now();
        server.stop(&world.ada, id).await.unwrap();
        world.attend(&server, id).await;
        assert_eq!(world.phase(id).await, Phase::Stopped, "after {steps} steps");
        assert_eq!(world.clock.now(), before, "nothing was waited for");
        assert_eq!(world.engine.count(), count(0, 0, 1));
        world.wipe_all().await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_dies_is_tried_again_then_given_up_then_startable(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();

    // Dies once, comes back.
    world.engine.end(id, 1);
    assert_eq!(server.pass().await.unwrap(), [id]);
    server.step(id).await.unwrap();
    assert_eq!(world.phase(id).await, Phase::Retrying);
    let problem = world.problem(id).await.unwrap();
    assert!(problem.message.contains("exit code 1"), "{problem:?}");
    assert!(problem.message.contains("bye") && !problem.message.contains("0011223344"), "the log is quoted without keys: {problem:?}");
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Ready, None));

    // Dies at every start.
    world.engine.suffer(Misery { ends_at_start: Some(137), ..Misery::default() });
    world.engine.end(id, 137);
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts), (Phase::Failed, 5));
    let problem = row.problem.unwrap().0;
    assert!(
        problem.message.starts_with("Gave up after 5 tries. OpenClaw ran out of memory (2 GiB). Ask for a larger profile."),
        "{problem:?}"
    );
    assert_eq!(world.engine.count(), count(0, 0, 1));

    // A person decides.
    world.engine.suffer(Misery::default());
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Ready, None));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_never_becomes_ready_is_named(pool: Pool) {
    let world = World::new(pool).await;
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    while world.phase(id).await != Phase::Retrying {
        if let Next::After(_) = server.step(id).await.unwrap() {
            world.clock.advance(time::Duration::seconds(1));
        }
    }
    let message = world.problem(id).await.unwrap().message;
    assert!(message.contains("not ready after 300 s"), "without history the ceiling holds: {message}");
    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
}

#[sqlx::test(migrations = "../migrations")]
async fn missing_image_and_missing_walls_refuse_a_start_with_a_reason(pool: Pool) {
    let world = World::new(pool).await;
    for (misery, word) in
        [(Misery { no_image: true, ..Misery::default() }, "image"), (Misery { no_walls: true, ..Misery::default() }, "rules")]
    {
        world.engine.suffer(misery);
        let server = world.server();
        let id = server.create(&world.ada, "Main", None).await.unwrap();
        world.settle(&server).await;
        assert_eq!(world.phase(id).await, Phase::Failed);
        assert!(world.problem(id).await.unwrap().message.contains(word));
        assert_eq!(world.engine.count().containers, 0);
        assert_eq!(world.engine.count().isolations, 0);
        world.wipe_all().await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_engine_that_is_gone_is_said_and_forgiven(pool: Pool) {
    let world = World::new(pool).await;
    let ready = world.running().await;
    let server = world.server();
    world.engine.suffer(Misery { down: true, ..Misery::default() });
    let id = server.create(&world.ada, "Second", None).await.unwrap();
    assert!(matches!(server.pass().await, Err(Error::Engine { .. })));
    for _ in 0..20 {
        assert!(matches!(server.step(id).await.unwrap(), Next::After(_)));
        server.step(ready).await.unwrap();
    }
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts), (Phase::Pending, 0), "no try is lost");
    assert_eq!(row.problem.unwrap().0.code, Code::Unavailable);
    assert_eq!((world.phase(ready).await, world.problem(ready).await), (Phase::Ready, None));

    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Ready, None));
    assert_eq!(world.engine.count(), count(2, 2, 2));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_persons_runtime_does_not_exist(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let eve = person(&world.pool, "eve@example.org", Role::Person).await;
    assert_eq!(code(server.start(&eve, id).await.unwrap_err()), Code::RuntimeNotFound);
    assert_eq!(code(server.stop(&eve, id).await.unwrap_err()), Code::RuntimeNotFound);
    assert_eq!(code(server.restart(&eve, id).await.unwrap_err()), Code::RuntimeNotFound);
    assert_eq!(code(server.delete(&eve, id, Retention::WipeWorkspace).await.unwrap_err()), Code::RuntimeNotFound);
    assert_eq!(code(server.find(&eve, id).await.unwrap_err()), Code::RuntimeNotFound);
    assert_eq!(code(server.start(&eve, RuntimeId(uuid::Uuid::now_v7())).await.unwrap_err()), Code::RuntimeNotFound);
    assert!(server.pass().await.unwrap().is_empty(), "nothing was wished");

    // An administrator sees it and may start, stop and restart it; only its owner deletes it.
    let root = person(&world.pool, "root@example.org", Role::Administrator).await;
    assert_eq!(server.find(&root, id).await.unwrap().name, "Main");
    assert_eq!(code(server.delete(&root, id, Retention::WipeWorkspace).await.unwrap_err()), Code::AccessDenied);
    server.stop(&root, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Stopped);
    server.start(&root, id).await.unwrap();
    server.restart(&root, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_quota_holds_when_many_are_made_at_once(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = Config::for_tests();
    config.runtimes.runtimes_per_person = 3;
    world.config = Arc::new(config);
    let server = world.server();
    let names: Vec<String> = (0..8).map(|number| format!("Claw {number}")).collect();
    let made = futures::future::join_all(names.iter().map(|name| server.create(&world.ada, name, None))).await;
    let (good, bad): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!(good.len(), 3);
    assert!(bad.into_iter().all(|error| code(error.unwrap_err()) == Code::QuotaExceeded));
}

#[sqlx::test(migrations = "../migrations")]
async fn names_are_ones_own_and_host_names_everybodys(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let eve = person(&world.pool, "eve@example.org", Role::Person).await;
    let first = server.create(&world.ada, "Main", None).await.unwrap();
    assert_eq!(code(server.create(&world.ada, "main", None).await.unwrap_err()), Code::Conflict);
    let second = server.create(&eve, "Main", None).await.unwrap();
    assert_eq!(code(server.create(&eve, " ", None).await.unwrap_err()), Code::Invalid);
    assert_eq!(world.row(first).await.unwrap().host_label, "main");
    assert_eq!(world.row(second).await.unwrap().host_label, "main-2");

    let route = server.address_of("main-2").await.unwrap().unwrap();
    assert_eq!((route.runtime_id, route.phase, route.address), (second, Phase::Pending, None));
    world.settle(&server).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let route = server.address_of("main-2").await.unwrap().unwrap();
    assert!(route.phase == Phase::Ready && route.address.is_some() && route.person_email == "eve@example.org");
    assert!(server.address_of("nobody").await.unwrap().is_none());
}

#[sqlx::test(migrations = "../migrations")]
async fn leftovers_go_and_a_closed_person_stops(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    world.engine.leave_over(RuntimeId(uuid::Uuid::now_v7()));
    assert_eq!(world.engine.count().isolations, 2);
    assert!(server.pass().await.unwrap().is_empty());
    assert_eq!(world.engine.count(), count(1, 1, 1));

    let mut transaction = data::begin(&world.pool).await.unwrap();
    commands::close_person(&mut transaction, world.ada.person_id, world.clock.now()).await.unwrap();
    transaction.commit().await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.count()), (Phase::Stopped, count(0, 0, 1)));
}

#[sqlx::test(migrations = "../migrations")]
async fn wishes_are_idempotent_and_a_restart_renews_the_key(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let before = world.row(id).await.unwrap();
    server.start(&world.ada, id).await.unwrap();
    assert_eq!(world.row(id).await.unwrap().generation, before.generation, "started already");
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.engine.running(id), Some(before.revision + 1));
    let secrets: (i64, i64) = sqlx::query_as(
        "select count(*) filter (where ends_at is null), count(*) from model_key_secret join model_key using (key_id) where runtime_id = $1",
    )
    .bind(id.0)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(secrets, (1, 2), "the key has a new secret, and the old one is over");
    server.stop(&world.ada, id).await.unwrap();
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Stopped);
    assert!(world.doors.0.load(Ordering::Relaxed) > 0);
}

/// The driver itself: wakes by a change and by an engine's event, one server of two leads, and the other takes over.
#[sqlx::test(migrations = "../migrations")]
async fn of_two_servers_one_reconciles_and_the_other_takes_over(pool: Pool) {
    let world = World::new(pool).await;
    let feeding = world.changes.clone();
    let feed = tokio::spawn({
        let pool = world.pool.clone();
        async move { feeding.feed(&pool).await }
    });
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let one = tokio::spawn(world.server().run(first.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let two = tokio::spawn(world.server().run(second.clone()));

    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    until(&world, id, Phase::Ready, Duration::from_secs(10)).await;
    world.engine.end(id, 1);
    until(&world, id, Phase::Retrying, Duration::from_secs(2)).await;
    world.clock.advance(time::Duration::seconds(5));
    until(&world, id, Phase::Ready, Duration::from_secs(10)).await;

    first.cancel();
    one.await.unwrap();
    server.stop(&world.ada, id).await.unwrap();
    until(&world, id, Phase::Stopped, Duration::from_secs(10)).await;
    assert_eq!(world.engine.wrongs(), Vec::<String>::new());
    second.cancel();
    two.await.unwrap();
    feed.abort();
}

/// While everything is looked at, which takes its time where there is much, what happens is acted upon at once.
#[sqlx::test(migrations = "../migrations")]
async fn a_long_look_at_everything_holds_nothing_up(pool: Pool) {
    let world = World::new(pool).await;
    let feeding = world.changes.clone();
    let feed = tokio::spawn({
        let pool = world.pool.clone();
        async move { feeding.feed(&pool).await }
    });
    let id = world.running().await;
    world.engine.suffer(Misery { slow_list: Some(Duration::from_secs(10)), ..Misery::default() });
    let (server, stop) = (world.server(), CancellationToken::new());
    let running = tokio::spawn(Arc::clone(&server).run(stop.clone()));
    let second = server.create(&world.ada, "Second", None).await.unwrap();
    until(&world, second, Phase::Ready, Duration::from_secs(5)).await;
    world.engine.end(id, 1);
    until(&world, id, Phase::Retrying, Duration::from_secs(2)).await;
    server.stop(&world.ada, id).await.unwrap();
    until(&world, id, Phase::Stopped, Duration::from_secs(2)).await;
    stop.cancel();
    running.await.unwrap();
    feed.abort();
}

async fn until(world: &World, id: RuntimeId, wanted: Phase, patience: Duration) {
    let waited = tokio::time::timeout(patience, async {
        while world.phase(id).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    if waited.await.is_err() {
        panic!("not {wanted:?} after {patience:?}: {:?}", world.row(id).await);
    }
}

/// A server comes, leads and stops in order.
async fn serve_for_a_moment(world: &World) {
    let stop = CancellationToken::new();
    let running = tokio::spawn(world.server().run(stop.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.cancel();
    running.await.unwrap();
}
