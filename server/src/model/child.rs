//! A child process of ours: its group is known, its last words are kept, and a left-over of an earlier server is ended.

use crate::{Error, Result};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child as Process, Command},
    time::timeout,
};

/// How many of its last lines are kept, for the log when it ends.
const LAST_WORDS: usize = 12;
/// How long it may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// What to start.
pub struct Plan {
    /// Its name in the log.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments: never a secret.
    pub arguments: Vec<OsString>,
    /// Its whole environment beside `PATH` and `HOME`.
    pub environment: Vec<(String, SecretString)>,
    /// Where its process id is noted, for the next server after a crash of ours.
    pub pid_file: PathBuf,
}

/// A running child.
pub struct Child {
    name: &'static str,
    process: Process,
    group: Option<Pid>,
    pid_file: PathBuf,
    words: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts it in a process group of its own, so that a Ctrl-C in our terminal does not reach it before us.
    pub fn start(plan: Plan, home: &Path) -> Result<Self> {
        let mut command = Command::new(&plan.program);
        command
            .args(&plan.arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", home);
        for (name, value) in &plan.environment {
            command.env(name, value.expose_secret());
        }
        command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut process =
            command.spawn().map_err(|error| Error::internal(format!("starting {} ({})", plan.name, plan.program.display()), error))?;
        let group = process.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(group) = group
            && let Err(error) = std::fs::write(&plan.pid_file, group.to_string())
        {
            tracing::warn!(%error, file = %plan.pid_file.display(), "the process id could not be noted");
        }
        let words = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stream) = process.stdout.take() {
            tokio::spawn(listen(plan.name, stream, words.clone()));
        }
        if let Some(stream) = process.stderr.take() {
            tokio::spawn(listen(plan.name, stream, words.clone()));
        }
        Ok(Self { name: plan.name, process, group, pid_file: plan.pid_file, words })
    }

    /// Waits until it ends by itself, and tells how.
    pub async fn ended(&mut self) -> String {
        match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Its last lines.
    #[must_use]
    pub fn last_words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Ends it and its whole group: asked first, killed after a while.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(GRACE, self.process.wait()).await.is_err() {
            tracing::warn!("{} did not end when asked and is killed", self.name);
        }
        // Whatever of the group outlived its leader goes too.
        self.signal(Signal::SIGKILL);
        drop(self.process.wait().await);
        drop(std::fs::remove_file(&self.pid_file));
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that the group is gone, which is what is wanted.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Only a child that still runs: the id of one that was waited for may be another's by now.
        if self.process.id().is_some() {
            self.signal(Signal::SIGKILL);
        }
    }
}

async fn listen(name: &'static str, stream: impl AsyncRead + Unpin, words: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(target: "child", child = name, "{line}");
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(line);
    }
}

impl Plan {
    /// Ends the child of a server that was killed: the noted process, if it still is what we started.
    pub fn end_left_over(&self) {
        let noted = std::fs::read_to_string(&self.pid_file).ok().and_then(|text| text.trim().parse::<i32>().ok());
        let Some(id) = noted.filter(|id| *id > 1) else {
            return;
        };
        let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else {
            return;
        };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let ours = self.arguments.iter().all(|argument| words.contains(&argument.as_encoded_bytes()));
        if ours && killpg(Pid::from_raw(id), Signal::SIGKILL).is_ok() {
            tracing::info!("ended a {} that an earlier server left behind", self.name);
            // Its port is free a moment later.
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Whether a port of this machine can be listened on.
#[must_use]
pub fn port_is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A port that nobody uses now.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(|error| Error::internal("looking for a free port", error))?;
    Ok(listener.local_addr().map_err(|error| Error::internal("looking for a free port", error))?.port())
}
