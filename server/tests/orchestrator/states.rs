//! Not getting ready, ending again and again, answering slowly: three things that are wrong, and three ways to say so.

use super::*;
use server::manager::fake::Meddled;

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
    let message = world.problem(id).await.unwrap().message;
    assert!(message.contains(" s, and had memory enough. Its last words: starting"), "{message}");

    // Never gets ready, since a process inside finds no memory: there is a way on from that.
    world.engine.suffer(Misery::default());
    world.attend(&server, id).await;
    server.restart(&world.ada, id).await.unwrap();
    world.engine.suffer(Misery { never_ready: true, ..Misery::default() });
    while world.phase(id).await != Phase::Retrying {
        if let Next::After(time) = server.step(id).await.unwrap() {
            world.clock.advance(time.try_into().unwrap());
        }
        world.engine.meddle(id, Meddled { out_of_memory: true, ..Meddled::default() });
    }
    assert_eq!(said(id).await, Some(Code::OutOfMemory));
    let message = world.problem(id).await.unwrap().message;
    let slow =
        "OpenClaw ran out of memory (2 GiB). Ask for a larger profile. A process inside was ended for that, and it was not ready after ";
    assert!(message.starts_with(slow) && message.contains("Its last words: starting"), "{message}");
}

#[sqlx::test(migrations = "../migrations")]
async fn how_long_a_stop_may_take_is_learned_and_one_that_takes_longer_is_said(pool: Pool) {
    let world = World::new(pool).await;
    let server = world.server();
    let started = async |name: &str| {
        let id = server.create(&world.ada, name, None).await.unwrap();
        world.attend(&server, id).await;
        assert_eq!(world.phase(id).await, Phase::Ready);
        id
    };
    let stopped = async |name: &str, took: i64| {
        let id = started(name).await;
        server.stop(&world.ada, id).await.unwrap();
        world.clock.advance(time::Duration::seconds(took));
        world.attend(&server, id).await;
        id
    };

    let id = stopped("first", 6).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Stopped, None));
    assert_eq!(world.engine.last_grace(), Some(Duration::from_secs(20)), "nothing is known yet");
    stopped("second", 1).await;
    assert_eq!(world.engine.last_grace(), Some(Duration::from_secs(18)), "three times the slowest");

    // What was never begun ends at once, and teaches nothing.
    let id = server.create(&world.ada, "never begun", None).await.unwrap();
    server.stop(&world.ada, id).await.unwrap();
    world.attend(&server, id).await;
    let lessons: i64 =
        sqlx::query_scalar("select count(*) from transition_history where transition = 'stop'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(lessons, 2);

    // Ended by the engine when its time was over: done all the same, and said until the next wish.
    let id = started("deaf").await;
    world.engine.suffer(Misery { deaf: true, ..Misery::default() });
    server.stop(&world.ada, id).await.unwrap();
    world.attend(&server, id).await;
    let problem = world.problem(id).await.unwrap();
    assert_eq!((world.phase(id).await, problem.code), (Phase::Stopped, Code::RuntimeKilled));
    assert!(problem.message.contains("within 18 s, and was ended (exit code 137)"), "{problem:?}");
    world.engine.suffer(Misery::default());
    server.start(&world.ada, id).await.unwrap();
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, world.problem(id).await), (Phase::Ready, None));
}
