//! WebSockets by the cases of the Autobahn test suite, against a plain server directly and through the gateway. What the suite thinks of that server does
//! not matter here: whatever it does must look the same through the gateway, to the close code, its reason and who hangs up.
//!
//! `deploy/setup/websocket-cases.sh` makes what this plays; `make test` says where it is, and without it this fails. `CLAWLOOPS_WEBSOCKET_CASES=all`
//! plays every case.

use crate::support::TestApp;
use contract::Role;
use serde_json::{Map, Value, json};
use server::data::Pool;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

/// Framing, pings, reserved bits and opcodes, fragments, UTF-8, the end of a connection. Many of them wait a second to see that nothing comes, so
/// they are played without those that keep a processor busy.
const RULES: &[&str] = &["[1-7].*", "10.*"];
/// Of sizes, of many messages and of compression those that are quick.
const QUICK: &[&str] = &["9.1.[1-3]", "9.2.[1-3]", "9.5.6", "9.[78].[1-3]", "12.1.[1-3]", "13.[1-7].1"];

fn python() -> Command {
    let program = std::env::var_os("CLAWLOOPS_TEST_WEBSOCKET").expect("CLAWLOOPS_TEST_WEBSOCKET is not set; make test does");
    let mut command = Command::new(PathBuf::from(program));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/websocket").join(name)
}

/// A plain server that echoes, and its port.
async fn echo() -> (Child, u16) {
    let mut child = python().arg(script("echo.py")).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().expect("it says its port").parse().unwrap();
    (child, port)
}

/// Plays the cases and returns what came of them, by case and server.
async fn play(plan: &Value) -> Map<String, Value> {
    let mut playing = python().arg(script("fuzz.py")).stdin(Stdio::piped()).spawn().unwrap();
    playing.stdin.take().unwrap().write_all(plan.to_string().as_bytes()).await.unwrap();
    let played = playing.wait_with_output().await.unwrap();
    assert!(played.status.success(), "{}", played.status);
    serde_json::from_slice(&played.stdout).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_websocket_through_the_gateway_is_the_one_that_is_there_without_it(pool: Pool) {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    let all = std::env::var("CLAWLOOPS_WEBSOCKET_CASES").is_ok_and(|cases| cases == "all");
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let (_echo, port) = echo().await;
    let runtime = app.runtime(&ada, "ada-agent", Some(([127, 0, 0, 1], port).into())).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let plan = |cases: &[&str], at_once: usize, seconds: u64| {
        json!({
            "cases": cases,
            "at_once": at_once,
            "seconds": seconds,
            "servers": {
                "direct": {"port": port, "url": format!("ws://127.0.0.1:{port}/")},
                "gateway": {
                    "port": app.port,
                    "url": format!("ws://ada-agent.clawloops.localhost:{}/", app.port),
                    "origin": app.runtime_origin("ada-agent"),
                    "headers": {"Cookie": cookie},
                },
            },
        })
    };
    let began = Instant::now();
    let mut outcome = play(&plan(RULES, 16, 300)).await;
    let (heavy, seconds) = if all { (&["9.*", "12.*", "13.*"][..], 3600) } else { (QUICK, 300) };
    outcome.append(&mut play(&plan(heavy, 4, seconds)).await);
    // The suite was played, and by a server that knows its business.
    let fine = outcome.values().filter(|case| case["direct"]["behavior"] == "OK").count();
    assert!(outcome.len() > 260 && fine * 10 > outcome.len() * 9, "{fine} of {}", outcome.len());
    assert!(outcome.values().all(|case| case["direct"].get("failed").is_none() && case["direct"]["behavior"] != "UNIMPLEMENTED"));
    let different = |outcome: &Map<String, Value>| -> Map<String, Value> {
        outcome.clone().into_iter().filter(|(_, case)| case["direct"] != case["gateway"]).collect()
    };
    let first = different(&outcome);
    // The suite waits for fixed times, and a busy machine may have been late for one of the two: what is different is so when it is played alone, too.
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    let again = if names.is_empty() { Map::new() } else { different(&play(&plan(&names, 1, seconds)).await) };
    eprintln!("{} WebSocket cases, {fine} of them in full, {:?} played again, {:?}", outcome.len(), names, began.elapsed());
    assert!(again.is_empty(), "{again:#?}");
}
