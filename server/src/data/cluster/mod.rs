//! The private PostgreSQL cluster: made, started and stopped when no `DATABASE_URL` is set.
//!
//! It listens on a socket that only its owner reaches. It outlives a server that is killed, and the next one finds it running. Whoever holds the lock
//! in the data directory is the one who stops it, so that a command beside a running server never takes the database away.

mod place;

use crate::{Error, Result, config::Config, error::chain};
use contract::{Code, Problem};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use place::Place;
use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use std::{fs, io::ErrorKind, os::unix::fs::OpenOptionsExt, path::Path, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// The database and the role within the cluster.
const NAME: &str = "clawloops";
/// How long another server may take to go.
const HANDOVER: Duration = Duration::from_secs(15);
/// How long PostgreSQL may take to come up; repairing after a power cut takes its time.
const START: Duration = Duration::from_secs(300);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(10);
/// What PostgreSQL says while processes of one that was killed have not seen yet that they are alone. They end by themselves.
const STILL_IN_USE: &str = "pre-existing shared memory block";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A running cluster.
pub struct Cluster {
    place: Place,
    /// Held by whoever is to stop it; the kernel lets go of it when the process ends, however it ends.
    lock: Option<fs::File>,
    /// The server process, when it is our child.
    child: Option<Child>,
}

impl Cluster {
    /// Starts the cluster for a server; makes it on first use, and takes over one that runs without a server.
    ///
    /// # Errors
    /// When another server uses the data directory, PostgreSQL is not installed, or it does not come up.
    pub async fn start(config: &Config) -> Result<Self> {
        let until = Instant::now() + HANDOVER;
        loop {
            if let Some(lock) = try_lock(&config.data.data_dir)? {
                return Self::up(config, lock).await;
            }
            if Instant::now() >= until {
                let place = config.data.data_dir.display();
                return Err(Problem::new(Code::Conflict, format!("Another ClawLoops runs on the data directory {place}."))
                    .remedy("Stop it first, or set CLAWLOOPS_DATA_DIR to another directory.")
                    .into());
            }
            sleep(LOOK).await;
        }
    }

    /// The running cluster, for a command beside a server; without a server it is started for the command alone.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn join(config: &Config) -> Result<Self> {
        let until = Instant::now() + START;
        loop {
            if let Some(running) = Self::running(config).await? {
                return Ok(running);
            }
            if let Some(lock) = try_lock(&config.data.data_dir)? {
                return Self::up(config, lock).await;
            }
            if Instant::now() >= until {
                return Err(Error::internal("waiting for the private database", "a server holds it and it does not answer"));
            }
            sleep(LOOK).await;
        }
    }

    /// The cluster, if it runs; nothing is started or made.
    ///
    /// # Errors
    /// When the data directory cannot be looked at.
    pub async fn running(config: &Config) -> Result<Option<Self>> {
        let place = Place::find(&config.data.data_dir)?;
        if !answers(&place).await {
            return Ok(None);
        }
        Ok(Some(Self { place, lock: None, child: None }))
    }

    /// The address of its database, for [`super::connect`].
    #[must_use]
    pub fn url(&self) -> String {
        let socket: String = url::form_urlencoded::byte_serialize(self.place.socket.as_os_str().as_encoded_bytes()).collect();
        format!("postgres://{NAME}@localhost:{}/{NAME}?host={socket}", place::PORT)
    }

    /// Starts it again when its process went away though nobody stopped it. Whether it had to.
    ///
    /// # Errors
    /// As [`Self::start`]. A later try may do it.
    pub async fn revive(&mut self, config: &Config) -> Result<bool> {
        let Some(lock) = &self.lock else { return Ok(false) };
        let down = match (&mut self.child, postmaster(&self.place)) {
            (Some(child), _) => !matches!(child.try_wait(), Ok(None)),
            (None, Some(pid)) => kill(pid, None).is_err(),
            (None, None) => true,
        };
        if down {
            // The same lock, held twice: it stays ours when the start below fails.
            let lock = lock.try_clone().map_err(|error| Error::internal("keeping the lock of the private database", error))?;
            *self = Self::up(config, lock).await?;
        }
        Ok(down)
    }

    /// Stops it fast and cleanly, if it is ours to stop: open transactions are rolled back.
    ///
    /// # Errors
    /// When it is still there after the time that it was given.
    pub async fn stop(mut self) -> Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        self.end().await?;
        self.place.leave();
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        let Some(pid) = postmaster(&self.place) else { return Ok(()) };
        for (signal, wait) in [(Signal::SIGINT, STOP), (Signal::SIGQUIT, STOP / 2)] {
            match kill(pid, signal) {
                Ok(()) => {}
                Err(nix::errno::Errno::ESRCH) => return Ok(()),
                Err(error) => return Err(Error::internal("stopping the private database", error)),
            }
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if self.is_gone(pid) {
                    return Ok(());
                }
                sleep(LOOK).await;
            }
            tracing::warn!(?signal, "the private database takes long to stop");
        }
        Err(Error::internal("stopping the private database", format!("process {pid} does not end")))
    }

    fn is_gone(&mut self, pid: Pid) -> bool {
        match &mut self.child {
            // A child stays as a zombie until it is asked for.
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => kill(pid, None).is_err(),
        }
    }

    /// Makes it run, under the lock.
    async fn up(config: &Config, lock: fs::File) -> Result<Self> {
        let place = Place::find(&config.data.data_dir)?;
        let lock = Some(lock);
        if settled(&place).await? {
            tracing::info!("found the private database running");
            let cluster = Self { place, lock, child: None };
            cluster.make_database().await?;
            return Ok(cluster);
        }
        place.make()?;
        let bin = place::binaries(config.data.postgres_bin.as_deref(), &place)?;
        if !place.is_made() {
            initialise(&place, &bin).await?;
        }
        let log = config.data.data_dir.join("postgres.log");
        let child = spawn(&place, &bin, &log)?;
        let mut cluster = Self { place, lock, child: Some(child) };
        let ready = match cluster.wait_until_ready(&bin, &log).await {
            Ok(()) => cluster.make_database().await,
            error => error,
        };
        if let Err(error) = ready {
            if let Err(error) = cluster.stop().await {
                tracing::warn!(error = %chain(&error), "a database that did not come up does not go either");
            }
            return Err(error);
        }
        Ok(cluster)
    }

    async fn wait_until_ready(&mut self, bin: &Path, log: &Path) -> Result<()> {
        let until = Instant::now() + START;
        while !answers(&self.place).await {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                let said = tail(log);
                if said.contains(STILL_IN_USE) && Instant::now() < until {
                    sleep(LOOK).await;
                    self.child = Some(spawn(&self.place, bin, log)?);
                    continue;
                }
                return Err(Error::internal("starting the private database", format!("{status}: {said}")));
            }
            if Instant::now() >= until {
                return Err(Error::internal("starting the private database", format!("it does not answer: {}", tail(log))));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn make_database(&self) -> Result<()> {
        let mut conn = PgConnection::connect_with(&options(&self.place)).await?;
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(NAME).fetch_one(&mut conn).await?;
        if !there {
            conn.execute("create database clawloops").await?;
        }
        Ok(conn.close().await?)
    }
}

/// The lock, unless somebody holds it.
fn try_lock(data_dir: &Path) -> Result<Option<fs::File>> {
    let path = data_dir.join("postgres.lock");
    let failed = |error| Error::internal(format!("locking {}", path.display()), error);
    fs::create_dir_all(data_dir).map_err(failed)?;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn options(place: &Place) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(&place.socket).port(place::PORT).username(NAME).database("postgres")
}

/// Whether this very cluster answers, not another one on the same socket.
async fn answers(place: &Place) -> bool {
    let asked = async {
        let mut conn = PgConnection::connect_with(&options(place)).await?;
        let directory: String = sqlx::query_scalar("select current_setting('data_directory')").fetch_one(&mut conn).await?;
        conn.close().await?;
        Result::<String>::Ok(directory)
    };
    matches!(timeout(Duration::from_secs(5), asked).await, Ok(Ok(directory)) if Path::new(&directory) == place.data())
}

/// The process that holds the data directory, as PostgreSQL noted it.
fn postmaster(place: &Place) -> Option<Pid> {
    let note = fs::read_to_string(place.data().join("postmaster.pid")).ok()?;
    note.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Waits until a server that an earlier run left behind answers (true) or is gone (false). A note left by a power cut is taken away when another
/// program has the number now: PostgreSQL itself would refuse to start.
async fn settled(place: &Place) -> Result<bool> {
    let until = Instant::now() + START;
    loop {
        if answers(place).await {
            return Ok(true);
        }
        let Some(pid) = postmaster(place) else { return Ok(false) };
        if kill(pid, None).is_err_and(|errno| errno == nix::errno::Errno::ESRCH) {
            return Ok(false);
        }
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if !program.trim().starts_with("postgres") && !program.trim().starts_with("postmaster") {
            tracing::info!(%pid, "removing the note of a database process that is gone");
            fs::remove_file(place.data().join("postmaster.pid"))
                .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .map_err(|error| Error::internal("removing a stale postmaster.pid", error))?;
            return Ok(false);
        }
        if Instant::now() >= until {
            return Err(Error::internal(
                "waiting for a database left by an earlier run",
                format!("process {pid} neither answers nor ends"),
            ));
        }
        sleep(LOOK).await;
    }
}

fn command(place: &Place, program: &Path) -> Command {
    let mut command = Command::new(program);
    // Nothing of our own environment: it may hold secrets, and PG* or LC_* variables would change what happens.
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(&place.home).stdin(Stdio::null());
    if let Some(owner) = &place.owner {
        command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
    }
    command
}

/// Made under another name and renamed when whole: a crash in between leaves nothing that looks like a cluster.
async fn initialise(place: &Place, bin: &Path) -> Result<()> {
    let draft = place.home.join("data.new");
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::internal("clearing a half-made database", error)),
        _ => {}
    }
    let made = command(place, &bin.join("initdb"))
        .args(["--username", NAME, "--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=reject", "--pgdata"])
        .arg(&draft)
        .output()
        .await
        .map_err(|error| Error::internal(format!("running {}/initdb", bin.display()), error))?;
    if !made.status.success() {
        let said = format!("{}: {}", made.status, String::from_utf8_lossy(&made.stderr).trim());
        return Err(Error::internal("making the private database", said));
    }
    fs::rename(&draft, place.data()).map_err(|error| Error::internal("making the private database", error))
}

fn spawn(place: &Place, bin: &Path, log: &Path) -> Result<Child> {
    let starting = |error| Error::internal(format!("starting {}/postgres", bin.display()), error);
    // Warnings only, and begun anew when it has grown: it never fills the disk.
    let grown = fs::metadata(log).is_ok_and(|log| log.len() > 4 << 20);
    let file = fs::OpenOptions::new().create(true).write(true).append(!grown).truncate(grown).mode(0o600).open(log).map_err(starting)?;
    let socket = format!("unix_socket_directories={}", quoted(&place.socket));
    let port = format!("port={}", place::PORT);
    let settings = [
        "listen_addresses=",
        &socket,
        &port,
        "unix_socket_permissions=0700",
        "shared_buffers=64MB",
        "max_wal_size=256MB",
        "max_connections=60",
        "jit=off",
        "timezone=UTC",
        "log_timezone=UTC",
        "log_min_messages=warning",
        "cluster_name=clawloops",
    ];
    command(place, &bin.join("postgres"))
        .arg("-D")
        .arg(place.data())
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdout(file.try_clone().map_err(starting)?)
        .stderr(file)
        // A group of its own: Ctrl-C in the terminal reaches us alone, and we stop the database last.
        .process_group(0)
        .spawn()
        .map_err(starting)
}

/// As a list of one for `unix_socket_directories`: commas and blanks are part of the name.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('"', "\"\""))
}

/// The end of the log, in one line.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
