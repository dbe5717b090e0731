//! Not getting ready, ending again and again, answering slowly: three things that are wrong, and three ways to say so.

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn what_is_wrong_has_a_word_of_its_own(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let said = async |id| world.problem(id).await.map(|problem| problem.code);

    // Answers slowly: it runs on, and the word goes when it answers again.
    let id = world.running().await;
    let generation = world.row(id).await.unwrap().generation;
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, said(id).await), (Phase::Ready, Some(Code::RuntimeSlow)));
    world.engine.suffer(Misery { slow: Some(Duration::from_millis(3100)), ..Misery::default() });
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, said(id).await), (Phase::Ready, Some(Code::RuntimeSlow)));
    assert_eq!(world.engine.effects(), 0, "nothing is done to it for that");
    world.engine.suffer(Misery::default());
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, said(id).await), (Phase::Ready, None));
    assert_eq!(world.row(id).await.unwrap().generation, generation);

    // Ends once: that may happen. Again and again: it flaps.
    for (time, code) in [(1, Code::RuntimeStartFailed), (2, Code::RuntimeFlapping), (3, Code::RuntimeFlapping)] {
        world.engine.end(id, 1);
        assert!(!matches!(server.step(id).await.unwrap(), Next::Rest));
        assert_eq!((world.phase(id).await, said(id).await), (Phase::Retrying, Some(code)), "the {time}. time");
        world.attend(&server, id).await;
        assert_eq!((world.phase(id).await, said(id).await), (Phase::Ready, None));
    }
    assert!(world.row(id).await.unwrap().attempts == 3);

    // Never gets ready.
    server.restart(&world.ada, id).await.unwrap();
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    while world.phase(id).await != Phase::Retrying {
        if let Next::After(time) = server.step(id).await.unwrap() {
            world.clock.advance(time.try_into().unwrap());
        }
    }
    assert_eq!(said(id).await, Some(Code::RuntimeNotReady));
}
