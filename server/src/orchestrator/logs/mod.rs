//! The logs of runtimes, kept: followed while containers run, masked, and written to the data directory within a bound, so that they outlive the container
//! and the server. The server that leads writes; every server of the data directory reads.

mod backwards;
mod ring;

use super::Orchestrator;
use crate::{
    Error, Result,
    clock::Clock,
    config::Config,
    error::chain,
    manager::{ContainerState, Engine, World, bounded::Bounded},
    runtime::mask,
};
use backwards::Backwards;
use bytes::Bytes;
use contract::{Caller, Code, LogView, Problem, RuntimeId};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use ring::Ring;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::{io::ReaderStream, sync::CancellationToken, task::TaskTracker};

/// How many lines a page shows, and how many bytes of them at most.
const SHOWN_LINES: usize = 200;
const SHOWN_BYTES: usize = 256 * 1024;
/// The longest text that is searched for, in characters.
const LONGEST_SEARCH: usize = 200;
/// How many lines are written at once, at most.
const BATCH: usize = 256;
/// How long the last lines of a container that ended may take to come, and to be read once more before it is removed.
const LAST_LINES: Duration = Duration::from_secs(2);
/// What is downloaded where nothing is kept: the engine's own last lines.
const UNKEPT_LINES: usize = 10_000;

/// The kept logs of one data directory.
pub struct Logs {
    folder: PathBuf,
    /// For each runtime, in bytes.
    bound: u64,
    engine: Bounded,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Held {
    /// Open and locked while this server writes, to the last line of the last follower: two that take each other for gone must not write the same lines.
    lock: Option<Arc<File>>,
    followed: HashMap<RuntimeId, Followed>,
}

struct Followed {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Logs {
    /// In the data directory of these settings. Nothing is written before a runtime is followed.
    #[must_use]
    pub fn new(config: &Config, engine: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            folder: config.data.data_dir.join("logs"),
            bound: config.runtimes.runtime_log_mib.saturating_mul(1024 * 1024),
            engine: Bounded::new(engine),
            clock,
            held: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, runtime_id: RuntimeId) -> PathBuf {
        self.folder.join(runtime_id.to_string())
    }

    /// Follows every container that runs and is not followed yet.
    pub(super) fn follow_all(self: &Arc<Self>, world: &World) {
        for (runtime_id, seen) in world {
            if seen
                .container
                .as_ref()
                .is_some_and(|container| matches!(container.state, ContainerState::Running { .. } | ContainerState::Frozen { .. }))
            {
                self.follow(*runtime_id);
            }
        }
    }

    /// Follows the container of this runtime, which runs, unless another server writes.
    pub(super) fn follow(self: &Arc<Self>, runtime_id: RuntimeId) {
        let mut held = self.held();
        if held.followed.get(&runtime_id).is_some_and(|followed| !followed.task.is_finished()) {
            return;
        }
        let Some(lock) = self.lock(&mut held) else { return };
        let (this, stop) = (Arc::clone(self), CancellationToken::new());
        let ended = stop.clone();
        let task = self.tasks.spawn(async move {
            if let Err(error) = this.read(runtime_id, true, &ended).await {
                tracing::warn!(runtime = %runtime_id, error = %chain(&error), "the log of a runtime cannot be kept; it is tried again");
            }
            drop(lock);
        });
        held.followed.insert(runtime_id, Followed { stop, task });
    }

    /// The lock of the one server that writes; none when that is another one.
    fn lock(&self, held: &mut Held) -> Option<Arc<File>> {
        if held.lock.is_some() {
            return held.lock.clone();
        }
        let locked = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).and_then(|()| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.folder.join("lock"))?;
            file.try_lock()?;
            Ok(file)
        });
        match locked {
            Ok(file) => held.lock = Some(Arc::new(file)),
            Err(error) => tracing::debug!(%error, "this server does not keep logs"),
        }
        held.lock.clone()
    }

    /// Takes what a container that ended said last, before it is removed with its log. That it cannot be had holds nothing up.
    pub(super) async fn take_last(&self, runtime_id: RuntimeId) {
        let (_lock, followed) = {
            let mut held = self.held();
            let Some(lock) = self.lock(&mut held) else { return };
            (lock, held.followed.remove(&runtime_id))
        };
        if let Some(mut followed) = followed {
            // The stream ends with the container.
            if tokio::time::timeout(LAST_LINES, &mut followed.task).await.is_err() {
                followed.stop.cancel();
                drop(followed.task.await);
            }
        }
        // One that ended before it was followed has said something, too.
        match tokio::time::timeout(LAST_LINES, self.read(runtime_id, false, &CancellationToken::new())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(runtime = %runtime_id, error = %chain(&error), "the end of a log was not kept"),
            Err(_) => tracing::warn!(runtime = %runtime_id, "the end of a log was not read in time"),
        }
    }

    /// Reads on from where the kept log ends.
    async fn read(&self, runtime_id: RuntimeId, follow: bool, stop: &CancellationToken) -> Result<()> {
        let (folder, bound, now) = (self.of(runtime_id), self.bound, self.clock.now());
        let (mut ring, mut known) = on_disk("opening a log", move || {
            let ring = Ring::open(&folder, bound)?;
            let known = ring.known(now)?;
            Ok((ring, known))
        })
        .await?;
        let mut batches = self.engine.output(runtime_id, known.from, follow).await?.ready_chunks(BATCH);
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                batch = batches.next() => batch,
            };
            let Some(batch) = batch else { return Ok(()) };
            (ring, known) = on_disk("writing a log", move || {
                ring.append(&batch, &mut known)?;
                Ok((ring, known))
            })
            .await?;
        }
    }

    /// The runtimes that logs are kept of.
    pub(super) async fn kept(&self) -> Result<Vec<RuntimeId>> {
        let folder = self.folder.clone();
        on_disk("looking for logs", move || match fs::read_dir(folder) {
            Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes the log of a runtime that is gone.
    pub(super) async fn forget(&self, runtime_id: RuntimeId) -> Result<()> {
        let followed = self.held().followed.remove(&runtime_id);
        if let Some(followed) = followed {
            followed.stop.cancel();
            drop(followed.task.await);
        }
        let folder = self.of(runtime_id);
        on_disk("removing a log", move || match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    /// The newest lines, or the newest of those that contain `find`, whatever the case of its letters.
    async fn view(&self, runtime_id: RuntimeId, find: Option<String>) -> Result<LogView> {
        let folder = self.of(runtime_id);
        on_disk("reading a log", move || newest(Backwards::over(ring::files(&folder)?), find.as_deref())).await
    }

    /// The whole log, as text.
    async fn whole(&self, runtime_id: RuntimeId) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        let folder = self.of(runtime_id);
        let files = on_disk("reading a log", move || ring::files(&folder)).await?;
        let opened = futures::stream::iter(files).filter_map(async |path| match tokio::fs::File::open(path).await {
            Ok(file) => Some(Ok(ReaderStream::new(file))),
            // Dropped meanwhile for a newer one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error)),
        });
        Ok(opened.try_flatten().boxed())
    }
}

/// Keeps logs for as long as it is held: then nothing is followed any more, and another server may write.
pub(super) struct Keeping(pub(super) Option<Arc<Logs>>);

impl Drop for Keeping {
    fn drop(&mut self) {
        let Some(logs) = &self.0 else { return };
        for followed in std::mem::take(&mut *logs.held()).followed.values() {
            followed.stop.cancel();
        }
    }
}

impl Orchestrator {
    /// The log of a runtime that the caller may see: its newest lines, or the newest of those that contain `find`.
    ///
    /// # Errors
    /// `RuntimeNotFound`; `Invalid` for a text that is too long.
    pub async fn log(&self, caller: &Caller, runtime_id: RuntimeId, find: Option<&str>) -> Result<LogView> {
        let find = find.map(str::trim).filter(|find| !find.is_empty());
        if find.is_some_and(|find| find.chars().count() > LONGEST_SEARCH) {
            return Err(Problem::new(Code::Invalid, format!("At most {LONGEST_SEARCH} characters can be searched for."))
                .field("find")
                .into());
        }
        self.find(caller, runtime_id).await?;
        if let Some(logs) = &self.logs {
            match logs.view(runtime_id, find.map(str::to_owned)).await {
                Ok(view) if !view.lines.is_empty() || logs.of(runtime_id).exists() => return Ok(view),
                Ok(_) => {}
                Err(error) => tracing::warn!(runtime = %runtime_id, error = %chain(&error), "a kept log cannot be read"),
            }
        }
        let lines = self.engine.logs(runtime_id, SHOWN_LINES).await?;
        newest(lines.iter().rev().map(|line| Ok(mask::keys(line))), find).map_err(|error| Error::internal("reading a log", error))
    }

    /// The whole log of a runtime that the caller may see, as text; with the name of the runtime's host for the file.
    ///
    /// # Errors
    /// `RuntimeNotFound`.
    pub async fn whole_log(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<(String, BoxStream<'static, io::Result<Bytes>>)> {
        let row = self.find(caller, runtime_id).await?;
        if let Some(logs) = &self.logs
            && logs.of(runtime_id).exists()
        {
            return Ok((row.host_label, logs.whole(runtime_id).await?));
        }
        let lines = self.engine.logs(runtime_id, UNKEPT_LINES).await?;
        let text: String = lines.iter().map(|line| mask::keys(line) + "\n").collect();
        Ok((row.host_label, futures::stream::once(async { Ok(text.into()) }).boxed()))
    }

    /// Follows what runs, and removes the logs of runtimes that are gone.
    pub(super) async fn keep_logs(&self, world: &World, known: &HashSet<RuntimeId>) -> Result<()> {
        let Some(logs) = &self.logs else { return Ok(()) };
        logs.follow_all(world);
        for runtime_id in logs.kept().await? {
            // A list may be old; the row itself is asked before anything is removed.
            if !known.contains(&runtime_id) && self.store.get(runtime_id).await?.is_none() {
                logs.forget(runtime_id).await?;
            }
        }
        Ok(())
    }
}

/// The first of these lines, which come newest first, as far as a page shows them.
fn newest(lines: impl Iterator<Item = io::Result<String>>, find: Option<&str>) -> io::Result<LogView> {
    let find = find.map(str::to_lowercase);
    let mut view = LogView { lines: Vec::new(), more: false };
    let mut bytes = 0;
    for line in lines {
        let line = line?;
        if find.as_ref().is_some_and(|find| !line.to_lowercase().contains(find)) {
            continue;
        }
        bytes += line.len();
        if view.lines.len() == SHOWN_LINES || bytes > SHOWN_BYTES {
            view.more = true;
            break;
        }
        view.lines.push(shown(&line));
    }
    view.lines.reverse();
    Ok(view)
}

/// A line with its moment to the second, unless it begins with its day by itself.
fn shown(line: &str) -> String {
    match line.split_once(' ') {
        Some((at, text)) if ring::moment(line).is_some() => {
            if at.get(..10).is_some_and(|day| text.starts_with(day)) {
                text.to_owned()
            } else {
                format!("{}Z {text}", &at[..19])
            }
        }
        _ => line.to_owned(),
    }
}

/// Does slow work on files where nobody waits for a processor.
async fn on_disk<T: Send + 'static>(what: &'static str, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Error::internal(what, error)),
        Err(error) => Err(Error::internal(what, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_shown_with_their_second() {
        let at = "2026-11-22T08:12:04.123456789Z";
        let said = [format!("{at} Ready"), format!("{at} 2026-11-22T08:12:03.9Z [gateway] listening"), "without a moment".to_owned()];
        let view = newest(said.iter().rev().cloned().map(Ok), None).unwrap();
        let expected = ["2026-11-22T08:12:04Z Ready", "2026-11-22T08:12:03.9Z [gateway] listening", "without a moment"];
        assert_eq!((view.lines, view.more), (expected.map(str::to_owned).to_vec(), false));
        let found = newest(said.iter().rev().cloned().map(Ok), Some("READY")).unwrap();
        assert_eq!(found.lines, ["2026-11-22T08:12:04Z Ready"]);
        let many = newest((0..500).map(|number| Ok(number.to_string())), None).unwrap();
        assert_eq!((many.lines.len(), many.more, many.lines.first().unwrap().as_str()), (SHOWN_LINES, true, "199"));
        let long = newest(std::iter::repeat_with(|| Ok("x".repeat(100_000))).take(9), None).unwrap();
        assert_eq!((long.lines.len(), long.more), (2, true));
    }
}
