//! Every step of everything that takes several: done twice it succeeds, failing there it cleans up, cleaned up twice it is clean.

use super::{sleep::Claw, *};
use contract::ProfileId;
use server::manager::Engine as _;

/// What takes several steps: what a person asks for, and what a runtime does by itself when nobody uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Create,
    Start,
    Stop,
    Restart,
    Keep,
    Wipe,
    /// A change of profile, at once.
    Change,
    /// A stop of one that works.
    Drain,
    /// Nobody uses it: it stands still.
    Sleep,
    /// Nobody uses it for long: its memory is given back.
    Sink,
    /// A visit to one that stands still.
    Thaw,
    /// A visit to one without a container.
    Wake,
}

impl Wish {
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Keep,
        Self::Wipe,
        Self::Change,
        Self::Drain,
        Self::Sleep,
        Self::Sink,
        Self::Thaw,
        Self::Wake,
    ];

    /// A server, with an OpenClaw that works or does nothing.
    pub fn server(self, world: &World) -> Arc<Orchestrator> {
        let claw = if self == Self::Drain { Claw::at_work() } else { Claw::default() };
        Arc::new(sleep::server(world, &Arc::new(claw)))
    }

    /// A runtime that this can be asked of; none where it makes one.
    pub async fn prepare(self, world: &World) -> Option<RuntimeId> {
        if self == Self::Create {
            return None;
        }
        let id = world.running().await;
        let server = self.server(world);
        match self {
            Self::Start => server.stop(&world.ada, id).await.unwrap(),
            Self::Change => drop(large(world).await),
            Self::Sink | Self::Thaw | Self::Wake => world.clock.advance(UNUSED),
            Self::Create | Self::Stop | Self::Restart | Self::Keep | Self::Wipe | Self::Drain | Self::Sleep => {}
        }
        world.settle(&server).await;
        if self == Self::Wake {
            world.clock.advance(UNUSED_FOR_LONG);
            world.settle(&server).await;
            assert_eq!(world.engine.count(), count(0, 0, 1));
        }
        Some(id)
    }

    /// Asks for it. Of which runtime.
    pub async fn say(self, world: &World, server: &Orchestrator, id: Option<RuntimeId>) -> RuntimeId {
        let Some(id) = id else { return server.create(&world.ada, "Main", None).await.unwrap() };
        match self {
            Self::Create => {}
            // By itself, seen by a server that was there all the while.
            Self::Sleep => world.clock.advance(UNUSED),
            Self::Sink => world.clock.advance(UNUSED_FOR_LONG),
            Self::Change => server.change_profile(&world.ada, id, large(world).await, true).await.unwrap(),
            Self::Thaw | Self::Wake => server.wake(&[id]).await.unwrap(),
            Self::Drain => server.stop(&world.ada, id).await.unwrap(),
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
            Self::Create | Self::Start | Self::Restart | Self::Change | Self::Thaw | Self::Wake => (Phase::Ready, count(1, 1, 1)),
            Self::Sleep => (Phase::Asleep, count(1, 1, 1)),
            Self::Sink => (Phase::Asleep, count(0, 0, 1)),
            Self::Stop | Self::Drain => (Phase::Stopped, count(0, 0, 1)),
            Self::Keep => (Phase::Deleted, count(0, 0, 1)),
            Self::Wipe => (Phase::Deleted, count(0, 0, 0)),
        }
    }
}

/// Longer than a runtime without use stays awake.
const UNUSED: time::Duration = time::Duration::minutes(31);
/// And longer than it keeps its memory.
const UNUSED_FOR_LONG: time::Duration = time::Duration::hours(8);

/// The profile that is changed to.
async fn large(world: &World) -> ProfileId {
    match sqlx::query_scalar("select profile_id from profile where name = 'Large'").fetch_optional(&world.pool).await.unwrap() {
        Some(profile_id) => ProfileId(profile_id),
        None => world.profile(&world.root().await, profiles::change("Large", 4, 3000)).await.profile_id,
    }
}

/// Where it came to. What nobody asks for may take the next time that it is unused: a server that begins to watch counts from then.
pub async fn come_to_end(world: &World, server: &Orchestrator, wish: Wish, id: RuntimeId, place: &str) {
    world.settle(server).await;
    for unused in [UNUSED, UNUSED_FOR_LONG] {
        if matches!(wish, Wish::Sleep | Wish::Sink) && (world.phase(id).await, world.engine.count()) != wish.end() {
            world.clock.advance(unused);
            world.settle(server).await;
        }
    }
    assert_eq!((world.phase(id).await, world.engine.count()), wish.end(), "{place}");
    assert_eq!(world.engine.is_frozen(id), wish == Wish::Sleep, "{place}");
}

/// How many steps a wish takes when nothing goes wrong.
async fn steps_of(world: &World, wish: Wish) -> u32 {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery::default());
    let server = wish.server(world);
    let id = wish.say(world, &server, id).await;
    come_to_end(world, &server, wish, id, &format!("{wish:?}")).await;
    let steps = world.engine.effects();
    world.wipe_all().await;
    steps
}

async fn done_twice(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { repeats: step..step + 1, ..Misery::default() });
    let server = wish.server(world);
    let id = wish.say(world, &server, id).await;
    come_to_end(world, &server, wish, id, &format!("{wish:?}, step {step} done twice")).await;
    world.wipe_all().await;
}

/// The engine says no to a step. By itself it is tried again, and comes to what was asked.
async fn fails_there(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { refuses_at: Some(step), ..Misery::default() });
    let server = wish.server(world);
    let id = wish.say(world, &server, id).await;
    come_to_end(world, &server, wish, id, &format!("{wish:?}, step {step} refused once")).await;
    world.wipe_all().await;
}

/// The engine says no to a step, and the person gives up right there: all of it is taken away, each step of that done twice.
async fn cleaned_twice(world: &World, wish: Wish, step: u32) {
    let id = wish.prepare(world).await;
    world.engine.suffer(Misery { refuses_at: Some(step), ..Misery::default() });
    let server = wish.server(world);
    let id = wish.say(world, &server, id).await;
    while world.engine.effects() < step {
        match server.step(id).await.unwrap() {
            Next::Again => {}
            Next::After(time) => world.clock.advance(time.try_into().unwrap()),
            Next::Rest => panic!("{wish:?} rests before step {step}"),
        }
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
        // Of those that do one thing to the engine the others are what is agreed with OpenClaw and written down.
        assert!(steps >= if matches!(wish, Wish::Sleep | Wish::Thaw) { 1 } else { 3 }, "{wish:?} takes {steps} steps");
        for step in 1..=steps {
            done_twice(&world, wish, step).await;
            fails_there(&world, wish, step).await;
            cleaned_twice(&world, wish, step).await;
            tried += 1;
        }
    }
    assert_eq!(world.engine.wrongs(), Vec::<String>::new());
    assert!(tried > 40, "{tried}");
}
