//! What a hand at the engine changed: put back while it runs where that goes, made anew where walls were weakened, said where it waits for a start.

use super::*;
use server::manager::fake::Meddled;

/// What the audit log says of repairs.
async fn repairs(world: &World) -> Vec<(String, String)> {
    sqlx::query_as("select actor, detail from audit_entry where action = 'runtime.repaired' order by audit_entry_id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn limits_changed_by_hand_are_put_back_while_it_runs(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let (before, right) = (world.row(id).await.unwrap(), world.engine.limits(id).unwrap());
    let mut limits = right;
    limits.memory_bytes *= 2;
    world.engine.meddle(id, Meddled { limits: Some(limits), ..Meddled::default() });
    world.attend(&server, id).await;
    assert_eq!(world.engine.limits(id), Some(right));
    world.attend(&server, id).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts, row.phase_since), (Phase::Ready, 0, before.phase_since), "it ran on");
    assert_eq!(world.engine.running(id), Some(before.revision));
    assert_eq!(row.changed, None);
    let told = repairs(&world).await;
    assert_eq!(told, [("ClawLoops".to_owned(), "memory was 4096 MiB in place of 2048 MiB".to_owned())], "once");

    // The second time is a second line.
    world.engine.meddle(id, Meddled { limits: Some(limits), ..Meddled::default() });
    world.attend(&server, id).await;
    assert_eq!((repairs(&world).await.len(), world.engine.limits(id)), (2, Some(right)));
}

#[sqlx::test(migrations = "../migrations")]
async fn weakened_walls_end_a_container_at_once_and_it_is_made_anew(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    world.engine.meddle(id, Meddled { breaches: vec!["it is in the network bridge".to_owned()], ..Meddled::default() });
    assert_eq!(server.pass().await.unwrap(), [id], "a list shows it");
    let before = world.clock.now();
    while world.engine.running(id).is_some() {
        assert_eq!(server.step(id).await.unwrap(), Next::Again);
    }
    assert_eq!(world.clock.now(), before, "nothing was waited for");
    let problem = world.problem(id).await.unwrap();
    assert!(problem.message.contains("by hand: it is in the network bridge"), "{problem:?}");
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.changed.clone(), world.engine.running(id)), (Phase::Ready, None, Some(row.revision)));
    assert_eq!(repairs(&world).await, [("ClawLoops".to_owned(), "it is in the network bridge".to_owned())]);
    assert_eq!(world.engine.count(), count(1, 1, 1), "the workspace is the same");

    // An engine whose containers are never as they should be is given up, not fought.
    for _ in 0..4 {
        world.engine.meddle(id, Meddled { breaches: vec!["it is privileged".to_owned()], ..Meddled::default() });
        world.settle(&server).await;
    }
    assert_eq!((world.phase(id).await, world.engine.running(id)), (Phase::Failed, None));
    assert!(world.problem(id).await.unwrap().message.starts_with("Gave up after 5 tries. Somebody changed"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_newer_image_waits_for_the_next_start_and_is_said(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    assert_eq!(world.row(id).await.unwrap().restart_brings, None);
    world.engine.renew_image("second");
    world.attend(&server, id).await;
    let row = world.row(id).await.unwrap();
    assert!(row.restart_brings.unwrap().starts_with("a newer build of the image "));
    assert_eq!((row.phase, world.engine.running(id)), (Phase::Ready, Some(row.revision)), "it runs on");
    assert_eq!(repairs(&world).await, [], "nobody's hand");
    server.restart(&world.ada, id).await.unwrap();
    assert_eq!(world.row(id).await.unwrap().restart_brings, None);
}

/// A list shows no limits: the driver looks closely at each ready runtime by and by, whether the engine tells or not.
#[sqlx::test(migrations = "../migrations")]
async fn the_driver_finds_by_itself_what_no_event_told(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let right = world.engine.limits(id).unwrap();
    world.engine.meddle(id, Meddled { limits: Some(server::runtime::spec::Limits { pids: 0, ..right }), ..Meddled::default() });
    // Its event went by before anybody listened.
    serve_for_a_moment(&world).await;
    assert_eq!(world.engine.limits(id), Some(right));
    assert_eq!(repairs(&world).await.len(), 1);
}
