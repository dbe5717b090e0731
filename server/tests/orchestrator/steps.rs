//! Every step of everything that takes several: done twice it succeeds, failing there it cleans up, cleaned up twice it is clean.

use super::*;
use server::manager::Engine as _;

/// What a person asks for that takes several steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Create,
    Start,
    Stop,
    Restart,
    Keep,
    Wipe,
}

impl Wish {
    pub const ALL: [Self; 6] = [Self::Create, Self::Start, Self::Stop, Self::Restart, Self::Keep, Self::Wipe];

    /// A runtime that this can be asked of; none where it makes one.
    pub async fn prepare(self, world: &World) -> Option<RuntimeId> {
        if self == Self::Create {
            return None;
        }
        let id = world.running().await;
        if self == Self::Start {
            let server = world.server();
            server.stop(&world.ada, id).await.unwrap();
            world.settle(&server).await;
        }
        Some(id)
    }

    /// Asks for it. Of which runtime.
    pub async fn say(self, world: &World, server: &Orchestrator, id: Option<RuntimeId>) -> RuntimeId {
        let Some(id) = id else { return server.create(&world.ada, "Main", None).await.unwrap() };
        match self {
            Self::Create => {}
            Self::Start => server.start(&world.ada, id).await.unwrap(),
            Self::Stop => server.stop(&world.ada, id).await.unwrap(),
            Self::Restart => server.restart(&world.ada, id).await.unwrap(),
            Self::Keep => server.delete(&world.ada, id, Retention::PreserveWorkspace).await.unwrap(),
            Self::Wipe => server.delete(&world.ada, id, Retention::WipeWorkspace).await.unwrap(),
        }
        id
    }

    /// Where it ends, and what there is then.
    pub fn end(self) -> (Phase, Count) {
        match self {
            Self::Create | Self::Start | Self::Restart => (Phase::Ready, count(1, 1, 1)),
            Self::Stop => (Phase::Stopped, count(0, 0, 1)),
            Self::Keep => (Phase::Deleted, count(0, 0, 1)),
            Self::Wipe => (Phase::Deleted, count(0, 0, 0)),
        }
    }
}

/// How many steps a wish takes when nothing goes wrong.
async fn steps_of(world: &World, wish: Wish) -> u32 {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery::default());
    let server = world.server();
    wish.say(world, &server, id).await;
    world.settle(&server).await;
    let steps = world.engine.effects();
    world.wipe_all().await;
    steps
}

async fn done_twice(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { repeats: step..step + 1, ..Misery::default() });
    let server = world.server();
    let id = wish.say(world, &server, id).await;
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.count()), wish.end(), "{wish:?}, step {step} done twice");
    world.wipe_all().await;
}

/// The engine says no to a step. By itself it is tried again, and comes to what was asked.
async fn fails_there(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { refuses_at: Some(step), ..Misery::default() });
    let server = world.server();
    let id = wish.say(world, &server, id).await;
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.count()), wish.end(), "{wish:?}, step {step} refused once");
    world.wipe_all().await;
}

/// The engine says no to a step, and the person gives up right there: all of it is taken away, each step of that done twice.
async fn cleaned_twice(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { refuses_at: Some(step), ..Misery::default() });
    let server = world.server();
    let id = wish.say(world, &server, id).await;
    while world.engine.effects() < step {
        assert!(!matches!(server.step(id).await.unwrap(), Next::Rest), "{wish:?} rests before step {step}");
    }
    world.engine.suffer(Misery { repeats: 0..u32::MAX, ..Misery::default() });
    let volume = world.row(id).await.map(|row| row.volume);
    if volume.is_some() {
        server.delete(&world.ada, id, Retention::WipeWorkspace).await.unwrap();
    }
    world.settle(&server).await;
    // Kept by the wish itself, it is another runtime's to wipe.
    let there = count(0, 0, 0);
    assert_eq!(world.engine.count(), there, "{wish:?}, given up at step {step}");
    world.engine.remove(id).await.unwrap();
    world.engine.release(id).await.unwrap();
    world.engine.wipe_workspace(volume.as_deref().unwrap_or("none")).await.unwrap();
    world.settle(&server).await;
    assert_eq!(
        (world.phase(id).await, world.engine.count()),
        (Phase::Deleted, there),
        "{wish:?}, given up at step {step} and cleaned twice"
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn every_step_of_every_wish_can_be_done_twice_fail_and_be_cleaned_twice(pool: Pool) {
    let world = World::new(pool).await;
    let mut tried = 0;
    for wish in Wish::ALL {
        let steps = steps_of(&world, wish).await;
        assert!(steps >= 3, "{wish:?} takes several steps");
        for step in 1..=steps {
            done_twice(&world, wish, step).await;
            fails_there(&world, wish, step).await;
            cleaned_twice(&world, wish, step).await;
            tried += 1;
        }
    }
    assert_eq!(world.engine.wrongs(), Vec::<String>::new());
    assert!(tried > 25, "{tried}");
}
