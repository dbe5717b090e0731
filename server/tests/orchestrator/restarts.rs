//! The machine, or its engine, is restarted under everything that runs: that is nobody's failure.

use super::*;
use contract::SleepDepth;

/// What the audit log says of it, by runtime.
async fn interruptions(world: &World) -> Vec<(String, String)> {
    sqlx::query_as("select subject, detail from audit_entry where action = 'runtime.interrupted' order by subject")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_restart_of_the_machine_ended_starts_again_in_turn_and_failed_at_nothing(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = (*world.config).clone();
    config.runtimes.starts_at_once = Some(1);
    world.config = Arc::new(config);
    let server = world.server();
    let mut ids = Vec::new();
    for name in ["one", "three", "two"] {
        ids.push(server.create(&world.ada, name, None).await.unwrap());
        world.settle(&server).await;
    }
    // One of them failed lately, and runs for less than makes up for it.
    world.engine.end(ids[0], 1);
    world.settle(&server).await;
    assert_eq!(world.row(ids[0]).await.unwrap().attempts, 1);
    drop(server);

    world.engine.restart_machine();
    let server = world.server();
    assert_eq!(server.pass().await.unwrap().len(), 3);
    for id in &ids {
        assert_eq!(server.step(*id).await.unwrap(), Next::Again);
        let (row, problem) = (world.row(*id).await.unwrap(), world.problem(*id).await.unwrap());
        assert_eq!((row.phase, row.admitted_at, row.retry_at), (Phase::Pending, None, None), "its memory is free until its turn");
        assert_eq!(problem.code, Code::RuntimeInterrupted);
        assert!(problem.message.starts_with("This machine was restarted"), "{problem:?}");
    }
    // One boots; the others wait their turn, and are told why.
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    for id in &ids {
        while !matches!(world.phase(*id).await, Phase::Queued | Phase::Waiting | Phase::Ready) {
            server.step(*id).await.unwrap();
        }
    }
    let phases = futures::future::join_all(ids.iter().map(|id| world.phase(*id))).await;
    assert_eq!(phases.iter().filter(|phase| **phase == Phase::Queued).count(), 2, "{phases:?}");
    assert_eq!(world.problem(ids[2]).await.unwrap().code, Code::RuntimeInterrupted);
    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    for (id, attempts) in ids.iter().zip([1, 0, 0]) {
        let row = world.row(*id).await.unwrap();
        assert_eq!((row.phase, row.problem.is_none(), row.attempts), (Phase::Ready, true, attempts), "{}", row.name);
    }
    let restarts: Vec<i64> = sqlx::query_scalar("select restarts from runtime order by name").fetch_all(&world.pool).await.unwrap();
    assert_eq!(restarts, [1, 0, 0], "a crash is one, the machine's restart is none");
    let told = "this machine was restarted";
    assert_eq!(interruptions(&world).await, ["one", "three", "two"].map(|name| (name.to_owned(), told.to_owned())));

    // From here on what ends, ends by itself.
    world.engine.end(ids[1], 1);
    world.settle(&server).await;
    assert_eq!(world.row(ids[1]).await.unwrap().attempts, 1);
    assert_eq!(interruptions(&world).await.len(), 3);
}

/// A machine that goes down in order ends containers while the server still looks on: what looks like a crash was the beginning of the restart.
#[sqlx::test(migrations = "../migrations")]
async fn what_ended_on_the_way_down_failed_at_nothing(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    type Restart = fn(&FakeEngine);
    let restarts: [(Restart, &str); 2] = [
        (FakeEngine::restart_machine, "this machine was restarted"),
        (|engine| engine.restart_engine(true), "the container engine was restarted"),
    ];
    for (restart, told) in restarts {
        for steps in 1..4 {
            let server = world.server();
            world.engine.end(id, 143);
            for _ in 0..steps {
                server.step(id).await.unwrap();
            }
            let row = world.row(id).await.unwrap();
            assert_eq!((row.phase, row.attempts), (Phase::Retrying, 1), "after {steps} steps");
            restart(&world.engine);
            world.settle(&world.server()).await;
            let row = world.row(id).await.unwrap();
            assert_eq!((row.phase, row.attempts, row.problem.is_none()), (Phase::Ready, 0, true), "after {steps} steps");
        }
        assert_eq!(interruptions(&world).await.iter().filter(|(_, detail)| detail == told).count(), 3);
    }

    // Forgiven once for each restart: what cannot start in this life is given up as ever.
    world.engine.suffer(Misery { no_start: true, ..Misery::default() });
    world.engine.end(id, 143);
    world.server().step(id).await.unwrap();
    world.engine.restart_machine();
    world.settle(&world.server()).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts), (Phase::Failed, 5));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_container_that_ends_at_every_start_is_given_up_whatever_was_restarted(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    world.engine.suffer(Misery { ends_at_start: Some(1), ..Misery::default() });
    world.engine.restart_machine();
    world.settle(&world.server()).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts), (Phase::Failed, 5));
    assert_eq!(interruptions(&world).await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_engine_that_is_restarted_is_told_from_a_machine_and_what_lives_through_it_runs_on(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let before = world.row(id).await.unwrap();

    // It restored what ran.
    world.engine.restart_engine(false);
    world.attend(&server, id).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.phase_since, row.revision), (Phase::Ready, before.phase_since, before.revision));
    assert_ne!(row.ran_in, before.ran_in);
    // So what ends now did so by itself.
    world.engine.end(id, 1);
    world.settle(&server).await;
    assert_eq!((world.row(id).await.unwrap().attempts, interruptions(&world).await.len()), (1, 0));

    world.engine.restart_engine(true);
    server.step(id).await.unwrap();
    assert!(world.problem(id).await.unwrap().message.starts_with("The container engine was restarted"));
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.row(id).await.unwrap().attempts), (Phase::Ready, 1));
    assert_eq!(interruptions(&world).await, [("Main".to_owned(), "the container engine was restarted".to_owned())]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_sleeps_or_is_asked_to_stop_is_not_started_by_a_restart(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server, claw) = sleep::idle(&world).await;
    world.settle(&server).await;
    assert!(world.engine.is_frozen(id));
    world.engine.restart_machine();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.sleep_depth, row.attempts), (Phase::Asleep, Some(SleepDepth::Stopped), 0));
    assert_eq!(world.engine.count(), count(0, 0, 1));
    server.wake(&[id]).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
    drop(claw);

    server.stop(&world.ada, id).await.unwrap();
    world.engine.restart_machine();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Stopped, None));
    assert_eq!(interruptions(&world).await.len(), 0);
}

/// A wish that comes between a look and its note: the restart is told under that wish, and not taken for told already.
#[sqlx::test(migrations = "../migrations")]
async fn a_restart_is_not_forgotten_over_a_wish_that_crosses_it(pool: Pool) {
    use server::{
        data::runtime::Noted,
        manager::epoch::Restarted,
        orchestrator::store::{Store as _, Written, postgres::Postgres},
    };
    let world = World::new(pool).await;
    let (id, store) = (world.running().await, Postgres::new(world.pool.clone()));
    let (server, seen) = (world.server(), world.row(id).await.unwrap());
    server.restart(&world.ada, id).await.unwrap();
    let noted = Noted { phase: Phase::Pending, problem: None, attempts: 0, retry_at: None, holds: false };
    assert_eq!(store.interrupt(&seen, &noted, Restarted::Machine, world.clock.now()).await.unwrap(), Written::Moved);
    assert_eq!(interruptions(&world).await, []);
    world.settle(&server).await;
    let seen = world.row(id).await.unwrap();
    assert_eq!(store.interrupt(&seen, &noted, Restarted::Machine, world.clock.now()).await.unwrap(), Written::Done);
    assert_eq!(interruptions(&world).await.len(), 1);
}
