//! What is open towards a runtime ends with the session, the person or the runtime: within two seconds.

use crate::support::{Person, TestApp, echo};
use contract::{OpenConnections, PersonStatus, Role, RuntimeId};
use futures::{SinkExt as _, StreamExt as _};
use server::data::{self, Pool, listen::Change};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

const BOUND: Duration = Duration::from_secs(2);

async fn connect(app: &TestApp, label: &str, cookie: &str, origin: Option<&str>) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let stream = TcpStream::connect(("127.0.0.1", app.port)).await.unwrap();
    let mut request = format!("ws://{label}.clawloops.localhost:{}/", app.port).into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    Ok(client_async(request, stream).await?.0)
}

async fn echoes(socket: &mut WebSocketStream<TcpStream>) -> bool {
    if socket.send(Message::text("ping?")).await.is_err() {
        return false;
    }
    matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "ping?")
}

/// Waits until the other side is gone, within two seconds, and says what it said at last.
async fn ends(socket: &mut WebSocketStream<TcpStream>) -> Option<(u16, String)> {
    let ended = async {
        let mut last = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                last = Some((u16::from(frame.code), frame.reason.to_string()));
            }
        }
        last
    };
    tokio::time::timeout(BOUND, ended).await.unwrap()
}

fn said(code: u16, reason: &str) -> Option<(u16, String)> {
    Some((code, reason.to_owned()))
}

async fn opened(app: &TestApp) -> (Person, RuntimeId, String, WebSocketStream<TcpStream>) {
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let mut socket = connect(app, "ada-agent", &cookie, Some(&app.runtime_origin("ada-agent"))).await.unwrap();
    assert!(echoes(&mut socket).await);
    assert_eq!(app.entry.open_connections(), 1);
    (ada, runtime, cookie, socket)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_websocket_opens_for_its_own_origin_only(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (_, _, cookie, _socket) = opened(&app).await;
    for foreign in [None, Some(app.origin()), Some(app.runtime_origin("bob-agent")), Some("null".to_owned())] {
        let refused = connect(&app, "ada-agent", &cookie, foreign.as_deref()).await;
        assert!(matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 403), "{foreign:?}: {refused:?}");
    }
    let signed_out = connect(&app, "ada-agent", "theme=dark", Some(&app.runtime_origin("ada-agent"))).await;
    assert!(matches!(&signed_out, Err(tungstenite::Error::Http(answer)) if answer.status() == 401));
}

#[sqlx::test(migrations = "../migrations")]
async fn disabling_a_person_cuts_what_they_have_open(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, _, cookie, mut socket) = opened(&app).await;
    let mut stream = app.ask_runtime("GET", "ada-agent", "/endless").header("cookie", &cookie).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let root = app.person("root", Role::Administrator).await;
    app.backend.ports().admin.set_status(&root.caller, ada.caller.person_id, PersonStatus::Disabled).await.unwrap();
    assert_eq!(ends(&mut socket).await, said(4401, "signed out"));
    let cut = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(BOUND, cut).await.unwrap();
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap().status(), 401);
    assert_eq!(app.ask("GET", "/events").header("cookie", &ada.cookie).send().await.unwrap().status(), 401);
    let began = Instant::now();
    while app.entry.open_connections() > 0 {
        assert!(began.elapsed() < BOUND, "{} are still open", app.entry.open_connections());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn signing_out_cuts_that_session_and_no_other(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, _, _, mut socket) = opened(&app).await;
    let bob = app.person("bob", Role::Person).await;
    let runtime = app.runtime(&bob, "bob-agent", Some(echo().await)).await;
    let cookie = app.enter(&bob, runtime, "bob-agent").await;
    let mut other = connect(&app, "bob-agent", &cookie, Some(&app.runtime_origin("bob-agent"))).await.unwrap();
    app.backend.ports().accounts.sign_out(&ada.caller).await.unwrap();
    assert_eq!(ends(&mut socket).await, said(4401, "signed out"));
    assert!(echoes(&mut other).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_is_stopped_is_cut(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, runtime_id, _, mut socket) = opened(&app).await;
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().address = None;
    let mut connection = app.pool.acquire().await.unwrap();
    data::listen::notify(&mut connection, Change::Runtime { runtime_id, person_id: ada.caller.person_id }).await.unwrap();
    assert_eq!(ends(&mut socket).await, said(4410, "the runtime was stopped"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_that_ends_says_so_and_keeps_nobody(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (_, _, cookie, mut socket) = opened(&app).await;
    let mut events = app.ask_runtime("GET", "ada-agent", "/events").header("cookie", &cookie).send().await.unwrap();
    assert!(events.chunk().await.unwrap().is_some());
    app.stop();
    assert_eq!(ends(&mut socket).await, said(1012, "the server restarts"));
    let cut = async { while let Ok(Some(_)) = events.chunk().await {} };
    tokio::time::timeout(BOUND, cut).await.unwrap();
    tokio::time::timeout(BOUND, app.entry.drained()).await.unwrap();
}

/// A runtime that never stops talking: the goodbye stands between two of its messages, and each message before it is whole.
#[sqlx::test(migrations = "../migrations")]
async fn a_goodbye_never_lands_inside_a_message(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(chatterbox().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let mut socket = connect(&app, "ada-agent", &cookie, Some(&app.runtime_origin("ada-agent"))).await.unwrap();
    let mut heard = 0;
    let last = loop {
        match tokio::time::timeout(BOUND, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Binary(bytes) => {
                assert!(bytes.iter().all(|byte| *byte == 7), "a message was broken");
                heard += 1;
                if heard == 20 {
                    app.backend.ports().accounts.sign_out(&ada.caller).await.unwrap();
                }
            }
            Message::Close(Some(frame)) => break u16::from(frame.code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(last, 4401);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_administrator_sees_what_is_open(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (_, runtime, cookie, _socket) = opened(&app).await;
    let mut stream = app.ask_runtime("GET", "ada-agent", "/endless").header("cookie", &cookie).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let root = app.person("root", Role::Administrator).await;
    let uses = app.backend.ports().runtimes.everyones_stats(&root.caller).await.unwrap();
    assert_eq!(
        uses.iter().map(|(id, now)| (*id, now.open)).collect::<Vec<_>>(),
        [(runtime, OpenConnections { websockets: 1, streams: 1 })]
    );
    let page = app.ask("GET", "/admin/runtimes").header("accept", "text/html").header("cookie", &root.cookie).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("Open through this server: 1 WebSocket, 1 request."), "{page}");
}

/// A WebSocket in a runtime's place that says one large message after the other.
async fn chatterbox() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                let mut size = 1;
                while socket.send(Message::binary(vec![7; size])).await.is_ok() {
                    size = (size * 3) % 100_003;
                }
            });
        }
    });
    address
}

#[sqlx::test(migrations = "../migrations")]
async fn a_hundred_connections_leave_nothing_behind(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (_, _, cookie, first) = opened(&app).await;
    drop(first);
    for _ in 0..100 {
        let mut socket = connect(&app, "ada-agent", &cookie, Some(&app.runtime_origin("ada-agent"))).await.unwrap();
        assert!(echoes(&mut socket).await);
    }
    let began = Instant::now();
    while app.entry.open_connections() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "{} are still open", app.entry.open_connections());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
