//! The program itself: making an administrator with and beside a server, and the doctor's word and exit code.
#![cfg(test)]

use server::{config::Config, data::cluster::Cluster};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs `clawloops` on a data directory of the test, far from the machine's Docker.
fn clawloops(data_dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_clawloops"))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env("CLAWLOOPS_DATA_DIR", data_dir)
        .env("CLAWLOOPS_LISTEN", "127.0.0.1:0")
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
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
