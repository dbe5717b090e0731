//! The start queue and the tasks, over PostgreSQL.

use super::*;
use contract::{TaskKind, TaskStatus};
use server::manager::Capacity;

async fn tasks(world: &World, id: RuntimeId) -> Vec<(TaskKind, TaskStatus, String)> {
    let tasks = data::task::of_runtime(&mut world.pool.acquire().await.unwrap(), id, 50).await.unwrap();
    tasks.into_iter().rev().map(|task| (task.kind, task.status, task.message)).collect()
}

/// Memory is never promised twice: whoever does not fit waits, in order, and gets a turn when somebody stops.
#[sqlx::test(migrations = "../migrations")]
async fn memory_is_given_once_and_in_order(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = Config::for_tests();
    (config.runtimes.runtimes_per_person, config.runtimes.memory_budget_mib) = (10, Some(5 * 1024));
    world.config = Arc::new(config);
    let server = world.server();
    let mut ids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        ids.push(server.create(&world.ada, name, None).await.unwrap());
        for _ in 0..12 {
            if let Next::After(time) = server.step(*ids.last().unwrap()).await.unwrap() {
                world.clock.advance(time.try_into().unwrap());
            }
        }
    }
    let phases = async || futures::future::join_all(ids.iter().map(|id| world.phase(*id))).await;
    assert_eq!(phases().await, [Phase::Ready, Phase::Ready, Phase::Queued, Phase::Queued], "2 GiB each of 5");
    assert_eq!(data::queue::waiting(&mut world.pool.acquire().await.unwrap()).await.unwrap().runtime_ids, ids[2..]);
    assert_eq!(tasks(&world, ids[3]).await, [(TaskKind::Create, TaskStatus::Accepted, String::new())]);
    assert_eq!(server.pass().await.unwrap(), ids[2..3], "whoever waits behind others has nothing to do");

    // Whoever came later does not get by.
    server.stop(&world.ada, ids[0]).await.unwrap();
    world.attend(&server, ids[0]).await;
    assert_eq!(server.step(ids[3]).await.unwrap(), Next::After(Duration::from_secs(1)));
    world.attend(&server, ids[2]).await;
    assert_eq!(phases().await, [Phase::Stopped, Phase::Ready, Phase::Ready, Phase::Queued]);

    // One that is given up while it waits holds nobody up.
    let last = server.create(&world.ada, "five", None).await.unwrap();
    assert_eq!(server.step(last).await.unwrap(), Next::After(Duration::from_secs(1)));
    let row = world.row(ids[3]).await.unwrap();
    let problem = Problem::new(Code::RuntimeStartFailed, "Gave up.");
    let failed = data::runtime::Noted { phase: Phase::Failed, problem: Some(&problem), attempts: 5, retry_at: None, holds: false };
    let mut connection = world.pool.acquire().await.unwrap();
    data::runtime::note(&mut connection, ids[3], row.generation, &failed, world.clock.now()).await.unwrap();
    assert_eq!(data::queue::waiting(&mut connection).await.unwrap().runtime_ids, [last]);
    drop(connection);
    server.stop(&world.ada, last).await.unwrap();
    world.attend(&server, last).await;
    server.start(&world.ada, ids[3]).await.unwrap();
    assert_eq!(server.step(ids[3]).await.unwrap(), Next::After(Duration::from_secs(1)));

    // One that no longer wants to run leaves the queue, and wins at once.
    server.stop(&world.ada, ids[3]).await.unwrap();
    world.attend(&server, ids[3]).await;
    assert_eq!(phases().await, [Phase::Stopped, Phase::Ready, Phase::Ready, Phase::Stopped]);
    assert_eq!(data::queue::waiting(&mut world.pool.acquire().await.unwrap()).await.unwrap().runtime_ids, []);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_wants_more_than_there_is_is_told_so(pool: Pool) {
    let world = World::new(pool).await;
    world.engine.resize(Capacity { memory_bytes: 3 << 30, cores: 1 });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Failed);
    let message = world.problem(id).await.unwrap().message;
    assert!(message.contains("wants 2.0 GiB") && message.contains("gives 1.5 GiB"), "{message}");
    assert_eq!(tasks(&world, id).await, [(TaskKind::Create, TaskStatus::Failed, message)]);
    assert_eq!(world.engine.count(), count(0, 0, 0));
}

/// No more starts at once than the machine has cores.
#[sqlx::test(migrations = "../migrations")]
async fn starts_take_turns(pool: Pool) {
    let world = World::new(pool).await;
    world.engine.resize(Capacity { memory_bytes: 1 << 40, cores: 1 });
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    let server = world.server();
    let (one, two) = (server.create(&world.ada, "One", None).await.unwrap(), server.create(&world.ada, "Two", None).await.unwrap());
    for _ in 0..8 {
        server.step(one).await.unwrap();
        server.step(two).await.unwrap();
    }
    assert_eq!((world.phase(one).await, world.phase(two).await), (Phase::Waiting, Phase::Queued));
    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    assert_eq!((world.phase(one).await, world.phase(two).await), (Phase::Ready, Phase::Ready));
}

/// Eight that share a core boot eight times as slowly, and none is ended for that.
#[sqlx::test(migrations = "../migrations")]
async fn who_boots_in_a_crowd_is_given_the_time_for_it(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = (*world.config).clone();
    config.runtimes.starts_at_once = Some(8);
    world.config = Arc::new(config);
    world.engine.resize(Capacity { memory_bytes: 1 << 40, cores: 1 });
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    while world.phase(id).await != Phase::Waiting {
        server.step(id).await.unwrap();
    }
    world.clock.advance(time::Duration::seconds(8 * 60 - 5));
    server.step(id).await.unwrap();
    assert_eq!(world.phase(id).await, Phase::Waiting);
    world.clock.advance(time::Duration::seconds(8 * 60));
    server.step(id).await.unwrap();
    assert_eq!(world.phase(id).await, Phase::Retrying);
}

/// Each wish is a task with an end of its own, and a newer one says that it took an older one's place.
#[sqlx::test(migrations = "../migrations")]
async fn every_wish_is_followed_to_its_end(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    server.step(id).await.unwrap();
    server.step(id).await.unwrap();
    assert_eq!(tasks(&world, id).await, [(TaskKind::Create, TaskStatus::Running, String::new())]);
    server.stop(&world.ada, id).await.unwrap();
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    server.start(&world.ada, id).await.unwrap();
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    // What happens to a runtime later is no longer the task's.
    world.engine.end(id, 1);
    world.settle(&server).await;
    server.restart(&world.ada, id).await.unwrap();
    server.delete(&world.ada, id, Retention::WipeWorkspace).await.unwrap();
    world.settle(&server).await;
    let superseded = |by: &str| format!("Superseded by a newer wish: {by}.");
    assert_eq!(
        tasks(&world, id).await,
        [
            (TaskKind::Create, TaskStatus::Superseded, superseded("stop")),
            (TaskKind::Stop, TaskStatus::Succeeded, String::new()),
            (TaskKind::Start, TaskStatus::Succeeded, String::new()),
            (TaskKind::Restart, TaskStatus::Superseded, superseded("delete")),
            (TaskKind::Delete, TaskStatus::Succeeded, String::new()),
        ]
    );

    // Ended tasks of long ago are forgotten with the next wish, others stay.
    let next = server.create(&world.ada, "Next", None).await.unwrap();
    world.settle(&server).await;
    let aged =
        "update task set created_at = created_at - interval '91 days', ended_at = ended_at - interval '91 days' where runtime_id = $1";
    sqlx::query(aged).bind(id.0).execute(&world.pool).await.unwrap();
    server.stop(&world.ada, next).await.unwrap();
    assert_eq!(tasks(&world, id).await, []);
    assert_eq!(tasks(&world, next).await.len(), 2);
}

/// A workspace whose wiping was said to be done and was not is wiped by the next pass; nobody else's is.
#[sqlx::test(migrations = "../migrations")]
async fn a_workspace_that_was_to_be_wiped_does_not_stay(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let volume = world.row(id).await.unwrap().volume;
    server.delete(&world.ada, id, Retention::WipeWorkspace).await.unwrap();
    world.settle(&server).await;
    let kept = world.running().await;
    server.delete(&world.ada, kept, Retention::PreserveWorkspace).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.engine.count(), count(0, 0, 1));
    server::manager::Engine::keep_workspace(&*world.engine, &volume).await.unwrap();
    assert_eq!(world.engine.count(), count(0, 0, 2));
    world.settle(&server).await;
    assert_eq!(world.engine.count(), count(0, 0, 1));
}
