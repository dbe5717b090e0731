//! The list of what is ready, for an ingress that carries the traffic of runtimes itself.

use super::*;
use server::data::listen::Change;

#[sqlx::test(migrations = "../migrations")]
async fn what_is_ready_is_listed_with_its_address_as_soon_as_that_is_told(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    assert!(server.ready_routes().await.unwrap().is_empty());

    let id = world.running().await;
    world.changes.tell(Change::Runtime { runtime_id: id, person_id: world.ada.person_id });
    let ready = server.ready_routes().await.unwrap();
    let (label, route) = ready.first().unwrap();
    let asked = server.address_of(label).await.unwrap().unwrap();
    assert_eq!((ready.len(), route.runtime_id, route.phase, route.address), (1, id, Phase::Ready, asked.address));
    assert!(route.address.is_some());

    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    world.changes.tell(Change::Runtime { runtime_id: id, person_id: world.ada.person_id });
    assert!(server.ready_routes().await.unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_is_not_made_anew_for_each_question(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let id = world.running().await;
    world.changes.tell(Change::Runtime { runtime_id: id, person_id: world.ada.person_id });
    assert_eq!(server.ready_routes().await.unwrap().len(), 1);
    // Nothing was told since: the engine need not even answer.
    world.engine.suffer(Misery { down: true, ..Misery::default() });
    world.changes.tell(Change::Catalog);
    assert_eq!(server.ready_routes().await.unwrap().len(), 1);
    world.changes.tell(Change::Anything);
    assert!(server.ready_routes().await.is_err(), "and what is not known is not guessed");
}
