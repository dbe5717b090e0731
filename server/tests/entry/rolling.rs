//! A server is replaced while it is used: two share a port, the old one leaves, and nobody who asks gets no answer.

use crate::support::{TestApp, echo};
use axum::{Router, routing::any};
use contract::Role;
use futures::{SinkExt as _, StreamExt as _};
use server::{
    config::Config,
    data::Pool,
    ingress::{handover, listener},
};
use sqlx::ConnectOptions as _;
use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
    time::sleep,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tokio_util::sync::CancellationToken;

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What came of many requests.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    /// Why the others got no answer, or another one than 200.
    lost: Mutex<Vec<String>>,
}

/// Asks for these in turn until `over`, each of `half` with a connection of its own and as many with one that is kept.
fn load(at: SocketAddr, half: usize, asked: &[(&str, &str, &str)], over: &CancellationToken) -> (Arc<Tally>, Vec<JoinHandle<()>>) {
    // Once for all tests of this process.
    drop(rustls::crypto::ring::default_provider().install_default());
    let tally = Arc::new(Tally::default());
    let tasks = (0..half * 2).map(|n| {
        let kept = usize::from(n >= half);
        let client = reqwest::Client::builder().pool_max_idle_per_host(kept).timeout(Duration::from_secs(15)).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let asked: Vec<[String; 3]> = asked.iter().map(|(host, path, cookie)| [*host, *path, *cookie].map(str::to_owned)).collect();
        let (tally, over) = (Arc::clone(&tally), over.clone());
        tokio::spawn(async move {
            while !over.is_cancelled() {
                for [host, path, cookie] in &asked {
                    let request = client.get(format!("http://{at}{path}")).header("host", format!("{host}:{}", at.port()));
                    let answer = async { request.header("cookie", cookie).send().await?.error_for_status()?.bytes().await };
                    match answer.await {
                        Ok(_) => {
                            tally.answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => tally.lost.lock().unwrap().push(format!("{host}{path}: {error:?}")),
                    }
                }
                sleep(Duration::from_millis(2)).await;
            }
        })
    });
    let tasks = tasks.collect();
    (tally, tasks)
}

/// Holds a WebSocket open until `over`, and notes with which code each one ended before. Every one is opened anew at once.
async fn hold(at: SocketAddr, cookie: String, over: CancellationToken) -> Vec<u16> {
    let mut codes = Vec::new();
    let host = format!("ada-agent.clawloops.localhost:{}", at.port());
    while !over.is_cancelled() {
        let mut request = format!("ws://{host}/").into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", format!("http://{host}").parse().unwrap());
        let (mut socket, _) = client_async(request, TcpStream::connect(at).await.unwrap()).await.unwrap();
        loop {
            if over.is_cancelled() {
                drop(socket.close(None).await);
                break;
            }
            // It may be closing already, which is then read.
            drop(socket.send(Message::text("still there?")).await);
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => assert_eq!(text.as_str(), "still there?"),
                Message::Close(frame) => {
                    codes.push(frame.unwrap().code.into());
                    break;
                }
                other => panic!("{other:?}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    codes
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_is_replaced_under_load_and_no_request_is_lost(pool: Pool) {
    let at = free();
    let shared = |config: &mut Config| config.entry.public_url = format!("http://clawloops.localhost:{}", at.port()).parse().unwrap();
    let old = TestApp::with(pool.clone(), shared).await;
    let new = TestApp::with(pool, shared).await;
    let ada = old.person("ada", Role::Person).await;
    let runtime = old.runtime(&ada, "ada-agent", Some(echo().await)).await;
    // One that takes its time: asked before the old server stops, answered after.
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow_at = slow.local_addr().unwrap();
    let late = any(|| async {
        sleep(Duration::from_secs(3)).await;
        "late"
    });
    tokio::spawn(async move { axum::serve(slow, Router::new().fallback(late)).await });
    let slow_runtime = old.runtime(&ada, "ada-slow", Some(slow_at)).await;
    let table = old.table.0.lock().unwrap().clone();
    *new.table.0.lock().unwrap() = table;

    let limits = Config::for_tests().limits;
    let serve = |app: &TestApp| {
        let listening = handover::listen(at, true).unwrap();
        tokio::spawn(listener::serve(listening, app.router.clone(), limits.clone(), app.stop.clone()))
    };
    let serving = serve(&old);
    let mut cookies = Vec::new();
    for (label, id) in [("ada-agent", runtime), ("ada-slow", slow_runtime)] {
        let open = old.ask("GET", &format!("/open/{id}")).header("cookie", &ada.cookie).send().await.unwrap();
        let location = open.headers()["location"].to_str().unwrap();
        let enter = location.strip_prefix(&format!("http://{label}.clawloops.localhost:{}", at.port())).unwrap();
        let entered = old.ask_runtime("GET", label, enter).send().await.unwrap();
        cookies.push(entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
    }
    let ready = async |app: &TestApp| app.ask("GET", "/readyz").send().await.unwrap().status().as_u16();
    assert_eq!((ready(&old).await, ready(&new).await), (200, 200));

    let over = CancellationToken::new();
    let asked = [
        ("clawloops.localhost", "/healthz", ""),
        ("clawloops.localhost", "/sign-in", ""),
        ("ada-agent.clawloops.localhost", "/hello", cookies[0].as_str()),
    ];
    let (tally, tasks) = load(at, 8, &asked, &over);
    let sockets: Vec<_> = (0..8).map(|_| tokio::spawn(hold(at, cookies[0].clone(), over.clone()))).collect();
    sleep(Duration::from_secs(1)).await;

    let replacing = serve(&new);
    sleep(Duration::from_millis(300)).await;
    old.leaving.cancel();
    // Another one is to be asked, and this one answers.
    assert_eq!((ready(&old).await, ready(&new).await), (503, 200));
    let answer = old.ask("GET", "/healthz").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["connection"].to_str().unwrap()), (200, "close"));
    sleep(Duration::from_secs(1)).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let slow = client.get(format!("http://127.0.0.1:{}/", old.port)).header("host", format!("ada-slow.clawloops.localhost:{}", at.port()));
    let slow = tokio::spawn(slow.header("cookie", &cookies[1]).send());
    sleep(Duration::from_millis(500)).await;
    let stopped = Instant::now();
    old.stop.cancel();
    serving.await.unwrap().unwrap();
    let took = stopped.elapsed();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(slow.await.unwrap().unwrap().text().await.unwrap(), "late", "what was in progress was finished");

    over.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    let mut ended = Vec::new();
    for socket in sockets {
        ended.push(socket.await.unwrap());
    }
    let (answered, lost) = (tally.answered.load(Ordering::Relaxed), tally.lost.lock().unwrap().clone());
    eprintln!("{answered} answered, {} lost; WebSockets ended with {ended:?}; the old server was gone after {took:?}", lost.len());
    assert!(lost.is_empty(), "{} lost: {:#?}", lost.len(), lost.iter().take(5).collect::<Vec<_>>());
    assert!(answered > 500, "{answered} is no load");
    assert!(ended.iter().all(|codes| !codes.is_empty() && codes.iter().all(|code| *code == 1012)), "{ended:?}");
    new.stop.cancel();
    replacing.await.unwrap().unwrap();
}

/// Starts a `clawloops serve` on a port that it shares, and waits until it listens. It ends with its test.
async fn start(pool: &Pool, at: SocketAddr, folder: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_clawloops"))
        .arg("serve")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string())
        .env("LITELLM_URL", "http://127.0.0.1:9")
        .env("CLAWLOOPS_LISTEN", at.to_string())
        .env("CLAWLOOPS_LISTEN_SHARED", "true")
        .env("CLAWLOOPS_LEAVE_SECONDS", "2")
        .env("CLAWLOOPS_PUBLIC_URL", format!("http://clawloops.localhost:{}", at.port()))
        .env("CLAWLOOPS_DATA_DIR", folder)
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap();
        if line.expect("it goes on until it listens").starts_with("listening") {
            break;
        }
    }
    // Read on, so that it may say what it likes.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

#[sqlx::test(migrations = "../migrations")]
async fn the_program_itself_is_replaced_as_the_operating_manual_says(pool: Pool) {
    let (at, folder) = (free(), tempfile::tempdir().unwrap());
    let mut old = start(&pool, at, folder.path()).await;
    let over = CancellationToken::new();
    let asked = [("clawloops.localhost", "/healthz", ""), ("clawloops.localhost", "/sign-in", "")];
    let (tally, tasks) = load(at, 8, &asked, &over);
    sleep(Duration::from_secs(1)).await;
    let new = start(&pool, at, folder.path()).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(old.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(40), old.wait()).await.unwrap().unwrap();
    sleep(Duration::from_secs(1)).await;
    over.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    let (answered, lost) = (tally.answered.load(Ordering::Relaxed), tally.lost.lock().unwrap().clone());
    eprintln!("{answered} answered, {} lost", lost.len());
    assert!(ended.success(), "{ended}");
    assert!(lost.is_empty(), "{} lost: {:#?}", lost.len(), lost.iter().take(5).collect::<Vec<_>>());
    assert!(answered > 300, "{answered} is no load");
    drop(new);
}
