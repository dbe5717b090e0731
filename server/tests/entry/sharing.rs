//! A runtime that is shared: what a watcher and a full user may do there, who may share, and that it ends at once, or by itself.

use crate::support::{Person, TestApp, echo};
use contract::{Access, Code, PersonStatus, Role, RuntimeId, ShareId};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use server::data::Pool;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

const LABEL: &str = "ada-agent";
const BOUND: Duration = Duration::from_secs(2);

struct Shared {
    app: TestApp,
    ada: Person,
    bob: Person,
    runtime: RuntimeId,
}

/// Ada's runtime, and Bob, whom it is shared with.
async fn shared(pool: Pool, access: Access) -> Shared {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let bob = app.person("bob", Role::Person).await;
    let runtime = app.runtime(&ada, LABEL, Some(echo().await)).await;
    app.backend.ports().sharing.share(&ada.caller, runtime, &bob.caller.email, access, 8).await.unwrap();
    Shared { app, ada, bob, runtime }
}

impl Shared {
    async fn connect(&self, cookie: &str) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let stream = TcpStream::connect(("127.0.0.1", self.app.port)).await.unwrap();
        let mut request = format!("ws://{LABEL}.clawloops.localhost:{}/", self.app.port).into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", self.app.runtime_origin(LABEL).parse().unwrap());
        request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
        Ok(client_async(request, stream).await?.0)
    }

    async fn share_id(&self) -> ShareId {
        self.app.backend.ports().sharing.shares(&self.ada.caller, self.runtime).await.unwrap()[0].share_id
    }

    async fn echoed(&self, method: &str, cookie: &str) -> reqwest::Response {
        let asked = self.app.ask_runtime(method, LABEL, "/x").header("cookie", cookie).header("x-openclaw-scopes", "operator.admin");
        asked.header("origin", self.app.runtime_origin(LABEL)).send().await.unwrap()
    }

    async fn opens(&self, person: &Person) -> u16 {
        self.app.ask("GET", &format!("/open/{}", self.runtime)).header("cookie", &person.cookie).send().await.unwrap().status().as_u16()
    }
}

/// The values of a header as the runtime was told it.
async fn told(answer: reqwest::Response, name: &str) -> Vec<String> {
    let said: Value = answer.json().await.unwrap();
    let pairs = said["headers"].as_array().unwrap().iter();
    pairs.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}

fn request(id: u32, method: &str) -> String {
    json!({ "type": "req", "id": id.to_string(), "method": method, "params": {} }).to_string()
}

async fn answer(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    tokio::time::timeout(BOUND, socket.next()).await.unwrap().and_then(Result::ok)
}

/// Waits until the other side is gone, and says its close code.
async fn closed(socket: &mut WebSocketStream<TcpStream>, within: Duration) -> Option<u16> {
    let ended = async {
        let mut code = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                code = Some(u16::from(frame.code));
            }
        }
        code
    };
    tokio::time::timeout(within, ended).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_watcher_reads_as_the_owner_with_the_scope_that_reads(pool: Pool) {
    let shared = shared(pool, Access::Watch).await;
    let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    assert_eq!(told(shared.echoed("GET", &cookie).await, "x-openclaw-scopes").await, ["operator.read"], "not what the browser said");
    assert_eq!(told(shared.echoed("GET", &cookie).await, "x-forwarded-user").await, ["ada@example.com"]);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let refused = shared.echoed(method, &cookie).await;
        assert_eq!(refused.status(), 403, "{method}");
    }
    assert_eq!(shared.echoed("HEAD", &cookie).await.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_watcher_says_on_a_websocket_is_judged_message_by_message(pool: Pool) {
    let shared = shared(pool, Access::Watch).await;
    let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    let mut socket = shared.connect(&cookie).await.unwrap();
    // The runtime echoes: what comes back was let through, or was answered in its place.
    for reads in
        [request(1, "chat.history"), request(2, "sessions.subscribe"), request(3, "connect").replace("{}", r#"{"role":"operator"}"#)]
    {
        socket.send(Message::text(reads.clone())).await.unwrap();
        assert_eq!(answer(&mut socket).await, Some(Message::text(reads)));
    }
    for acts in ["chat.send", "config.patch", "sessions.companion.ask", "device.scopes.requestUpgrade", "no.such.method"] {
        socket.send(Message::text(request(9, acts))).await.unwrap();
        let Some(Message::Text(text)) = answer(&mut socket).await else { panic!("{acts} was not answered") };
        let said: Value = serde_json::from_str(text.as_str()).unwrap();
        assert_eq!(
            (&said["type"], &said["id"], &said["ok"], &said["error"]["code"]),
            (&json!("res"), &json!("9"), &json!(false), &json!("FORBIDDEN"))
        );
    }
    // A message in pieces is one message.
    let whole = request(4, "chat.send");
    let (first, second) = whole.split_at(20);
    use tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    socket.send(Message::Frame(Frame::message(first.to_owned(), OpCode::Data(Data::Text), false))).await.unwrap();
    socket.send(Message::Frame(Frame::message(second.to_owned(), OpCode::Data(Data::Continue), true))).await.unwrap();
    assert!(matches!(answer(&mut socket).await, Some(Message::Text(text)) if text.contains("FORBIDDEN")));
    socket.send(Message::binary(request(5, "chat.history"))).await.unwrap();
    assert_eq!(closed(&mut socket, BOUND).await, Some(1003));

    let mut socket = shared.connect(&cookie).await.unwrap();
    socket.send(Message::text("not a request")).await.unwrap();
    assert_eq!(closed(&mut socket, BOUND).await, Some(1008));
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_uses_it_fully_works_as_its_owner_and_owns_nothing(pool: Pool) {
    let shared = shared(pool, Access::Full).await;
    let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    let post = shared.echoed("POST", &cookie).await;
    assert_eq!(post.status(), 200);
    assert_eq!(told(post, "x-openclaw-scopes").await, Vec::<String>::new(), "the browser's own copy is dropped");
    let mut socket = shared.connect(&cookie).await.unwrap();
    socket.send(Message::text(request(1, "chat.send"))).await.unwrap();
    assert_eq!(answer(&mut socket).await, Some(Message::text(request(1, "chat.send"))));

    let ports = shared.app.backend.ports();
    let bob = &shared.bob.caller;
    for refused in [
        ports.runtimes.get(bob, shared.runtime).await.map(drop),
        ports.runtimes.stop(bob, shared.runtime).await.map(drop),
        ports.runtimes.logs(bob, shared.runtime, None).await.map(drop),
        ports.runtimes.rotate_key(bob, shared.runtime, 5).await,
        ports.sharing.shares(bob, shared.runtime).await.map(drop),
        ports.sharing.share(bob, shared.runtime, "ada@example.com", Access::Watch, 1).await,
    ] {
        assert_eq!(refused.unwrap_err().code, Code::RuntimeNotFound);
    }
    assert!(ports.runtimes.list(bob).await.unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn taken_back_it_is_closed_at_once(pool: Pool) {
    for access in [Access::Watch, Access::Full] {
        let shared = shared(pool.clone(), access).await;
        let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
        let mut socket = shared.connect(&cookie).await.unwrap();
        let mut stream = shared.app.ask_runtime("GET", LABEL, "/endless").header("cookie", &cookie).send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());
        shared.app.backend.ports().sharing.end_share(&shared.ada.caller, shared.share_id().await).await.unwrap();
        assert_eq!(closed(&mut socket, BOUND).await, Some(4403));
        let cut = async { while let Ok(Some(_)) = stream.chunk().await {} };
        tokio::time::timeout(BOUND, cut).await.unwrap();
        assert_eq!(shared.echoed("GET", &cookie).await.status(), 401);
        assert_eq!(shared.opens(&shared.bob).await, 404);
        assert_eq!(shared.opens(&shared.ada).await, 303, "its owner's way in stays");
        sqlx::query("truncate person cascade").execute(&pool).await.unwrap();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn its_time_is_over_by_itself(pool: Pool) {
    let shared = shared(pool, Access::Watch).await;
    let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    // Nobody tells: what is open has to know.
    sqlx::query("update runtime_share set ends_at = now() + interval '3 seconds'").execute(&shared.app.pool).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut socket = shared.connect(&cookie).await.unwrap();
    let began = Instant::now();
    assert_eq!(closed(&mut socket, Duration::from_secs(4)).await, Some(4403));
    assert!(began.elapsed() > Duration::from_millis(900), "it was open until then");
    assert_eq!(shared.opens(&shared.bob).await, 404);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shared.echoed("GET", &cookie).await.status(), 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn another_share_takes_the_place_of_the_first(pool: Pool) {
    let shared = shared(pool, Access::Watch).await;
    let cookie = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    let mut socket = shared.connect(&cookie).await.unwrap();
    let sharing = shared.app.backend.ports().sharing;
    sharing.share(&shared.ada.caller, shared.runtime, "BOB@example.com", Access::Full, 1).await.unwrap();
    assert_eq!(closed(&mut socket, BOUND).await, Some(4403), "its page comes back, and may do more");
    let all = sharing.shares(&shared.ada.caller, shared.runtime).await.unwrap();
    assert_eq!(all.iter().map(|one| (one.person.as_str(), one.access)).collect::<Vec<_>>(), [("bob", Access::Full)]);
    assert_eq!(shared.echoed("POST", &cookie).await.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn only_its_owner_shares_and_only_with_somebody_here(pool: Pool) {
    let shared = shared(pool, Access::Watch).await;
    let root = shared.app.person("root", Role::Administrator).await;
    let eve = shared.app.person("eve", Role::Person).await;
    let ports = shared.app.backend.ports();
    let sharing = &ports.sharing;
    for other in [&root, &eve] {
        let refused = sharing.share(&other.caller, shared.runtime, "eve@example.com", Access::Full, 1).await.unwrap_err();
        assert_eq!(refused.code, Code::RuntimeNotFound);
        assert_eq!(shared.opens(other).await, 404);
    }
    ports.admin.set_status(&root.caller, eve.caller.person_id, PersonStatus::Disabled).await.unwrap();
    for (email, hours, code, field) in [
        ("nobody@example.com", 1, Code::PersonNotFound, "email"),
        ("eve@example.com", 1, Code::PersonNotFound, "email"),
        ("ada@example.com", 1, Code::Invalid, "email"),
        ("bob@example.com", 0, Code::Invalid, "hours"),
        ("bob@example.com", 721, Code::Invalid, "hours"),
    ] {
        let refused = sharing.share(&shared.ada.caller, shared.runtime, email, Access::Watch, hours).await.unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), (code, Some(field)), "{email} for {hours}");
    }
    assert_eq!(sharing.end_share(&eve.caller, shared.share_id().await).await.unwrap_err().code, Code::NotFound);
    // The person may leave, an administrator may see and end, and each is written down for both.
    assert_eq!(sharing.shares(&root.caller, shared.runtime).await.unwrap().len(), 1);
    sharing.end_share(&shared.bob.caller, shared.share_id().await).await.unwrap();
    assert!(sharing.shared(&shared.bob.caller, None).await.unwrap().is_empty());
    sharing.share(&shared.ada.caller, shared.runtime, "bob@example.com", Access::Full, 24).await.unwrap();
    sharing.end_share(&root.caller, shared.share_id().await).await.unwrap();
    assert_eq!(sharing.end_share(&root.caller, ShareId(uuid::Uuid::nil())).await.unwrap_err().code, Code::NotFound);
    let actions: Vec<String> = ports
        .accounts
        .lately(&shared.bob.caller)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| format!("{} {} {}", entry.actor, entry.action, entry.detail))
        .collect();
    assert_eq!(
        actions.iter().map(|action| action.trim()).collect::<Vec<_>>(),
        [
            "root@example.com runtime.share_ended",
            "ada@example.com runtime.shared to use fully, for 24 h",
            "bob@example.com runtime.share_ended",
            "ada@example.com runtime.shared to watch, for 8 h",
            "bob@example.com session.opened",
        ]
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn a_shared_runtime_that_is_deleted_is_shared_no_more(pool: Pool) {
    let shared = shared(pool, Access::Full).await;
    assert_eq!(shared.app.backend.ports().sharing.shared(&shared.bob.caller, None).await.unwrap().len(), 1);
    sqlx::query("update runtime set deleted_at = now(), phase = 'deleted', desired_state = 'deleted'")
        .execute(&shared.app.pool)
        .await
        .unwrap();
    assert!(shared.app.backend.ports().sharing.shared(&shared.bob.caller, None).await.unwrap().is_empty());
    assert_eq!(shared.opens(&shared.bob).await, 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_it_is_shared_with_is_told_that_its_owner_starts_it(pool: Pool) {
    let shared = shared(pool, Access::Full).await;
    let bob = shared.app.enter(&shared.bob, shared.runtime, LABEL).await;
    let ada = shared.app.enter(&shared.ada, shared.runtime, LABEL).await;
    {
        let mut table = shared.app.table.0.lock().unwrap();
        let route = table.get_mut(LABEL).unwrap();
        (route.phase, route.address) = (contract::Phase::Stopped, None);
    }
    let page = async |cookie: &str| {
        let asked = shared.app.ask_runtime("GET", LABEL, "/").header("cookie", cookie).header("accept", "text/html");
        asked.send().await.unwrap().text().await.unwrap()
    };
    let (own, others) = (page(&ada).await, page(&bob).await);
    let its_page = format!("/runtimes/{}", shared.runtime);
    assert!(own.contains("Start it on its page.") && own.contains(&its_page), "{own}");
    assert!(others.contains("Its owner can start it.") && !others.contains(&its_page), "its page is its owner's: {others}");
}
