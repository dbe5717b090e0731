//! What this process and its PostgreSQL use, as the kernel counts it.

use anyhow::Context as _;
use std::{
    fs,
    time::{Duration, Instant},
};

/// The kernel counts processor time for programs in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Reads the kernel's counts.
#[derive(Clone, Copy)]
pub struct Meter {
    postmaster: u32,
}

/// What was used up to a moment.
#[derive(Clone, Copy)]
pub struct Used {
    at: Instant,
    ours: Duration,
    postgres: Duration,
}

/// What was used between two moments.
#[derive(Clone, Copy)]
pub struct Spent {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Processor time of this process: the orchestrator, and the engine in memory.
    pub ours: Duration,
    /// Processor time of PostgreSQL.
    pub postgres: Duration,
}

/// The fields of a process that are read here.
struct Process {
    parent: u32,
    own: Duration,
    /// Of its children that ended.
    ended: Duration,
}

impl Meter {
    /// For the PostgreSQL that this backend, a process of this machine, belongs to.
    pub fn of_backend(pid: i32) -> anyhow::Result<Self> {
        Ok(Self { postmaster: process(&pid.to_string())?.parent })
    }

    /// What was used up to now.
    pub fn read(&self) -> anyhow::Result<Used> {
        let ours = process("self")?.own;
        let postmaster = process(&self.postmaster.to_string())?;
        let mut postgres = postmaster.own + postmaster.ended;
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
            // One that ended meanwhile is counted with its parent the next time.
            if let Ok(child) = process(pid)
                && child.parent == self.postmaster
            {
                postgres += child.own;
            }
        }
        Ok(Used { at: Instant::now(), ours, postgres })
    }

    /// What was used since.
    pub fn since(&self, before: Used) -> anyhow::Result<Spent> {
        let now = self.read()?;
        Ok(Spent {
            wall: now.at - before.at,
            ours: now.ours.saturating_sub(before.ours),
            postgres: now.postgres.saturating_sub(before.postgres),
        })
    }
}

/// Memory of this process in MiB: now, and at most so far.
pub fn resident() -> anyhow::Result<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("the kernel does not say {name}"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok::<_, anyhow::Error>(kib / 1024)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

fn process(pid: &str) -> anyhow::Result<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in brackets, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ").context("an entry of /proc without a name")?.1.split(' ').collect();
    let number = |at: usize| Ok::<u64, anyhow::Error>(fields.get(at).context("an entry of /proc is cut")?.parse()?);
    let ticks = |at: usize| Ok::<_, anyhow::Error>(TICK * u32::try_from(number(at)? + number(at + 1)?)?);
    Ok(Process { parent: u32::try_from(number(1)?)?, own: ticks(11)?, ended: ticks(13)? })
}
