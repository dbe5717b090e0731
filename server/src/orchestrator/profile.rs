//! What a runtime has of its profile, and what it gets of it when: pure functions.

use crate::{
    data::{given::Given, runtime::Row},
    platform::quotas::{self, Taking, cores, size},
};
use contract::{DesiredState, MoreMemory, ProfileView, Resources};

/// What a wish takes of its person's quota: a new runtime without a row. `runs`: whether it is to run by this wish.
#[must_use]
pub fn taking(row: Option<&Row>, given: &Given, runs: bool, others: Resources, measured: Option<i64>) -> Taking {
    let held = measured.unwrap_or(0);
    let had = row.map_or_else(Resources::default, |row| {
        let counts = row.desired_state == DesiredState::Running || row.admitted_at.is_some();
        Resources {
            runtimes: 1,
            memory_bytes: if counts { row.memory_bytes.max(row.held_bytes) } else { 0 },
            cpu_millis: if counts { row.cpu_millis } else { 0 },
            workspace_bytes: row.workspace_bytes.max(held),
        }
    });
    let wants = Resources {
        runtimes: 1,
        memory_bytes: if runs { given.memory_bytes } else { 0 },
        cpu_millis: if runs { given.cpu_millis } else { 0 },
        workspace_bytes: given.workspace_bytes.max(held),
    };
    Taking { others, had, wants, starts: runs, measured, workspace_bytes: given.workspace_bytes }
}

/// What a running runtime gets at once. Less memory waits for its next start: what is in use cannot be taken from a process. More does unless it `grows`,
/// which is when this machine holds it for it already. Image, GPUs and OCI runtime are what a container is made of.
#[must_use]
pub fn live(row: &Row, given: Given, grows: bool) -> Given {
    Given {
        memory_bytes: if grows { given.memory_bytes } else { row.memory_bytes },
        image: row.image.clone(),
        gpu: row.gpu,
        oci_runtime: row.oci_runtime.clone(),
        ..given
    }
}

/// What the next start brings of the profile, in words.
#[must_use]
pub fn brings(row: &Row, given: &Given) -> Option<String> {
    let mut parts = Vec::new();
    if given.memory_bytes != row.memory_bytes {
        parts.push(format!("{} of memory", size(given.memory_bytes)));
    }
    if given.cpu_millis != row.cpu_millis {
        parts.push(cores(given.cpu_millis));
    }
    if given.pids != row.pids {
        parts.push(format!("{} processes", given.pids));
    }
    if given.workspace_bytes != row.workspace_bytes {
        parts.push(format!("{} of disk", size(given.workspace_bytes)));
    }
    if given.image != row.image {
        parts.push(format!("the image {}", given.image));
    }
    if given.gpu != row.gpu {
        parts.push(if given.gpu { "this machine's GPUs" } else { "a container without GPUs" }.to_owned());
    }
    if given.oci_runtime != row.oci_runtime {
        parts.push(format!("the OCI runtime {}", given.oci_runtime.as_deref().unwrap_or("of the engine")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The way to more memory for a runtime that ran out of it: the smallest profile that gives more and fits, or whom to ask.
#[must_use]
pub fn more_memory(
    row: &Row,
    profiles: &[ProfileView],
    quota: &Resources,
    used: Resources,
    measured: Option<i64>,
    whom: Option<String>,
) -> MoreMemory {
    // `used` counts this runtime too.
    let nothing =
        Given { memory_bytes: 0, cpu_millis: 0, pids: 0, workspace_bytes: 0, image: String::new(), gpu: false, oci_runtime: None };
    let had = taking(Some(row), &nothing, true, Resources::default(), measured).had;
    let others = Resources {
        runtimes: used.runtimes - had.runtimes,
        memory_bytes: used.memory_bytes - had.memory_bytes,
        cpu_millis: used.cpu_millis - had.cpu_millis,
        workspace_bytes: used.workspace_bytes - had.workspace_bytes,
    };
    let fits = |profile: &&ProfileView| {
        let given = crate::platform::profiles::gives(profile, &row.image);
        profile.offered
            && profile.memory_bytes > row.memory_bytes
            && quotas::judge(quota, &taking(Some(row), &given, true, others, measured)).is_ok()
    };
    match profiles.iter().filter(fits).min_by_key(|profile| (profile.memory_bytes, profile.position)) {
        Some(profile) => {
            MoreMemory::Profile { profile_id: profile.profile_id, name: profile.name.clone(), memory_bytes: profile.memory_bytes }
        }
        None => MoreMemory::Ask { whom },
    }
}
