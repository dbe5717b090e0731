//! The engine behind a runtime manager's socket: every method as it is without one, and everything else refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it wants by failing")]

use contract::{Code, RuntimeId};
use futures::StreamExt as _;
use server::{
    Error, Result,
    clock::SystemClock,
    manager::{
        Engine,
        allowance::Allowance,
        fake::{FakeEngine, Misery},
        names::Names,
        remote::{Remote, token_beside},
        warden::Warden,
    },
    runtime::spec::{Limits, RuntimeSpec},
};
use std::{
    collections::BTreeSet,
    fmt::Debug,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

#[path = "manager/process.rs"]
mod process;
#[path = "manager/restart.rs"]
mod restart;

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const MIB: i64 = 1 << 20;

/// A runtime manager before an engine in memory, and how to reach it.
struct Managed {
    engine: Arc<FakeEngine>,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Managed {
    fn new() -> Self {
        Self::before(FakeEngine::well(Arc::new(SystemClock)))
    }

    fn before(engine: Arc<FakeEngine>) -> Self {
        let mut managed = Self { engine, folder: tempfile::tempdir().unwrap(), stop: CancellationToken::new(), serving: None };
        std::fs::write(token_beside(&managed.socket()), format!("{TOKEN}\n")).unwrap();
        managed.serve(BTreeSet::from([nix::unistd::geteuid().as_raw()]));
        managed
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("manager.sock")
    }

    fn remote(&self) -> Remote {
        Remote::new(&self.socket(), None)
    }

    fn serve(&mut self, users: BTreeSet<u32>) {
        let allowance = Allowance {
            names: names(),
            images: BTreeSet::from(["image".to_owned()]),
            memory_bytes: 4096 * MIB,
            cpu_millis: 4000,
            pids: 1024,
            gpu: false,
            oci_runtimes: BTreeSet::from(["runsc".to_owned()]),
        };
        let warden = Warden::new(Arc::clone(&self.engine) as _, allowance, TOKEN.into(), users);
        drop(std::fs::remove_file(self.socket()));
        let listener = UnixListener::bind(self.socket()).unwrap();
        self.stop = CancellationToken::new();
        self.serving = Some(tokio::spawn(Arc::new(warden).serve(listener, self.stop.clone())));
    }

    async fn end(&mut self) {
        self.stop.cancel();
        self.serving.take().unwrap().await.unwrap();
    }
}

fn names() -> Names {
    Names::new("clawloops")
}

fn spec(runtime_id: RuntimeId) -> RuntimeSpec {
    RuntimeSpec {
        runtime_id,
        revision: 3,
        image: "image".to_owned(),
        workspace: names().workspace(runtime_id),
        memory_bytes: 2048 * MIB,
        cpu_millis: 2000,
        pids: 512,
        gpu: false,
        oci_runtime: None,
    }
}

fn id() -> RuntimeId {
    RuntimeId(uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001))
}

/// What an engine says to every question, in the order of a life.
async fn life(engine: &dyn Engine) -> Vec<(&'static str, String)> {
    let (mut said, id) = (Vec::new(), id());
    let workspace = names().workspace(id);
    let mut note = |method, answer: String| said.push((method, plain(&answer)));
    macro_rules! ask {
        ($method:ident $(, $argument:expr)*) => {
            note(stringify!($method), format!("{:?}", engine.$method($($argument),*).await))
        };
    }
    ask!(health);
    ask!(capacity);
    ask!(has_image, "image");
    ask!(hold_walls);
    ask!(look, id);
    ask!(keep_workspace, &workspace);
    ask!(workspaces);
    ask!(measure_workspace, &workspace);
    ask!(isolate, id);
    ask!(configure, id, "{\"a\": \"\u{fc}\"}");
    ask!(create, &spec(id));
    ask!(look, id);
    ask!(lift_walls);
    let events = engine.events().await;
    ask!(start, id);
    ask!(is_ready, id);
    ask!(look, id);
    ask!(survey);
    ask!(freeze, id);
    ask!(look, id);
    ask!(thaw, id);
    ask!(update, id, &spec(id).limits());
    ask!(stats, id);
    ask!(logs, id, 2);
    let texts = async |since, follow| match engine.output(id, since, follow).await {
        Ok(lines) => format!("{:?}", lines.map(|line| line.text).collect::<Vec<_>>().await),
        Err(error) => format!("Err({error:?}"),
    };
    note("output", texts(None, false).await);
    note("output", texts(Some(time::OffsetDateTime::now_utc() + Duration::from_secs(60)), false).await);
    ask!(stop, id, Duration::from_millis(1500));
    ask!(look, id);
    ask!(stats, id);
    note("output", texts(None, true).await);
    ask!(remove, id);
    ask!(release, id);
    ask!(wipe_workspace, &workspace);
    ask!(survey);
    ask!(lift_walls);
    note("events", format!("{:?}", events.map(drop)));
    said
}

/// Without the moment, which is another each time.
fn plain(answer: &str) -> String {
    let mut text = String::new();
    let mut rest = answer;
    while let Some((before, after)) = rest.split_once("since: ") {
        text.push_str(before);
        rest = after.split_once(", address").map_or("", |(_, rest)| rest);
    }
    text + rest
}

#[tokio::test]
async fn every_method_answers_over_the_socket_as_it_does_without() {
    let miseries = [
        Misery::default(),
        Misery { never_ready: true, ..Misery::default() },
        Misery { ends_at_start: Some(137), ..Misery::default() },
        Misery { no_start: true, ..Misery::default() },
        Misery { no_walls: true, ..Misery::default() },
        Misery { no_image: true, ..Misery::default() },
        Misery { down: true, ..Misery::default() },
    ];
    for misery in miseries {
        let (managed, direct) = (Managed::new(), FakeEngine::well(Arc::new(SystemClock)));
        managed.engine.suffer(misery.clone());
        direct.suffer(misery.clone());
        let (through, without) = (life(&managed.remote()).await, life(&*direct).await);
        for (through, without) in through.iter().zip(&without) {
            // The one difference that is meant: a server may not take the walls from around its runtimes.
            let walls = through.0 == "lift_walls" && through.1.contains("The walls stay");
            // An error's source is words on the other side.
            let silent = [through, without].iter().all(|said| said.1.starts_with("Err(Engine"));
            assert!(walls || silent || through == without, "{misery:?}\n{through:?}\n{without:?}");
        }
        assert_eq!(managed.engine.count(), direct.count(), "{misery:?}");
        assert_eq!(managed.engine.wrongs().len(), direct.wrongs().len(), "{misery:?}");
    }
}

/// Whoever follows logs takes nobody's place: with as many streams as there are places, a question is answered all the same.
#[tokio::test]
async fn logs_that_are_followed_leave_room_for_questions() {
    let managed = Managed::new();
    let (remote, id) = (managed.remote(), id());
    let workspace = names().workspace(id);
    remote.keep_workspace(&workspace).await.unwrap();
    remote.isolate(id).await.unwrap();
    remote.configure(id, "{}").await.unwrap();
    remote.create(&spec(id)).await.unwrap();
    remote.start(id).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(remote.output(id, None, true).await.unwrap());
    }
    assert_eq!(remote.health().await.unwrap().version, "fake engine");
    managed.engine.say(id, time::OffsetDateTime::now_utc(), "later");
    for stream in &mut streams {
        let texts: Vec<String> = stream.take(4).map(|line| line.text).collect().await;
        assert_eq!(texts[3], "later");
    }
    // They end with the container.
    remote.stop(id, Duration::ZERO).await.unwrap();
    assert!(streams.pop().unwrap().next().await.is_none());
}

#[tokio::test]
async fn no_method_is_left_out_of_the_test() {
    let asked: BTreeSet<&str> = life(&*FakeEngine::well(Arc::new(SystemClock))).await.into_iter().map(|(method, _)| method).collect();
    let source = include_str!("../src/manager/mod.rs");
    let engine = source.split("pub trait Engine").nth(1).unwrap();
    let methods: BTreeSet<&str> = engine.split("async fn ").skip(1).filter_map(|text| text.split('(').next()).collect();
    assert!(methods.len() > 15, "{methods:?}");
    assert_eq!(asked, methods);
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_manager() {
    let mut managed = Managed::new();
    let remote = managed.remote();
    let mut events = remote.events().await.unwrap();
    for _ in 0..3 {
        managed.engine.end(id(), 1);
        let event = tokio::time::timeout(Duration::from_secs(2), events.next()).await.unwrap().unwrap();
        assert_eq!(event.runtime_id, id());
    }
    // One who no longer listens does not hold the manager up at its end.
    let unheard = remote.events().await.unwrap();
    let began = std::time::Instant::now();
    managed.end().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(events.next().await.is_none());
    drop(unheard);
}

#[tokio::test]
async fn a_large_world_comes_whole() {
    let managed = Managed::new();
    let configuration = "x".repeat(5000);
    for number in 0..2000 {
        managed.engine.configure(RuntimeId(uuid::Uuid::from_u128(number)), &configuration).await.unwrap();
    }
    let world = managed.remote().survey().await.unwrap();
    assert_eq!(world, managed.engine.survey().await.unwrap());
    assert_eq!(world.len(), 2000);
}

fn refusal<T: Debug>(answered: Result<T>) -> (Code, String) {
    match answered {
        Err(Error::Problem(problem)) => (problem.code, problem.message),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_and_not_done() {
    let managed = Managed::new();
    let remote = managed.remote();
    let id = id();
    let foreign = [
        Names::new("another").workspace(id),
        "somebodys-volume".to_owned(),
        "/etc".to_owned(),
        format!("{}/../../etc", names().workspace(id)),
        names().workspace(id).replace("clawloops-workspace-", "clawloops-workspace-x"),
        names().runtime(id),
    ];
    for workspace in foreign {
        assert_eq!(refusal(remote.keep_workspace(&workspace).await).0, Code::AccessDenied, "{workspace}");
        assert_eq!(refusal(remote.wipe_workspace(&workspace).await).0, Code::AccessDenied, "{workspace}");
        assert_eq!(refusal(remote.measure_workspace(&workspace).await).0, Code::AccessDenied, "{workspace}");
        assert_eq!(refusal(remote.create(&RuntimeSpec { workspace, ..spec(id) }).await).0, Code::AccessDenied);
    }
    assert!(refusal(remote.has_image("other").await).1.contains("other"));
    let huge = "x".repeat(1024 * 1024 + 1);
    assert_eq!(refusal(remote.configure(id, &huge).await).0, Code::AccessDenied);
    assert_eq!(refusal(remote.stop(id, Duration::from_secs(121)).await).0, Code::AccessDenied);
    assert_eq!(refusal(remote.logs(id, 10_001).await).0, Code::AccessDenied);
    let specs = [
        RuntimeSpec { image: "other".to_owned(), ..spec(id) },
        RuntimeSpec { image: "image@sha256:00".to_owned(), ..spec(id) },
        RuntimeSpec { image: String::new(), ..spec(id) },
        RuntimeSpec { memory_bytes: 4096 * MIB + 1, ..spec(id) },
        RuntimeSpec { memory_bytes: 0, ..spec(id) },
        RuntimeSpec { memory_bytes: -1, ..spec(id) },
        RuntimeSpec { cpu_millis: 4001, ..spec(id) },
        RuntimeSpec { cpu_millis: 0, ..spec(id) },
        RuntimeSpec { pids: 1025, ..spec(id) },
        RuntimeSpec { pids: 0, ..spec(id) },
        RuntimeSpec { pids: -1, ..spec(id) },
        RuntimeSpec { gpu: true, ..spec(id) },
        RuntimeSpec { oci_runtime: Some("runc-of-mine".to_owned()), ..spec(id) },
        RuntimeSpec { oci_runtime: Some(String::new()), ..spec(id) },
    ];
    for (number, spec) in specs.iter().enumerate() {
        let (code, message) = refusal(remote.create(spec).await);
        assert!(matches!(code, Code::AccessDenied | Code::QuotaExceeded | Code::RuntimeStartFailed), "{number}: {message}");
        assert!(message.contains("runtime manager"), "{number}: {message}");
    }
    let nothing = FakeEngine::well(Arc::new(SystemClock)).count();
    assert_eq!(managed.engine.count(), nothing);
    // At its bounds it is done.
    remote.isolate(id).await.unwrap();
    remote.configure(id, &huge[1..]).await.unwrap();
    remote
        .create(&RuntimeSpec { memory_bytes: 4096 * MIB, cpu_millis: 4000, pids: 1024, oci_runtime: Some("runsc".to_owned()), ..spec(id) })
        .await
        .unwrap();
    assert_eq!(managed.engine.count().containers, 1);
    let right = spec(id).limits();
    for limits in [
        Limits { memory_bytes: 4096 * MIB + 1, ..right },
        Limits { memory_bytes: 0, ..right },
        Limits { cpu_millis: 0, ..right },
        Limits { pids: 0, ..right },
        Limits { swap_bytes: -1, ..right },
        Limits { restarts: true, ..right },
    ] {
        let (code, message) = refusal(remote.update(id, &limits).await);
        assert!(matches!(code, Code::AccessDenied | Code::QuotaExceeded), "{limits:?}: {message}");
    }
    assert_eq!(managed.engine.limits(id).unwrap().memory_bytes, 4096 * MIB);
    // The walls stay as long as there is a container behind them, running or not.
    assert_eq!(refusal(remote.lift_walls().await).0, Code::Conflict);
    assert!(managed.engine.has_walls());
    remote.remove(id).await.unwrap();
    remote.lift_walls().await.unwrap();
    assert!(!managed.engine.has_walls());
}

fn frame(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// What the manager says to these bytes; nothing when it only hangs up.
async fn said(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // It may refuse before all is written.
    drop(stream.write_all(bytes).await);
    drop(stream.shutdown().await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned()
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_refused() {
    let managed = Managed::new();
    let socket = managed.socket();
    let call =
        |token: &str, request: &str| format!(r#"{{"version":"{}","token":"{token}","request":{request}}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        said(&socket, &frame(&call(TOKEN, "\"health\""))).await,
        r#"{"Ok":{"version":"fake engine","keeps_containers":true}}"#,
        "the right form is answered"
    );
    let cases = [
        ("nothing", Vec::new(), "Nothing was asked"),
        ("half a length", vec![0, 0], "cannot be read"),
        ("half a frame", frame(&call(TOKEN, "\"health\""))[..20].to_vec(), "cannot be read"),
        ("oversized", [&u32::MAX.to_be_bytes()[..], b"{}"].concat(), "the most"),
        ("just oversized", [&(2 * 1024 * 1024 + 1u32).to_be_bytes()[..], &vec![b' '; 2 * 1024 * 1024 + 1]].concat(), "the most"),
        ("no JSON", frame("GET / HTTP/1.1\r\n\r\n"), "cannot be understood"),
        ("no token", frame(r#"{"version":"0.1.0","request":"health"}"#), "cannot be understood"),
        ("an empty token", frame(&call("", "\"health\"")), "token"),
        ("a wrong token", frame(&call(&TOKEN.replace('f', "e"), "\"health\"")), "token"),
        ("a longer token", frame(&call(&format!("{TOKEN}0"), "\"health\"")), "token"),
        ("another version", frame(&call(TOKEN, "\"health\"").replace(env!("CARGO_PKG_VERSION"), "9.9.9")), "version 9.9.9"),
        ("more than is asked for", frame(&call(TOKEN, "\"health\"").replace("{\"version", "{\"x\":1,\"version")), "cannot be understood"),
        ("no method", frame(&call(TOKEN, "\"exec\"")), "none of the engine's"),
        ("a Docker method", frame(&call(TOKEN, r#"{"POST /containers/create":{}}"#)), "none of the engine's"),
        ("a name for an id", frame(&call(TOKEN, r#"{"remove":{"runtime_id":"../../etc"}}"#)), "none of the engine's"),
        (
            "a mount in a spec",
            frame(&call(TOKEN, &format!(r#"{{"create":{{"spec":{}}}}}"#, as_json(&spec(id())).replacen('{', r#"{"mounts":["/"],"#, 1)))),
            "none of the engine's",
        ),
    ];
    for (name, bytes, expected) in cases {
        let answer = said(&socket, &bytes).await;
        assert!(answer.contains(r#"{"Err":{"refused""#) && answer.contains(expected), "{name}: {answer}");
        assert!(!answer.contains(TOKEN), "{name}: {answer}");
    }
    // And what is refused so is an engine that is not there, not a failed try of a runtime.
    std::fs::write(token_beside(&socket), "another").unwrap();
    let Err(Error::Engine { context, .. }) = managed.remote().health().await else { panic!("not refused") };
    assert!(context.contains("refused"), "{context}");
}

fn as_json(spec: &RuntimeSpec) -> String {
    serde_json::to_string(spec).unwrap()
}

#[tokio::test]
async fn another_account_is_refused_even_with_the_token() {
    let mut managed = Managed::new();
    managed.end().await;
    managed.serve(BTreeSet::from([nix::unistd::geteuid().as_raw() + 1]));
    for _ in 0..20 {
        let Err(Error::Engine { source, .. }) = managed.remote().health().await else { panic!("not refused") };
        assert!(source.to_string().contains("may not ask"), "{source}");
        // So large that the manager hangs up before it is read.
        let Err(Error::Engine { source, .. }) = managed.remote().configure(id(), &"x".repeat(1 << 20)).await else { panic!("not refused") };
        assert!(source.to_string().contains("may not ask"), "{source}");
    }
    assert_eq!(managed.engine.count().configurations, 0);
}

#[tokio::test]
async fn one_who_says_nothing_holds_nobody_up() {
    let managed = Managed::new();
    let mut mute = Vec::new();
    for _ in 0..50 {
        mute.push(UnixStream::connect(managed.socket()).await.unwrap());
    }
    let answered = tokio::time::timeout(Duration::from_secs(2), managed.remote().health()).await;
    assert_eq!(answered.unwrap().unwrap().version, "fake engine");
}
