//! What a runtime manager does for a server, whatever the server asks: judged by the manager's own settings, since the server may be in other hands.

use super::names::Names;
use crate::{
    Error, Result,
    runtime::spec::{Limits, RuntimeSpec},
};
use contract::{Code, Problem};
use std::{collections::BTreeSet, time::Duration};

/// The longest configuration, in bytes. One with a thousand models has about a fifth.
const LONGEST_CONFIGURATION: usize = 1024 * 1024;
/// The longest that a container is waited for until it is killed.
const LONGEST_GRACE: Duration = Duration::from_secs(120);
/// The most lines of a log in one answer.
const MOST_LINES: usize = 10_000;

/// The bounds of one installation. How hard the walls of a runtime are is no part of it: the engine makes all of them alike, and nobody may ask for less.
pub struct Allowance {
    /// The installation, whose workspaces these are.
    pub names: Names,
    /// The images that may run.
    pub images: BTreeSet<String>,
    /// The most memory of a runtime, in bytes.
    pub memory_bytes: i64,
    /// The most processor time of a runtime, in thousandths of a core.
    pub cpu_millis: i64,
    /// The most processes of a runtime.
    pub pids: i64,
    /// Whether runtimes may have this machine's GPUs.
    pub gpu: bool,
    /// The OCI runtimes that may run below a container, beside the engine's default.
    pub oci_runtimes: BTreeSet<String>,
}

impl Allowance {
    pub(super) fn workspace(&self, workspace: &str) -> Result<()> {
        check(self.names.is_workspace(workspace), "a workspace of another name than this installation gives")
    }

    pub(super) fn image(&self, image: &str) -> Result<()> {
        if self.images.contains(image) {
            return Ok(());
        }
        Err(Problem::new(Code::RuntimeStartFailed, format!("The runtime manager of this machine does not run the image {image}."))
            .remedy("An administrator allows it with CLAWLOOPS_MANAGER_IMAGES there.")
            .into())
    }

    pub(super) fn configuration(configuration: &str) -> Result<()> {
        check(configuration.len() <= LONGEST_CONFIGURATION, "a configuration of more than 1 MiB")
    }

    pub(super) fn grace(grace: Duration) -> Result<()> {
        check(grace <= LONGEST_GRACE, "a wait of more than 120 s for an end")
    }

    pub(super) fn lines(lines: usize) -> Result<()> {
        check(lines <= MOST_LINES, "more than 10 000 lines of a log")
    }

    /// Judges every value: one that is added to a runtime is judged here, or this does not compile. Zero and less would be no limit at all to Docker.
    pub(super) fn spec(&self, spec: &RuntimeSpec) -> Result<()> {
        let RuntimeSpec { runtime_id: _, revision: _, image, workspace, memory_bytes, cpu_millis, pids, gpu, oci_runtime } = spec;
        self.image(image)?;
        self.workspace(workspace)?;
        self.devices(*gpu, oci_runtime.as_deref())?;
        self.bounds(*memory_bytes, *cpu_millis, *pids)
    }

    /// What lies below the walls: never more of the machine, and never another program around the container, than its own administrator said.
    fn devices(&self, gpu: bool, oci_runtime: Option<&str>) -> Result<()> {
        let refused = |what: String, setting: &str| -> Error {
            Problem::new(Code::RuntimeStartFailed, format!("The runtime manager of this machine does not give a runtime {what}."))
                .remedy(format!("An administrator allows it with {setting} there."))
                .into()
        };
        if gpu && !self.gpu {
            return Err(refused("its GPUs".to_owned(), "CLAWLOOPS_MANAGER_GPU"));
        }
        match oci_runtime {
            Some(name) if !self.oci_runtimes.contains(name) => {
                Err(refused(format!("the OCI runtime {name}"), "CLAWLOOPS_MANAGER_OCI_RUNTIMES"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Limits that are put back may be no wider than those that are given.
    pub(super) fn limits(&self, limits: &Limits) -> Result<()> {
        let Limits { memory_bytes, swap_bytes, cpu_millis, pids, restarts } = limits;
        check(*swap_bytes == 0 && !*restarts, "swap, or an engine that starts a runtime by itself")?;
        self.bounds(*memory_bytes, *cpu_millis, *pids)
    }

    fn bounds(&self, memory_bytes: i64, cpu_millis: i64, pids: i64) -> Result<()> {
        for (value, most, what) in [
            (memory_bytes, self.memory_bytes, "memory (CLAWLOOPS_MANAGER_MEMORY_MIB)"),
            (cpu_millis, self.cpu_millis, "processor time (CLAWLOOPS_MANAGER_CPU_MILLIS)"),
            (pids, self.pids, "processes (CLAWLOOPS_MANAGER_PIDS)"),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Problem::new(
                    Code::QuotaExceeded,
                    format!("The runtime manager of this machine gives a runtime 1 to {most} of {what}, not {value}."),
                )
                .remedy("An administrator raises the limit there, or gives the runtime less.")
                .into());
            }
        }
        Ok(())
    }
}

fn check(good: bool, what: &str) -> Result<()> {
    if good {
        return Ok(());
    }
    Err(Problem::new(Code::AccessDenied, format!("The runtime manager refuses {what}.")).into())
}
