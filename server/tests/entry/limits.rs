//! What clients and runtimes may take: each limit is answered clearly, and others are served meanwhile.

use crate::{
    raw::{hear, say, statuses},
    support::{Person, TestApp, echo},
};
use contract::Role;
use futures::{SinkExt as _, StreamExt as _, future::join_all};
use serde_json::Value;
use server::{config::Config, data::Pool};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

struct World {
    app: TestApp,
    ada: Person,
    cookie: String,
    /// Where the server in the runtime's place stands.
    runtime_port: u16,
}

async fn world(pool: Pool, set: impl FnOnce(&mut Config)) -> World {
    let app = TestApp::with(pool, set).await;
    let ada = app.person("ada", Role::Person).await;
    let address = echo().await;
    let runtime = app.runtime(&ada, "ada-agent", Some(address)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    World { app, ada, cookie, runtime_port: address.port() }
}

impl World {
    fn ask(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.app.ask_runtime(method, "ada-agent", path).header("cookie", &self.cookie)
    }

    /// The head of a request to the runtime's host, without its end.
    fn head(&self, method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: ada-agent.clawloops.localhost:{}\r\nCookie: {}\r\n", self.app.port, self.cookie)
    }

    async fn websocket(&self) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.app.port)).await.unwrap();
        let mut request = format!("ws://ada-agent.clawloops.localhost:{}/", self.app.port).into_client_request().unwrap();
        request.headers_mut().insert("cookie", self.cookie.parse().unwrap());
        request.headers_mut().insert("origin", self.app.runtime_origin("ada-agent").parse().unwrap());
        client_async(request, stream).await.unwrap().0
    }
}

async fn code(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let problem: Value = answer.json().await.unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

fn told(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_head_that_is_too_large_is_told_so(pool: Pool) {
    let world = world(pool, |config| config.limits.headers_kib = 16).await;
    let large = "x".repeat(17 << 10);
    assert_eq!(code(world.ask("GET", "/").header("x-large", &large).send().await.unwrap()).await, told(431, "HEADERS_TOO_LARGE"));
    assert_eq!(
        code(world.app.ask("GET", "/runtimes").header("x-large", &large).send().await.unwrap()).await,
        told(431, "HEADERS_TOO_LARGE")
    );
    assert_eq!(code(world.ask("GET", &format!("/{large}")).send().await.unwrap()).await, told(431, "HEADERS_TOO_LARGE"));
    let page = world.ask("GET", "/").header("x-large", &large).header("accept", "text/html").send().await.unwrap();
    assert!(page.status() == 431 && page.text().await.unwrap().contains("cookies"));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    for (count, expected) in [(90, 200), (110, 431), (900, 431)] {
        let said = say(&world.app, format!("{}{}\r\n", world.head("GET", "/"), many(count)).as_bytes()).await;
        assert_eq!(statuses(&said), [expected], "{count}");
    }
    let said = say(&world.app, format!("{}X: {}\r\n\r\n", world.head("GET", "/"), "x".repeat(2 << 20)).as_bytes()).await;
    assert!(said.is_empty() || statuses(&said) == [431], "{said}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_has_its_size_and_an_upload_to_a_runtime_has_none(pool: Pool) {
    let world = world(pool, |config| config.limits.form_kib = 64).await;
    let post = || {
        let asked =
            world.app.ask("POST", "/api/ui/change-password").header("cookie", &world.ada.cookie).header("origin", world.app.origin());
        asked.header("content-type", "application/x-www-form-urlencoded")
    };
    let streamed = |text: String| reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(text)]));
    let large = format!("current={}&new=x", "x".repeat(70 << 10));
    // Without a length it is found out on the way.
    for body in [reqwest::Body::from(large.clone()), streamed(large)] {
        assert_eq!(code(post().body(body).send().await.unwrap()).await, told(413, "REQUEST_TOO_LARGE"));
    }
    let upload = "x".repeat(9 << 20);
    for body in [reqwest::Body::from(upload.clone()), streamed(upload.clone())] {
        let answer: Value = world.ask("POST", "/upload").body(body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["body"].as_str().unwrap().len(), upload.len());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_stops_coming_is_told_so(pool: Pool) {
    let world = world(pool, |config| config.limits.body_seconds = 1).await;
    let runtime = format!("{}Content-Length: 10\r\n\r\nhello", world.head("POST", "/upload"));
    let dashboard = format!(
        "POST /api/ui/change-password HTTP/1.1\r\nHost: clawloops.localhost:{}\r\nOrigin: {}\r\nCookie: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\nhello",
        world.app.port,
        world.app.origin(),
        world.ada.cookie
    );
    for request in [runtime, dashboard] {
        let mut stream = TcpStream::connect(("127.0.0.1", world.app.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let said = hear(&mut stream).await;
        assert_eq!(statuses(&said), [408], "{said}");
        assert!(said.contains("REQUEST_TIMED_OUT"), "{said}");
    }
    // Slow, but steady.
    let drops = futures::stream::iter(0..6).then(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok::<_, std::io::Error>("drop")
    });
    let answer: Value = world.ask("POST", "/upload").body(reqwest::Body::wrap_stream(drops)).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["body"].as_str().unwrap().len(), 24);
    assert_eq!(world.app.entry.open_connections(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_does_not_begin_to_answer_is_not_waited_for(pool: Pool) {
    let world = world(pool, |config| config.limits.first_byte_seconds = 1).await;
    assert_eq!(code(world.ask("GET", "/silence").send().await.unwrap()).await, told(504, "RUNTIME_TIMED_OUT"));
    let page = world.ask("GET", "/silence").header("accept", "text/html").send().await.unwrap();
    assert!(page.status() == 504 && page.text().await.unwrap().contains("did not begin to answer"));
    // What is asked for as a stream may keep silent, and what has begun to answer may go on.
    let stream = world.ask("GET", "/silence").header("accept", "text/event-stream").send();
    assert!(tokio::time::timeout(Duration::from_secs(2), stream).await.is_err());
    let mut endless = world.ask("GET", "/endless").send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(endless.chunk().await.unwrap().is_some());
    // An upload that takes longer than the answer may is not cut for it.
    let drops = futures::stream::iter(0..8).then(|_| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok::<_, std::io::Error>("drop")
    });
    assert_eq!(world.ask("POST", "/upload").body(reqwest::Body::wrap_stream(drops)).send().await.unwrap().status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_person_has_so_much_open_and_no_more(pool: Pool) {
    let world = world(pool, |config| config.limits.streams_per_person = 3).await;
    let (first, _second) = (world.websocket().await, world.websocket().await);
    let mut events = world.app.ask("GET", "/events").header("cookie", &world.ada.cookie).send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    assert_eq!(code(world.ask("GET", "/").send().await.unwrap()).await, told(429, "TOO_MANY_REQUESTS"));
    assert_eq!(
        code(world.app.ask("GET", "/events").header("cookie", &world.ada.cookie).send().await.unwrap()).await,
        told(429, "TOO_MANY_REQUESTS")
    );
    // Others have their own share, and a page of the dashboard is always there.
    let bob = world.app.person("bob", Role::Person).await;
    let runtime = world.app.runtime(&bob, "bob-agent", Some(echo().await)).await;
    let cookie = world.app.enter(&bob, runtime, "bob-agent").await;
    assert_eq!(world.app.ask_runtime("GET", "bob-agent", "/").header("cookie", &cookie).send().await.unwrap().status(), 200);
    assert_eq!(
        world.app.ask("GET", "/runtimes").header("cookie", &world.ada.cookie).header("accept", "text/html").send().await.unwrap().status(),
        200
    );
    drop(first);
    eventually("a place is free again", async || world.ask("GET", "/").send().await.unwrap().status() == 200).await;
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn more_connections_than_there_is_room_for_are_turned_away(pool: Pool) {
    let world = world(pool, |config| config.limits.connections = 30).await;
    let mut held = Vec::new();
    let turned_away = loop {
        let mut stream = TcpStream::connect(("127.0.0.1", world.app.port)).await.unwrap();
        if held.len() >= 20
            && let said @ 1.. = hear(&mut stream).await.len()
        {
            break said;
        }
        held.push(stream);
        assert!(held.len() < 40, "nobody was turned away");
    };
    assert!(turned_away > 0);
    let mut stream = TcpStream::connect(("127.0.0.1", world.app.port)).await.unwrap();
    let said = hear(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: 5") && said.contains("SERVICE_UNAVAILABLE"), "{said}");
    drop(held);
    eventually("there is room again", async || world.ask("GET", "/").send().await.is_ok_and(|answer| answer.status() == 200)).await;
}

/// Clients that send their headers by drops, or nothing, or half an HTTP/2 greeting: they are cut in time, and hold up nobody.
#[sqlx::test(migrations = "../migrations")]
async fn two_hundred_slow_clients_hold_up_nobody(pool: Pool) {
    let world = world(pool, |config| (config.limits.header_seconds, config.limits.idle_seconds) = (2, 2)).await;
    let began = Instant::now();
    let slow = (0..200).map(|n| {
        let head = world.head("GET", "/");
        async move {
            let mut stream = TcpStream::connect(("127.0.0.1", world.app.port)).await.unwrap();
            let beginning = [&b""[..], b"PRI * HTTP", b"G", head.as_bytes()][n % 4];
            stream.write_all(beginning).await.unwrap();
            // A byte now and then does not help.
            while n % 4 == 3 && stream.write_all(b"X-Slow: 1\r\n").await.is_ok() && began.elapsed() < Duration::from_secs(10) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let said = hear_to_end(&mut stream).await;
            assert!(said.is_none(), "a slow client was answered: {said:?}");
            began.elapsed()
        }
    });
    let others = async {
        let mut slowest = Duration::ZERO;
        while began.elapsed() < Duration::from_secs(2) {
            let asked = Instant::now();
            assert_eq!(world.ask("GET", "/").send().await.unwrap().status(), 200);
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    };
    let (cut, slowest) = tokio::join!(join_all(slow), others);
    let longest = cut.into_iter().max().unwrap();
    assert!(longest < Duration::from_secs(8), "the last slow client was cut after {longest:?}");
    assert!(slowest < Duration::from_secs(2), "somebody waited {slowest:?}");
}

async fn hear_to_end(stream: &mut TcpStream) -> Option<String> {
    use tokio::io::AsyncReadExt as _;
    let mut said = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await.unwrap();
    (read.is_ok() && !said.is_empty()).then(|| String::from_utf8_lossy(&said).into_owned())
}

/// Connections from or to these ports, as the kernel has them: other tests have their own. Those that only wait for late packets are closed.
fn connections(ports: &[u16]) -> usize {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|line| !["06", "0A"].contains(&line[3]) && (ports.contains(&port(line[1])) || ports.contains(&port(line[2])))).count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Requests that are cut before their answer, in the middle of it, and WebSockets that go without a word.
#[sqlx::test(migrations = "../migrations")]
async fn a_thousand_who_come_and_go_leave_nothing_behind(pool: Pool) {
    let world = world(pool, |_| {}).await;
    let cycle = async |n: usize| match n % 4 {
        0 => drop(world.websocket().await),
        1 => {
            let mut socket = world.websocket().await;
            socket.send(Message::text("hello")).await.unwrap();
            assert!(socket.next().await.unwrap().is_ok());
        }
        kind => {
            let mut stream = TcpStream::connect(("127.0.0.1", world.app.port)).await.unwrap();
            let path = if kind == 2 { "/silence" } else { "/endless" };
            stream.write_all(format!("{}\r\n", world.head("GET", path)).as_bytes()).await.unwrap();
            if kind == 3 {
                stream.readable().await.unwrap();
            }
        }
    };
    // Once, so that whatever is made on the first use is there: pools, threads.
    join_all((0..40).map(cycle)).await;
    eventually("the first ones are gone", async || world.app.entry.open_connections() == 0).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let ports = [world.app.port, world.runtime_port];
    let (before, alive) = (connections(&ports), tasks());
    for round in 0..25 {
        join_all((0..40).map(|n| cycle(round * 40 + n))).await;
    }
    eventually("all are gone", async || world.app.entry.open_connections() == 0).await;
    eventually("connections and tasks are what they were", async || connections(&ports) <= before + 5 && tasks() <= alive + 5).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn two_thousand_idle_websockets_are_held(pool: Pool) {
    // Each is four descriptors here, where both ends of both connections are.
    let room = std::fs::read_to_string("/proc/self/limits").unwrap();
    let room: usize =
        room.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().nth(3).unwrap().parse().unwrap();
    let count = 2000.min((room - 300) / 4);
    let world = world(pool, |config| config.limits.streams_per_person = 0).await;
    let mut sockets = Vec::new();
    while sockets.len() < count {
        sockets.extend(join_all((0..50.min(count - sockets.len())).map(|_| world.websocket())).await);
    }
    assert_eq!(world.app.entry.open_connections(), count);
    assert!(connections(&[world.runtime_port]) >= count, "the kernel's table tells of them");
    // Others are served, and each still carries.
    assert_eq!(world.app.ask("GET", "/healthz").send().await.unwrap().status(), 200);
    for socket in sockets.iter_mut().step_by(97) {
        socket.send(Message::text("still there?")).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "still there?"));
    }
    drop(sockets);
    eventually("all are gone", async || world.app.entry.open_connections() == 0).await;
}
