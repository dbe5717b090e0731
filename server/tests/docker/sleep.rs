//! Sleep with a real OpenClaw in a real container: it is asked, frozen, thawed by a visit within a second, woken for what is due, and put away.

use super::{
    get,
    storm::compare,
    world,
    world::{BOOT, Life, World},
};
use bollard::query_parameters::KillContainerOptions;
use contract::{DesiredState, Phase, Retention, RuntimeId, SleepDepth};
use server::{
    data::Pool,
    manager::rpc::{AdminRpc, Openclaw as _, Outlook},
    orchestrator::rest::Policy,
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Soon, so that the test is short.
const REST: Policy = Policy {
    sleep_after: Some(time::Duration::seconds(4)),
    stop_after: None,
    worth: time::Duration::seconds(2),
    ask_again: time::Duration::seconds(2),
};
const PATIENCE: Duration = Duration::from_secs(60);

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_sleeps_and_wakes_on_real_docker(pool: Pool) {
    world::play(pool, sleeps).await;
}

async fn is_paused(world: &World, id: RuntimeId) -> bool {
    world.inspect(id).await.state.unwrap().paused.unwrap()
}

/// A runtime, and the server that looks after it.
struct Claw<'a> {
    life: &'a Life,
    id: RuntimeId,
    address: SocketAddr,
}

impl Claw<'_> {
    /// Asks OpenClaw through its host's door, as the platform does. On its way to sleep it says that it takes nothing now, and frozen it says nothing:
    /// then it is visited, and asked again.
    async fn rpc(&self, method: &str, params: serde_json::Value) -> serde_json::Value {
        let asked = async {
            loop {
                match tokio::time::timeout(Duration::from_secs(3), rpc(self.address, method, &params)).await {
                    Ok(answer) if answer["ok"] == true => return answer["payload"].clone(),
                    Ok(answer) => assert_eq!(answer["error"]["retryable"], true, "{method}: {answer}"),
                    Err(_) => {}
                }
                self.life.orchestrator.wake(&[self.id]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("OpenClaw takes what it is asked")
    }

    /// Has OpenClaw do something once, so many seconds from now. Answers when.
    async fn schedule(&self, name: &str, seconds: i64) -> OffsetDateTime {
        let due = OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
        let at = due.format(&time::format_description::well_known::Rfc3339).unwrap();
        let job = serde_json::json!({
            "name": name, "enabled": true, "deleteAfterRun": false,
            "schedule": { "kind": "at", "at": at }, "sessionTarget": "main", "wakeMode": "next-heartbeat",
            "payload": { "kind": "systemEvent", "text": "Look at the calendar." }
        });
        self.rpc("cron.add", job).await;
        due
    }

    /// Waits until OpenClaw did what was scheduled under this name.
    async fn ran(&self, name: &str) {
        let ran = async {
            loop {
                let jobs = self.rpc("cron.list", serde_json::json!({ "includeDisabled": true, "enabled": "all" })).await;
                if jobs["jobs"].as_array().unwrap().iter().any(|job| job["name"] == name && !job["state"]["lastRunAtMs"].is_null()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ran).await.expect("what was scheduled ran");
    }
}

async fn rpc(address: SocketAddr, method: &str, params: &serde_json::Value) -> serde_json::Value {
    let body = serde_json::json!({ "method": method, "params": params }).to_string();
    let request = format!(
        "POST /api/v1/admin/rpc HTTP/1.1\r\nhost: clawloops.internal\r\ncontent-type: application/json\r\nx-forwarded-for: 192.0.2.1\r\n\
         x-forwarded-host: clawloops.internal\r\nx-forwarded-proto: http\r\nx-forwarded-user: platform@clawloops.internal\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let json = answer.find('{').zip(answer.rfind('}')).map(|(from, to)| &answer[from..=to]);
    serde_json::from_str(json.unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Waits until it sleeps with nothing left of it but its workspace.
async fn gone(world: &World, id: RuntimeId) {
    let gone = async {
        while world.row(id).await.unwrap().sleep_depth != Some(SleepDepth::Stopped) || world.count().await != (0, 0, 1) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(BOOT, gone).await.expect("it gives its memory back");
    assert_eq!(world.row(id).await.unwrap().phase, Phase::Asleep);
}

async fn sleeps(world: &World) {
    let life = world.live_resting(REST);
    let id = life.orchestrator.create(&world.caller, "Main", None).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    let address = life.orchestrator.address_of("main").await.unwrap().unwrap().address.unwrap();
    let claw = Claw { life: &life, id, address };

    // Asked, it agrees and is frozen; its memory is kept.
    let took = world.until(id, Phase::Asleep, PATIENCE).await;
    eprintln!("ready to asleep: {took:?}");
    while !is_paused(world, id).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.row(id).await.unwrap().sleep_depth, Some(SleepDepth::Frozen));
    let stats = life.orchestrator.engine().stats(id).await.unwrap().unwrap();
    eprintln!("frozen it holds {} MiB", stats.memory_bytes >> 20);

    // A visit thaws it, and it answers and takes work within a second.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let began = Instant::now();
        life.orchestrator.wake(&[id]).await.unwrap();
        world.until(id, Phase::Ready, PATIENCE).await;
        let page = get(address).await;
        let woke = began.elapsed();
        assert!(page.contains("200 OK"), "{page}");
        claw.rpc("cron.status", serde_json::json!({})).await;
        eprintln!("frozen to answered: {woke:?}");
        assert!(woke < Duration::from_secs(1), "{woke:?}");
        world.until(id, Phase::Asleep, PATIENCE).await;
    }

    // What its person scheduled is known before it sleeps, and wakes it in time.
    life.orchestrator.wake(&[id]).await.unwrap();
    world.until(id, Phase::Ready, PATIENCE).await;
    let due = claw.schedule("daily digest", 45).await;
    let known = AdminRpc::new().outlook(address).await.unwrap();
    let Outlook { next: Some(next), watches: None } = known else { panic!("{known:?}") };
    assert!(next.name == "daily digest" && (next.at - due).abs() < time::Duration::SECOND, "{next:?}");
    world.until(id, Phase::Asleep, PATIENCE).await;
    let row = world.row(id).await.unwrap();
    assert_eq!(row.schedule_name.as_deref(), Some("daily digest"));
    world.until(id, Phase::Ready, PATIENCE).await;
    let early = due - OffsetDateTime::now_utc();
    eprintln!("woken {early} before it is due");
    assert!(early.is_positive() && early < time::Duration::seconds(20));
    claw.ran("daily digest").await;
    eprintln!("ran {} after it was due", OffsetDateTime::now_utc() - due);

    // Due while it is frozen and no server runs: the next one wakes it at once, and OpenClaw catches up.
    let due = claw.schedule("evening digest", 30).await;
    world.until(id, Phase::Asleep, PATIENCE).await;
    while !is_paused(world, id).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.row(id).await.unwrap().schedule_name.as_deref(), Some("evening digest"));
    drop(life);
    while OffsetDateTime::now_utc() < due {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(is_paused(world, id).await, "nobody was there to wake it");
    let life = world.live_resting(REST);
    let woke = world.until(id, Phase::Ready, Duration::from_secs(5)).await;
    Claw { life: &life, id, address }.ran("evening digest").await;
    eprintln!("a new server woke it after {woke:?}; it ran {} after it was due", OffsetDateTime::now_utc() - due);

    // A hand at Docker's socket: what it froze goes on, and what it killed in its sleep sleeps on without a container.
    life.orchestrator.wake(&[id]).await.unwrap();
    world.until(id, Phase::Ready, PATIENCE).await;
    world.docker.pause_container(&world.name(id)).await.unwrap();
    let told = Instant::now();
    while is_paused(world, id).await {
        assert!(told.elapsed() < Duration::from_secs(10), "what a hand froze stays frozen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("what a hand froze went on after {:?}", told.elapsed());
    world.until(id, Phase::Asleep, PATIENCE).await;
    while !is_paused(world, id).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.docker.kill_container(&world.name(id), None::<KillContainerOptions>).await.unwrap();
    gone(world, id).await;
    life.orchestrator.wake(&[id]).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;

    // Deeper: its memory is given back; a visit starts it.
    drop(life);
    let life = world.live_resting(Policy { stop_after: Some(time::Duration::SECOND), ..REST });
    gone(world, id).await;
    let row = world.row(id).await.unwrap();
    assert_eq!((row.phase, row.desired_state), (Phase::Asleep, DesiredState::Running));
    let began = Instant::now();
    life.orchestrator.wake(&[id]).await.unwrap();
    world.until(id, Phase::Ready, BOOT).await;
    eprintln!("stopped to ready: {:?}", began.elapsed());
    life.orchestrator.delete(&world.caller, id, Retention::WipeWorkspace).await.unwrap();
    world.until(id, Phase::Deleted, PATIENCE).await;
    compare(world).await;
    assert_eq!(world.count().await, (0, 0, 0));
}
