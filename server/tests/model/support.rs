//! A door on real sockets, people behind it, and an upstream that does what the call's own body asks of it.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use contract::{BudgetChange, BudgetView, Caller, KeyEnd, KeyId, KeyWish, PersonId, Role, RuntimeId, SessionId, Subject, Unit, Window};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use server::{
    clock::HandClock,
    config::{Config, Models},
    data::{
        self, Pool,
        listen::Changes,
        model_key::{NewSecret, OfRuntime},
    },
    model::{Service, door, keys, usage},
    platform::keyring::Keyring,
    runtime::token,
};
use sha2::{Digest as _, Sha256};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What the upstream saw of a call.
pub struct Seen {
    pub headers: HeaderMap,
    pub body: Value,
}

/// The upstream's own books: the judge of ours.
#[derive(Default)]
pub struct Upstream {
    pub seen: Mutex<Vec<Seen>>,
    pub tokens: Mutex<i64>,
}

pub struct World {
    pub service: Arc<Service>,
    pub pool: Pool,
    pub clock: Arc<HandClock>,
    pub public: SocketAddr,
    pub internal: SocketAddr,
    pub upstream: Arc<Upstream>,
    pub http: reqwest::Client,
    config: Arc<Config>,
    stop: CancellationToken,
    run: Mutex<Option<tokio::task::JoinHandle<()>>>,
    /// Whether its servers listen to the database for changes.
    hears: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Settings with nothing set but what a test needs.
pub fn config(litellm_url: Option<String>) -> Config {
    let parse = |text: &str| text.parse().unwrap();
    let mut config = Config::for_tests();
    config.runtimes.instance = "test".to_owned();
    config.models = Models {
        litellm_url: litellm_url.as_deref().map(parse),
        litellm_master_key: Some("sk-master".to_owned().into()),
        litellm_port: 0,
        local_model_port: 0,
        ollama_url: parse("http://127.0.0.1:1"),
        vllm_url: parse("http://127.0.0.1:1/v1"),
        ..config.models
    };
    config
}

pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An upstream that does what is asked of it in the call, and where it is.
pub async fn upstream() -> (Arc<Upstream>, SocketAddr) {
    let upstream = Arc::new(Upstream::default());
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(async || Json(json!({"data": [{"id": "b"}, {"id": "a"}]}))))
        .merge(crate::upstream::router())
        .merge(crate::media::upstream())
        .with_state(upstream.clone());
    (upstream, serve(router).await)
}

/// Has a server listen to the database, until `stop`.
async fn hear(service: &Arc<Service>, pool: &Pool, stop: &CancellationToken) {
    let (changes, pool, stop) = (service.changes().clone(), pool.clone(), stop.clone());
    tokio::spawn(async move { stop.run_until_cancelled(changes.feed(&pool)).await });
    while service.changes().stream().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl World {
    /// A door before the misbehaving upstream.
    pub async fn new(pool: Pool) -> Self {
        let (upstream, address) = upstream().await;
        let mut world = Self::before(pool, config(Some(format!("http://{address}")))).await;
        world.upstream = upstream;
        world
    }

    /// The same, of servers that hear changes and take calls for fast that come after one another: so that they draw from slices.
    pub async fn fast(pool: Pool) -> Self {
        let (upstream, address) = upstream().await;
        let config = config(Some(format!("http://{address}")));
        let models = Models { slice_from: 1, ..config.models };
        let mut world = Self::made(pool, Config { models, ..config }, true).await;
        world.upstream = upstream;
        world
    }

    /// A door with these settings.
    pub async fn before(pool: Pool, config: Config) -> Self {
        Self::made(pool, config, false).await
    }

    async fn made(pool: Pool, config: Config, hears: bool) -> Self {
        let clock = HandClock::at(datetime!(2026-11-22 12:00 UTC));
        let config = Arc::new(config);
        let service = Service::new(pool.clone(), clock.clone(), config.clone(), Keyring::of(&[[7; 32]]), Changes::new()).unwrap();
        let stop = CancellationToken::new();
        if hears {
            hear(&service, &pool, &stop).await;
        }
        let run = Mutex::new(Some(tokio::spawn(service.clone().run(stop.clone()))));
        let public = serve(door::router(service.clone(), door::Side::Public)).await;
        let internal = serve(door::router(service.clone(), door::Side::Internal)).await;
        let world = Self {
            service,
            pool,
            clock,
            public,
            internal,
            upstream: Arc::default(),
            http: reqwest::Client::new(),
            config,
            stop,
            run,
            hears,
        };
        world.model("priced", Some((3_000_000, 300_000, 15_000_000)), true).await;
        world
    }

    /// The public door of a second server on the same database.
    pub async fn another(&self) -> (Arc<Service>, SocketAddr) {
        let (service, public, _) = self.mortal().await;
        (service, public)
    }

    /// The same, with what it does beside its calls: that aborted, it is as one that was killed.
    pub async fn mortal(&self) -> (Arc<Service>, SocketAddr, tokio::task::AbortHandle) {
        let service =
            Service::new(self.pool.clone(), self.clock.clone(), self.config.clone(), Keyring::of(&[[7; 32]]), Changes::new()).unwrap();
        if self.hears {
            hear(&service, &self.pool, &self.stop).await;
        }
        let life = tokio::spawn(service.clone().run(self.stop.clone())).abort_handle();
        let public = serve(door::router(service.clone(), door::Side::Public)).await;
        (service, public, life)
    }

    /// Stops the service and waits for its children to be gone.
    pub async fn stop(&self) {
        self.stop.cancel();
        let run = self.run.lock().unwrap().take();
        run.unwrap().await.unwrap();
    }

    /// A person, in UTC.
    pub async fn person(&self, name: &str, role: Role) -> Caller {
        let person_id = PersonId(Uuid::now_v7());
        let email = format!("{name}@example.com");
        let role_text = if role == Role::Administrator { "administrator" } else { "person" };
        sqlx::query("insert into person (person_id, email, name, role, password_hash) values ($1, $2, $3, $4, 'x')")
            .bind(person_id.0)
            .bind(&email)
            .bind(name)
            .bind(role_text)
            .execute(&self.pool)
            .await
            .unwrap();
        Caller { person_id, session_id: SessionId(Uuid::now_v7()), email, name: name.to_owned(), role, time_zone: "UTC".to_owned() }
    }

    /// A person with a key of their own.
    pub async fn with_key(&self, name: &str) -> (Caller, String, KeyId) {
        let caller = self.person(name, Role::Person).await;
        let made = keys::make(&self.service, &caller, wish("laptop", KeyEnd::Never)).await.unwrap();
        (caller, made.secret, made.key.key_id)
    }

    /// A running runtime of a person, with its key.
    pub async fn runtime(&self, caller: &Caller) -> (RuntimeId, String) {
        let runtime_id = RuntimeId(Uuid::now_v7());
        let label = runtime_id.0.simple().to_string();
        sqlx::query(
            "insert into runtime (runtime_id, person_id, name, host_label, desired_state, profile_id, memory_bytes, cpu_millis, pids,
                                  workspace_bytes, image, volume)
             select $1, $2, $3, $3, 'running', profile_id, 1, 1, 1, 1, 'image', 'volume' from profile order by position, lower(name) limit 1",
        )
        .bind(runtime_id.0)
        .bind(caller.person_id.0)
        .bind(&label)
        .execute(&self.pool)
        .await
        .unwrap();
        (runtime_id, self.give(caller, runtime_id, 0, time::Duration::ZERO).await)
    }

    /// Gives a runtime its key of this number, as the orchestrator does; those before it work on for `overlap`.
    pub async fn give(&self, caller: &Caller, runtime_id: RuntimeId, number: i64, overlap: time::Duration) -> String {
        let key = token::derive(&[7; 32], runtime_id, 1, number);
        let secret = NewSecret { public_id: &key.public_id, secret_hash: Sha256::digest(key.secret.expose_secret()).into() };
        let runtime = OfRuntime { person_id: caller.person_id, runtime_id, name: "runtime" };
        let now = server::clock::Clock::now(&*self.clock);
        let mut connection = self.pool.acquire().await.unwrap();
        data::model_key::put_runtime_secret(&mut connection, runtime, secret, now + overlap, now).await.unwrap();
        key.whole.expose_secret().to_owned()
    }

    /// A model that the upstream serves.
    pub async fn model(&self, name: &str, price: Option<(i64, i64, i64)>, published: bool) {
        sqlx::query(
            "insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price,
                                output_price, published)
             select $1, provider_id, $2, $2, 100000, 4096, $3, $4, $5, $6 from provider where kind = 'demo'",
        )
        .bind(Uuid::now_v7())
        .bind(name)
        .bind(price.map(|price| price.0))
        .bind(price.map(|price| price.1))
        .bind(price.map(|price| price.2))
        .bind(published)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Sets a limit for a person, as an administrator does.
    pub async fn limit(&self, person: &Caller, window: Window, unit: Unit, amount: Option<i64>) {
        let admin = Caller { role: Role::Administrator, ..person.clone() };
        let change = BudgetChange { subject: Subject::Person(person.person_id), window, unit, amount };
        usage::set_budget(&self.service, &admin, change).await.unwrap();
    }

    pub async fn budgets(&self, person: &Caller) -> Vec<BudgetView> {
        usage::budgets(&self.service, person, None).await.unwrap()
    }

    /// A chat call through the public door.
    pub async fn chat(&self, key: &str, body: &Value) -> reqwest::Response {
        self.http.post(format!("http://{}/v1/chat/completions", self.public)).bearer_auth(key).json(body).send().await.unwrap()
    }

    /// A chat call through the internal door.
    pub async fn chat_from_runtime(&self, key: &str, body: &Value) -> reqwest::Response {
        self.http.post(format!("http://{}/v1/chat/completions", self.internal)).bearer_auth(key).json(body).send().await.unwrap()
    }

    /// A call of any shape, through the public door or, with a runtime's key, the internal one.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> reqwest::Response {
        let address = if key.starts_with("cl_rt_") { self.internal } else { self.public };
        self.http.post(format!("http://{address}/v1/{path}")).bearer_auth(key).json(body).send().await.unwrap()
    }

    /// Waits until no call is in progress or held.
    pub async fn settled(&self) {
        for _ in 0..500 {
            let held: i64 = sqlx::query_scalar("select count(*) from reservation").fetch_one(&self.pool).await.unwrap();
            if held == 0 && self.service.calls_in_progress() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("calls are still held after 10 s");
    }

    /// All records: model, input, cached, output, cost, outcome, estimated.
    pub async fn records(&self) -> Vec<(String, i64, i64, i64, i64, String, bool)> {
        sqlx::query_as(
            "select model, input_tokens, cached_input_tokens, output_tokens, cost, outcome, estimated from usage_record order by at, usage_record_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }
}

/// A key for all models.
pub fn wish(name: &str, ends: KeyEnd) -> KeyWish {
    KeyWish { name: name.to_owned(), models: None, ends, limits: Vec::new() }
}

/// A call that steers the upstream: `does` is its behaviour, `output` how many tokens it answers.
pub fn call(does: &str, output: i64) -> Value {
    json!({"model": "priced", "messages": [{"role": "user", "content": "hello"}], "x_fake": {"does": does, "output": output}})
}

/// The same as a stream.
pub fn streamed(does: &str, output: i64) -> Value {
    let mut body = call(does, output);
    body["stream"] = json!(true);
    body
}

pub const INPUT: i64 = 10;

/// What an upstream answers that does not do what was asked, in any shape.
pub async fn misbehaves(does: &str) -> Option<Response> {
    let error = |status: StatusCode, message: &str| (status, Json(json!({"error": {"message": message}}))).into_response();
    Some(match does {
        "fails" => error(StatusCode::INTERNAL_SERVER_ERROR, "boom"),
        "takes too long" => error(StatusCode::REQUEST_TIMEOUT, "litellm.Timeout"),
        "refuses our key" => error(StatusCode::UNAUTHORIZED, "Incorrect API key sk-abc"),
        "is busy" => ([("retry-after", "7")], error(StatusCode::TOO_MANY_REQUESTS, "slow down")).into_response(),
        "has no credit" => error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
        "does not like it" => error(StatusCode::BAD_REQUEST, "context too long"),
        "talks garbage" => (StatusCode::OK, [("content-type", "application/json")], "<html>no</html>").into_response(),
        "is slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            return None;
        }
        _ => return None,
    })
}

async fn chat(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let does = body.pointer("/x_fake/does").and_then(Value::as_str).unwrap_or("answers").to_owned();
    let asked = body.pointer("/x_fake/output").and_then(Value::as_i64).unwrap_or(5);
    let most = ["max_tokens", "max_completion_tokens"].iter().find_map(|name| body.get(*name)?.as_i64()).unwrap_or(i64::MAX);
    let output = asked.min(most);
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let shows_usage = body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false);
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    let usage = json!({"prompt_tokens": INPUT, "completion_tokens": output, "total_tokens": INPUT + output,
                       "prompt_tokens_details": {"cached_tokens": 4}});
    if let Some(response) = misbehaves(&does).await {
        return response;
    }
    *upstream.tokens.lock().unwrap() += INPUT + output;
    if !stream {
        let mut answer = json!({"id": "1", "object": "chat.completion", "model": "priced",
                                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}], "usage": usage});
        if does == "counts nothing" {
            answer.as_object_mut().unwrap().remove("usage");
        }
        return Json(answer).into_response();
    }
    let events = async_events(does, output, shows_usage, usage);
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}

fn async_events(does: String, output: i64, shows_usage: bool, usage: Value) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let chunk = |content: &str| format!("data: {}\n\n", json!({"id": "1", "choices": [{"index": 0, "delta": {"content": content}}]}));
    let mut events: Vec<Result<String, std::io::Error>> = (0..output).map(|_| Ok(chunk("word"))).collect();
    if does == "stops in the middle" {
        events.truncate(usize::try_from(output / 2).unwrap());
        events.push(Ok(chunk("word")[..20].to_owned()));
        events.push(Err(std::io::Error::other("gone")));
    } else {
        events.push(Ok(format!("data: {}\n\n", json!({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))));
        if shows_usage && does != "counts nothing" {
            events.push(Ok(format!("data: {}\n\n", json!({"id": "1", "choices": [], "usage": usage}))));
        }
        events.push(Ok("data: [DONE]\n\n".to_owned()));
    }
    paced(&does, events)
}

/// Events one by one: at once, or with a pause between them, or with one before the end.
pub fn paced(
    does: &str,
    events: Vec<Result<String, std::io::Error>>,
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    let pause = if does == "drips" { 20 } else { 0 };
    let lingers = does == "lingers";
    futures::stream::unfold(events.into_iter(), move |mut events| async move {
        let Some(event) = events.next() else {
            if lingers {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            return None;
        };
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        } else {
            tokio::task::yield_now().await;
        }
        Some((event.map(Bytes::from), events))
    })
}

async fn embeddings(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    *upstream.tokens.lock().unwrap() += INPUT;
    Json(json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}], "model": "priced",
                "usage": {"prompt_tokens": INPUT, "total_tokens": INPUT}}))
    .into_response()
}
