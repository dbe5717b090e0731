//! What is refused, and what a refusal leaves behind: people who were just disabled, an engine that says no, steps that are tried again.

use super::*;
use contract::{PersonStatus, StartStep};
use server::data::runtime::Step;

/// Wishes cross with a disabling that is not committed yet: they wait for it, and then wish nothing.
#[sqlx::test(migrations = "../migrations")]
async fn who_is_disabled_in_the_same_moment_starts_nothing(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;

    let mut disabling = data::begin(&world.pool).await.unwrap();
    data::person::lock(&mut disabling, world.ada.person_id).await.unwrap();
    data::person::set_status(&mut disabling, world.ada.person_id, PersonStatus::Disabled).await.unwrap();
    commands::close_person(&mut disabling, world.ada.person_id, world.clock.now()).await.unwrap();
    let (start, restart, create, ()) =
        tokio::join!(server.start(&world.ada, id), server.restart(&world.ada, id), server.create(&world.ada, "Second", None), async {
            // All three have asked the database by then; sooner or later, the answer is the same.
            tokio::time::sleep(Duration::from_millis(300)).await;
            disabling.commit().await.unwrap();
        },);
    for refused in [start, restart, create.map(drop)] {
        assert_eq!(code(refused.unwrap_err()), Code::PersonDisabled);
    }
    assert_eq!(world.row(id).await.unwrap().desired_state, DesiredState::Stopped);
    let rows = data::runtime::all(&mut world.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(rows.len(), 1, "nothing was made");
    world.settle(&server).await;
    assert_eq!(world.engine.count(), count(0, 0, 1));
}

/// An engine that says no is not asked again at once: one refusal is one try, and the container that would not start is gone meanwhile.
#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_costs_one_try_and_is_waited_out(pool: Pool) {
    let world = World::new(pool).await;
    world.engine.suffer(Misery { no_start: true, ..Misery::default() });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    let mut waited = 0;
    for _ in 0..30 {
        // The clock stands still, so only what is done at once is done.
        if let Next::After(time) = server.step(id).await.unwrap() {
            assert!(time >= Duration::from_millis(100), "{time:?}");
            waited += 1;
        }
    }
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts), (Phase::Retrying, 1), "{:?}", row.problem);
    assert!(row.problem.unwrap().0.message.contains("refused"));
    assert_eq!(world.engine.count().containers, 0, "made anew after the wait");
    assert!(waited > 20, "waited {waited} times of 30");

    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Ready, None));
}

/// What the engine refuses is looked at again after a pause, whatever was being done.
#[sqlx::test(migrations = "../migrations")]
async fn the_step_after_a_refusal_comes_after_a_pause(pool: Pool) {
    let world = World::new(pool).await;
    world.engine.suffer(Misery { no_walls: true, ..Misery::default() });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    assert_eq!(server.step(id).await.unwrap(), Next::Again, "its turn is given at once");
    assert_eq!(server.step(id).await.unwrap(), Next::After(Duration::from_secs(1)));
    assert_eq!(world.row(id).await.unwrap().attempts, 1);
}

async fn steps(world: &World, id: RuntimeId) -> Vec<(StartStep, Duration, bool)> {
    let since = world.row(id).await.unwrap().wished_at;
    let steps = data::runtime::steps(&mut world.pool.acquire().await.unwrap(), &[id]).await.unwrap();
    let mut steps: Vec<_> = steps
        .into_iter()
        .map(|Step { step, began_at, ended_at, .. }| (step, Duration::try_from(began_at - since).unwrap(), ended_at.is_some()))
        .collect();
    steps.sort_by_key(|(_, began, _)| *began);
    steps
}

/// The steps that a page shows: of the present try, and one that was cut off goes on from when it began.
#[sqlx::test(migrations = "../migrations")]
async fn a_step_that_is_tried_again_begins_anew_and_one_that_was_cut_off_goes_on(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    let generation = world.row(id).await.unwrap().generation;
    let begin = async |step, at: i64| {
        let now = world.row(id).await.unwrap().wished_at + time::Duration::seconds(at);
        let mut connection = world.pool.acquire().await.unwrap();
        data::runtime::begin_step(&mut connection, id, generation, step, now).await.unwrap();
    };
    let at = Duration::from_secs;
    for (step, second) in [(StartStep::Place, 1), (StartStep::Create, 2), (StartStep::Start, 3), (StartStep::Wait, 4)] {
        begin(step, second).await;
    }
    // The server was killed while it waited, and waits again: since when it began to.
    begin(StartStep::Wait, 9).await;
    let whole = [(StartStep::Place, at(1), true), (StartStep::Create, at(2), true), (StartStep::Start, at(3), true)];
    assert_eq!(steps(&world, id).await, [&whole[..], &[(StartStep::Wait, at(4), false)]].concat());

    // The next try makes a new container in the same place.
    begin(StartStep::Create, 10).await;
    assert_eq!(steps(&world, id).await, [(StartStep::Place, at(1), true), (StartStep::Create, at(10), false)]);
    begin(StartStep::Start, 11).await;
    assert_eq!(
        steps(&world, id).await,
        [(StartStep::Place, at(1), true), (StartStep::Create, at(10), true), (StartStep::Start, at(11), false)]
    );

    // A new place is a new beginning; a step of an earlier wish is none.
    begin(StartStep::Place, 20).await;
    assert_eq!(steps(&world, id).await, [(StartStep::Place, at(20), false)]);
    server.restart(&world.ada, id).await.unwrap();
    begin(StartStep::Create, 30).await;
    assert_eq!(steps(&world, id).await.iter().filter(|(step, ..)| *step == StartStep::Create).count(), 0);
}

/// The host's firewall is left as it was found where no runtime is left, and only there.
#[sqlx::test(migrations = "../migrations")]
async fn walls_stand_as_long_as_a_runtime_does(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    assert!(world.engine.has_walls());
    serve_for_a_moment(&world).await;
    assert!(world.engine.has_walls(), "the runtime runs on without a server");

    // An engine that does not say what is left leaves them standing too.
    world.engine.suffer(Misery { down: true, ..Misery::default() });
    serve_for_a_moment(&world).await;
    world.engine.suffer(Misery::default());
    assert!(world.engine.has_walls());

    let server = world.server();
    server.delete(&world.ada, id, Retention::PreserveWorkspace).await.unwrap();
    world.settle(&server).await;
    assert!(world.engine.has_walls(), "lifted at the end, not in between");
    serve_for_a_moment(&world).await;
    assert!(!world.engine.has_walls());
}
