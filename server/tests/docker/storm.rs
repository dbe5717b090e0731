//! A busy script of wishes, while the server, a process of its own, is killed at thirty random moments. In the end rows, containers, networks,
//! volumes and files are compared, all of them.

use super::{
    process::{free_port, serve, wishes},
    world::{self, BOOT, World},
};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};
use contract::{DesiredState, Phase, ProfileId, Retention, RuntimeId};
use server::{data::Pool, manager::names};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// How often the server is killed; `make soak` asks for more by `CLAWLOOPS_STORM_KILLS`.
const KILLS: usize = 30;
/// The longest life of a server, in milliseconds.
const LONGEST_LIFE: u64 = 2500;

#[sqlx::test(migrations = "../migrations")]
async fn a_server_killed_at_thirty_random_moments_leaves_everything_as_asked(pool: Pool) {
    world::play(pool, storm).await;
}

/// Random enough for moments and wishes, and the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

async fn storm(world: &World) {
    let seed = world.caller.person_id.0.as_u64_pair().1;
    eprintln!("the storm's seed: {seed}");
    #[expect(clippy::disallowed_methods, reason = "how long a proof lasts is no setting of the product")]
    let kills = std::env::var("CLAWLOOPS_STORM_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut dice = Dice(seed);
    let (port, wishes) = (free_port(), wishes(world));
    let mut runtimes: Vec<RuntimeId> = Vec::new();
    for name in ["One", "Two", "Three"] {
        runtimes.push(wishes.create(&world.caller, name, None).await.unwrap());
    }
    let profiles = two_profiles(world).await;
    let mut present = runtimes.clone();
    for kill in 0..kills {
        let server = serve(world, port);
        let end = Instant::now() + Duration::from_millis(dice.below(LONGEST_LIFE));
        while Instant::now() < end {
            let place = usize::try_from(dice.below(3)).unwrap();
            let id = present[place];
            // Whether it is granted or refused, for a runtime that is being deleted say, is not what is asked here.
            drop(match dice.below(11) {
                0..4 => wishes.start(&world.caller, id).await,
                4..6 => wishes.stop(&world.caller, id).await,
                6..8 => wishes.restart(&world.caller, id).await,
                8..10 => {
                    let profile = profiles[usize::try_from(dice.below(2)).unwrap()];
                    wishes.change_profile(&world.caller, id, profile, dice.below(2) == 0).await
                }
                _ if kill % 7 == 6 => wishes.delete(&world.caller, id, Retention::PreserveWorkspace).await,
                // Gone with all that it had, and another one in its place.
                _ if kill % 7 == 3 => {
                    let wiped = wishes.delete(&world.caller, id, Retention::WipeWorkspace).await;
                    if let Ok(another) = wishes.create(&world.caller, &format!("After {kill}"), Some(profiles[0])).await {
                        present[place] = another;
                        runtimes.push(another);
                    }
                    wiped
                }
                _ => Ok(()),
            });
            tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        }
        drop(server);
    }

    // It becomes quiet. What was deleted in the storm stays so; of the others one runs, the others rest.
    let _server = serve(world, port);
    let mut left = Vec::new();
    for id in runtimes {
        if world.row(id).await.is_some_and(|row| row.desired_state != DesiredState::Deleted) {
            left.push(id);
        } else {
            world.until(id, Phase::Deleted, BOOT).await;
        }
    }
    for (place, id) in left.iter().enumerate() {
        let done = if place == 0 { wishes.start(&world.caller, *id).await } else { wishes.stop(&world.caller, *id).await };
        done.unwrap();
    }
    for (place, id) in left.iter().enumerate() {
        world.until(*id, if place == 0 { Phase::Ready } else { Phase::Stopped }, BOOT).await;
    }
    compare(world).await;

    // And nothing is left of what goes for good.
    for id in left {
        wishes.delete(&world.caller, id, Retention::WipeWorkspace).await.unwrap();
        world.until(id, Phase::Deleted, Duration::from_secs(60)).await;
    }
    compare(world).await;
}

/// The profile that is there, and another one with less of everything but memory.
async fn two_profiles(world: &World) -> [ProfileId; 2] {
    let other = ProfileId(uuid::Uuid::now_v7());
    sqlx::query(
        "insert into profile (profile_id, name, memory_bytes, cpu_millis, pids, workspace_bytes, position)
         values ($1, 'Other', 2147483648, 1500, 400, 5368709120, 1)",
    )
    .bind(other.0)
    .execute(&world.pool)
    .await
    .unwrap();
    let first = sqlx::query_scalar("select profile_id from profile where name = 'Standard'").fetch_one(&world.pool).await.unwrap();
    [ProfileId(first), other]
}

/// Rows against containers, networks, volumes and configurations: what there is, is what there should be.
pub async fn compare(world: &World) {
    let began = Instant::now();
    loop {
        let difference = differences(world).await;
        if difference.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{difference:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn differences(world: &World) -> Vec<String> {
    let instance = &world.config.runtimes.instance;
    let label = HashMap::from([("label".to_owned(), vec![format!("{}={instance}", names::LABEL_INSTANCE)])]);
    let ready: Vec<uuid::Uuid> =
        sqlx::query_scalar("select runtime_id from runtime where phase = 'ready'").fetch_all(&world.pool).await.unwrap();
    let running: BTreeSet<String> = ready.iter().map(|id| world.name(RuntimeId(*id))).collect();
    let configured: BTreeSet<String> = ready.iter().map(uuid::Uuid::to_string).collect();
    // A workspace may be kept by a runtime that is gone; one that was asked to be wiped may not.
    let kept: BTreeSet<String> = sqlx::query_scalar(
        "select distinct volume from runtime r where phase <> 'deleted'
         or (retention = 'preserve_workspace' and not exists (select from runtime w where w.volume = r.volume and w.retention = 'wipe_workspace'))",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap()
    .into_iter()
    .collect();

    let all = ListContainersOptionsBuilder::default().all(true).filters(&label).build();
    let containers = world.docker.list_containers(Some(all)).await.unwrap();
    let containers: BTreeSet<String> = containers
        .into_iter()
        .map(|container| {
            let state = container.state.unwrap().to_string();
            let name = container.names.unwrap().concat().trim_start_matches('/').to_owned();
            if state == "running" { name } else { format!("{name} ({state})") }
        })
        .collect();
    let networks = world.docker.list_networks(Some(ListNetworksOptionsBuilder::default().filters(&label).build())).await.unwrap();
    let networks: BTreeSet<String> = networks.into_iter().filter_map(|network| network.name).collect();
    let volumes = world.docker.list_volumes(Some(ListVolumesOptionsBuilder::default().filters(&label).build())).await.unwrap();
    let volumes: BTreeSet<String> = volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
    let folders: BTreeSet<String> = std::fs::read_dir(world.config.data.data_dir.join("runtimes"))
        .map(|folder| folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();

    let mut found = Vec::new();
    let mut differ = |what: &str, is: &BTreeSet<String>, ought: &BTreeSet<String>| {
        if is != ought {
            found.push(format!("{what}: there are {is:?}, there should be {ought:?}"));
        }
    };
    differ("containers", &containers, &running);
    differ("networks", &networks, &running);
    differ("volumes", &volumes, &kept);
    differ("configurations", &folders, &configured);
    let unfinished: i64 = sqlx::query_scalar("select count(*) from task where ended_at is null").fetch_one(&world.pool).await.unwrap();
    if unfinished != 0 {
        found.push(format!("{unfinished} tasks never ended"));
    }
    found
}
