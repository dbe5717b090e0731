//! What is open towards a runtime ends with the session, the person or the runtime: within two seconds.

use crate::support::{Person, TestApp, echo};
use contract::{PersonStatus, Role, RuntimeId};
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

/// How long until the other side is gone.
async fn ends(socket: &mut WebSocketStream<TcpStream>) -> Duration {
    let began = Instant::now();
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    began.elapsed()
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
    assert!(ends(&mut socket).await < BOUND);
    let cut = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(BOUND, cut).await.unwrap();
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap().status(), 401);
    assert_eq!(app.ask("GET", "/events").header("cookie", &ada.cookie).send().await.unwrap().status(), 401);
    assert_eq!(app.entry.open_connections(), 0);
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
    assert!(ends(&mut socket).await < BOUND);
    assert!(echoes(&mut other).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_is_stopped_is_cut(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, runtime_id, _, mut socket) = opened(&app).await;
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().address = None;
    let mut connection = app.pool.acquire().await.unwrap();
    data::listen::notify(&mut connection, Change::Runtime { runtime_id, person_id: ada.caller.person_id }).await.unwrap();
    assert!(ends(&mut socket).await < BOUND);
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
