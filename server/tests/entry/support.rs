//! A whole server on a port of its own, people who are signed in, and a plain server in a runtime's place.

use async_trait::async_trait;
use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequest as _, Request, WebSocketUpgrade, ws::Message},
    response::{IntoResponse as _, Response},
    routing::any,
};
use contract::{Caller, Phase, Problem, Role, RuntimeId};
use futures::StreamExt as _;
use server::{
    Result,
    backend::Backend,
    clock::{Clock, SystemClock},
    config::Config,
    data::{self, Pool, listen::Changes},
    ingress::{self, Routes, connections::Connections, proxies::Proxies, router::router},
    manager::fake::{FakeEngine, Misery},
    model::{self, door::Side},
    orchestrator::{Doors, Orchestrator, Route, logs::Logs, ports::Ports},
    platform::{keyring::Keyring, passwords::Passwords, people, sessions, throttle::Throttle},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "three plain words";

/// Where runtimes are, as the test says, and what became of their ports, where they have some.
#[derive(Default)]
pub struct Table(pub Mutex<HashMap<String, Route>>, pub Mutex<Option<Arc<Ports>>>);

#[async_trait]
impl Routes for Table {
    async fn route(&self, label: &str) -> Result<Option<Route>> {
        Ok(self.0.lock().unwrap().get(label).cloned())
    }

    async fn ready(&self) -> Result<Vec<(String, Route)>> {
        let table = self.0.lock().unwrap();
        let mut ready: Vec<_> =
            table.iter().filter(|(_, route)| route.phase == Phase::Ready).map(|(label, route)| (label.clone(), route.clone())).collect();
        ready.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(ready)
    }

    async fn visited(&self, _runtimes: &[RuntimeId]) -> Result<()> {
        Ok(())
    }

    fn closed(&self, origin: &str) -> Option<Problem> {
        let ports = self.1.lock().unwrap();
        ports.as_ref()?.fault(origin.rsplit_once(':')?.1.parse().ok()?)
    }

    /// Wakes at once.
    async fn wake(&self, runtime: RuntimeId) -> Result<()> {
        if let Some(route) = self.0.lock().unwrap().values_mut().find(|route| route.runtime_id == runtime && route.phase == Phase::Asleep) {
            route.phase = Phase::Ready;
        }
        Ok(())
    }
}

/// The engine in memory has no network to listen in.
struct NoDoors;

#[async_trait]
impl Doors for NoDoors {
    async fn open(&self, _: IpAddr) -> Result<()> {
        Ok(())
    }
}

pub struct TestApp {
    pub pool: Pool,
    pub clock: Arc<dyn Clock>,
    pub backend: Arc<Backend>,
    pub engine: Arc<FakeEngine>,
    pub table: Arc<Table>,
    pub changes: Changes,
    pub entry: Arc<ingress::Entry>,
    pub port: u16,
    pub http: reqwest::Client,
    /// Everything that is served, for another listener.
    pub router: Router,
    pub stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Somebody who is signed in.
pub struct Person {
    pub caller: Caller,
    /// `name=value` of their session's cookie.
    pub cookie: String,
}

fn config(port: u16, folder: &std::path::Path) -> Config {
    let mut config = Config::for_tests();
    config.entry.public_url = format!("http://clawloops.localhost:{port}").parse().unwrap();
    config.entry.site_dir = folder.join("site");
    config.data.data_dir = folder.to_owned();
    config.models.litellm_url = Some("http://127.0.0.1:1".parse().unwrap());
    config
}

impl TestApp {
    pub async fn on(pool: Pool) -> Self {
        Self::with(pool, |_| {}).await
    }

    /// With other settings.
    pub async fn with(pool: Pool, set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listening.local_addr().unwrap().port();
        let mut config = config(port, folder.path());
        set(&mut config);
        let config = Arc::new(config);
        let limits = config.limits.clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (changes, stop) = (Changes::new(), CancellationToken::new());
        let models =
            model::Service::new(pool.clone(), Arc::clone(&clock), Arc::clone(&config), Keyring::of(&[[7; 32]]), changes.clone()).unwrap();
        let engine = FakeEngine::well(Arc::clone(&clock));
        let orchestrator = Orchestrator::new(
            pool.clone(),
            Arc::clone(&clock),
            Arc::clone(&engine) as _,
            Arc::clone(&config),
            Keyring::of(&[[9; 32]]),
            Arc::new(NoDoors),
            changes.clone(),
        );
        let orchestrator = Arc::new(orchestrator.keeping(Logs::new(&config, Arc::clone(&engine) as _, Arc::clone(&clock))));
        let connections = Arc::new(Connections::default());
        let backend = Arc::new(Backend {
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            config: Arc::clone(&config),
            passwords: Arc::new(Passwords::new().unwrap()),
            throttle: Arc::new(Throttle::new()),
            orchestrator: Arc::clone(&orchestrator),
            models: Arc::clone(&models),
            open: Arc::clone(&connections) as _,
        });
        let table = Arc::new(Table(Mutex::default(), Mutex::new(orchestrator.ports().cloned())));
        let (entry, router, watch) = router(ingress::Parts {
            pool: pool.clone(),
            clock: Arc::clone(&clock),
            keys: Keyring::of(&[[9; 32]]),
            proxies: Proxies::of(&config.entry).unwrap(),
            config,
            changes: changes.clone(),
            connections,
            ports: backend.ports(),
            throttle: Arc::clone(&backend.throttle),
            routes: Arc::clone(&table) as _,
            logs: orchestrator,
            models: model::door::router(models, Side::Public),
            stop: stop.clone(),
        });
        tokio::spawn(watch);
        let (fed, feeding) = (changes.clone(), pool.clone());
        let mut heard = changes.subscribe();
        tokio::spawn(async move { fed.feed(&feeding).await });
        tokio::spawn(ingress::listener::serve(listening, router.clone(), limits, stop.clone()));
        // The change stream is on: from here nothing is missed.
        tokio::time::timeout(Duration::from_secs(20), heard.recv()).await.unwrap().unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { pool, clock, backend, engine, table, changes, entry, port, http, router, stop, _folder: folder }
    }

    pub fn origin(&self) -> String {
        format!("http://clawloops.localhost:{}", self.port)
    }

    pub fn runtime_origin(&self, label: &str) -> String {
        format!("http://{label}.clawloops.localhost:{}", self.port)
    }

    /// A person with a session.
    pub async fn person(&self, name: &str, role: Role) -> Person {
        let email = format!("{name}@example.com");
        let hash = self.backend.passwords.hash(PASSWORD).await.unwrap();
        let mut transaction = data::begin(&self.pool).await.unwrap();
        let person = people::add(&mut transaction, self.clock.as_ref(), (email, name.to_owned()), role, &hash).await.unwrap();
        let session = sessions::open(&mut transaction, self.clock.as_ref(), &person, "test").await.unwrap();
        transaction.commit().await.unwrap();
        Person { caller: session.caller, cookie: session.set_cookie.split(';').next().unwrap().to_owned() }
    }

    /// A runtime of this person, whose host leads to `address`.
    pub async fn runtime(&self, owner: &Person, name: &str, address: Option<SocketAddr>) -> RuntimeId {
        let runtime = self.backend.ports().runtimes.create(&owner.caller, name, None).await.unwrap();
        let label = runtime.origin.split("://").nth(1).unwrap().split('.').next().unwrap().to_owned();
        assert_eq!(label, name);
        let route = Route {
            runtime_id: runtime.runtime_id,
            person_id: owner.caller.person_id,
            person_email: owner.caller.email.clone(),
            name: name.to_owned(),
            phase: if address.is_some() { Phase::Ready } else { Phase::Waiting },
            address,
            problem: None,
        };
        self.table.0.lock().unwrap().insert(label, route);
        runtime.runtime_id
    }

    /// A request to the dashboard.
    pub fn ask(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.ask_host(method, "clawloops.localhost", path)
    }

    /// A request to any host of ours.
    pub fn ask_host(&self, method: &str, host: &str, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method.parse().unwrap(), format!("http://127.0.0.1:{}{path}", self.port))
            .header("host", format!("{host}:{}", self.port))
    }

    /// A request to a runtime's host.
    pub fn ask_runtime(&self, method: &str, label: &str, path: &str) -> reqwest::RequestBuilder {
        self.ask_host(method, &format!("{label}.clawloops.localhost"), path)
    }

    /// Where the dashboard sends this person for a runtime, as path and query on the runtime's host.
    pub async fn ticket(&self, person: &Person, runtime: RuntimeId, label: &str) -> String {
        let answer = self.ask("GET", &format!("/open/{runtime}")).header("cookie", &person.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let location = answer.headers()["location"].to_str().unwrap();
        location.strip_prefix(&self.runtime_origin(label)).unwrap().to_owned()
    }

    /// Goes all the way into a runtime's host: the cookie there.
    pub async fn enter(&self, person: &Person, runtime: RuntimeId, label: &str) -> String {
        let enter = self.ticket(person, runtime, label).await;
        let answer = self.ask_runtime("GET", label, &enter).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// Begins to stop the server.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Makes Docker go away, as far as the server sees.
    pub fn docker_down(&self) {
        self.engine.suffer(Misery { down: true, ..Misery::default() });
    }
}

/// Answers with what it was sent, framing headers like OpenClaw's, and a WebSocket that echoes.
pub async fn echo() -> SocketAddr {
    async fn answer(request: Request) -> Response {
        if request.headers().contains_key("upgrade") {
            let socket = WebSocketUpgrade::from_request(request, &()).await.unwrap();
            return socket.on_upgrade(|mut socket| async move {
                while let Some(Ok(message)) = socket.next().await {
                    if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
        if request.uri().path() == "/endless" {
            let drops = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Some((Ok::<_, std::io::Error>("drop\n"), ()))
            });
            return Response::new(Body::from_stream(drops));
        }
        if request.uri().path() == "/events" {
            let events = futures::stream::once(async { Ok::<_, std::io::Error>("data: hello\n\n") }).chain(futures::stream::pending());
            return ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response();
        }
        if request.uri().path() == "/silence" {
            std::future::pending::<()>().await;
        }
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let path = request.uri().to_string();
        let method = request.method().to_string();
        let body = axum::body::to_bytes(request.into_body(), 10_000_000).await.unwrap();
        let said = Json(serde_json::json!({"method": method, "path": path, "headers": headers, "body": String::from_utf8_lossy(&body)}));
        let framing = [
            ("x-frame-options", "DENY"),
            ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
            ("set-cookie", "__Host-clawloops_runtime=planted; Path=/; Secure"),
        ];
        (framing, said).into_response()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    address
}
