//! Requests that no client sends: two meanings, forged identities. A plain server in the runtime's place notes what arrives: nothing forged, and never
//! more than one request for one.

use crate::{
    raw::{Recorder, Seen, recorder, say, statuses},
    support::{Person, TestApp},
};
use contract::Role;
use futures::future::join_all;
use server::data::Pool;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// What is forged says so.
const ROOT: &str = "root@evil.example";

struct World {
    app: TestApp,
    runtime: Recorder,
    ada: Person,
    cookie: String,
    host: String,
}

async fn world(pool: Pool) -> World {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = recorder(OK).await;
    let id = app.runtime(&ada, "ada-agent", Some(runtime.address)).await;
    let cookie = app.enter(&ada, id, "ada-agent").await;
    let host = format!("ada-agent.clawloops.localhost:{}", app.port);
    World { app, runtime, ada, cookie, host }
}

impl World {
    /// Says a request to the runtime's host: `{host}` and `{cookie}` are filled in.
    async fn say(&self, request: &str) -> String {
        say(&self.app, self.filled(request).as_bytes()).await
    }

    fn filled(&self, request: &str) -> String {
        request.replace("{host}", &self.host).replace("{cookie}", &self.cookie)
    }

    fn arrived(&self) -> Vec<Seen> {
        self.runtime.seen()
    }
}

/// A second request, hidden behind the first one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-Forwarded-User: root@evil.example\r\n\r\n";

/// A post with these headers and this body.
fn post(headers: &str, body: &str) -> String {
    format!("POST /first HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\n{headers}\r\n\r\n{body}")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_request_of_two_lengths_is_refused_and_hides_no_other(pool: Pool) {
    let world = &world(pool).await;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let filled = world.filled(HIDDEN);
    let refused = [
        // Codings that one program knows and another does not.
        post("Content-Length: 4\r\nTransfer-Encoding: xchunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: chunked, identity\r\nContent-Length: 4", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: identity, chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: gzip, chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding : chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding:\x0bchunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding:\r\n chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("X: y\r\n Transfer-Encoding: chunked", &format!("0\r\n\r\n{HIDDEN}")),
        post("Transfer-Encoding: \"chunked\"", &format!("0\r\n\r\n{HIDDEN}")),
        // Lengths that are none.
        post("Content-Length: 0\r\nContent-Length: 9", HIDDEN),
        post("Content-Length: +5", &format!("hello{HIDDEN}")),
        post("Content-Length: -5", HIDDEN),
        post("Content-Length: 5 5", &format!("hello{HIDDEN}")),
        post("Content-Length: 5, 5", &format!("hello{HIDDEN}")),
        post("Content-Length: 0x5", &format!("hello{HIDDEN}")),
        post("Content-Length: 5e0", &format!("hello{HIDDEN}")),
        post("Content-Length: 99999999999999999999999", HIDDEN),
        post("Content-Length : 5", &format!("hello{HIDDEN}")),
        // HTTP/1.0 knows no chunks.
        format!("POST /first HTTP/1.0\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        // A WebSocket has no body, and what stands where it would be is no request.
        format!(
            "GET /first HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\nOrigin: http://{{host}}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: {}\r\n\r\n{HIDDEN}",
            filled.len()
        ),
    ];
    for (request, said) in refused.iter().zip(join_all(refused.iter().map(|request| world.say(request))).await) {
        assert_eq!(statuses(&said), [400], "{request}\n{said}");
        assert!(said.to_ascii_lowercase().contains("connection: close"), "{request}\n{said}");
    }
    assert!(world.arrived().is_empty(), "{:?}", world.arrived());

    // Chunks that are none: the request may have begun to arrive, and never becomes another one.
    let broken = [
        chunk("hello").replace("\r\n", "\n") + "0\n\n",
        "5;\r\nhello".to_owned(),
        "5 \x0b\r\nhello\r\n0\r\n\r\n".to_owned(),
        "-5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "0x5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n".to_owned(),
        "5;a=\nGET /hidden HTTP/1.1\r\nhello\r\n0\r\n\r\n".to_owned(),
    ];
    let said =
        join_all(broken.iter().map(|body| async move { world.say(&post("Transfer-Encoding: chunked", &format!("{body}{HIDDEN}"))).await }));
    for (body, said) in broken.iter().zip(said.await) {
        assert!(statuses(&said).len() <= 1, "{body:?}\n{said}");
    }
    let arrived = world.arrived();
    assert!(arrived.iter().all(|seen| seen.path() == "/first" && !seen.head.contains(ROOT)), "{arrived:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_stands_after_a_body_is_never_taken_for_part_of_it(pool: Pool) {
    let world = world(pool).await;
    // CL.TE and TE.CL: a length beside chunks is left out by the parser. The chunks count (RFC 9112, section 6.1), and nothing after them is read.
    let chunked = format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
    for length in [4, 15, chunked.len()] {
        for headers in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        ] {
            let said = world.say(&post(&headers, &chunked)).await;
            assert!(statuses(&said).len() == 1 && said.to_ascii_lowercase().contains("connection: close"), "{headers}\n{said}");
        }
    }
    assert_eq!(world.arrived().len(), 6);
    // Extensions of chunks and trailers stay outside.
    let said = world
        .say(&post("Transfer-Encoding: chunked", "5;x=root@evil.example\r\nhello\r\n0\r\nX-Forwarded-User: root@evil.example\r\n\r\n"))
        .await;
    assert_eq!(statuses(&said), [200], "{said}");
    let said = world.say(&post("Content-Length: 5\r\nTrailer: X-Forwarded-User", "hello")).await;
    assert_eq!(statuses(&said), [200], "{said}");
    for seen in world.arrived() {
        assert_eq!((seen.path(), seen.body.as_slice()), ("/first", &b"hello"[..]));
        assert!(!seen.head.contains("evil") && seen.all("trailer").is_empty() && seen.all("content-length").len() <= 1, "{}", seen.head);
    }

    // A request that is refused with its body unread: the body is no second request.
    let before = world.arrived().len();
    let hidden = world.filled(HIDDEN);
    for (path, status) in [("/api/v1/admin/rpc", 404), ("/__clawloops/x", 404)] {
        let refused =
            format!("POST {path} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\nContent-Length: {}\r\n\r\n{HIDDEN}", hidden.len());
        assert_eq!(statuses(&world.say(&refused).await), [status], "{path}");
    }
    let unread = format!("POST / HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n{HIDDEN}", hidden.len());
    assert_eq!(statuses(&world.say(&unread).await), [401]);
    assert_eq!(world.arrived().len(), before, "{:?}", world.arrived());

    // Two are two.
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\n\r\n");
    assert_eq!(statuses(&world.say(&(get("/one") + &get("/two"))).await), [200, 200]);
    let paths: Vec<String> = world.arrived()[before..].iter().map(|seen| seen.path().to_owned()).collect();
    assert_eq!(paths, ["/one", "/two"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_request_is_for_one_host_and_says_so_once(pool: Pool) {
    let world = world(pool).await;
    let get = |line: &str, headers: &str| format!("GET {line} HTTP/1.1\r\nCookie: {{cookie}}\r\n{headers}\r\n\r\n");
    let refused = [
        get("/", "Host: {host}\r\nHost: bob-agent.clawloops.localhost"),
        get("/", "Host: {host}\r\nhost: {host}"),
        get("/", "X-Nothing: 1"),
        get("/", "Host: {host}, bob-agent.clawloops.localhost"),
        get("/", "Host: {host} bob-agent.clawloops.localhost"),
        get("/", "Host: evil@{host}"),
        get("/", "Host: evil.example#{host}"),
        get("/", "Host: {host}/x"),
        get("/", "Host: {host}?x"),
        get("/", "Host : {host}"),
        get("/", " Host: {host}"),
        get("/", "X: y\r\n Host: {host}\r\nHost: {host}"),
        get("http://evil.example/", "Host: {host}"),
        get("http://{host}/", "Host: evil.example"),
        get("http://evil@{host}/", "Host: {host}"),
        get("file://{host}/", "Host: {host}"),
        get("{host}", "Host: {host}"),
        get("/a b", "Host: {host}"),
        get("/\x01", "Host: {host}"),
        get("*", "Host: {host}"),
        "GET / HTTP/1.1 \x0b\r\nHost: {host}\r\n\r\n".to_owned(),
        "GET / HTTP/3.7\r\nHost: {host}\r\n\r\n".to_owned(),
        "G\x00ET / HTTP/1.1\r\nHost: {host}\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\x00b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\rX-Forwarded-User: root@evil.example\r\n\r\n".to_owned(),
    ];
    for (request, said) in refused.iter().zip(join_all(refused.iter().map(|request| world.say(request))).await) {
        assert_eq!(statuses(&said), [400], "{request:?}\n{said}");
    }
    // Ports and names that are not ours lead nowhere.
    for host in ["evil.example", "ada-agent.clawloops.localhost.evil.example", "ada-agent.clawloops.localhost:3000:80", "[::1]"] {
        assert_eq!(statuses(&world.say(&get("/", &format!("Host: {host}"))).await), [421], "{host}");
    }
    for method in ["CONNECT", "TRACE"] {
        let said =
            world.say(&format!("{method} {} HTTP/1.1\r\nHost: {{host}}\r\n\r\n", if method == "TRACE" { "/" } else { "{host}" })).await;
        assert_eq!(statuses(&said), [405], "{method}\n{said}");
    }
    assert!(world.arrived().is_empty(), "{:?}", world.arrived());
    // A line that ends in LF alone ends as well (RFC 9112, section 2.2), for everything that is looked at: nothing hides in a value.
    let bare = format!("GET /bare HTTP/1.1\nHost: {{host}}\nX: a\nX-Forwarded-User: {ROOT}\nCookie: {{cookie}}\nConnection: close\n\n");
    assert_eq!(statuses(&world.say(&bare).await), [200]);
    let bare = world.runtime.seen.lock().unwrap().remove(0);
    assert!(bare.all("x-forwarded-user") == ["ada@example.com"] && !bare.head.contains(ROOT), "{}", bare.head);
    // A proxy's form, with the same host twice, is one request for that host.
    assert_eq!(statuses(&world.say(&get("http://{host}/whole", "Host: {host}")).await), [200]);
    assert_eq!(world.arrived()[0].all("host"), [world.host.as_str()]);
    assert_eq!(world.arrived()[0].path(), "/whole");
}

/// The forged headers of the advisories on Traefik of 2026, and their neighbours.
const FORGED: &[(&str, &[&str])] = &[
    // CVE-2026-33433: an identity header is written under one spelling of its case, and the forged one under another stands beside it, and first.
    ("33433", &["X-Forwarded-User", "x-forwarded-user", "X-FORWARDED-USER", "x-Forwarded-uSER"]),
    // CVE-2026-39858: what a proxy says of scheme, host and way is cleaned under its usual names and believed under those with underscores.
    ("39858", &["X_Forwarded_Proto", "X_Forwarded_Host", "X_Forwarded_For", "X-Forwarded_Prefix", "x_forwarded-port", "X_Real_Ip"]),
    // CVE-2026-54763: the identity itself under underscores, which the backend reads as hyphens.
    ("54763", &["X_Forwarded_User", "x_forwarded_user", "X-Forwarded_User", "X_Auth_User", "Remote_User"]),
    // CVE-2026-88011: the same under dots, which came through after underscores were refused.
    ("88011", &["X.Forwarded.User", "x.forwarded.user", "X-Forwarded.User", "X.Authenticated.User", "X.Forwarded_User"]),
    (
        "others",
        &["Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Forwarded-Prefix", "X-Openclaw-Scopes", "X_Openclaw_Scopes", "Via"],
    ),
    ("odd names", &["X-Forwarded-User\u{7f}", "X~Forwarded~User", "X!Forwarded!User", "X'Forwarded'User", "X|Forwarded|User"]),
];

#[sqlx::test(migrations = "../migrations")]
async fn nobody_says_for_themselves_who_they_are(pool: Pool) {
    let world = world(pool).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Origin: http://{host}\r\n";
    let hop = "Connection: keep-alive, X-Forwarded-User, x-forwarded-host, cookie2\r\n";
    for (advisory, names) in FORGED {
        for more in ["", upgrade, hop] {
            let forged: String = names.iter().map(|name| format!("{name}: {ROOT}\r\n")).collect();
            let said = world
                .say(&format!("GET /asked HTTP/1.1\r\n{forged}Host: {{host}}\r\n{more}{forged}Cookie: {{cookie}}\r\n{forged}\r\n"))
                .await;
            // What is no name of a header is refused at once; all else is answered, as who the session says.
            let expected = if names.iter().any(|name| name.contains('\u{7f}')) { 400 } else { 200 };
            assert_eq!(statuses(&said), [expected], "{advisory} {more}\n{said}");
        }
    }
    let arrived = world.arrived();
    assert_eq!(arrived.len(), (FORGED.len() - 1) * 3);
    for seen in arrived {
        assert!(!seen.head.contains(ROOT) && !seen.head.contains("clawloops_runtime"), "{}", seen.head);
        assert_eq!(seen.all("x-forwarded-user"), ["ada@example.com"]);
        assert_eq!(seen.all("x-forwarded-host"), [world.host.as_str()]);
        assert_eq!(seen.all("host"), [world.host.as_str()]);
        assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
        let odd: Vec<&str> = seen.head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
        assert!(odd.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')), "{odd:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn neither_the_dashboard_nor_the_models_believe_a_forged_name(pool: Pool) {
    let world = world(pool).await;
    let dashboard = format!("clawloops.localhost:{}", world.app.port);
    for (advisory, names) in FORGED.iter().filter(|(advisory, _)| *advisory != "odd names") {
        let forged: String = names.iter().map(|name| format!("{name}: {}\r\n", world.ada.caller.email)).collect();
        for path in ["/api/ui/my-runtimes", "/v1/models", "/events", "/runtimes"] {
            let said = say(&world.app, format!("GET {path} HTTP/1.1\r\nHost: {dashboard}\r\n{forged}\r\n").as_bytes()).await;
            assert_eq!(statuses(&said), [401], "{advisory} {path}\n{said}");
        }
    }
    // A runtime's cookie is none of the dashboard's, and the other way round.
    let said = say(&world.app, format!("GET /runtimes HTTP/1.1\r\nHost: {dashboard}\r\nCookie: {}\r\n\r\n", world.cookie).as_bytes()).await;
    assert_eq!(statuses(&said), [401]);
    let said = world.say(&format!("GET / HTTP/1.1\r\nHost: {{host}}\r\nCookie: {}\r\n\r\n", world.ada.cookie)).await;
    assert_eq!(statuses(&said), [401]);
}

#[sqlx::test(migrations = "../migrations")]
async fn other_protocols_are_not_changed_to(pool: Pool) {
    let world = world(pool).await;
    for protocol in ["h2c", "TLS/1.0", "websocket2", "h2c, foo"] {
        let said = world
            .say(&format!(
                "GET /asked HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n\
                 HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
            ))
            .await;
        assert_eq!(statuses(&said), [200], "{protocol}\n{said}");
    }
    for seen in world.arrived() {
        assert!(seen.all("upgrade").is_empty() && seen.all("http2-settings").is_empty(), "{}", seen.head);
        assert!(!seen.all("connection").iter().any(|value| value.to_ascii_lowercase().contains("upgrade")), "{}", seen.head);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn http_2_is_judged_alike(pool: Pool) {
    let world = world(pool).await;
    let address = ([127, 0, 0, 1], world.app.port).into();
    let http =
        reqwest::Client::builder().http2_prior_knowledge().no_proxy().resolve("ada-agent.clawloops.localhost", address).build().unwrap();
    let get = |path: &str| http.get(format!("http://{}{path}", world.host)).header("cookie", &world.cookie);
    let mut request = get("/second");
    for (_, names) in FORGED.iter().filter(|(advisory, _)| *advisory != "odd names") {
        for name in *names {
            request = request.header(*name, ROOT);
        }
    }
    let answer = request.send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let arrived = world.arrived();
    assert_eq!((arrived.len(), arrived[0].all("x-forwarded-user")), (1, vec!["ada@example.com"]));
    assert!(!arrived[0].head.contains(ROOT), "{}", arrived[0].head);
    let other = get("/").header("host", "evil.example").send().await;
    assert!(other.is_err() || other.unwrap().status().as_u16() == 400);
    assert_eq!(world.arrived().len(), 1);
}
