//! The program itself: making an administrator with and beside a server, and the doctor's word and exit code.
#![cfg(test)]

use server::{
    config::Config,
    data::{self, cluster::Cluster},
};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs `clawloops` on a data directory of the test, far from the machine's Docker.
fn clawloops(data_dir: &Path, arguments: &[&str], input: &str) -> Output {
    clawloops_with(data_dir, "unix:///nowhere/docker.sock", arguments, input)
}

fn clawloops_with(data_dir: &Path, docker_host: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_clawloops"))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env("CLAWLOOPS_DATA_DIR", data_dir)
        .env("CLAWLOOPS_LISTEN", "127.0.0.1:0")
        .env("DOCKER_HOST", docker_host)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[tokio::test]
async fn an_administrator_is_made_by_the_command_line_and_the_doctor_sees_the_database() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL's user passes through.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data_dir = folder.path();
    let create = ["admin", "create", "--email", "ada@example.com", "--password-stdin"];

    let examined = clawloops(data_dir, &["doctor"], "");
    let text = said(&examined);
    assert_eq!(examined.status.code(), Some(1), "{text}");
    for part in ["WRONG  Docker Engine", "WRONG  Firewall", "WRONG  PostgreSQL", "fine   Disk"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!data_dir.join("postgres").exists(), "the doctor makes nothing");

    let refused = clawloops(data_dir, &create, "short\n");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("at least 12"), "{}", said(&refused));

    let made = clawloops(data_dir, &create, "three plain words\n");
    assert!(made.status.success(), "{}", said(&made));
    assert!(said(&made).contains("ada@example.com is an administrator now"));
    assert!(!data_dir.join("postgres/data/postmaster.pid").exists(), "the database that it started is stopped again");

    // Beside a running server, which keeps its database.
    let mut config = Config::for_tests();
    config.data.data_dir = data_dir.to_owned();
    let cluster = Cluster::start(&config).await.unwrap();
    let again = clawloops(data_dir, &["admin", "create", "--email", "ADA@example.com", "--password-stdin"], "three plain words");
    let text = said(&again);
    assert_eq!(again.status.code(), Some(1));
    assert!(text.contains("There is an account with this e-mail address already"), "{text}");
    assert!(!text.contains("three plain words"), "{text}");
    assert!(clawloops(data_dir, &["migrate"], "").status.success());
    let text = said(&clawloops(data_dir, &["doctor"], ""));
    assert!(text.contains("fine   PostgreSQL"), "{text}");
    assert!(Cluster::running(&config).await.unwrap().is_some(), "it still runs");
    cluster.stop().await.unwrap();

    // The password is never an argument.
    assert_eq!(clawloops(data_dir, &["admin", "create", "--email", "x@example.com"], "").status.code(), Some(2));
}

#[tokio::test]
async fn a_docker_of_another_machine_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let refused = clawloops_with(&data_dir, "tcp://10.0.0.5:2375", &["serve"], "");
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("DOCKER_HOST is tcp://10.0.0.5:2375, which is not a Docker Engine of this machine."), "{text}");
    assert!(text.contains("leave it out"), "{text}");
    assert!(!data_dir.exists(), "nothing was made");

    let examined = clawloops_with(&data_dir, "ssh://root@build.example.org", &["doctor"], "");
    let text = said(&examined);
    assert_eq!(examined.status.code(), Some(1), "{text}");
    assert!(text.contains("WRONG  Docker Engine  DOCKER_HOST is ssh://root@build.example.org, which is not"), "{text}");
    assert!(text.contains("leave it out"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_come_up_stops_the_database_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data_dir = folder.path();
    assert!(clawloops(data_dir, &["migrate"], "").status.success());
    // What a newer version leaves: this one does not know its migration, and must not work on its database.
    let mut config = Config::for_tests();
    config.data.data_dir = data_dir.to_owned();
    let cluster = Cluster::start(&config).await.unwrap();
    let pool = data::connect(&cluster.url()).await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'newer', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    cluster.stop().await.unwrap();

    for command in ["serve", "migrate"] {
        let refused = clawloops(data_dir, &[command], "");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains("9999"), "{text}");
        let left = Cluster::running(&config).await.unwrap();
        let runs = left.is_some();
        if runs {
            // Not left behind by this test either.
            Cluster::start(&config).await.unwrap().stop().await.unwrap();
        }
        assert!(!runs, "{command} left its database running");
    }
}

/// A server that is ended when the test is over, however that ends.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_err() {
            return;
        }
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn the_master_key_is_rotated_beside_a_server_that_serves() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let data_dir = folder.path();
    let refused = clawloops(data_dir, &["master-key", "rotate"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("There is no master key"), "{}", said(&refused));

    let log = fs::File::create(data_dir.join("serve.log")).unwrap();
    let serving = Command::new(env!("CARGO_BIN_EXE_clawloops"))
        .arg("serve")
        .env_remove("DATABASE_URL")
        .env("CLAWLOOPS_DATA_DIR", data_dir)
        .env("CLAWLOOPS_LISTEN", "127.0.0.1:0")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let serving = Serving(serving);
    // What a command says, once it says this. The machine may be busy.
    let until = async |arguments: &[&str], wanted: &str| {
        for _ in 0..240 {
            let text = said(&clawloops(data_dir, arguments, ""));
            if text.contains(wanted) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        panic!("{wanted} is not said; the server's log:\n{}", fs::read_to_string(data_dir.join("serve.log")).unwrap_or_default());
    };
    for _ in 0..240 {
        if fs::read_to_string(data_dir.join("serve.log")).unwrap().contains("listening") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let keys = |name: &str| fs::read_to_string(data_dir.join(name)).unwrap_or_default();
    let first = keys("master.key");
    let rotated = clawloops(data_dir, &["master-key", "rotate"], "");
    let mut all = said(&rotated);
    assert!(rotated.status.success(), "{all}");
    assert_eq!(keys("master.key.old"), first);
    all += &until(&["master-key", "status"], "nothing is under older ones").await;
    all += &until(&["master-key", "retire"], "is the only one now").await;
    assert!(!data_dir.join("master.key.old").exists());
    all += &until(&["doctor"], "fine   Master key").await;
    drop(serving);
    all += &fs::read_to_string(data_dir.join("serve.log")).unwrap();
    assert!(all.contains("everything is under the newest master key"), "{all}");
    for key in [first, keys("master.key")] {
        assert!(key.trim().len() == 64 && !all.contains(key.trim()), "no key is said or logged");
    }
}
