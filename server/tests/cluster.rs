//! The private PostgreSQL cluster: made, adopted, shared with commands, stopped; and what a power cut leaves behind.
#![cfg(test)]

use server::{
    Error,
    config::Config,
    data::{self, cluster::Cluster},
    platform::keyring::Keyring,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

#[path = "cluster/upgrade.rs"]
mod upgrade;

fn config(data_dir: &Path) -> Config {
    let mut config = Config::for_tests();
    config.data.data_dir = data_dir.to_owned();
    config
}

/// A folder that PostgreSQL's user reaches, which a fresh temporary directory (0700) is not. A cluster outlives whoever started it by design:
/// a test that fails must not leave one behind.
struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(pid) = pid(&self.path().join("postgres")) {
            Command::new("kill").args(["-QUIT", &pid]).status().ok();
        }
    }
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    Folder(folder)
}

fn pid(home: &Path) -> Option<String> {
    let note = fs::read_to_string(home.join("data/postmaster.pid")).ok()?;
    Some(note.lines().next()?.to_owned())
}

async fn answer(cluster: &Cluster) -> data::Pool {
    let pool = data::connect(&cluster.url()).await.unwrap();
    data::migrate(&pool).await.unwrap();
    pool
}

#[tokio::test]
async fn it_is_made_once_shared_with_a_command_and_stopped_by_its_server() {
    let folder = folder();
    let config = config(folder.path());
    assert!(Cluster::running(&config).await.unwrap().is_none(), "looking makes nothing");

    let cluster = Cluster::start(&config).await.unwrap();
    let pool = answer(&cluster).await;
    sqlx::query("insert into setting values ('kept', 'yes')").execute(&pool).await.unwrap();
    let home = folder.path().join("postgres");
    let closed = fs::metadata(&home).unwrap();
    assert_eq!(closed.permissions().mode() & 0o777, 0o700);
    assert_ne!(closed.uid(), 0, "never root's");
    assert!(home.join(".s.PGSQL.5432").exists());
    let tcp: String = sqlx::query_scalar("select current_setting('listen_addresses')").fetch_one(&pool).await.unwrap();
    assert_eq!(tcp, "", "a socket only");

    // A command beside the server uses it and leaves it running.
    let command = Cluster::join(&config).await.unwrap();
    let beside = answer(&command).await;
    beside.close().await;
    command.stop().await.unwrap();
    sqlx::query("select 1").execute(&pool).await.unwrap();

    pool.close().await;
    cluster.stop().await.unwrap();
    assert_eq!(pid(&home), None, "a clean stop takes its note along");

    // A command without a server starts it for itself, finds the data, and stops it.
    let command = Cluster::join(&config).await.unwrap();
    let pool = answer(&command).await;
    let kept: String = sqlx::query_scalar("select value from setting where name = 'kept'").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, "yes");
    pool.close().await;
    command.stop().await.unwrap();
    assert!(Cluster::running(&config).await.unwrap().is_none());
}

#[tokio::test]
async fn one_that_a_killed_server_left_running_is_taken_over_and_stopped_at_the_end() {
    let folder = folder();
    let config = config(folder.path());
    let home = folder.path().join("postgres");
    // Dropped without a stop: what a SIGKILL leaves.
    drop(Cluster::start(&config).await.unwrap());
    let before = pid(&home).expect("it outlives its server");

    let cluster = Cluster::start(&config).await.unwrap();
    assert_eq!(pid(&home).unwrap(), before, "the same process");
    answer(&cluster).await.close().await;
    cluster.stop().await.unwrap();
    assert!(Cluster::running(&config).await.unwrap().is_none());
}

#[tokio::test]
async fn a_power_cut_is_survived() {
    let folder = folder();
    let config = config(folder.path());
    let home = folder.path().join("postgres");
    let cluster = Cluster::start(&config).await.unwrap();
    let pool = answer(&cluster).await;
    sqlx::query("insert into setting values ('kept', 'yes')").execute(&pool).await.unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid(&home).unwrap()]).status().unwrap().success());
    drop(cluster);
    pool.close().await;

    // The note is still there, and another program has its number now: this very test.
    let note = fs::read_to_string(home.join("data/postmaster.pid")).unwrap();
    let rest: String = note.split_inclusive('\n').skip(1).collect();
    fs::write(home.join("data/postmaster.pid"), format!("{}\n{rest}", std::process::id())).unwrap();

    let cluster = Cluster::start(&config).await.unwrap();
    let pool = answer(&cluster).await;
    let kept: String = sqlx::query_scalar("select value from setting where name = 'kept'").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, "yes");
    pool.close().await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_deep_data_directory_a_half_made_cluster_and_missing_binaries() {
    let folder = folder();
    let deep = folder.path().join("a,b \"c\"/".to_owned() + &"x".repeat(100));
    let mut config = config(&deep);

    config.data.postgres_bin = Some(PathBuf::from("/nowhere"));
    let Err(Error::Problem(problem)) = Cluster::start(&config).await else { panic!("started without PostgreSQL") };
    assert!(problem.message.contains("/nowhere") && problem.remedy.unwrap().contains("DATABASE_URL"));

    // What an initdb that was killed leaves.
    fs::create_dir_all(deep.join("postgres/data.new/base")).unwrap();
    config.data.postgres_bin = None;
    let cluster = Cluster::start(&config).await.unwrap();
    answer(&cluster).await.close().await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_that_is_closed_to_postgres_points_to_its_cluster() {
    let folder = folder();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let config = config(&closed.join("data"));
    let link = config.data.data_dir.join("postgres");
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;

    let mut homes = Vec::new();
    for _ in 0..2 {
        for made in [true, false] {
            let cluster = Cluster::start(&config).await.unwrap();
            let pool = answer(&cluster).await;
            let new = sqlx::query("insert into setting values ('kept', 'yes') on conflict do nothing").execute(&pool).await.unwrap();
            assert_eq!(new.rows_affected() == 1, made, "the second start finds what the first one wrote");
            pool.close().await;
            cluster.stop().await.unwrap();
        }
        let home = link.canonicalize().unwrap();
        assert_eq!(fs::symlink_metadata(&link).unwrap().is_symlink(), is_root);
        assert_eq!(home.starts_with("/var/lib/clawloops"), is_root, "{}", home.display());
        homes.push(home);
        // Whoever removes the data directory, and the master key with it, begins anew.
        fs::remove_dir_all(&config.data.data_dir).unwrap();
    }
    assert_eq!(homes[0] == homes[1], !is_root);
    if is_root {
        homes.iter().for_each(|home| fs::remove_dir_all(home).unwrap());
    }
}

#[tokio::test]
async fn one_that_was_killed_beside_its_server_is_started_again() {
    let folder = folder();
    let config = config(folder.path());
    let mut cluster = Cluster::start(&config).await.unwrap();
    let pool = answer(&cluster).await;
    assert!(!cluster.revive(&config).await.unwrap(), "a running one is left alone");
    let first = pid(&folder.path().join("postgres")).unwrap();
    assert!(Command::new("kill").args(["-KILL", &first]).status().unwrap().success());
    let mut revived = false;
    for _ in 0..100 {
        // Its own children hold its memory a moment longer, and it does not start beside them.
        if matches!(cluster.revive(&config).await, Ok(true)) {
            revived = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(revived);
    assert_ne!(pid(&folder.path().join("postgres")).unwrap(), first);
    // The same pool finds it again, with what was in it. A connection that was used a moment ago is not asked whether it still lives (see
    // `data::connect`), so each that died may cost one query, and no more than that.
    let mut found = None;
    for _ in 0..=pool.size() {
        found = sqlx::query_scalar::<_, i64>("select count(*) from _sqlx_migrations").fetch_one(&pool).await.ok();
        if found.is_some() {
            break;
        }
    }
    assert!(found.is_some_and(|migrations| migrations > 0));
    pool.close().await;
    cluster.stop().await.unwrap();
    assert!(Cluster::running(&config).await.unwrap().is_none());
}

/// Runs PostgreSQL's own tool as `docs/OPERATING.md` says to.
fn tool(program: &str, home: &Path, arguments: &[&str]) {
    let done = Command::new(program).args(["--host", home.to_str().unwrap(), "--username", "clawloops"]).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn a_backup_is_restored_beside_a_new_server_and_opens_what_was_sealed() {
    let folder = folder();
    let dump = folder.path().join("clawloops.dump");
    let old = config(&folder.path().join("old"));
    let cluster = Cluster::start(&old).await.unwrap();
    let pool = answer(&cluster).await;
    Keyring::load(&old).unwrap().join(&pool).await.unwrap();
    let token = [1_u8; 32];
    sqlx::query("insert into setup_link (token_hash, expires_at) values ($1, now() + interval '1 hour')")
        .bind(token.as_slice())
        .execute(&pool)
        .await
        .unwrap();
    tool("pg_dump", &folder.path().join("old/postgres"), &["--format=custom", "--file", dump.to_str().unwrap(), "clawloops"]);
    fs::copy(old.data.data_dir.join("master.key"), folder.path().join("master.key.backup")).unwrap();
    pool.close().await;
    cluster.stop().await.unwrap();
    fs::remove_dir_all(&old.data.data_dir).unwrap();

    // The server runs on its new, empty database while that is filled.
    let new = config(&folder.path().join("new"));
    fs::create_dir(&new.data.data_dir).unwrap();
    fs::set_permissions(&new.data.data_dir, fs::Permissions::from_mode(0o711)).unwrap();
    fs::copy(folder.path().join("master.key.backup"), new.data.data_dir.join("master.key")).unwrap();
    let cluster = Cluster::start(&new).await.unwrap();
    let pool = answer(&cluster).await;
    Keyring::load(&new).unwrap().join(&pool).await.unwrap();
    let home = folder.path().join("new/postgres");
    let dump = dump.to_str().unwrap();
    tool("pg_restore", &home, &["--dbname=clawloops", "--clean", "--if-exists", "--single-transaction", dump]);
    pool.close().await;
    cluster.stop().await.unwrap();

    // The next start finds everything, and the key fits.
    let cluster = Cluster::start(&new).await.unwrap();
    let pool = answer(&cluster).await;
    let found: Vec<Vec<u8>> = sqlx::query_scalar("select token_hash from setup_link").fetch_all(&pool).await.unwrap();
    assert_eq!(found, [token]);
    Keyring::load(&new).unwrap().join(&pool).await.unwrap();
    // With another key it is said, not found out later.
    fs::write(new.data.data_dir.join("master.key"), "0".repeat(64)).unwrap();
    assert!(Keyring::load(&new).unwrap().join(&pool).await.is_err());
    pool.close().await;
    cluster.stop().await.unwrap();
}
