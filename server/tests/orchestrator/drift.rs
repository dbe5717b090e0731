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

#[sqlx::test(migrations = "../migrations")]
async fn a_configuration_edited_by_hand_is_written_anew_and_our_own_changes_are_nobodys_hand(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let right = world.engine.configuration(id).unwrap();
    for (time, (hand, words)) in
        [(Some("{}"), "its configuration was edited"), (None, "its configuration was removed")].into_iter().enumerate()
    {
        world.engine.edit(id, hand);
        assert_eq!(server.pass().await.unwrap(), [id], "a list shows it");
        world.attend(&server, id).await;
        assert_eq!(world.engine.configuration(id).as_ref(), Some(&right));
        world.attend(&server, id).await;
        let told = repairs(&world).await;
        assert_eq!((told.len(), told[time].1.as_str()), (time + 1, words), "once");
    }
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.changed, row.attempts), (Phase::Ready, None, 0), "it ran on");

    // A new model in the catalog is ours, also where the server died after it wrote and before it noted that.
    let model = "insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price, output_price,
                                    published)
                 select gen_random_uuid(), provider_id, $1, $1, 1000, 100, 0, 0, 0, true from provider";
    for name in ["second", "third", "fourth"] {
        sqlx::query(model).bind(name).execute(&world.pool).await.unwrap();
        if name == "third" {
            world.engine.suffer(Misery { dies_at: Some((1, Moment::After)), ..Misery::default() });
            assert!(world.settle_or_die(world.server()).await);
            world.engine.suffer(Misery::default());
            continue;
        }
        world.settle(&world.server()).await;
        assert!(world.engine.configuration(id).unwrap().contains(name));
    }
    assert_eq!(repairs(&world).await.len(), 2, "nobody's hand");

    // And a hand is told also after all that.
    world.engine.edit(id, Some("{}"));
    world.settle(&server).await;
    assert_eq!(repairs(&world).await.len(), 3);
    assert!(world.engine.configuration(id).unwrap().contains("fourth"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_container_that_a_hand_removed_is_made_anew_and_told(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    let revision = world.row(id).await.unwrap().revision;
    world.engine.take(id);
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts, row.changed, world.engine.running(id)), (Phase::Ready, 0, None, Some(revision)));
    assert_eq!(repairs(&world).await, [("ClawLoops".to_owned(), "its container was removed".to_owned())], "once");

    // What we remove ourselves is nobody's hand.
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(repairs(&world).await.len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_container_of_an_older_make_runs_on_and_what_a_restart_brings_is_said(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    world.engine.meddle(id, Meddled { spec_hash: Some("v1-0011223344556677".to_owned()), ..Meddled::default() });
    world.attend(&server, id).await;
    let row = world.row(id).await.unwrap();
    assert_eq!(row.restart_brings.as_deref(), Some("a container as ClawLoops makes them now"));
    assert_eq!((row.phase, world.engine.running(id)), (Phase::Ready, Some(row.revision)), "it runs on");
    assert_eq!(repairs(&world).await, [], "nobody's hand");

    // A reason that is told already is told alone.
    world.engine.renew_image("second");
    world.attend(&server, id).await;
    assert!(world.row(id).await.unwrap().restart_brings.unwrap().starts_with("a newer build of the image "));
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    world.attend(&server, id).await;
    let brings = world.row(id).await.unwrap().restart_brings;
    assert!(brings.as_ref().is_none_or(|brings| !brings.contains("as ClawLoops makes them")), "{brings:?}");
}

/// A container that runs has the key of its revision, whatever was done in the database.
#[sqlx::test(migrations = "../migrations")]
async fn a_model_key_that_was_revoked_or_removed_is_given_again(pool: Pool) {
    let world = World::new(pool).await;
    let id = world.running().await;
    let server = world.server();
    world.attend(&server, id).await;
    let key = async || {
        let open = sqlx::query_as::<_, (String, Vec<u8>)>(
            "select public_id, secret_hash from model_key where runtime_id = $1 and revoked_at is null",
        );
        open.bind(id.0).fetch_all(&world.pool).await.unwrap()
    };
    let right = key().await;
    assert_eq!((right.len(), repairs(&world).await.len()), (1, 0));
    for (time, harm) in ["update model_key set revoked_at = now()", "delete from model_key", "update model_key set secret_hash = '\\x00'"]
        .into_iter()
        .enumerate()
    {
        sqlx::query(harm).execute(&world.pool).await.unwrap();
        world.attend(&server, id).await;
        assert_eq!(key().await, right, "{harm}");
        world.attend(&server, id).await;
        let told = repairs(&world).await;
        assert_eq!((told.len(), told[time].1.as_str()), (time + 1, "its model key was removed or revoked"), "{harm}");
    }
    // A new container has a new key, and the one before stays revoked.
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    world.attend(&server, id).await;
    let newer = key().await;
    assert!(newer.len() == 1 && newer != right);
    assert_eq!(repairs(&world).await.len(), 3);
}
