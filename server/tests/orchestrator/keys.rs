//! The key of a runtime: in its configuration, rotated while it runs, dead while it is stopped.

use super::*;
use server::{
    manager::Engine as _,
    model::{Service, key_text, keys},
    platform::audit::Actor,
};

/// The model service beside the orchestrator, on the same database and clock.
fn door(world: &World) -> Arc<Service> {
    Service::new(
        world.pool.clone(),
        Arc::clone(&world.clock) as Arc<dyn Clock>,
        Arc::clone(&world.config),
        Keyring::of(&[[7; 32]]),
        Changes::new(),
    )
    .unwrap()
}

/// The key that stands in the runtime's configuration.
async fn written(world: &World, id: RuntimeId) -> String {
    let text = world.engine.look(id).await.unwrap().configuration.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["models"]["providers"]["clawloops"]["apiKey"].as_str().unwrap().to_owned()
}

/// Whether it opens the door, or why not.
async fn opens(door: &Service, key: &str) -> Result<(), String> {
    let sent = key_text::parse(key).map_err(|no| format!("{no:?}"))?;
    keys::prove(door, &sent).await.map(drop).map_err(|error| error.into_problem().message)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_is_rotated_without_a_restart_and_the_old_one_works_on_for_its_overlap(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let (server, door) = (world.server(), door(&world));
    let before = world.engine.look(id).await.unwrap().container;
    let first = written(&world, id).await;
    assert_eq!(opens(&door, &first).await, Ok(()));

    server.rotate_key(&world.ada, id, time::Duration::minutes(5)).await.unwrap();
    assert_eq!(written(&world, id).await, first, "nobody looked yet, and nothing fails meanwhile");
    assert_eq!(opens(&door, &first).await, Ok(()));
    world.settle(&server).await;
    let second = written(&world, id).await;
    assert_ne!(second, first);
    assert_eq!((opens(&door, &first).await, opens(&door, &second).await), (Ok(()), Ok(())));
    assert_eq!(world.engine.look(id).await.unwrap().container, before, "the same container runs on");
    assert_eq!(world.phase(id).await, Phase::Ready);
    assert_eq!(server.pass().await.unwrap(), [], "and all is as it should be");

    world.clock.advance(time::Duration::minutes(5));
    assert!(opens(&door, &first).await.is_err_and(|why| why.contains("replaced")));
    assert_eq!(opens(&door, &second).await, Ok(()));

    // At once: a key that leaked opens nothing from this moment on.
    server.rotate_key(&world.ada, id, time::Duration::ZERO).await.unwrap();
    assert!(opens(&door, &second).await.is_err());
    world.settle(&server).await;
    let third = written(&world, id).await;
    assert_eq!(opens(&door, &third).await, Ok(()));

    // Stopped, it opens nothing; a new container has a new one, and those of before stay dead.
    server.stop(&world.ada, id).await.unwrap();
    assert!(opens(&door, &third).await.is_err_and(|why| why.contains("stopped")), "before anybody has looked");
    world.settle(&server).await;
    assert!(opens(&door, &third).await.is_err());
    let problem = server.rotate_key(&world.ada, id, time::Duration::ZERO).await.unwrap_err().into_problem();
    assert_eq!(problem.code, Code::RuntimeConflict);
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    let fourth = written(&world, id).await;
    assert_eq!(opens(&door, &fourth).await, Ok(()));
    for key in [&first, &second, &third] {
        assert!(opens(&door, key).await.is_err());
    }
    let audit: Vec<(String,)> =
        sqlx::query_as("select action from audit_entry where action = 'runtime.key_rotated'").fetch_all(&world.pool).await.unwrap();
    assert_eq!(audit.len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_is_rotated_by_its_owner_and_by_administrators(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let eve = person(&world.pool, "eve@example.org", Role::Person).await;
    let mira = person(&world.pool, "mira@example.org", Role::Administrator).await;
    let code = async |caller: &Caller, overlap| server.rotate_key(caller, id, overlap).await.map_err(|error| error.into_problem().code);
    assert_eq!(code(&eve, time::Duration::ZERO).await, Err(Code::RuntimeNotFound));
    assert_eq!(code(&world.ada, time::Duration::days(2)).await, Err(Code::Invalid));
    assert_eq!(code(&world.ada, time::Duration::seconds(-1)).await, Err(Code::Invalid));
    assert_eq!(world.row(id).await.unwrap().key_number, 0);
    assert_eq!(code(&mira, time::Duration::HOUR).await, Ok(()));
    assert_eq!(world.row(id).await.unwrap().key_number, 1);
}

/// The server dies before and after it writes the configuration: whoever comes after it finds a key in the configuration that opens the door.
#[sqlx::test(migrations = "../migrations")]
async fn what_stands_in_the_configuration_is_good_whenever_a_server_dies(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let door = door(&world);
    for moment in [Moment::Before, Moment::After] {
        world.engine.suffer(Misery { dies_at: Some((1, moment)), ..Misery::default() });
        let server = world.server();
        server.rotate_key(&world.ada, id, time::Duration::minutes(5)).await.unwrap();
        assert!(world.settle_or_die(server).await);
        assert_eq!(opens(&door, &written(&world, id).await).await, Ok(()));
        world.engine.suffer(Misery::default());
        world.settle(&world.server()).await;
        world.clock.advance(time::Duration::minutes(5));
        assert_eq!(opens(&door, &written(&world, id).await).await, Ok(()), "the newest");
    }
}

/// A key that is rotated between a look and a deed is not overwritten by the one before it.
#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_is_old_gives_no_key(pool: Pool) {
    use server::orchestrator::store::{RuntimeKey, Store as _, Written, postgres::Postgres};
    let world = World::new(pool).await;
    let id = world.running().await;
    let (server, door, store) = (world.server(), door(&world), Postgres::new(world.pool.clone()));
    let old = world.row(id).await.unwrap();
    server.rotate_key(&world.ada, id, time::Duration::ZERO).await.unwrap();
    let key = RuntimeKey { public_id: "00112233445566778899", secret_hash: [3; 32] };
    let now = world.clock.now();
    assert_eq!(store.give_key(&old, &key, now).await.unwrap(), Written::Moved);
    assert_eq!(store.rotate_key(Actor::Person(&world.ada), &old, &key, "another", now, now).await.unwrap(), Written::Moved);
    world.settle(&server).await;
    assert_eq!(opens(&door, &written(&world, id).await).await, Ok(()));
}

/// The master key is rotated: keys of runtimes follow, and nothing is restarted.
#[sqlx::test(migrations = "../migrations")]
async fn runtimes_follow_the_master_key_while_they_run(pool: Pool) {
    let world = World::new(pool).await;
    let old = Keyring::of(&[[7; 32]]);
    old.join(&world.pool).await.unwrap();
    let id = world.running().await;
    let stopped = world.server().create(&world.ada, "Stopped", None).await.unwrap();
    world.settle(&world.server()).await;
    world.server().stop(&world.ada, stopped).await.unwrap();
    world.settle(&world.server()).await;
    let door = door(&world);
    let (first, before) = (written(&world, id).await, world.engine.look(id).await.unwrap().container);
    old.leave(&world.pool).await.unwrap();

    let keys = Keyring::of(&[[8; 32], [7; 32]]);
    keys.join(&world.pool).await.unwrap();
    assert!(keys.look(&world.pool).await.unwrap());
    let server = world.server_with(world.pool.clone(), keys);
    assert_eq!(server.pass().await.unwrap(), [], "until they follow, all is as it was");
    assert_eq!(server.follow_master_key().await.unwrap(), 2);
    assert_eq!(server.follow_master_key().await.unwrap(), 0);
    assert_eq!(opens(&door, &first).await, Ok(()), "OpenClaw has not read the new one");
    world.settle(&server).await;
    let second = written(&world, id).await;
    assert_ne!(second, first);
    assert_eq!((opens(&door, &first).await, opens(&door, &second).await), (Ok(()), Ok(())));
    assert_eq!(world.engine.look(id).await.unwrap().container, before, "the same container runs on");
    let audit: Vec<(String, String)> =
        sqlx::query_as("select actor, action from audit_entry where action in ('runtime.key_rotated', 'runtime.repaired')")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(audit, [("ClawLoops".to_owned(), "runtime.key_rotated".to_owned())], "the one that is stopped has no key to be rotated");

    // The old key is gone, and nothing misses it.
    let server = world.server_with(world.pool.clone(), Keyring::of(&[[8; 32]]));
    world.settle(&server).await;
    assert_eq!(written(&world, id).await, second);
    server.start(&world.ada, stopped).await.unwrap();
    world.settle(&server).await;
    assert_eq!(opens(&door, &written(&world, stopped).await).await, Ok(()));
    world.clock.advance(time::Duration::DAY);
    assert!(opens(&door, &first).await.is_err());
}

/// The old master key was lost, or a server does not have the new one: what runs is left alone, and follows when the present key is here.
#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_whose_master_key_is_not_here_runs_on_and_follows(pool: Pool) {
    let world = World::new(pool).await;
    let old = Keyring::of(&[[7; 32]]);
    old.join(&world.pool).await.unwrap();
    let id = world.running().await;
    let (door, first) = (door(&world), written(&world, id).await);
    let behind = world.server_with(world.pool.clone(), Keyring::of(&[[9; 32]]));
    behind.step(id).await.unwrap();
    let problem = world.problem(id).await.unwrap();
    assert!(problem.message.contains("does not have the master key"), "{problem:?}");
    assert_eq!(world.phase(id).await, Phase::Ready);
    assert_eq!((opens(&door, &first).await, written(&world, id).await), (Ok(()), first.clone()));
    assert_eq!(behind.follow_master_key().await.unwrap(), 1);
    world.settle(&behind).await;
    let second = written(&world, id).await;
    assert_ne!(second, first);
    assert_eq!(opens(&door, &second).await, Ok(()));
    assert_eq!(world.problem(id).await, None);
}
