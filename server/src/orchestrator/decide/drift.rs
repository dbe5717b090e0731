//! What a container is made of against what it should be made of. What can be put right while it runs is; what weakens its walls ends it; the rest
//! waits for its next start, and is said.

use super::Facts;
use crate::{
    manager::{ContainerState, SeenContainer},
    runtime::spec::{Limits, RuntimeSpec},
};
use contract::{DesiredState, Phase, SleepDepth};

/// What a look found beside the wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// What was changed by hand, in words; it is being put right.
    pub changed: Option<String>,
    /// What only the next start brings, in words.
    pub restart_brings: Option<String>,
}

/// Compares. Only what is asked to run, and is the container that was asked for, is anything.
#[must_use]
pub fn compare(facts: &Facts<'_>) -> Drift {
    let cut_off = running(facts).filter(|_| !facts.isolated).map(|_| "its network was removed or changed".to_owned());
    let stands_still = [frozen(facts), thawed(facts), removed(facts)];
    let changed: Vec<String> =
        [cut_off, weak(facts), loose(facts).filter(|_| !facts.changing), edited(facts)].into_iter().chain(stands_still).flatten().collect();
    let changed = (!changed.is_empty()).then(|| changed.join("; "));
    Drift { changed, restart_brings: waits(facts) }
}

/// What weakens the walls of the container that was asked for.
#[must_use]
pub fn weak(facts: &Facts<'_>) -> Option<String> {
    let container = asked_for(facts)?;
    let mut found = container.breaches.clone();
    match &container.made {
        Some(made) if made.workspace.as_deref() != Some(&facts.spec.workspace) => {
            found.push(format!("its workspace is {}", made.workspace.as_deref().unwrap_or("missing")));
        }
        Some(_) | None => {}
    }
    if let Some(made) = &container.made {
        if made.gpu && !facts.spec.gpu {
            found.push("it has GPUs".to_owned());
        }
        match &facts.spec.oci_runtime {
            Some(wanted) if made.oci_runtime.as_ref() != Some(wanted) => {
                let is = made.oci_runtime.as_deref().unwrap_or("the engine's default");
                found.push(format!("it runs under {is} in place of {wanted}"));
            }
            Some(_) | None => {}
        }
    }
    (!found.is_empty()).then(|| found.join(", "))
}

/// Which limits of the running container are not as they should be.
#[must_use]
pub fn loose(facts: &Facts<'_>) -> Option<String> {
    let container = running(facts)?;
    let (is, ought) = (container.made.as_ref()?.limits, facts.spec.limits());
    (is != ought).then(|| told(&is, &ought))
}

/// Whether a hand froze what is to run.
fn frozen(facts: &Facts<'_>) -> Option<String> {
    let still = matches!(asked_for(facts)?.state, ContainerState::Frozen { .. });
    let ours = matches!(facts.phase, Phase::Asleep | Phase::Waking);
    (still && !ours).then(|| "it was frozen".to_owned())
}

/// Whether a hand thawed what is to stand still. One whose agreement was never used may not have been frozen yet.
fn thawed(facts: &Facts<'_>) -> Option<String> {
    running(facts).filter(|_| is_frozen_by_us(facts) && facts.rest.agreed_until.is_none()).map(|_| "it was thawed in its sleep".to_owned())
}

/// Whether a hand removed the container: we remove none that is ready, or stands still.
fn removed(facts: &Facts<'_>) -> Option<String> {
    let ours = facts.desired != DesiredState::Running || facts.container.is_some();
    (!ours && (facts.phase == Phase::Ready || is_frozen_by_us(facts))).then(|| "its container was removed".to_owned())
}

fn is_frozen_by_us(facts: &Facts<'_>) -> bool {
    facts.phase == Phase::Asleep && facts.rest.depth == Some(SleepDepth::Frozen)
}

/// Whether a hand wrote to the configuration of what runs. That of one that sleeps is looked at when it wakes.
fn edited(facts: &Facts<'_>) -> Option<String> {
    running(facts).filter(|_| facts.edited && facts.phase != Phase::Asleep)?;
    Some(if facts.configured { "its configuration was edited" } else { "its configuration was removed" }.to_owned())
}

fn told(is: &Limits, ought: &Limits) -> String {
    let memory =
        |limits: &Limits| if limits.memory_bytes == 0 { "no limit".to_owned() } else { format!("{} MiB", limits.memory_bytes >> 20) };
    let cores =
        |limits: &Limits| if limits.cpu_millis == 0 { "no limit".to_owned() } else { format!("{}/1000 of a core", limits.cpu_millis) };
    let pids = |limits: &Limits| if limits.pids == 0 { "no limit".to_owned() } else { limits.pids.to_string() };
    let mut found = Vec::new();
    if is.memory_bytes != ought.memory_bytes {
        found.push(format!("memory was {} in place of {}", memory(is), memory(ought)));
    }
    if is.swap_bytes != ought.swap_bytes && is.memory_bytes == ought.memory_bytes {
        found.push("it had swap".to_owned());
    }
    if is.cpu_millis != ought.cpu_millis {
        found.push(format!("processor time was {} in place of {}", cores(is), cores(ought)));
    }
    if is.pids != ought.pids {
        found.push(format!("processes were {} in place of {}", pids(is), pids(ought)));
    }
    if is.restarts != ought.restarts {
        found.push("the engine restarted it by itself".to_owned());
    }
    if found.is_empty() { "it had swap".to_owned() } else { found.join(", ") }
}

/// What the running container does not have yet, and gets with its next start.
fn waits(facts: &Facts<'_>) -> Option<String> {
    let container = running(facts)?;
    let (made, spec) = (container.made.as_ref()?, facts.spec);
    if made.image != spec.image {
        return Some(format!("the image {} in place of {}", spec.image, made.image));
    }
    if spec.gpu && !made.gpu {
        return Some("this machine's GPUs".to_owned());
    }
    match &made.newest_id {
        Some(newest) if *newest != made.image_id => Some(format!("a newer build of the image {}", spec.image)),
        Some(_) | None => RuntimeSpec::is_older(&container.spec_hash).then(|| "a container as ClawLoops makes them now".to_owned()),
    }
}

fn running<'a>(facts: &Facts<'a>) -> Option<&'a SeenContainer> {
    asked_for(facts).filter(|container| matches!(container.state, ContainerState::Running { .. }))
}

fn asked_for<'a>(facts: &Facts<'a>) -> Option<&'a SeenContainer> {
    facts.container.filter(|container| facts.desired == DesiredState::Running && container.revision == facts.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_told_by_its_name() {
        let ought = Limits { memory_bytes: 2 << 30, swap_bytes: 0, cpu_millis: 2000, pids: 512, restarts: false };
        let told = |change: fn(&mut Limits)| {
            let mut is = ought;
            change(&mut is);
            super::told(&is, &ought)
        };
        assert_eq!(told(|limits| limits.memory_bytes = 4 << 30), "memory was 4096 MiB in place of 2048 MiB");
        assert_eq!(told(|limits| limits.swap_bytes = -1), "it had swap");
        assert_eq!(told(|limits| limits.cpu_millis = 0), "processor time was no limit in place of 2000/1000 of a core");
        assert_eq!(
            told(|limits| (limits.pids, limits.restarts) = (0, true)),
            "processes were no limit in place of 512, the engine restarted it by itself"
        );
    }
}
