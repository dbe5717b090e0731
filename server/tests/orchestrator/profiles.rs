//! Profiles and quotas, over PostgreSQL: what a runtime gets of its profile and when, and that nobody gets more than they may.

use super::*;
use contract::{ModelId, OwnQuota, ProfileChange, ProfileId, ProfileView, TaskKind, TaskStatus};
use server::platform::{profiles, quotas};

const GIB: i64 = 1 << 30;

pub fn change(name: &str, gib: i64, cpu_millis: i64) -> ProfileChange {
    ProfileChange {
        name: name.to_owned(),
        description: String::new(),
        image: None,
        memory_bytes: gib * GIB,
        cpu_millis,
        pids: 512,
        workspace_bytes: 10 * GIB,
        models: None,
        gpu: false,
        oci_runtime: None,
        sleep_after_minutes: None,
        sleep_stop_after_minutes: None,
        position: 1,
        offered: true,
    }
}

impl World {
    pub async fn root(&self) -> Caller {
        person(&self.pool, "root@example.org", Role::Administrator).await
    }

    pub async fn profile(&self, root: &Caller, change: ProfileChange) -> ProfileView {
        profiles::add(&self.pool, root, change).await.unwrap()
    }

    async fn may_use(&self, root: &Caller, own: OwnQuota) {
        quotas::set(&self.pool, root, self.ada.person_id, &own).await.unwrap();
    }

    async fn first(&self) -> ProfileId {
        profiles::offered(&self.pool).await.unwrap()[0].profile_id
    }

    async fn last_task(&self, id: RuntimeId) -> (TaskKind, TaskStatus) {
        let tasks = data::task::of_runtime(&mut self.pool.acquire().await.unwrap(), id, 1).await.unwrap();
        (tasks[0].kind, tasks[0].status)
    }

    async fn used(&self) -> contract::Resources {
        data::quota::used(&mut self.pool.acquire().await.unwrap(), self.ada.person_id, None, None).await.unwrap()
    }
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Problem(problem) => *problem,
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_gets_what_its_profile_gives_and_memory_and_processor_change_while_it_runs(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    let before = world.row(id).await.unwrap();
    assert_eq!((before.profile.as_str(), before.memory_bytes, before.cpu_millis), ("Standard", 2 * GIB, 2000));

    let large = world.profile(&root, change("Large", 4, 3000)).await;
    server.change_profile(&world.ada, id, large.profile_id, false).await.unwrap();
    assert_eq!(world.last_task(id).await, (TaskKind::ChangeProfile, TaskStatus::Accepted));
    assert_eq!(server.pass().await.unwrap(), [id], "found also where no change was told");
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.profile.as_str(), row.memory_bytes, row.held_bytes, row.cpu_millis), ("Large", 4 * GIB, 4 * GIB, 3000));
    assert_eq!((row.phase, row.revision, row.phase_since), (Phase::Ready, before.revision, before.phase_since), "it ran on");
    let limits = world.engine.limits(id).unwrap();
    assert_eq!((limits.memory_bytes, limits.cpu_millis), (4 * GIB, 3000));
    assert_eq!(world.last_task(id).await, (TaskKind::ChangeProfile, TaskStatus::Succeeded));
    let (repairs,): (i64,) =
        sqlx::query_as("select count(*) from audit_entry where action = 'runtime.repaired'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(repairs, 0, "nobody's hand");
    let (told,): (String,) =
        sqlx::query_as("select detail from audit_entry where action = 'runtime.profile_changed'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(told, "Standard → Large");

    // Asked twice is asked once.
    server.change_profile(&world.ada, id, large.profile_id, false).await.unwrap();
    assert_eq!(world.row(id).await.unwrap().generation, row.generation);

    // Less memory waits for the next start; a restart is one.
    server.change_profile(&world.ada, id, before.profile_id, false).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.profile.as_str(), row.memory_bytes, row.cpu_millis), ("Standard", 4 * GIB, 2000));
    assert_eq!(world.engine.limits(id).unwrap().cpu_millis, 2000);
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.memory_bytes, row.held_bytes, row.revision), (2 * GIB, 2 * GIB, before.revision + 1));
    assert_eq!(world.engine.limits(id).unwrap().memory_bytes, 2 * GIB);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_change_at_once_a_stopped_runtime_and_one_that_broke_take_all_of_it(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    let mut gpu = change("Graphics", 3, 1000);
    (gpu.gpu, gpu.oci_runtime, gpu.image) = (true, Some("runsc".to_owned()), Some("other".to_owned()));
    let gpu = world.profile(&root, gpu).await;

    // What a container is made of stays with it.
    server.change_profile(&world.ada, id, gpu.profile_id, false).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert!(!row.gpu && row.oci_runtime.is_none() && row.image != "other" && row.memory_bytes == 3 * GIB, "{row:?}");
    let given = profiles::gives(&gpu, "image");
    let brings = server::orchestrator::profile::brings(&row, &given).unwrap();
    assert_eq!(brings, "the image other, this machine's GPUs, the OCI runtime runsc");

    server.change_profile(&world.ada, id, gpu.profile_id, true).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.gpu, row.oci_runtime.as_deref(), row.image.as_str()), (Phase::Ready, true, Some("runsc"), "other"));
    let made = server.engine().look(id).await.unwrap().container.unwrap().made.unwrap();
    assert_eq!((made.gpu, made.oci_runtime.as_deref(), made.image.as_str()), (true, Some("runsc"), "other"));

    // Stopped: all of it, and it stays stopped.
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    let standard = world.first().await;
    server.change_profile(&world.ada, id, standard, false).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.gpu, row.memory_bytes), (Phase::Stopped, false, 2 * GIB));
    assert_eq!(world.last_task(id).await, (TaskKind::ChangeProfile, TaskStatus::Succeeded));

    // Given up: it starts with it.
    world.engine.suffer(Misery { ends_at_start: Some(137), ..Misery::default() });
    server.start(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    let problem = world.problem(id).await.unwrap();
    assert_eq!((world.phase(id).await, problem.code), (Phase::Failed, Code::OutOfMemory));
    world.engine.suffer(Misery::default());
    server.change_profile(&world.ada, id, gpu.profile_id, false).await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.limits(id).unwrap().memory_bytes), (Phase::Ready, 3 * GIB));
}

/// An engine that does not change a running container is said, and the change ends when it does.
#[sqlx::test(migrations = "../migrations")]
async fn a_change_that_the_engine_refuses_is_said_until_it_is_done(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    let large = world.profile(&root, change("Large", 4, 3000)).await;
    world.engine.suffer(Misery { no_update: true, ..Misery::default() });
    server.change_profile(&world.ada, id, large.profile_id, false).await.unwrap();
    assert_eq!(server.step(id).await.unwrap(), Next::After(Duration::from_secs(1)));
    assert_eq!((world.phase(id).await, world.last_task(id).await.1), (Phase::Ready, TaskStatus::Running));
    assert!(world.problem(id).await.unwrap().message.contains("refused changing"));
    world.engine.suffer(Misery::default());
    world.settle(&server).await;
    assert_eq!((world.problem(id).await, world.last_task(id).await.1), (None, TaskStatus::Succeeded));
    assert_eq!(world.engine.limits(id).unwrap().memory_bytes, 4 * GIB);
}

/// Memory of the machine is never promised twice, by a change neither.
#[sqlx::test(migrations = "../migrations")]
async fn a_running_runtime_grows_only_where_the_machine_has_room(pool: Pool) {
    let mut world = World::new(pool).await;
    let mut config = (*world.config).clone();
    config.runtimes.memory_budget_mib = Some(5 * 1024);
    world.config = Arc::new(config);
    let root = world.root().await;
    let (id, server) = (world.running().await, world.server());
    let other = server.create(&world.ada, "Other", None).await.unwrap();
    world.settle(&server).await;
    let large = world.profile(&root, change("Large", 4, 2000)).await;
    server.change_profile(&world.ada, id, large.profile_id, false).await.unwrap();
    world.settle(&server).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.profile.as_str(), row.memory_bytes, row.held_bytes), ("Large", 2 * GIB, 2 * GIB), "it waits for its next start");
    // At its next start it waits its turn, holding nothing that another could use.
    server.restart(&world.ada, id).await.unwrap();
    for _ in 0..12 {
        server.step(id).await.unwrap();
    }
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.admitted_at, row.held_bytes), (Phase::Queued, None, 0));
    server.stop(&world.ada, other).await.unwrap();
    world.attend(&server, other).await;
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.engine.limits(id).unwrap().memory_bytes), (Phase::Ready, 4 * GIB));

    // Two that both want more than they hold do not wait for each other.
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    for runtime in [id, other] {
        server.change_profile(&world.ada, runtime, large.profile_id, true).await.unwrap();
    }
    for _ in 0..20 {
        server.step(id).await.unwrap();
        server.step(other).await.unwrap();
    }
    let phases = [world.phase(id).await, world.phase(other).await];
    assert!(phases.contains(&Phase::Ready) && phases.contains(&Phase::Queued), "{phases:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn quotas_hold_when_many_are_made_at_once(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let names: Vec<String> = (0..8).map(|number| format!("Claw {number}")).collect();
    let server = world.server();
    let cases = [
        (OwnQuota { memory_bytes: Some(5 * GIB), ..OwnQuota::default() }, 2, "5 GiB of memory"),
        (OwnQuota { cpu_millis: Some(7000), ..OwnQuota::default() }, 3, "7 cores"),
        (OwnQuota { workspace_bytes: Some(45 * GIB), ..OwnQuota::default() }, 4, "45 GiB of disk"),
        (OwnQuota { runtimes: Some(1), ..OwnQuota::default() }, 1, "1 runtime already"),
        (OwnQuota { runtimes: Some(0), ..OwnQuota::default() }, 0, "0 runtimes already"),
    ];
    for (own, most, said) in cases {
        world.may_use(&root, own).await;
        let made = futures::future::join_all(names.iter().map(|name| server.create(&world.ada, name, None))).await;
        let (good, bad): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), most, "{own:?}");
        for refused in bad {
            let problem = problem(refused.unwrap_err());
            assert_eq!(problem.code, Code::QuotaExceeded);
            assert!(problem.message.contains(said) && problem.remedy.is_some(), "{problem:?}");
        }
        world.wipe_all().await;
        assert_eq!(world.used().await, contract::Resources::default(), "all of it is given back");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn quotas_hold_when_many_are_started_and_changed_at_once(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let server = world.server();
    let large = world.profile(&root, change("Large", 4, 1000)).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        let id = server.create(&world.ada, &format!("Claw {number}"), None).await.unwrap();
        server.stop(&world.ada, id).await.unwrap();
        ids.push(id);
    }
    world.settle(&server).await;
    world.may_use(&root, OwnQuota { memory_bytes: Some(9 * GIB), ..OwnQuota::default() }).await;
    for round in 0..4 {
        let wishes = ids.iter().enumerate().map(|(place, id)| {
            let (server, ada) = (&server, &world.ada);
            async move {
                match (place + round) % 3 {
                    0 => server.start(ada, *id).await,
                    1 => server.change_profile(ada, *id, large.profile_id, true).await,
                    _ => server.restart(ada, *id).await,
                }
            }
        });
        let answers = futures::future::join_all(wishes).await;
        assert!(answers.iter().any(Result::is_ok) && answers.iter().any(Result::is_err), "{answers:?}");
        assert!(answers.into_iter().filter_map(Result::err).all(|error| code(error) == Code::QuotaExceeded));
        assert!(world.used().await.memory_bytes <= 9 * GIB, "{:?}", world.used().await);
        world.settle(&server).await;
        let real: i64 = ids.iter().filter_map(|id| world.engine.limits(*id)).map(|limits| limits.memory_bytes).sum();
        assert!(real <= 9 * GIB, "{real}");
        for id in &ids {
            server.stop(&world.ada, *id).await.unwrap();
        }
        // What is being stopped counts until it has ended.
        assert!(world.used().await.memory_bytes > 0);
        world.settle(&server).await;
        assert_eq!(world.used().await.memory_bytes, 0);
    }
}

/// A quota that is lowered ends nothing; it keeps what is new.
#[sqlx::test(migrations = "../migrations")]
async fn a_lowered_quota_ends_nothing_and_lets_nothing_in(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    world.may_use(&root, OwnQuota { memory_bytes: Some(GIB), ..OwnQuota::default() }).await;
    assert!(server.pass().await.unwrap().is_empty());
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready, "it takes no more than it had");
    server.stop(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    let refused = problem(server.start(&world.ada, id).await.unwrap_err());
    assert_eq!(refused.message, "You may use 1 GiB of memory at once. Your other runtimes use 0 MiB, and this one wants 2 GiB.");
    world.may_use(&root, OwnQuota::default()).await;
    server.start(&world.ada, id).await.unwrap();
}

/// Disk is measured: what holds more than it may is not started again, and says so. A workspace that was kept counts without its runtime.
#[sqlx::test(migrations = "../migrations")]
async fn a_workspace_over_its_disk_is_not_started_again(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    let volume = world.row(id).await.unwrap().volume;
    let measured = async || data::quota::measured(&mut world.pool.acquire().await.unwrap(), &volume).await.unwrap();
    assert_eq!(measured().await, None);
    server.measure().await.unwrap();
    assert_eq!(measured().await, Some(4096));
    world.engine.fill(&volume, 12 * GIB);
    server.measure().await.unwrap();
    assert_eq!(measured().await, Some(4096), "measured just now");
    world.clock.advance(time::Duration::seconds(301));
    server.measure().await.unwrap();
    assert_eq!(measured().await, Some(12 * GIB));

    // It runs on; a start is refused.
    assert!(server.pass().await.unwrap().is_empty());
    let refused = problem(server.restart(&world.ada, id).await.unwrap_err());
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (Code::QuotaExceeded, "Its workspace holds 12 GiB, and its profile gives it 10 GiB of disk.")
    );
    assert_eq!(world.phase(id).await, Phase::Ready);
    let mut roomy = change("Roomy", 2, 1000);
    roomy.workspace_bytes = 20 * GIB;
    let roomy = world.profile(&root, roomy).await;
    server.change_profile(&world.ada, id, roomy.profile_id, true).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.phase(id).await, Phase::Ready);

    // Kept, it counts as what it holds; wiped, no more. A crash of the measuring leaves what was known.
    server.delete(&world.ada, id, Retention::PreserveWorkspace).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.used().await, contract::Resources { workspace_bytes: 12 * GIB, ..contract::Resources::default() });
    world.engine.suffer(Misery { down: true, ..Misery::default() });
    world.clock.advance(time::Duration::seconds(301));
    drop(server.measure().await);
    assert_eq!(measured().await, Some(12 * GIB));
    world.engine.suffer(Misery::default());
    world.may_use(&root, OwnQuota { workspace_bytes: Some(15 * GIB), ..OwnQuota::default() }).await;
    let refused = problem(server.create(&world.ada, "New", None).await.unwrap_err());
    assert!(refused.message.starts_with("Your workspaces may take 15 GiB of disk. The others take 12 GiB"), "{refused:?}");
    let again = problem(server.create(&world.ada, "main", None).await.unwrap_err());
    assert!(again.message.starts_with("Its workspace holds 12 GiB"), "its own workspace is found again: {again:?}");
    world.may_use(&root, OwnQuota { workspace_bytes: Some(40 * GIB), ..OwnQuota::default() }).await;
    let again = server.create(&world.ada, "Main", Some(roomy.profile_id)).await.unwrap();
    server.delete(&world.ada, again, Retention::WipeWorkspace).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.used().await, contract::Resources::default());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_withdrawn_profile_is_kept_and_not_chosen(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let server = world.server();
    let large = world.profile(&root, change("Large", 4, 1000)).await;
    let id = server.create(&world.ada, "Main", Some(large.profile_id)).await.unwrap();
    let other = server.create(&world.ada, "Other", None).await.unwrap();
    world.settle(&server).await;
    profiles::offer(&world.pool, &root, large.profile_id, false).await.unwrap();
    profiles::offer(&world.pool, &root, large.profile_id, false).await.unwrap();
    assert_eq!(profiles::offered(&world.pool).await.unwrap().len(), 1);

    for refused in [
        server.create(&world.ada, "New", Some(large.profile_id)).await.map(drop),
        server.change_profile(&world.ada, other, large.profile_id, true).await,
        server.change_profile(&world.ada, other, large.profile_id, false).await,
    ] {
        let refused = problem(refused.unwrap_err());
        assert_eq!((refused.code, refused.message.as_str()), (Code::Conflict, "The profile Large is not offered any more."));
    }
    let unknown = ProfileId(uuid::Uuid::now_v7());
    assert_eq!(code(server.create(&world.ada, "New", Some(unknown)).await.unwrap_err()), Code::ProfileNotFound);
    assert_eq!(code(server.change_profile(&world.ada, other, unknown, false).await.unwrap_err()), Code::ProfileNotFound);
    assert_eq!(world.row(other).await.unwrap().profile, "Standard", "nothing was changed");
    // Whoever has it keeps it.
    server.restart(&world.ada, id).await.unwrap();
    server.change_profile(&world.ada, id, large.profile_id, true).await.unwrap();
    world.settle(&server).await;
    assert_eq!((world.phase(id).await, world.row(id).await.unwrap().profile), (Phase::Ready, "Large".to_owned()));

    // Something must be offered.
    let last = problem(profiles::offer(&world.pool, &root, world.first().await, false).await.unwrap_err());
    assert_eq!((last.code, last.field.as_deref()), (Code::Conflict, Some("offered")));
    let first = world.first().await;
    let mut withdrawn = change("Standard", 2, 2000);
    withdrawn.offered = false;
    assert_eq!(code(profiles::change(&world.pool, &root, first, withdrawn).await.unwrap_err()), Code::Conflict);
    profiles::offer(&world.pool, &root, large.profile_id, true).await.unwrap();
    profiles::offer(&world.pool, &root, first, false).await.unwrap();
    let new = server.create(&world.ada, "New", None).await.unwrap();
    assert_eq!(world.row(new).await.unwrap().profile, "Large", "the first that is offered");
}

#[sqlx::test(migrations = "../migrations")]
async fn profiles_and_quotas_are_an_administrators_and_a_runtime_its_owners(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let (ada, eve) = (&world.ada, person(&world.pool, "eve@example.org", Role::Person).await);
    let (id, server, first) = (world.running().await, world.server(), world.first().await);
    let pool = &world.pool;
    assert_eq!(code(profiles::all(pool, ada).await.unwrap_err()), Code::AccessDenied);
    assert_eq!(code(profiles::add(pool, ada, change("Mine", 64, 64_000)).await.unwrap_err()), Code::AccessDenied);
    assert_eq!(code(profiles::change(pool, ada, first, change("Mine", 64, 64_000)).await.unwrap_err()), Code::AccessDenied);
    assert_eq!(code(profiles::offer(pool, ada, first, false).await.unwrap_err()), Code::AccessDenied);
    let all = OwnQuota { runtimes: Some(100), ..OwnQuota::default() };
    assert_eq!(code(quotas::set(pool, ada, ada.person_id, &all).await.unwrap_err()), Code::AccessDenied);
    let everyones = world.config.runtimes.quota();
    assert_eq!(code(quotas::view(pool, everyones, &eve, ada.person_id).await.unwrap_err()), Code::AccessDenied);
    assert_eq!(quotas::view(pool, everyones, ada, ada.person_id).await.unwrap().used.runtimes, 1);
    assert_eq!(quotas::view(pool, everyones, &root, ada.person_id).await.unwrap().used.memory_bytes, 2 * GIB);
    assert_eq!(profiles::all(pool, &root).await.unwrap().len(), 1);

    let large = world.profile(&root, change("Large", 4, 1000)).await;
    for restart in [false, true] {
        assert_eq!(code(server.change_profile(&eve, id, large.profile_id, restart).await.unwrap_err()), Code::RuntimeNotFound);
    }
    assert_eq!(world.row(id).await.unwrap().profile_id, first);
    // An administrator may, and the quota is its owner's.
    world.may_use(&root, OwnQuota { memory_bytes: Some(3 * GIB), ..OwnQuota::default() }).await;
    assert_eq!(code(server.change_profile(&root, id, large.profile_id, true).await.unwrap_err()), Code::QuotaExceeded);
    world.may_use(&root, OwnQuota::default()).await;
    server.change_profile(&root, id, large.profile_id, true).await.unwrap();
    assert_eq!(world.row(id).await.unwrap().profile_id, large.profile_id);

    // What an administrator may not type, and a name that is taken.
    assert_eq!(problem(profiles::add(pool, &root, change("large", 1, 1000)).await.unwrap_err()).field.as_deref(), Some("name"));
    assert_eq!(problem(profiles::add(pool, &root, change("", 1, 1000)).await.unwrap_err()).field.as_deref(), Some("name"));
    let nobody = PersonId(uuid::Uuid::now_v7());
    assert_eq!(code(quotas::set(pool, &root, nobody, &all).await.unwrap_err()), Code::PersonNotFound);
    let minus = OwnQuota { memory_bytes: Some(-1), ..OwnQuota::default() };
    assert_eq!(problem(quotas::set(pool, &root, ada.person_id, &minus).await.unwrap_err()).field.as_deref(), Some("memory"));
    let unknown = profiles::change(pool, &root, ProfileId(uuid::Uuid::now_v7()), change("X", 1, 1000)).await;
    assert_eq!(code(unknown.unwrap_err()), Code::ProfileNotFound);
}

/// The first profile is what the settings say until an administrator says otherwise; a runtime that is there keeps what it has until its next start.
#[sqlx::test(migrations = "../migrations")]
async fn the_first_profile_follows_the_settings_until_it_is_changed(pool: Pool) {
    let mut world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let mut config = (*world.config).clone();
    config.runtimes.runtime_memory_mib = 3072;
    world.config = Arc::new(config);
    profiles::follow_settings(&world.pool, &world.config).await.unwrap();
    let server = world.server();
    assert!(server.pass().await.unwrap().is_empty(), "nothing is restarted for our sake");
    assert_eq!(world.row(id).await.unwrap().memory_bytes, 2 * GIB);
    server.restart(&world.ada, id).await.unwrap();
    world.settle(&server).await;
    assert_eq!(world.engine.limits(id).unwrap().memory_bytes, 3 * GIB);

    profiles::change(&world.pool, &root, world.first().await, change("Standard", 5, 1000)).await.unwrap();
    profiles::follow_settings(&world.pool, &world.config).await.unwrap();
    assert_eq!(profiles::offered(&world.pool).await.unwrap()[0].memory_bytes, 5 * GIB);
}

/// A profile's models are what its runtimes are configured with, at once.
#[sqlx::test(migrations = "../migrations")]
async fn a_profiles_models_are_in_its_runtimes_configuration(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    let id = world.running().await;
    let server = world.server();
    sqlx::query(
        "insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price, output_price, published)
         select gen_random_uuid(), provider_id, 'second', 'second', 1000, 100, 0, 0, 0, true from provider",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    world.settle(&server).await;
    let configured = async || server.engine().look(id).await.unwrap().configuration.unwrap();
    assert!(configured().await.contains("clawloops/demo") && configured().await.contains("second"));
    let (second,): (uuid::Uuid,) = sqlx::query_as("select model_id from model where name = 'second'").fetch_one(&world.pool).await.unwrap();
    let mut narrow = change("Standard", 2, 2000);
    narrow.models = Some(vec![ModelId(second)]);
    profiles::change(&world.pool, &root, world.first().await, narrow).await.unwrap();
    assert_eq!(server.pass().await.unwrap(), [id]);
    world.settle(&server).await;
    assert!(configured().await.contains("clawloops/second") && !configured().await.contains("demo"));
    assert_eq!(world.phase(id).await, Phase::Ready, "without a restart");
}

/// Whoever ran out of memory is shown the smallest profile that gives more and fits; where there is none, whom to ask.
#[sqlx::test(migrations = "../migrations")]
async fn the_way_to_more_memory_is_one_that_may_be_gone(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.root().await;
    world.engine.suffer(Misery { ends_at_start: Some(137), ..Misery::default() });
    let server = world.server();
    let id = server.create(&world.ada, "Main", None).await.unwrap();
    world.settle(&server).await;
    let way = async || {
        let row = world.row(id).await.unwrap();
        let quota = quotas::of(&mut world.pool.acquire().await.unwrap(), world.config.runtimes.quota(), world.ada.person_id).await.unwrap();
        let profiles = profiles::all(&world.pool, &root).await.unwrap();
        match server::orchestrator::profile::more_memory(&row, &profiles, &quota.quota, quota.used, None, Some("root".to_owned())) {
            contract::MoreMemory::Profile { name, .. } => name,
            contract::MoreMemory::Ask { whom } => format!("ask {}", whom.unwrap()),
        }
    };
    assert_eq!(way().await, "ask root");
    for (name, gib) in [("Huge", 16), ("Large", 4), ("Small", 1)] {
        world.profile(&root, change(name, gib, 1000)).await;
    }
    assert_eq!(way().await, "Large");
    world.may_use(&root, OwnQuota { memory_bytes: Some(4 * GIB), ..OwnQuota::default() }).await;
    assert_eq!(way().await, "Large", "it counts in place of the present one");
    world.may_use(&root, OwnQuota { memory_bytes: Some(3 * GIB), ..OwnQuota::default() }).await;
    assert_eq!(way().await, "ask root");
}
