//! What the model door stands on goes away in the middle of calls: PostgreSQL here, LiteLLM for `real.rs`. The upstream's own count is the judge.

use super::support::{INPUT, World, call, paced, serve, streamed};
use axum::{Router, body::Body, http::header, routing::post};
use contract::{BudgetChange, Role, Subject, Unit, Window};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Response;
use serde_json::{Value, json};
use server::{
    config::Config,
    data::{self, cluster::Cluster},
    model::{Service, budget, usage},
};
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long PostgreSQL is away; `make soak` asks for a minute by `CLAWLOOPS_OUTAGE_SECONDS`.
const AWAY: u64 = 5;
/// Longer than anything takes here, on a machine with much to do.
const LONG: Duration = Duration::from_secs(120);
/// An answer that takes longer hangs. Three seconds are meant: this is for a machine with much to do.
const SOON: Duration = Duration::from_secs(20);
/// People who call all the while.
const CALLERS: usize = 8;
/// The shapes that stream, and the member that holds what is asked.
const SHAPES: [(&str, &str); 4] =
    [("chat/completions", "messages"), ("completions", "prompt"), ("responses", "input"), ("messages", "messages")];

/// A PostgreSQL of the test's own. It outlives whoever started it by design, so it is ended by name when the test fails.
struct Database {
    folder: tempfile::TempDir,
    config: Config,
    cluster: Cluster,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.signal(Signal::SIGQUIT);
    }
}

impl Database {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL's user must reach it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let mut config = Config::for_tests();
        config.data.data_dir = folder.path().to_owned();
        let cluster = Cluster::start(&config).await.unwrap();
        Self { folder, config, cluster }
    }

    /// `SIGINT` stops it in order, `SIGQUIT` at once and without a checkpoint, as a crash does.
    fn signal(&self, signal: Signal) {
        let note = std::fs::read_to_string(self.folder.path().join("postgres/data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = note.lines().next().and_then(|pid| pid.parse().ok()) {
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    async fn back(&mut self) {
        let back = async {
            while !matches!(self.cluster.revive(&self.config).await, Ok(true)) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        within("PostgreSQL comes back", back).await;
    }
}

#[tokio::test]
async fn a_postgresql_that_is_stopped_under_calls_loses_and_doubles_none() {
    postgresql_goes(Signal::SIGINT, false).await;
}

#[tokio::test]
async fn a_postgresql_that_crashes_under_calls_loses_and_doubles_none() {
    postgresql_goes(Signal::SIGQUIT, false).await;
}

#[tokio::test]
async fn a_postgresql_that_crashes_under_calls_that_draw_from_slices_loses_and_doubles_none() {
    postgresql_goes(Signal::SIGQUIT, true).await;
}

async fn postgresql_goes(signal: Signal, slices: bool) {
    #[expect(clippy::disallowed_methods, reason = "how long a proof lasts is no setting of the product")]
    let away = std::env::var("CLAWLOOPS_OUTAGE_SECONDS").map_or(AWAY, |text| text.parse().unwrap());
    let mut database = Database::new().await;
    let pool = data::connect(&database.cluster.url()).await.unwrap();
    data::migrate(&pool).await.unwrap();
    let world = Arc::new(if slices { World::fast(pool).await } else { World::new(pool).await });
    let (second, _) = world.another().await;
    limits(&world, !slices).await;
    let (_, key, _) = world.with_key("ada").await;

    let crowd = Arc::new(Crowd::default());
    let callers: Vec<_> = (0..CALLERS).map(|turn| tokio::spawn(crowd.clone().call(world.clone(), key.clone(), turn))).collect();
    crowd.until(&crowd.passed, 1).await;
    // In flight when it goes: streams that end while it is away, ones that outlast it, and ones whose caller hangs up meanwhile. Fifty pieces are sent
    // a second at most. Each is of a length of its own, by which its record is known.
    let (mut short, mut long, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..SHAPES.len() {
        let beyond = |pieces: u64| i64::try_from(pieces + 1 + turn as u64).unwrap();
        long.push(begin(&world, &key, turn, beyond(away * 50 + 100)).await);
        leaving.push(begin(&world, &key, turn, beyond(500)).await);
        short.push(begin(&world, &key, turn, beyond(70)).await);
    }

    database.signal(signal);
    let gone = Instant::now();
    drop(leaving);
    for (turn, answer) in short.into_iter().enumerate() {
        ends_well(turn, answer).await;
    }
    for turn in 0..SHAPES.len() {
        let asked = Instant::now();
        is_said(turn, ask(&world, &key, turn, streamed("answers", 5)).await).await;
        assert!(asked.elapsed() < SOON, "said after {:?}", asked.elapsed());
    }
    crowd.until(&crowd.refused, 1).await;
    sleep(Duration::from_secs(away).saturating_sub(gone.elapsed())).await;
    assert!(world.service.calls_in_progress() >= 2 * SHAPES.len(), "what could not be settled is kept");

    // Its leases are over, and the other server is there first: it takes the calls for lost.
    world.clock.advance(2 * budget::LEASE);
    database.back().await;
    swept(&second).await;
    for (turn, answer) in long.into_iter().enumerate() {
        ends_well(turn, answer).await;
    }
    let passed: Vec<usize> = crowd.passed.iter().map(|passed| passed.load(Ordering::Relaxed)).collect();
    crowd.until(&crowd.passed, passed.iter().max().unwrap() + 1).await;
    crowd.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        within("no call hangs", caller).await.unwrap();
    }
    judge(&world, &second).await;
    world.pool.close().await;
}

/// What comes in time.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}

/// Limits that all share, of every unit: they hold nobody back, and all is counted in them.
async fn limits(world: &World, at_once: bool) {
    let root = world.person("root", Role::Administrator).await;
    for (unit, amount) in
        [(Unit::Requests, 1_000_000), (Unit::Tokens, 1_000_000_000), (Unit::Money, 1_000_000_000_000), (Unit::Concurrency, 1_000_000)]
    {
        // Where calls at once are limited there are no slices.
        if unit == Unit::Concurrency && !at_once {
            continue;
        }
        let change = BudgetChange { subject: Subject::Everyone, window: Window::Total, unit, amount: Some(amount) };
        usage::set_budget(&world.service, &root, change).await.unwrap();
    }
}

/// Makes a call of the shape of this turn.
async fn ask(world: &World, key: &str, turn: usize, mut body: Value) -> Response {
    let (path, content) = SHAPES[turn % SHAPES.len()];
    let said = body.as_object_mut().unwrap().remove("messages").unwrap();
    body[content] = if content == "prompt" { json!("hello") } else { said };
    world.post(path, key, &body).await
}

/// Begins a stream that sends fifty pieces a second at most.
async fn begin(world: &World, key: &str, turn: usize, output: i64) -> Response {
    let mut answer = ask(world, key, turn, streamed("drips", output)).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.chunk().await.unwrap().is_some(), "it has begun");
    answer
}

/// Reads a stream to its end, which is the proper one of its shape.
async fn ends_well(turn: usize, answer: Response) {
    let text = within("it ends", answer.text()).await.unwrap();
    let end = match SHAPES[turn].0 {
        "responses" => "response.completed",
        "messages" => "message_stop",
        _ => "[DONE]",
    };
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains(end), "{last}");
}

/// A call that cannot be taken is told so in the words of its API, with a time to try again.
async fn is_said(turn: usize, answer: Response) {
    assert_eq!(answer.status(), 503);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    let said: Value = answer.json().await.unwrap();
    assert!(said["error"]["message"].as_str().unwrap().contains("The database does not answer"), "{said}");
    if SHAPES[turn % SHAPES.len()].0 == "messages" {
        assert_eq!((said["type"].as_str(), said["error"]["type"].as_str()), (Some("error"), Some("overloaded_error")), "{said}");
    } else {
        assert_eq!(said["error"]["type"], "server_error", "{said}");
    }
}

/// People who go on calling, each in a shape of their own.
#[derive(Default)]
struct Crowd {
    stop: AtomicBool,
    /// How many calls of each passed, and how many were told to come again.
    passed: [AtomicUsize; CALLERS],
    refused: [AtomicUsize; CALLERS],
}

impl Crowd {
    async fn call(self: Arc<Self>, world: Arc<World>, key: String, turn: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let body = if turn < CALLERS / 2 { call("is slow", 5) } else { streamed("answers", 5) };
            let answer = ask(&world, &key, turn, body).await;
            if answer.status() == 200 {
                assert!(!answer.bytes().await.unwrap().is_empty());
                self.passed[turn].fetch_add(1, Ordering::Relaxed);
            } else {
                is_said(turn, answer).await;
                self.refused[turn].fetch_add(1, Ordering::Relaxed);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until each of these is as much.
    async fn until(&self, what: &[AtomicUsize; CALLERS], many: usize) {
        let all = async {
            while what.iter().any(|count| count.load(Ordering::Relaxed) < many) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        within("everybody is answered", all).await;
    }
}

async fn swept(service: &Arc<Service>) {
    let swept = async {
        while budget::renew_and_sweep(service).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    within("the database is back", swept).await;
}

/// Each call that reached the upstream has one record, with the upstream's own count; nothing is held any more, and the limits have counted the same.
async fn judge(world: &World, second: &Service) {
    let quiet = async {
        loop {
            let held: i64 = sqlx::query_scalar("select count(*) from reservation").fetch_one(&world.pool).await.unwrap();
            if held == 0 && world.service.calls_in_progress() + second.calls_in_progress() == 0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    within("nothing is held any more", quiet).await;
    let mut reached: Vec<i64> =
        world.upstream.seen.lock().unwrap().iter().map(|seen| seen.body["x_fake"]["output"].as_i64().unwrap()).collect();
    reached.sort_unstable();
    let records: Vec<(i64, i64, String, bool)> =
        sqlx::query_as("select input_tokens, output_tokens, outcome, estimated from usage_record order by output_tokens")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    // A call that was held and never sent, since only the answer was lost, counts nothing.
    let nothing = |record: &&(i64, i64, String, bool)| (record.0, record.1, record.2.as_str()) == (0, 0, "failed");
    let counted: Vec<i64> = records.iter().filter(|record| !nothing(record)).map(|record| record.1).collect();
    assert_eq!(counted, reached, "each is counted once, as the upstream counted it");
    for record in records.iter().filter(|record| !nothing(record)) {
        assert!(matches!(record.2.as_str(), "done" | "hung_up") && !record.3 && record.0 == INPUT, "{record:?}");
    }
    assert_eq!(records.iter().filter(|record| record.2 == "hung_up").count(), SHAPES.len());
    let tokens: i64 = records.iter().map(|record| record.0 + record.1).sum();
    assert_eq!(tokens, *world.upstream.tokens.lock().unwrap());

    let tallies: Vec<(String, i64, i64)> =
        sqlx::query_as("select unit, settled, reserved from budget_tally order by unit").fetch_all(&world.pool).await.unwrap();
    let of = |unit: &str| tallies.iter().find(|tally| tally.0 == unit).map(|tally| (tally.1, tally.2));
    assert_eq!(of("requests"), Some((i64::try_from(records.len()).unwrap(), 0)));
    assert_eq!(of("tokens"), Some((tokens, 0)));
    assert!(matches!(of("concurrency"), None | Some((0, 0))));
    let cost: i64 = sqlx::query_scalar("select sum(cost)::bigint from usage_record").fetch_one(&world.pool).await.unwrap();
    assert_eq!(of("money"), Some((cost, 0)));
}

/// A model server that streams for a minute, and for LiteLLM is one like `OpenAI`'s.
pub async fn endless() -> SocketAddr {
    // LiteLLM breaks off an answer that says the same again and again.
    let piece = |number: i32| {
        json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "drips",
               "choices": [{"index": 0, "delta": {"role": "assistant", "content": format!("word {number} ")}, "finish_reason": null}]})
    };
    let answer = async move || {
        let events = (0..3000).map(|number| Ok(format!("data: {}\n\n", piece(number)))).collect();
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(paced("drips", events)))
    };
    serve(Router::new().route("/v1/chat/completions", post(answer))).await
}

/// LiteLLM is killed under streams of `model`, which is an [`endless`] one, in every shape: each caller hears that the answer broke off, and each call
/// counts once, by what was seen of it.
pub async fn litellm_goes(world: &Arc<World>, key: &str, model: &str, kill: impl FnOnce()) {
    world.settled().await;
    let before = world.records().await.len();
    let shapes: Vec<usize> = (0..SHAPES.len()).filter(|turn| SHAPES[*turn].0 != "completions").cycle().take(6).collect();
    let (begun, mut have_begun) = tokio::sync::mpsc::channel(shapes.len());
    let mut streams = JoinSet::new();
    for turn in shapes.iter().copied() {
        let (world, key, begun) = (world.clone(), key.to_owned(), begun.clone());
        let mut body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "go on"}]});
        if SHAPES[turn].0 == "messages" {
            body["max_tokens"] = json!(4000);
        }
        streams.spawn(async move {
            let mut answer = ask(&world, &key, turn, body).await;
            assert_eq!(answer.status(), 200);
            let (mut text, mut waits) = (Vec::new(), Some(begun));
            while let Some(part) = answer.chunk().await.unwrap() {
                text.extend_from_slice(&part);
                if words(&text) > 2
                    && let Some(begun) = waits.take()
                {
                    begun.send(()).await.unwrap();
                }
            }
            (turn, text)
        });
    }
    for _ in &shapes {
        within("every stream begins", have_begun.recv()).await.unwrap();
    }
    kill();
    let (mut seen, mut bytes) = (0, 0);
    while let Some(ended) = within("every stream ends", streams.join_next()).await {
        let (turn, text) = ended.unwrap();
        let said = String::from_utf8(text.clone()).unwrap();
        let last = said.trim_end().rsplit("\n\n").next().unwrap();
        let data: Value = serde_json::from_str(last.rsplit("data: ").next().unwrap()).unwrap();
        assert!(data["error"]["message"].as_str().unwrap().contains("broke off"), "{last}");
        assert_eq!(last.starts_with("event: error\n"), SHAPES[turn].0 != "chat/completions", "{last}");
        (seen, bytes) = (seen + words(&text), bytes + text.len());
    }
    world.settled().await;
    let records = world.records().await.split_off(before);
    assert_eq!(records.len(), shapes.len(), "each is counted once");
    let output: i64 = records.iter().map(|record| record.3).sum();
    let output = usize::try_from(output).unwrap();
    assert!(seen <= output && output < bytes, "{output} tokens counted, where {seen} words were seen in {bytes} bytes");
    for (counted, input, _, output, _, outcome, estimated) in records {
        assert!(counted == model && outcome == "failed" && estimated && input > 0 && output > 0, "{counted} {outcome} {input} {output}");
    }
}

fn words(text: &[u8]) -> usize {
    text.windows(4).filter(|four| four == b"word").count()
}
