//! What a container is really made of, read back from Docker: its limits, and whatever makes its walls weaker than `docker_container` built them.
//!
//! Labels say what a container was made for; a hand at the Docker socket can change the rest of it, or make another one of the same name.

use super::Made;
use crate::runtime::spec::{CONFIG_PATH, Limits, STATE_DIR, USER};
use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerSummary, ContainerUpdateBody, EndpointSettings, HostConfig, MountPoint,
    RestartPolicy, RestartPolicyNameEnum,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

/// Where a runtime's container ought to be.
pub(super) struct Ought<'a> {
    /// Its network, which has its container's name.
    pub network: &'a str,
    /// Its configuration file on the host.
    pub configuration: &'a Path,
}

impl Ought<'_> {
    /// What weakens the walls of a container, as far as a list shows it.
    pub(super) fn of_listed(&self, container: &ContainerSummary) -> Vec<String> {
        let mode = container.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let mut found = self.of_networks(mode, networks);
        found.extend(self.of_mounts(container.mounts.as_deref().unwrap_or_default()));
        found
    }

    /// What weakens the walls of a container.
    pub(super) fn of_inspected(&self, container: &ContainerInspectResponse) -> Vec<String> {
        let host = container.host_config.clone().unwrap_or_default();
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let mut found = self.of_networks(host.network_mode.as_deref(), networks);
        found.extend(self.of_mounts(container.mounts.as_deref().unwrap_or_default()));
        found.extend(of_host(&host));
        found.extend(of_config(container.config.as_ref()));
        found
    }

    fn of_networks(&self, mode: Option<&str>, networks: Option<&HashMap<String, EndpointSettings>>) -> Vec<String> {
        let names: BTreeSet<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut found: Vec<String> =
            names.iter().filter(|name| **name != self.network).map(|name| format!("it is in the network {name}")).collect();
        if !names.contains(self.network) && found.is_empty() {
            found.push("it is not in its own network".to_owned());
        }
        if let Some(mode) = mode.filter(|mode| *mode != self.network && !names.contains(mode)) {
            found.push(format!("its network mode is {mode}"));
        }
        found
    }

    fn of_mounts(&self, mounts: &[MountPoint]) -> Vec<String> {
        let mut found = Vec::new();
        for mount in mounts {
            let (source, target) = (mount.source.as_deref().unwrap_or_default(), mount.destination.as_deref().unwrap_or_default());
            let volume = mount.name.as_deref().unwrap_or_default();
            let expected = match target {
                // Which workspace it is, is compared with the wish.
                STATE_DIR => mount.typ.as_deref() == Some("volume"),
                CONFIG_PATH => Path::new(source) == self.configuration && mount.rw == Some(false),
                // A volume without a name comes from the image, and holds nothing of anybody else's.
                _ => mount.typ.as_deref() == Some("tmpfs") || is_nameless(volume),
            };
            if !expected {
                let what = if volume.is_empty() { source } else { volume };
                found.push(format!("{what} is mounted at {target}"));
            }
        }
        for target in [STATE_DIR, CONFIG_PATH] {
            if !mounts.iter().any(|mount| mount.destination.as_deref() == Some(target)) {
                found.push(format!("nothing is mounted at {target}"));
            }
        }
        found
    }
}

/// Docker names a volume that nobody named with 64 digits.
fn is_nameless(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn of_host(host: &HostConfig) -> Vec<String> {
    let all = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let security = all(&host.security_opt);
    let outside = |mode: &Option<String>| mode.as_deref().is_some_and(|mode| mode == "host" || mode.starts_with("container:"));
    let drops = all(&host.cap_drop).iter().any(|capability| capability.eq_ignore_ascii_case("all"));
    let ports = host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty());
    let named = [
        (host.privileged == Some(true), "it is privileged"),
        (!all(&host.cap_add).is_empty(), "it has capabilities added"),
        (!drops, "it keeps capabilities"),
        (host.readonly_rootfs != Some(true), "its root file system can be written"),
        (!security.iter().any(|option| option.starts_with("no-new-privileges")), "it may gain privileges"),
        (security.iter().any(|option| option.contains("unconfined") || option.contains("disable")), "it is unconfined"),
        (outside(&host.pid_mode), "it sees other processes"),
        (outside(&host.ipc_mode), "it shares memory with others"),
        (outside(&host.uts_mode), "it has the host's name"),
        (host.userns_mode.as_deref() == Some("host"), "it has the host's users"),
        (host.devices.as_ref().is_some_and(|devices| !devices.is_empty()), "it has devices"),
        (!all(&host.device_cgroup_rules).is_empty(), "it may use devices"),
        (!all(&host.group_add).is_empty(), "it is in other groups"),
        (!all(&host.volumes_from).is_empty(), "it has another container's volumes"),
        (ports || host.publish_all_ports == Some(true), "it has published ports"),
    ];
    named.into_iter().filter(|(found, _)| *found).map(|(_, words)| words.to_owned()).collect()
}

fn of_config(config: Option<&ContainerConfig>) -> Vec<String> {
    let user = config.and_then(|config| config.user.as_deref()).unwrap_or_default();
    if user == USER { Vec::new() } else { vec![format!("it runs as the user {}", if user.is_empty() { "root" } else { user })] }
}

/// What the container is made of. `newest_id` is what its image's name means now.
pub(super) fn made(container: &ContainerInspectResponse, newest_id: Option<String>) -> Made {
    let mounts = container.mounts.as_deref().unwrap_or_default();
    let host = container.host_config.clone().unwrap_or_default();
    let workspace = mounts.iter().find(|mount| mount.destination.as_deref() == Some(STATE_DIR)).and_then(|mount| mount.name.clone());
    Made {
        image: container.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default(),
        image_id: container.image.clone().unwrap_or_default(),
        newest_id,
        workspace,
        limits: limits(&host),
        gpu: host.device_requests.is_some_and(|requests| !requests.is_empty()),
        oci_runtime: host.runtime,
    }
}

fn limits(host: &HostConfig) -> Limits {
    let memory_bytes = host.memory.unwrap_or(0);
    let swap_bytes = match host.memory_swap.unwrap_or(0) {
        whole if whole < 0 => -1,
        // Nothing said: as much again as there is memory.
        0 => memory_bytes,
        whole => whole - memory_bytes,
    };
    Limits {
        memory_bytes,
        swap_bytes,
        cpu_millis: host.nano_cpus.unwrap_or(0) / 1_000_000,
        pids: host.pids_limit.unwrap_or(0).max(0),
        restarts: host.restart_policy.as_ref().and_then(|policy| policy.name).is_some_and(restarts),
    }
}

fn restarts(policy: RestartPolicyNameEnum) -> bool {
    match policy {
        RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO => false,
        RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED | RestartPolicyNameEnum::ON_FAILURE => true,
    }
}

/// The order that puts these limits in place.
pub(super) fn order(limits: &Limits) -> ContainerUpdateBody {
    let policy = if limits.restarts { RestartPolicyNameEnum::ALWAYS } else { RestartPolicyNameEnum::NO };
    ContainerUpdateBody {
        memory: Some(limits.memory_bytes),
        memory_swap: Some(limits.memory_bytes + limits.swap_bytes),
        nano_cpus: Some(limits.cpu_millis * 1_000_000),
        pids_limit: Some(limits.pids),
        restart_policy: Some(RestartPolicy { name: Some(policy), maximum_retry_count: None }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = "clawloops-1";

    fn ought(configuration: &Path) -> Ought<'_> {
        Ought { network: NETWORK, configuration }
    }

    fn mount(typ: &str, name: Option<&str>, source: &str, destination: &str, rw: bool) -> MountPoint {
        MountPoint {
            typ: Some(typ.to_owned()),
            name: name.map(str::to_owned),
            source: Some(source.to_owned()),
            destination: Some(destination.to_owned()),
            rw: Some(rw),
            ..Default::default()
        }
    }

    fn right() -> Vec<MountPoint> {
        vec![mount("volume", Some("w"), "/var/lib/docker/volumes/w", STATE_DIR, true), mount("bind", None, "/c", CONFIG_PATH, false)]
    }

    #[test]
    fn a_mount_more_or_less_or_another_is_told() {
        let ought = ought(Path::new("/c"));
        assert_eq!(ought.of_mounts(&right()), Vec::<String>::new());
        let mut more = right();
        more.push(mount("bind", None, "/", "/host", true));
        assert_eq!(ought.of_mounts(&more), ["/ is mounted at /host"]);
        more.pop();
        more.push(mount("volume", Some("theirs"), "/v", "/x", true));
        assert_eq!(ought.of_mounts(&more), ["theirs is mounted at /x"]);
        more.pop();
        more.push(mount("volume", Some(&"a".repeat(64)), "/v", "/x", true));
        assert_eq!(ought.of_mounts(&more), Vec::<String>::new(), "the image's own");
        assert_eq!(ought.of_mounts(&right()[..1]).len(), 1);
        let mut writable = right();
        writable[1].rw = Some(true);
        assert_eq!(ought.of_mounts(&writable).len(), 1);
    }

    #[test]
    fn another_network_or_none_is_told() {
        let ought = ought(Path::new("/c"));
        let networks = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), EndpointSettings::default())).collect();
        assert_eq!(ought.of_networks(Some(NETWORK), Some(&networks(&[NETWORK]))), Vec::<String>::new());
        assert_eq!(ought.of_networks(Some(NETWORK), Some(&networks(&[NETWORK, "bridge"]))), ["it is in the network bridge"]);
        assert_eq!(ought.of_networks(Some(NETWORK), Some(&networks(&[]))), ["it is not in its own network"]);
        assert_eq!(ought.of_networks(Some("host"), Some(&networks(&["host"]))), ["it is in the network host"]);
        assert_eq!(ought.of_networks(Some("container:x"), None).len(), 2);
    }

    #[test]
    fn what_is_not_said_of_limits_is_no_limit() {
        let none = limits(&HostConfig::default());
        assert_eq!(none, Limits { memory_bytes: 0, swap_bytes: 0, cpu_millis: 0, pids: 0, restarts: false });
        let host = HostConfig { memory: Some(4), memory_swap: Some(-1), pids_limit: Some(-1), ..Default::default() };
        assert_eq!((limits(&host).swap_bytes, limits(&host).pids), (-1, 0));
        let wish = Limits { memory_bytes: 8, swap_bytes: 0, cpu_millis: 1500, pids: 5, restarts: false };
        let order = order(&wish);
        let host = HostConfig {
            memory: order.memory,
            memory_swap: order.memory_swap,
            nano_cpus: order.nano_cpus,
            pids_limit: order.pids_limit,
            restart_policy: order.restart_policy,
            ..Default::default()
        };
        assert_eq!(limits(&host), wish, "what is ordered is what is read");
    }
}
