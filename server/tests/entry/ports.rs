//! Runtimes at ports of one host, without a name of their own: real listeners, and a browser that sends each cookie of the host to every port.

use crate::support::{Person, TestApp, echo};
use contract::{Code, Phase, Role, RuntimeId};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use server::{
    data::{self, Pool},
    error::Error,
    ingress::{gate::Gate, ports::Listeners},
    orchestrator::Route,
    platform::sessions,
};
use std::{
    net::{SocketAddr, TcpListener as Socket},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

/// A listener opens and closes within this time of the change.
const SOON: Duration = Duration::from_secs(5);

/// Ports side by side that nobody has: below those that the system gives away by itself.
fn free(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let first = 20_000 + (u16::try_from(std::process::id() % 300).unwrap() * 40 + step * 10) % 12_000;
        if (first..first + count).all(|port| Socket::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

struct Office {
    app: TestApp,
    first: u16,
}

impl Office {
    /// A server that is known by its address, with so many ports for runtimes.
    async fn on(pool: Pool, count: u16) -> Self {
        Self::at(pool, free(count), count).await
    }

    async fn at(pool: Pool, first: u16, count: u16) -> Self {
        let app = TestApp::with(pool, |config| {
            config.entry.public_url.set_host(Some("127.0.0.1")).unwrap();
            config.entry.forward_auth_from = vec!["127.0.0.1".parse().unwrap()];
            config.entry.ingress_token = Some("0123456789abcdef0123456789abcdef".to_owned().into());
            config.entry.runtime_ports = Some(format!("{first}-{}", first + count - 1).parse().unwrap());
        })
        .await;
        let limits = server::config::Config::for_tests().limits;
        let listeners = Listeners {
            pool: app.pool.clone(),
            ports: Arc::clone(app.backend.orchestrator.ports().unwrap()),
            gate: Gate::new(limits.clone()),
            tls: None,
            router: app.router.clone(),
            limits,
            stop: app.stop.clone(),
        };
        tokio::spawn(listeners.follow(app.changes.clone()));
        Self { app, first }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.app.port)
    }

    /// A runtime of this person, which leads to a server that says what it was sent. Answers with its port.
    async fn runtime(&self, owner: &Person, name: &str) -> (RuntimeId, u16) {
        let made = self.app.backend.ports().runtimes.create(&owner.caller, name, None).await.unwrap();
        let port: u16 = made.origin.strip_prefix("http://127.0.0.1:").unwrap().parse().unwrap();
        let route = Route {
            runtime_id: made.runtime_id,
            person_id: owner.caller.person_id,
            person_email: owner.caller.email.clone(),
            name: name.to_owned(),
            phase: Phase::Ready,
            address: Some(echo().await),
            problem: None,
        };
        self.app.table.0.lock().unwrap().insert(port.to_string(), route);
        assert!(listens(port).await, "{port} is not listened on");
        (made.runtime_id, port)
    }

    fn ask(&self, method: &str, port: u16, path: &str) -> reqwest::RequestBuilder {
        self.app.http.request(method.parse().unwrap(), format!("http://127.0.0.1:{port}{path}"))
    }

    /// The cookie that lets this person into the runtime at this port.
    async fn enter(&self, person: &Person, runtime: RuntimeId, port: u16) -> String {
        let open = self.ask("GET", self.app.port, &format!("/open/{runtime}")).header("cookie", &person.cookie).send().await.unwrap();
        assert_eq!(open.status(), 303);
        let way = open.headers()["location"].to_str().unwrap().strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap().to_owned();
        let entered = self.ask("GET", port, &way).send().await.unwrap();
        assert_eq!(entered.status(), 303);
        assert_eq!(entered.headers()["location"].to_str().unwrap(), format!("http://127.0.0.1:{port}/"));
        let set = entered.headers()["set-cookie"].to_str().unwrap();
        assert!(set.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"), "{set}");
        set.split(';').next().unwrap().to_owned()
    }

    async fn connect(&self, port: u16, cookie: &str, origin: &str) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut request = format!("ws://127.0.0.1:{port}/").into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        Ok(client_async(request, stream).await?.0)
    }

    /// The reconciler has removed it.
    async fn gone(&self, runtime: RuntimeId) {
        let mut connection = self.app.pool.acquire().await.unwrap();
        let row = data::runtime::get(&mut connection, runtime).await.unwrap().unwrap();
        assert!(data::runtime::finish(&mut connection, runtime, row.generation, self.app.clock.now()).await.unwrap());
    }
}

async fn until(what: impl AsyncFn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < SOON {
        if what().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn listens(port: u16) -> bool {
    until(async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await
}

async fn closes(port: u16) -> bool {
    until(async || TcpStream::connect(("127.0.0.1", port)).await.is_err()).await
}

fn said<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    answer["headers"].as_array().unwrap().iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn each_runtime_is_an_origin_of_its_own(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let ((one, at_one), (other, at_other)) = (office.runtime(&ada, "one").await, office.runtime(&ada, "other").await);
    assert_eq!((at_one, at_other), (office.first, office.first + 1));
    // As the gateway asks in earnest, and only so: by the port, in digits, and by no name.
    let orchestrator = &office.app.backend.orchestrator;
    assert_eq!(orchestrator.address_of(&at_one.to_string()).await.unwrap().unwrap().runtime_id, one);
    for nowhere in ["one", "0", "80", &format!("{}", office.first + 2), &format!("{}", office.app.port)] {
        assert!(orchestrator.address_of(nowhere).await.unwrap().is_none(), "{nowhere}");
    }

    let (to_one, to_other) = (office.enter(&ada, one, at_one).await, office.enter(&ada, other, at_other).await);
    assert!(to_one.starts_with(&format!("__Host-Http-clawloops_runtime_{at_one}=")), "{to_one}");
    // What a browser that was everywhere sends to each port of the host.
    let all = format!("{}; {to_one}; {to_other}", ada.cookie);
    for port in [at_one, at_other] {
        let answer = office.ask("GET", port, "/hello?x=1").header("cookie", &all).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(policy, format!("default-src 'self'; frame-ancestors {}", office.origin()));
        assert!(!answer.headers().contains_key("x-frame-options") && !answer.headers().contains_key("set-cookie"));
        let answer: Value = answer.json().await.unwrap();
        let authority = format!("127.0.0.1:{port}");
        assert_eq!((said(&answer, "host"), said(&answer, "x-forwarded-host")), (vec![authority.as_str()], vec![authority.as_str()]));
        assert_eq!(said(&answer, "x-forwarded-user"), ["ada@example.com"]);
        assert_eq!(said(&answer, "cookie"), Vec::<&str>::new(), "no cookie of ours comes to a runtime");
        assert!(!answer.to_string().contains(ada.cookie.split_once('=').unwrap().1));
    }
    // The one cookie does not open the other, and nothing is open without one.
    assert_eq!(office.ask("GET", at_one, "/").header("cookie", &to_other).send().await.unwrap().status(), 401);
    let planted = to_other.replace(&at_other.to_string(), &at_one.to_string());
    for cookie in [planted.as_str(), &ada.cookie, "", &format!("{to_one}; {to_one}")] {
        assert_eq!(office.ask("GET", at_one, "/").header("cookie", cookie).send().await.unwrap().status(), 401, "{cookie}");
    }
    let page = office.ask("GET", at_one, "/chat").header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.headers()["location"].to_str().unwrap(), format!("{}/open/{one}?to=%2Fchat", office.origin()));
    // The dashboard frames the ports of its own host, and what it says holds for them.
    let home = office.ask("GET", office.app.port, "/").header("cookie", &ada.cookie).header("accept", "text/html").send().await.unwrap();
    assert!(home.headers()["content-security-policy"].to_str().unwrap().contains("frame-src 'self' http://127.0.0.1:*;"));
    assert_eq!(home.headers()["origin-agent-cluster"], "?1");
}

#[sqlx::test(migrations = "../migrations")]
async fn at_a_runtimes_port_nobody_else_is_found(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let ((one, at_one), (_, at_other)) = (office.runtime(&ada, "one").await, office.runtime(&ada, "other").await);
    let cookie = office.enter(&ada, one, at_one).await;
    let both = format!("{cookie}; {}", ada.cookie);
    for host in [
        format!("127.0.0.1:{}", office.app.port),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{at_other}"),
        format!("localhost:{at_one}"),
        format!("one.127.0.0.1:{at_one}"),
        "evil.example".to_owned(),
    ] {
        let answer = office.ask("GET", at_one, "/runtimes").header("host", &host).header("cookie", &both).send().await.unwrap();
        assert_eq!(answer.status(), 421, "{host}");
    }
    // A proxy that has the ports sends all of them here, with the host as it was.
    let passed = office.ask("GET", office.app.port, "/x").header("host", format!("127.0.0.1:{at_one}")).header("cookie", &cookie);
    assert_eq!(passed.send().await.unwrap().status(), 200);
    let alive = office.ask("GET", at_one, "/__clawloops/healthz").send().await.unwrap();
    assert_eq!((alive.status().as_u16(), alive.text().await.unwrap().as_str()), (200, "ok\n"));
}

#[sqlx::test(migrations = "../migrations")]
async fn another_persons_runtime_stays_closed(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let (ada, bob) = (office.app.person("ada", Role::Person).await, office.app.person("bob", Role::Person).await);
    let ((hers, at_hers), (his, at_his)) = (office.runtime(&ada, "hers").await, office.runtime(&bob, "his").await);
    let (to_hers, to_his) = (office.enter(&ada, hers, at_hers).await, office.enter(&bob, his, at_his).await);
    let open = office.ask("GET", office.app.port, &format!("/open/{his}")).header("cookie", &ada.cookie).send().await.unwrap();
    assert_eq!(open.status(), 404);
    assert_eq!(office.ask("GET", at_his, "/").header("cookie", format!("{}; {to_hers}", ada.cookie)).send().await.unwrap().status(), 401);
    let (_, token) = to_hers.split_once('=').unwrap();
    let under_his_name = format!("__Host-Http-clawloops_runtime_{at_his}={token}");
    assert_eq!(office.ask("GET", at_his, "/").header("cookie", under_his_name).send().await.unwrap().status(), 401);
    assert_eq!(office.ask("GET", at_his, "/").header("cookie", to_his).send().await.unwrap().status(), 200);
    // A ticket for one port opens nothing at another, and nothing any more.
    let open = office.ask("GET", office.app.port, &format!("/open/{hers}")).header("cookie", &ada.cookie).send().await.unwrap();
    let location = open.headers()["location"].to_str().unwrap().to_owned();
    let way = location.split_once(&at_hers.to_string()).unwrap().1;
    for port in [at_his, at_hers] {
        assert_eq!(office.ask("GET", port, way).send().await.unwrap().status(), 403);
    }
}

/// Keeps cookies as a browser does: by name, for the host, whatever the port.
#[derive(Default)]
struct Browser(std::collections::BTreeMap<String, String>);

impl Browser {
    fn keep(&mut self, answer: &reqwest::Response) {
        for set in answer.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.to_ascii_lowercase().contains("; httponly"), "a script of another port could read {set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    fn sends(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtimes_cookies_come_back_to_it_alone_and_overwrite_nobodys(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let ((one, at_one), (other, at_other)) = (office.runtime(&ada, "one").await, office.runtime(&ada, "other").await);
    let hostile = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: id=of-one; Path=/\r\nSet-Cookie: __Host-app=of-one; Path=/; Secure\r\n\
         Set-Cookie: {session}=stolen; Path=/; Secure; HttpOnly\r\nSet-Cookie: __Host-clawloops_session=stolen; Path=/; Secure\r\n\
         Set-Cookie: ={session}=stolen; Path=/\r\nSet-Cookie: __Host-Http-clawloops_runtime_{at_other}=stolen; Path=/; Secure; HttpOnly\r\n\
         Set-Cookie: rt{at_other}_id=stolen; Path=/\r\nSet-Cookie: __Host-rt{at_other}_app=stolen; Path=/; Secure\r\n\
         Set-Cookie: __Host-Http-clawloops_shown=stolen; Path=/; Secure; HttpOnly\r\n\r\nok",
        session = sessions::COOKIE,
    );
    let mut browser = Browser::default();
    let (name, value) = ada.cookie.split_once('=').unwrap();
    browser.0.insert(name.to_owned(), value.to_owned());
    for (runtime, port) in [(one, at_one), (other, at_other)] {
        let cookie = office.enter(&ada, runtime, port).await;
        let (name, value) = cookie.split_once('=').unwrap();
        browser.0.insert(name.to_owned(), value.to_owned());
    }
    let ours = browser.0.clone();
    // The other one sets cookies of the same names, and does so first.
    for (port, answer) in [
        (
            at_other,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: id=of-other; Path=/\r\nSet-Cookie: __Host-app=of-other; Path=/; Secure\r\n\r\nok",
        ),
        (at_one, hostile.as_str()),
    ] {
        office.app.table.0.lock().unwrap().get_mut(&port.to_string()).unwrap().address =
            Some(crate::raw::scripted(answer.as_bytes().to_vec(), true).await);
        let answer = office.ask("GET", port, "/").header("cookie", browser.sends()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        browser.keep(&answer);
    }
    for (name, value) in &ours {
        assert_eq!(browser.0.get(name), Some(value), "{name} was overwritten");
    }
    // What the page's script can add: any name, with a path of its own, so that the same name comes twice.
    let planted =
        format!("{}; id=planted; rt{at_other}_id=planted; rt{at_other}_new=x.planted; __Host-rt{at_other}_app=planted", browser.sends());
    for (port, own) in [(at_one, "of-one"), (at_other, "of-other")] {
        office.app.table.0.lock().unwrap().get_mut(&port.to_string()).unwrap().address = Some(echo().await);
        let answer: Value = office.ask("GET", port, "/").header("cookie", &planted).send().await.unwrap().json().await.unwrap();
        let mut cookies: Vec<String> = said(&answer, "cookie").iter().flat_map(|line| line.split("; ")).map(str::to_owned).collect();
        cookies.sort_unstable();
        let mut expected = vec![format!("__Host-app={own}"), format!("id={own}")];
        if port == at_one {
            // Its own, whatever it calls them.
            expected.extend([format!("__Host-rt{at_other}_app=stolen"), format!("rt{at_other}_id=stolen")]);
        }
        expected.sort_unstable();
        assert_eq!(cookies, expected, "at {port}");
    }
    // After all that the dashboard knows who it is.
    let home = office
        .ask("GET", office.app.port, "/runtimes")
        .header("cookie", browser.sends())
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(home.status(), 200);
}

/// The person's session is in each request to the host, so where it comes from decides.
#[sqlx::test(migrations = "../migrations")]
async fn what_a_runtimes_page_sends_to_the_dashboard_does_nothing(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let (ada, eve) = (office.app.person("ada", Role::Person).await, office.app.person("eve", Role::Person).await);
    let (one, at_one) = office.runtime(&ada, "one").await;
    let origin = format!("http://127.0.0.1:{at_one}");
    let ask = |method: &str, path: &str| office.ask(method, office.app.port, path).header("cookie", &ada.cookie).header("origin", &origin);
    for (path, body) in [
        ("/api/ui/sign-out", String::new()),
        ("/api/ui/stop-runtime", format!("runtime_id={one}")),
        ("/api/ui/me", String::new()),
        ("/api/ui/sign-in", "email=eve%40example.com&password=three+plain+words".to_owned()),
    ] {
        let form = |asked: reqwest::RequestBuilder| asked.header("content-type", "application/x-www-form-urlencoded").body(body.clone());
        // A browser of today says that it is another origin of the same site; an old one says the origin alone.
        for mode in ["navigate", "cors", "no-cors"] {
            let answer = form(ask("POST", path)).header("sec-fetch-site", "same-site").header("sec-fetch-mode", mode).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{path} {mode}");
            assert!(!answer.headers().contains_key("set-cookie") && !answer.headers().contains_key("access-control-allow-origin"));
        }
        assert_eq!(form(ask("POST", path)).send().await.unwrap().status(), 403, "{path}");
    }
    for path in ["/events", "/usage.json", "/runtimes"] {
        let answer = ask("GET", path).header("sec-fetch-site", "same-site").header("sec-fetch-mode", "cors").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    // And the same from one runtime to the other.
    let (other, at_other) = office.runtime(&ada, "other").await;
    let to_other = office.enter(&ada, other, at_other).await;
    let crossing = office.ask("POST", at_other, "/").header("cookie", &to_other).header("origin", &origin);
    assert_eq!(crossing.send().await.unwrap().status(), 403);
    let crossing =
        office.ask("POST", at_other, "/").header("cookie", &to_other).header("origin", &origin).header("sec-fetch-site", "same-site");
    assert_eq!(crossing.send().await.unwrap().status(), 403);
    // A session that was planted beside the person's own is nobody's, and neither is one under the name of before.
    let page = |cookie: String| office.ask("GET", office.app.port, "/runtimes").header("cookie", cookie).header("accept", "text/html");
    let before = eve.cookie.replace(sessions::COOKIE, sessions::COOKIE_BEFORE);
    assert_eq!(page(ada.cookie.clone()).send().await.unwrap().status(), 200);
    assert_eq!(page(format!("{}; {}", ada.cookie, eve.cookie)).send().await.unwrap().status(), 303);
    assert_eq!(page(before).send().await.unwrap().status(), 303);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_websocket_opens_for_its_own_port_and_ends_with_the_session(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let (one, at_one) = office.runtime(&ada, "one").await;
    let cookie = format!("{}; {}", office.enter(&ada, one, at_one).await, ada.cookie);
    let origin = format!("http://127.0.0.1:{at_one}");
    for foreign in [office.origin(), format!("http://127.0.0.1:{}", at_one + 1), "http://127.0.0.1".to_owned(), "null".to_owned()] {
        let refused = office.connect(at_one, &cookie, &foreign).await;
        assert!(matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 403), "{foreign}: {refused:?}");
    }
    let mut socket = office.connect(at_one, &cookie, &origin).await.unwrap();
    socket.send(Message::text("ping?")).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "ping?"));
    assert_eq!(office.app.entry.open_connections(), 1);
    office.app.backend.ports().accounts.sign_out(&ada.caller).await.unwrap();
    let ended = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                return u16::from(frame.code);
            }
        }
        0
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(2), ended).await.unwrap(), 4401);
    assert_eq!(office.ask("GET", at_one, "/").header("cookie", &cookie).send().await.unwrap().status(), 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_range_that_is_used_up_says_so_and_a_port_that_is_free_again_is_given_last_to_who_had_it(pool: Pool) {
    let office = Office::on(pool, 3).await;
    let (ada, bob) = (office.app.person("ada", Role::Person).await, office.app.person("bob", Role::Person).await);
    let (first, at_first) = office.runtime(&ada, "a").await;
    let (_, at_second) = office.runtime(&ada, "b").await;
    office.runtime(&ada, "c").await;
    let create = |owner: &Person, name: &'static str| {
        let (ports, caller) = (office.app.backend.ports(), owner.caller.clone());
        async move { ports.runtimes.create(&caller, name, None).await }
    };
    let problem = create(&bob, "d").await.unwrap_err();
    assert_eq!(problem.code, Code::Unavailable);
    assert!(problem.message.contains("all 3 that there are") && problem.remedy.unwrap().contains("CLAWLOOPS_RUNTIME_PORTS"));
    assert!(office.app.backend.ports().runtimes.list(&bob.caller).await.unwrap().is_empty(), "nothing is left of what was refused");
    assert!(listens(at_first).await);

    // What is gone gives its port back, and nobody listens there.
    office.gone(first).await;
    assert!(closes(at_first).await);
    let again = create(&bob, "d").await.unwrap();
    assert_eq!(again.origin, format!("http://127.0.0.1:{at_first}"));
    assert!(listens(at_first).await);
    // Of two that are free, a person gets the one where no runtime of theirs was: their browser may hold what that one left there.
    office.gone(again.runtime_id).await;
    let second = office.app.backend.orchestrator.address_of(&at_second.to_string()).await.unwrap().unwrap().runtime_id;
    office.gone(second).await;
    assert_eq!(create(&bob, "e").await.unwrap().origin, format!("http://127.0.0.1:{at_second}"));
}

#[sqlx::test(migrations = "../migrations")]
async fn many_who_ask_at_once_get_one_port_each(pool: Pool) {
    let office = Office::on(pool, 10).await;
    let mut asking = Vec::new();
    for number in 0..6 {
        let person = office.app.person(&format!("p{number}"), Role::Person).await;
        for name in ["a", "b"] {
            let (ports, caller) = (office.app.backend.ports(), person.caller.clone());
            asking.push(tokio::spawn(async move { ports.runtimes.create(&caller, name, None).await.map(|made| made.origin) }));
        }
    }
    let answers = futures::future::join_all(asking).await;
    let mut given: Vec<String> = answers.into_iter().filter_map(|answer| answer.unwrap().ok()).collect();
    given.sort_unstable();
    let expected: Vec<String> = (office.first..office.first + 10).map(|port| format!("http://127.0.0.1:{port}")).collect();
    assert_eq!(given, expected, "twelve asked for ten");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_port_stays_over_stop_start_and_restarts_of_the_server(pool: Pool) {
    let office = Office::on(pool.clone(), 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    office.runtime(&ada, "gone").await;
    let (runtime, port) = office.runtime(&ada, "kept").await;
    let cookie = office.enter(&ada, runtime, port).await;
    let runtimes = office.app.backend.ports().runtimes;
    runtimes.stop(&ada.caller, runtime).await.unwrap();
    assert!(runtimes.get(&ada.caller, runtime).await.unwrap().origin.ends_with(&format!(":{port}")));
    runtimes.start(&ada.caller, runtime).await.unwrap();
    let (first, route) = (office.first, office.app.table.0.lock().unwrap()[&port.to_string()].clone());
    drop(office);
    assert!(closes(port).await, "a server that ends listens no more");

    let office = Office::at(pool, first, 4).await;
    office.app.table.0.lock().unwrap().insert(port.to_string(), route);
    assert!(listens(port).await, "nobody had to ask for it");
    assert!(office.app.backend.ports().runtimes.get(&ada.caller, runtime).await.unwrap().origin.ends_with(&format!(":{port}")));
    assert_eq!(office.ask("GET", port, "/").header("cookie", cookie).send().await.unwrap().status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_port_in_foreign_hands_is_passed_over_or_said_and_taken_when_it_is_free(pool: Pool) {
    let first = free(4);
    let foreign = Socket::bind(("127.0.0.1", first)).unwrap();
    let office = Office::at(pool.clone(), first, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let (runtime, port) = office.runtime(&ada, "agent").await;
    assert_eq!(port, first + 1);
    drop(foreign);
    // Another program is there before the server is.
    drop(office);
    assert!(closes(port).await);
    let foreign = Socket::bind(("127.0.0.1", port)).unwrap();
    let office = Office::at(pool, first, 4).await;
    let ports = office.app.backend.orchestrator.ports().unwrap();
    assert!(until(async || ports.fault(port).is_some()).await);
    let open = office.ask("GET", office.app.port, &format!("/open/{runtime}")).header("cookie", &ada.cookie).header("accept", "text/html");
    let open = open.send().await.unwrap();
    assert_eq!(open.status(), 503);
    let page = open.text().await.unwrap();
    assert!(page.contains(&format!("Port {port} of the server")) && page.contains("Stop that program"), "{page}");
    drop(foreign);
    assert!(until(async || ports.fault(port).is_none()).await && listens(port).await);
    office.enter(&ada, runtime, port).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn runtimes_from_before_get_ports_and_a_range_that_is_too_small_is_refused(pool: Pool) {
    let app = TestApp::on(pool.clone()).await;
    let ada = app.person("ada", Role::Person).await;
    let runtimes = app.backend.ports().runtimes;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(runtimes.create(&ada.caller, name, None).await.unwrap().runtime_id);
    }
    drop(app);
    let first = free(4);
    let ports = |count: u16| {
        let mut entry = server::config::Config::for_tests().entry;
        entry.runtime_ports = Some(format!("{first}-{}", first + count - 1).parse().unwrap());
        server::orchestrator::ports::Ports::of(&entry).unwrap()
    };
    let refused = server::ingress::ports::settle(&pool, &ports(2)).await.unwrap_err();
    assert!(matches!(&refused, Error::Problem(problem) if problem.message.contains("all 2")), "{refused}");
    server::ingress::ports::settle(&pool, &ports(3)).await.unwrap();
    let office = Office::at(pool.clone(), first, 3).await;
    let origin = async |runtime| office.app.backend.ports().runtimes.get(&ada.caller, runtime).await.unwrap().origin;
    for (number, runtime) in (0..).zip(&made) {
        assert_eq!(origin(*runtime).await, format!("http://127.0.0.1:{}", first + number));
        assert!(listens(first + number).await);
    }
    // Asked again, nothing moves.
    server::ingress::ports::settle(&pool, &ports(3)).await.unwrap();
    assert_eq!(origin(made[2]).await, format!("http://127.0.0.1:{}", first + 2));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_ingress_asks_by_port(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let ((one, at_one), (_, at_other)) = (office.runtime(&ada, "one").await, office.runtime(&ada, "other").await);
    let cookie = format!("{}; {}; planted=1", ada.cookie, office.enter(&ada, one, at_one).await);
    let verify = |port: u16| {
        let asked = office.ask("GET", office.app.port, "/auth/verify").header("cookie", &cookie).header("x-forwarded-method", "GET");
        asked.header("x-forwarded-host", format!("127.0.0.1:{port}")).header("x-forwarded-uri", "/chat").send()
    };
    let may = verify(at_one).await.unwrap();
    assert_eq!((may.status().as_u16(), may.headers()["x-forwarded-user"].to_str().unwrap()), (200, "ada@example.com"));
    assert_eq!(
        (&may.headers()["x-forwarded-host"], &may.headers()["cookie"]),
        (&format!("127.0.0.1:{at_one}").parse().unwrap(), &"".parse().unwrap())
    );
    assert_eq!(verify(at_other).await.unwrap().status(), 401);
    for nobodys in [office.first + 3, office.app.port] {
        assert_eq!(verify(nobodys).await.unwrap().status(), 403);
    }
    // Traefik finds runtimes by names, and cannot rename their cookies.
    let provider =
        office.ask("GET", office.app.port, "/internal/traefik").header("authorization", "Bearer 0123456789abcdef0123456789abcdef");
    assert_eq!(provider.send().await.unwrap().status(), 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn connections_to_all_ports_are_counted_together(pool: Pool) {
    let office = Office::on(pool, 4).await;
    let ada = office.app.person("ada", Role::Person).await;
    let ports = [office.runtime(&ada, "one").await.1, office.runtime(&ada, "other").await.1];
    let limits = server::config::Limits { connections: 10, ..server::config::Config::for_tests().limits };
    let gate = Gate::new(limits.clone());
    let mut at = Vec::new();
    for _ in ports {
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        at.push(listening.local_addr().unwrap());
        let router = office.app.router.clone();
        tokio::spawn(server::ingress::listener::serve_behind(
            Arc::clone(&gate),
            listening,
            None,
            router,
            limits.clone(),
            office.app.stop.clone(),
        ));
    }
    let mut held: Vec<TcpStream> = Vec::new();
    for number in 0..10 {
        held.push(TcpStream::connect::<SocketAddr>(at[number % 2]).await.unwrap());
    }
    assert!(until(async || gate.taken() == 10).await);
    for address in at {
        let answer = office.app.http.get(format!("http://{address}/healthz")).send().await.unwrap();
        assert_eq!(answer.status(), 503);
    }
}
