//! `clawloops runtime-manager` itself: what it makes, for whom, and what it does not start upon.

use server::manager::{
    Engine as _,
    remote::{Remote, token_beside},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clawloops"));
    command
        .arg("runtime-manager")
        .env_clear()
        .env("CLAWLOOPS_RUNTIME_MANAGER", folder.join("run/manager.sock"))
        .env("CLAWLOOPS_MANAGER_DATA_DIR", folder.join("data"))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn started(folder: &Path) -> Running {
    let running = Running(command(folder).spawn().unwrap());
    let began = Instant::now();
    // A connection is refused until it listens, also at a socket that another one left.
    while tokio::net::UnixStream::connect(folder.join("run/manager.sock")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running
}

/// What it says when it does not start.
fn refusal(command: &mut Command) -> String {
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            drop(child.kill());
            panic!("it started");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn it_makes_socket_and_token_for_the_server_alone_and_takes_a_dead_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/manager.sock");
    let first = started(folder.path()).await;
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(&token_beside(&socket)), 0o400);
    assert_eq!(mode(&folder.path().join("data")), 0o700);
    let token = fs::read_to_string(token_beside(&socket)).unwrap();
    assert_eq!(token.trim().len(), 64);
    // Understood, and passed on to an engine that is not there.
    let error = Remote::new(&socket, None).health().await.unwrap_err();
    assert!(server::error::chain(&error).contains("connecting"), "{error:?}");

    assert!(refusal(&mut command(folder.path())).contains("another runtime manager listens"));
    // Killed, it leaves its socket behind. The next one takes the place, with the same token.
    drop(first);
    assert!(socket.exists());
    let _second = started(folder.path()).await;
    assert_eq!(fs::read_to_string(token_beside(&socket)).unwrap(), token);
    let error = Remote::new(&socket, None).health().await.unwrap_err();
    assert!(server::error::chain(&error).contains("connecting"), "{error:?}");
}

#[tokio::test]
async fn it_does_not_start_where_others_could_write_or_read() {
    let fresh = || tempfile::tempdir().unwrap();
    let open = |path: &Path, mode: u32| {
        fs::create_dir_all(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };

    let folder = fresh();
    open(&folder.path().join("data"), 0o770);
    assert!(refusal(&mut command(folder.path())).contains("data can be written by others"));
    let folder = fresh();
    open(&folder.path().join("data"), 0o1777);
    assert!(refusal(&mut command(folder.path())).contains("data can be written by others"), "sticky or not");
    let folder = fresh();
    open(&folder.path().join("run"), 0o777);
    assert!(refusal(&mut command(folder.path())).contains("run can be written by others"));
    let folder = fresh();
    open(&folder.path().join("other"), 0o777);
    let mut linked = command(folder.path());
    std::os::unix::fs::symlink(folder.path().join("other"), folder.path().join("data")).unwrap();
    assert!(refusal(&mut linked).contains("other can be written by others"), "where a link leads is what counts");
    let folder = fresh();
    open(&folder.path().join("above"), 0o777);
    let mut deeper = command(folder.path());
    deeper.env("CLAWLOOPS_MANAGER_DATA_DIR", folder.path().join("above/data"));
    assert!(refusal(&mut deeper).contains("above can be written by others"));

    let folder = fresh();
    open(&folder.path().join("run"), 0o755);
    let token = folder.path().join("run/manager.sock.token");
    fs::write(&token, "short").unwrap();
    assert!(refusal(&mut command(folder.path())).contains("holds no token"));
    fs::write(&token, "x".repeat(64)).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&mut command(folder.path())).contains("can be read by others"));
    fs::remove_file(&token).unwrap();
    fs::write(folder.path().join("run/manager.sock"), "").unwrap();
    assert!(refusal(&mut command(folder.path())).contains("no socket"));

    let folder = fresh();
    assert!(refusal(command(folder.path()).env("CLAWLOOPS_MANAGER_USER", "nobody-of-this-name")).contains("no such account"));
    assert!(refusal(command(folder.path()).env("DOCKER_HOST", "tcp://192.0.2.1:2375")).contains("DOCKER_HOST"));
}
