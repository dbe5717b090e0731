//! Sleep by agreement, over PostgreSQL: OpenClaw is asked, freezes, wakes in time and for whoever comes.

use super::*;
use contract::{ProfileChange, ProfileView, SleepDepth, TaskKind, TaskStatus};
use server::{
    manager::rpc::{Consent, Due, Mute, Openclaw, Outlook, Purpose},
    platform::profiles,
};
use std::{net::SocketAddr, sync::Mutex};
use time::Duration as Span;

/// An OpenClaw that says what the test wants.
#[derive(Default)]
pub struct Claw {
    says: Mutex<Says>,
    calls: Mutex<Vec<String>>,
}

#[derive(Clone, Default)]
struct Says {
    outlook: Outlook,
    works: bool,
    mute: bool,
}

impl Claw {
    /// One that says that it works, whenever it is asked.
    pub fn at_work() -> Self {
        Self { says: Mutex::new(Says { works: true, ..Says::default() }), ..Self::default() }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn called(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn hear(&self, call: String) -> Result<Says, Mute> {
        self.calls.lock().unwrap().push(call);
        let says = self.says.lock().unwrap().clone();
        if says.mute { Err(Mute("no answer".to_owned())) } else { Ok(says) }
    }
}

#[async_trait]
impl Openclaw for Claw {
    async fn outlook(&self, _address: SocketAddr) -> Result<Outlook, Mute> {
        Ok(self.hear("outlook".to_owned())?.outlook)
    }

    async fn prepare(&self, _address: SocketAddr, purpose: Purpose) -> Result<Consent, Mute> {
        let works = self.hear(format!("prepare {purpose:?}"))?.works;
        Ok(if works { Consent::Busy("1 active request".to_owned()) } else { Consent::Given { suspension_id: "s1".to_owned() } })
    }

    async fn resume(&self, _address: SocketAddr, suspension_id: &str) -> Result<(), Mute> {
        self.hear(format!("resume {suspension_id}")).map(drop)
    }
}

/// What goes to sleep: asked, given back to read what is scheduled, asked again.
const ASKED: [&str; 4] = ["prepare Sleep", "resume s1", "outlook", "prepare Sleep"];

fn due(at: OffsetDateTime) -> Outlook {
    Outlook { next: Some(Due { at, name: "daily digest".to_owned() }), watches: None }
}

/// A server that speaks to this OpenClaw.
pub fn server(world: &World, claw: &Arc<Claw>) -> Orchestrator {
    Arc::into_inner(world.server()).unwrap().speaking(Arc::clone(claw) as Arc<dyn Openclaw>)
}

/// A runtime that nobody uses for longer than is usual, its server and its OpenClaw.
pub async fn idle(world: &World) -> (RuntimeId, Orchestrator, Arc<Claw>) {
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = server(world, &claw);
    world.clock.advance(Span::minutes(31));
    (id, server, claw)
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_uses_is_asked_and_frozen_and_a_visit_wakes_it(pool: Pool) {
    let world = World::new(pool).await;
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = server(&world, &claw);
    world.clock.advance(Span::minutes(29));
    assert!(server.pass().await.unwrap().is_empty(), "not yet");
    world.clock.advance(Span::minutes(2));
    let schedule = world.clock.now() + Span::hours(18);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.settle(&server).await;
    assert_eq!(claw.called(), ASKED);
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.sleep_depth), (Phase::Asleep, Some(SleepDepth::Frozen)));
    assert_eq!((row.schedule_name.as_deref(), row.wakes_at), (Some("daily digest"), Some(schedule - Span::seconds(15))));
    assert!(world.engine.is_frozen(id) && row.admitted_at.is_some(), "its memory is held for it");
    let route = server.address_of("main").await.unwrap().unwrap();
    assert!(route.phase == Phase::Asleep && route.address.is_some(), "what is open towards it is not cut");

    server.wake(&[id]).await.unwrap();
    assert_eq!(world.phase(id).await, Phase::Waking);
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Ready, false));
    assert_eq!(claw.called(), ["resume s1"]);
    let after = world.row(id).await.unwrap();
    assert_eq!((after.generation, after.revision, after.attempts), (row.generation, row.revision, 0), "the same container, and no wish");
    let lessons: i64 =
        sqlx::query_scalar("select count(*) from transition_history where transition = 'start'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(lessons, 1, "a waking teaches nothing about starts");

    // Whoever is there keeps it awake.
    for _ in 0..4 {
        world.clock.advance(Span::minutes(20));
        server.visit(&[id]).await.unwrap();
        assert!(server.pass().await.unwrap().is_empty());
    }
    assert!(claw.called().is_empty());
}

/// With thousands of runtimes passes are rare; what has its time does not wait for one.
#[sqlx::test(migrations = "../migrations")]
async fn it_falls_asleep_and_wakes_in_time_without_a_pass(pool: Pool) {
    let world = World::new(pool).await;
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = Arc::new(server(&world, &claw).passing_every(Duration::from_secs(3600)));
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&server).run(stop.clone()));
    // The first pass, and the first close look.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let schedule = world.clock.now() + Span::minutes(91);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.clock.advance(Span::minutes(31));
    until(&world, id, Phase::Asleep, Duration::from_secs(10)).await;
    world.clock.advance(Span::minutes(60) - Span::seconds(15));
    until(&world, id, Phase::Ready, Duration::from_secs(10)).await;
    stop.cancel();
    running.await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_scheduled_wakes_it_in_time_from_either_depth(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server, claw) = idle(&world).await;
    let schedule = world.clock.now() + Span::hours(1);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Asleep);
    world.clock.advance(Span::hours(1) - Span::seconds(16));
    assert!(server.pass().await.unwrap().is_empty());
    world.clock.advance(Span::SECOND);
    assert_eq!(server.pass().await.unwrap(), [id]);
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Ready, false));
    assert!(world.clock.now() < schedule);

    // Once more, and so long that its memory is given back.
    world.clock.advance(Span::minutes(31));
    let schedule = world.clock.now() + Span::hours(20);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.settle(&server).await;
    claw.called();
    world.clock.advance(Span::hours(8));
    world.settle(&server).await;
    assert_eq!(claw.called(), ASKED, "asked again before it ends");
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.sleep_depth, row.admitted_at), (Phase::Asleep, Some(SleepDepth::Stopped), None));
    assert_eq!(world.engine.count(), count(0, 0, 1));
    assert!(schedule - row.wakes_at.unwrap() >= Span::seconds(30), "a whole start fits in");
    world.clock.advance(row.wakes_at.unwrap() - world.clock.now());
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.count()), (Phase::Ready, count(1, 1, 1)));
    assert!(world.clock.now() < schedule);
}

#[sqlx::test(migrations = "../migrations")]
async fn openclaw_is_believed_and_whatever_is_no_clear_yes_is_no(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server, claw) = idle(&world).await;
    let watches = Outlook { next: None, watches: Some("build log".to_owned()) };
    let soon = due(world.clock.now() + Span::minutes(2));
    for (says, what) in [
        (Says { works: true, ..Says::default() }, "it works"),
        (Says { mute: true, ..Says::default() }, "it says nothing"),
        (Says { outlook: watches, ..Says::default() }, "it watches"),
        (Says { outlook: soon, ..Says::default() }, "it is about to work"),
    ] {
        claw.say(says);
        world.attend(&server, id).await;
        assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Ready, false), "{what}");
        let called = claw.called();
        assert!(!called.is_empty(), "{what}");
        assert!(called.last().is_none_or(|last| called.len() < 4 || last == "resume s1"), "what was agreed is given back: {called:?}");
        assert!(server.pass().await.unwrap().is_empty(), "it is not asked at once again: {what}");
        world.clock.advance(Span::minutes(6));
    }
    // An engine that cannot freeze keeps it awake, and ends nothing.
    claw.say(Says::default());
    world.engine.suffer(Misery { no_freeze: true, ..Misery::default() });
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.attempts, world.engine.running(id)), (Phase::Ready, 0, Some(row.revision)));
}

#[sqlx::test(migrations = "../migrations")]
async fn who_comes_while_it_falls_asleep_is_not_overlooked(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server, claw) = idle(&world).await;
    let row = world.row(id).await.unwrap();
    let mut connection = world.pool.acquire().await.unwrap();
    server.visit(&[id]).await.unwrap();
    let nap = data::sleep::Nap {
        depth: SleepDepth::Frozen,
        suspension_id: "s1".to_owned(),
        agreed_until: world.clock.now() + Span::minutes(1),
        schedule: None,
        wakes_at: None,
    };
    assert!(!data::sleep::fall_asleep(&mut connection, &row, &nap, world.clock.now()).await.unwrap(), "somebody came since");
    drop(connection);

    // And one who comes between the agreement and the freezing.
    world.clock.advance(Span::minutes(31));
    assert_eq!(server.step(id).await.unwrap(), Next::Again);
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Asleep, false));
    server.wake(&[id]).await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Ready, false));
    assert_eq!(claw.called().last().unwrap(), "resume s1");
}

async fn repairs(world: &World) -> Vec<String> {
    sqlx::query_scalar("select detail from audit_entry where action = 'runtime.repaired' order by audit_entry_id")
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

/// A server that dies between the agreement and the freezing leaves one that nobody thawed.
#[sqlx::test(migrations = "../migrations")]
async fn one_that_was_never_frozen_was_thawed_by_nobody(pool: Pool) {
    let world = World::new(pool).await;
    let (id, dying, claw) = idle(&world).await;
    world.engine.suffer(Misery { dies_at: Some((1, Moment::Before)), ..Misery::default() });
    assert!(world.settle_or_die(Arc::new(dying)).await);
    world.engine.suffer(Misery::default());
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Asleep, false));
    world.clock.advance(Span::minutes(2));
    world.settle(&server(&world, &claw)).await;
    assert_eq!((world.phase(id).await, repairs(&world).await.len()), (Phase::Ready, 0));
}

/// Frozen while its schedule comes due, and nobody there to wake it: the next server does so at once, and OpenClaw catches up.
#[sqlx::test(migrations = "../migrations")]
async fn a_schedule_that_came_due_while_no_server_ran_wakes_it_at_once(pool: Pool) {
    let world = World::new(pool).await;
    let (id, away, claw) = idle(&world).await;
    let schedule = world.clock.now() + Span::hours(1);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.settle(&away).await;
    assert!(world.engine.is_frozen(id));
    drop(away);
    claw.called();

    world.clock.advance(Span::hours(3));
    let back = server(&world, &claw);
    assert_eq!(back.pass().await.unwrap(), [id], "its first look");
    let now = world.clock.now();
    while world.phase(id).await != Phase::Ready {
        assert_eq!(back.step(id).await.unwrap(), if world.phase(id).await == Phase::Ready { Next::Rest } else { Next::Again });
    }
    assert_eq!((world.clock.now(), world.engine.is_frozen(id)), (now, false), "nothing was waited for");
    assert_eq!(claw.called(), ["resume s1"], "it takes up work again, the one that is overdue first");
    assert_eq!(repairs(&world).await.len(), 0, "nobody's hand");

    // While that runs it is not sent back to sleep.
    world.clock.advance(Span::minutes(31));
    claw.say(Says { works: true, ..Says::default() });
    world.settle(&back).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_hand_does_to_a_sleeper_is_decided_right(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server, claw) = idle(&world).await;
    let schedule = world.clock.now() + Span::hours(1);
    claw.say(Says { outlook: due(schedule), ..Says::default() });
    world.settle(&server).await;

    // Thawed: nobody knows what it does now.
    world.engine.pause(id, false);
    world.clock.advance(Span::minutes(2));
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);

    // Frozen: nobody asked for that.
    world.engine.pause(id, true);
    assert_eq!(server.pass().await.unwrap(), [id]);
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Ready, false));
    assert_eq!(repairs(&world).await, ["it was thawed in its sleep", "it was frozen"], "each once");

    // Thawed at once, while its agreement would still hold; and its container removed.
    world.clock.advance(Span::minutes(31));
    claw.say(Says { outlook: due(world.clock.now() + Span::hours(5)), ..Says::default() });
    world.settle(&server).await;
    world.engine.pause(id, false);
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, repairs(&world).await.len()), (Phase::Ready, 3));
    world.clock.advance(Span::minutes(31));
    claw.say(Says { outlook: due(world.clock.now() + Span::hours(5)), ..Says::default() });
    world.settle(&server).await;
    world.engine.take(id);
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.sleep_depth, row.changed), (Phase::Asleep, Some(SleepDepth::Stopped), None));
    assert_eq!(repairs(&world).await.last().unwrap(), "its container was removed");
    server.wake(&[id]).await.unwrap();
    world.settle(&server).await;

    // Killed: it sleeps on without a container, and is woken early enough.
    world.clock.advance(Span::minutes(31));
    claw.say(Says { outlook: due(world.clock.now() + Span::hours(5)), ..Says::default() });
    world.settle(&server).await;
    assert!(world.engine.is_frozen(id));
    world.engine.end(id, 137);
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.sleep_depth, row.attempts, row.admitted_at), (Phase::Asleep, Some(SleepDepth::Stopped), 0, None));
    assert_eq!(world.engine.count(), count(0, 0, 1));
    assert!(row.schedule_at.unwrap() - row.wakes_at.unwrap() >= Span::seconds(30));

    // Start wakes it, as a task; Stop wins over both.
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
    let tasks = data::task::of_runtime(&mut world.pool.acquire().await.unwrap(), id, 50).await.unwrap();
    assert_eq!((tasks[0].kind, tasks[0].status), (TaskKind::Start, TaskStatus::Succeeded));
    world.clock.advance(Span::minutes(31));
    claw.say(Says::default());
    world.settle(&server).await;
    assert!(world.engine.is_frozen(id));
    server.start(&world.ada, id).await.unwrap();
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.count()), (Phase::Stopped, count(0, 0, 1)));
    assert_eq!(world.engine.wrongs(), Vec::<String>::new());
}

#[sqlx::test(migrations = "../migrations")]
async fn what_works_finishes_before_it_ends_within_a_bound_that_can_be_cut_short(pool: Pool) {
    let world = World::new(pool).await;
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = server(&world, &claw);
    claw.say(Says { works: true, ..Says::default() });
    let asked = world.clock.now();
    server.stop(&world.ada, id).await.unwrap();
    assert!(matches!(server.step(id).await.unwrap(), Next::After(_)));
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.drain_until), (Phase::Draining, Some(asked + Span::seconds(120))));
    assert_eq!(world.engine.running(id), Some(row.revision), "it goes on");
    // It finishes.
    claw.say(Says::default());
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Stopped);
    assert!(claw.called().iter().all(|call| call == "prepare End"));

    // It does not finish: the bound holds.
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    claw.say(Says { works: true, ..Says::default() });
    let (asked, before) = (world.clock.now(), world.row(id).await.unwrap().revision);
    server.restart(&world.ada, id).await.unwrap();
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, world.engine.running(id)), (Phase::Ready, Some(before + 1)));
    let took = world.clock.now() - asked;
    assert!(took >= Span::seconds(120) && took < Span::seconds(130), "{took}");

    // Somebody waits no longer.
    server.restart(&world.ada, id).await.unwrap();
    let bound = world.row(id).await.unwrap().drain_until;
    server.stop(&world.ada, id).await.unwrap();
    assert_eq!(world.row(id).await.unwrap().drain_until, bound, "a second wish does not cut short what may finish");
    server.step(id).await.unwrap();
    assert_eq!(world.phase(id).await, Phase::Draining);
    let eve = person(&world.pool, "eve@example.org", Role::Person).await;
    assert_eq!(code(server.hurry(&eve, id).await.unwrap_err()), Code::RuntimeNotFound);
    let asked = world.clock.now();
    server.hurry(&world.ada, id).await.unwrap();
    world.attend(&server, id).await;
    assert_eq!((world.phase(id).await, world.clock.now()), (Phase::Stopped, asked), "at once");
    let told: i64 =
        sqlx::query_scalar("select count(*) from audit_entry where action = 'runtime.hurried'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(told, 1);

    // One who is disabled is not waited for.
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    claw.called();
    let mut transaction = data::begin(&world.pool).await.unwrap();
    commands::close_person(&mut transaction, world.ada.person_id, world.clock.now()).await.unwrap();
    transaction.commit().await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, claw.called()), (Phase::Stopped, Vec::new()));
}

#[sqlx::test(migrations = "../migrations")]
async fn its_owner_chooses_when_it_sleeps_within_what_is_allowed(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = Config::for_tests();
    (config.runtimes.sleep_most_minutes, config.runtimes.runtimes_per_person) = (60, 10);
    world.config = Arc::new(config);
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = server(&world, &claw);
    for wrong in [0, 61, -1] {
        assert_eq!(code(server.choose_sleep(&world.ada, id, Some(wrong)).await.unwrap_err()), Code::Invalid, "{wrong}");
    }
    let eve = person(&world.pool, "eve@example.org", Role::Person).await;
    assert_eq!(code(server.choose_sleep(&eve, id, Some(5)).await.unwrap_err()), Code::RuntimeNotFound);
    server.choose_sleep(&world.ada, id, Some(5)).await.unwrap();
    world.clock.advance(Span::minutes(5));
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Asleep);
    server.wake(&[id]).await.unwrap();
    world.settle(&server).await;
    server.choose_sleep(&world.ada, id, Some(60)).await.unwrap();
    world.clock.advance(Span::minutes(59));
    assert!(server.pass().await.unwrap().is_empty());
    server.choose_sleep(&world.ada, id, None).await.unwrap();
    assert_eq!(server.pass().await.unwrap(), [id], "as usual here: 30 minutes");
    let said: Vec<String> =
        sqlx::query_scalar("select detail from audit_entry where action = 'runtime.sleep_chosen' order by audit_entry_id")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(said, ["after 5 minutes", "after 60 minutes", "as usual"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn its_profile_says_when_it_sleeps_and_its_owner_chooses_within_that(pool: Pool) {
    let world = World::new(pool).await;
    let root = person(&world.pool, "root@example.org", Role::Administrator).await;
    let (id, claw) = (world.running().await, Arc::new(Claw::default()));
    let server = server(&world, &claw);
    let profile = profiles::all(&world.pool, &root).await.unwrap().remove(0);
    let says = async |after, stop_after| {
        let change = ProfileChange { sleep_after_minutes: after, sleep_stop_after_minutes: stop_after, ..as_it_is(&profile) };
        let now = profiles::change(&world.pool, &root, profile.profile_id, change).await.unwrap();
        assert_eq!((now.sleep_after_minutes, now.sleep_stop_after_minutes), (after, stop_after));
    };

    // Longer than the house has it, and at once for what runs already.
    says(Some(60), Some(20)).await;
    world.clock.advance(Span::minutes(59));
    assert!(server.pass().await.unwrap().is_empty(), "the house would say 30 minutes");
    world.clock.advance(Span::minutes(1));
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.is_frozen(id)), (Phase::Asleep, true));
    world.clock.advance(Span::minutes(20));
    world.settle(&server).await;
    assert_eq!(world.row(id).await.unwrap().sleep_depth, Some(SleepDepth::Stopped), "the house would say 8 hours");

    // Its owner sleeps sooner, never later.
    for wrong in [0, 61] {
        assert_eq!(code(server.choose_sleep(&world.ada, id, Some(wrong)).await.unwrap_err()), Code::Invalid, "{wrong}");
    }
    server.choose_sleep(&world.ada, id, Some(45)).await.unwrap();
    server.wake(&[id]).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);
    // What was chosen is held within what the profile says by now.
    says(Some(10), None).await;
    world.clock.advance(Span::minutes(10));
    assert_eq!(server.pass().await.unwrap(), [id]);

    // Never is a profile's to say, and sooner its owner's all the same. Nothing is what the settings say.
    server.choose_sleep(&world.ada, id, None).await.unwrap();
    says(Some(0), Some(0)).await;
    world.clock.advance(Span::days(400));
    assert!(server.pass().await.unwrap().is_empty());
    server.choose_sleep(&world.ada, id, Some(5)).await.unwrap();
    assert_eq!(server.pass().await.unwrap(), [id]);
    server.choose_sleep(&world.ada, id, None).await.unwrap();
    says(None, None).await;
    assert_eq!(server.pass().await.unwrap(), [id]);
}

/// The change that changes nothing.
fn as_it_is(profile: &ProfileView) -> ProfileChange {
    let it = profile.clone();
    ProfileChange {
        name: it.name,
        description: it.description,
        image: it.image,
        memory_bytes: it.memory_bytes,
        cpu_millis: it.cpu_millis,
        pids: it.pids,
        workspace_bytes: it.workspace_bytes,
        models: it.models,
        gpu: it.gpu,
        oci_runtime: it.oci_runtime,
        sleep_after_minutes: it.sleep_after_minutes,
        sleep_stop_after_minutes: it.sleep_stop_after_minutes,
        position: it.position,
        offered: it.offered,
    }
}

/// The server dies before and after every effect of falling asleep, sinking and waking; the next one makes it so.
#[sqlx::test(migrations = "../migrations")]
async fn a_crash_at_any_effect_of_a_sleep_ends_well(pool: Pool) {
    let world = World::new(pool).await;
    for moment in [Moment::Before, Moment::After] {
        for effect in 1..12 {
            let (id, claw) = (world.running().await, Arc::new(Claw::default()));
            world.engine.suffer(Misery { dies_at: Some((effect, moment)), ..Misery::default() });
            let sleeps = async {
                let server = server(&world, &claw);
                for hours in [1, 9] {
                    world.clock.advance(Span::hours(hours));
                    world.settle(&server).await;
                }
                server.wake(&[id]).await.unwrap();
                world.settle(&server).await;
            };
            let died = tokio::select! {
                () = sleeps => false,
                () = world.engine.died() => true,
            };
            world.engine.suffer(Misery::default());
            let server = server(&world, &claw);
            world.settle(&server).await;
            server.wake(&[id]).await.unwrap();
            world.settle(&server).await;
            let row = world.row(id).await.unwrap();
            let place = format!("dead {moment:?} effect {effect}");
            assert_eq!((row.phase, row.attempts, world.engine.running(id)), (Phase::Ready, 0, Some(row.revision)), "{place}");
            assert_eq!((world.engine.count(), world.engine.wrongs()), (count(1, 1, 1), Vec::new()), "{place}");
            assert!(died || effect > 8, "there are effects enough: {place}");
            world.wipe_all().await;
        }
    }
}
