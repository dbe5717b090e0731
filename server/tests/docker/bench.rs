//! The checks of docker-bench-security, section 5, by the numbers of the CIS Docker Benchmark 1.6, over what the engine says of a container.

use super::world::World;
use bollard::{
    models::{ContainerInspectResponse, DeviceMapping, HostConfig, PortBinding, ResourcesUlimits},
    query_parameters::TopOptions,
};
use contract::RuntimeId;
use std::collections::HashMap;

/// All that is judged.
#[derive(Clone)]
pub struct Looked {
    container: ContainerInspectResponse,
    /// What it is called, and so its network.
    own: String,
    /// Commands that run in it.
    processes: Vec<String>,
    /// What the name of its image leads to now.
    newest_image: Option<String>,
    /// What the engine can do besides.
    has_apparmor: bool,
    has_selinux: bool,
}

impl Looked {
    /// Looks at a container.
    pub async fn at(world: &World, id: RuntimeId) -> Self {
        let (container, own) = (world.inspect(id).await, world.name(id));
        let top = world.docker.top_processes(&own, None::<TopOptions>).await.unwrap();
        let security = world.docker.info().await.unwrap().security_options.unwrap_or_default();
        let can = |what: &str| security.iter().any(|option| option.contains(what));
        Self {
            container,
            own,
            processes: top.processes.unwrap_or_default().concat(),
            newest_image: world.docker.inspect_image(&world.config.runtimes.runtime_image).await.unwrap().id,
            has_apparmor: can("name=apparmor"),
            has_selinux: can("name=selinux"),
        }
    }

    /// Each check, and whether it holds.
    ///
    /// Without a check of its own is 5.27 (health is asked at runtime): OpenClaw's readiness is asked from outside, by the orchestrator; a command within the
    /// container would be one more process in it. 5.12 asks for a share of the processor, and gets a bound. 5.23 and 5.24 are about what an operator
    /// types; here it is seen that nothing of ours gives commands inside.
    pub fn checks(&self) -> Vec<(&'static str, bool)> {
        let container = &self.container;
        let host = container.host_config.clone().unwrap_or_default();
        let config = container.config.clone().unwrap_or_default();
        let security = host.security_opt.clone().unwrap_or_default();
        let mounts = container.mounts.clone().unwrap_or_default();
        let settings = container.network_settings.clone().unwrap_or_default();
        let networks: Vec<String> = settings.networks.unwrap_or_default().into_keys().collect();
        let shares = |mode: &Option<String>, what: &str| mode.as_deref().is_some_and(|mode| mode == what || mode.starts_with("container:"));
        let has = |option: &str| security.iter().any(|given| given.replacen(':', "=", 1) == option);
        let bound: Vec<PortBinding> = [host.port_bindings.clone(), settings.ports]
            .into_iter()
            .flat_map(|ports| ports.unwrap_or_default().into_values().flatten().flatten())
            .collect();
        let exposed = config.exposed_ports.clone().unwrap_or_default();
        let low = |port: &String| port.split('/').next().and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port < 1024);
        let sensitive = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];
        let sources: Vec<&str> = mounts.iter().filter_map(|mount| mount.source.as_deref()).collect();
        vec![
            ("4.1 not root", config.user.as_deref() == Some("1000:1000")),
            ("5.1 it belongs to no swarm", config.labels.iter().flatten().all(|(name, _)| !name.starts_with("com.docker.swarm"))),
            (
                "5.2 AppArmor is on, where there is one",
                !has("apparmor=unconfined") && (!self.has_apparmor || container.app_armor_profile.as_deref() == Some("docker-default")),
            ),
            (
                "5.3 SELinux is on, where there is one",
                !has("label=disable") && (!self.has_selinux || container.process_label.as_deref().is_some_and(|label| !label.is_empty())),
            ),
            ("5.4 no capability", host.cap_drop.as_deref() == Some(&["ALL".to_owned()]) && host.cap_add.unwrap_or_default().is_empty()),
            ("5.5 not privileged", host.privileged == Some(false)),
            ("5.6 no sensitive folder of the host", !sources.iter().any(|source| sensitive.contains(source))),
            ("5.7 no sshd", !self.processes.iter().any(|command| command.contains("sshd"))),
            ("5.8 no port below 1024", !exposed.iter().any(low)),
            ("5.9 one port, OpenClaw's", exposed == ["18789/tcp"]),
            ("5.10 not the host's network", networks == [self.own.as_str()] && host.network_mode.as_deref() == Some(&self.own)),
            ("5.11 memory is bounded, and swap with it", host.memory == Some(2048 << 20) && host.memory_swap == host.memory),
            ("5.12 processor time is bounded", host.nano_cpus == Some(2_000_000_000)),
            ("5.13 the root is read-only", host.readonly_rootfs == Some(true)),
            ("5.14 no port is bound on the host, on whichever interface", bound.is_empty() && host.publish_all_ports == Some(false)),
            (
                "5.15 it is not restarted without end",
                host.restart_policy.is_some_and(|policy| policy.name.is_some_and(|name| name.to_string() == "no")),
            ),
            ("5.16 not the host's processes", !shares(&host.pid_mode, "host")),
            ("5.17 not the host's shared memory", !shares(&host.ipc_mode, "host")),
            ("5.18 no device", host.devices.unwrap_or_default().is_empty() && host.device_requests.unwrap_or_default().is_empty()),
            ("5.19 no limit of its own above the engine's", host.ulimits.unwrap_or_default().is_empty()),
            (
                "5.20 no mount is shared back",
                mounts.iter().all(|mount| !mount.propagation.as_deref().unwrap_or_default().contains("shared")),
            ),
            ("5.21 not the host's name", !shares(&host.uts_mode, "host")),
            ("5.22 the system calls are filtered", !has("seccomp=unconfined")),
            ("5.23, 5.24 no command is given inside", container.exec_ids.clone().unwrap_or_default().is_empty()),
            ("5.25 no cgroup of its own choice", host.cgroup_parent.as_deref().unwrap_or_default().is_empty()),
            ("5.26 no new privileges", has("no-new-privileges=true") || has("no-new-privileges")),
            ("5.28 the newest image of its name", container.image.is_some() && container.image == self.newest_image),
            ("5.29 processes are bounded", host.pids_limit == Some(512)),
            ("5.30 not the default bridge", !networks.contains(&"bridge".to_owned())),
            ("5.31 not the host's users", !shares(&host.userns_mode, "host")),
            ("5.32 no socket of Docker", !sources.iter().any(|source| source.ends_with("docker.sock"))),
        ]
    }

    /// The same container as somebody careless would run it.
    pub fn weakened(&self) -> Self {
        let mut weak = self.clone();
        let mut host = HostConfig {
            security_opt: Some(vec!["seccomp=unconfined".to_owned(), "apparmor=unconfined".to_owned(), "label:disable".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            privileged: Some(true),
            publish_all_ports: Some(true),
            network_mode: Some("host".to_owned()),
            memory: Some(0),
            nano_cpus: Some(0),
            readonly_rootfs: Some(false),
            devices: Some(vec![DeviceMapping::default()]),
            ulimits: Some(vec![ResourcesUlimits::default()]),
            cgroup_parent: Some("/".to_owned()),
            pids_limit: Some(0),
            ..Default::default()
        };
        for mode in [&mut host.pid_mode, &mut host.ipc_mode, &mut host.uts_mode, &mut host.userns_mode] {
            *mode = Some("host".to_owned());
        }
        let container = &mut weak.container;
        container.host_config = Some(host);
        container.exec_ids = Some(vec!["x".to_owned()]);
        let mounts = container.mounts.get_or_insert_default();
        mounts[0].source = Some("/etc".to_owned());
        mounts[0].propagation = Some("rshared".to_owned());
        mounts[1].source = Some("/var/run/docker.sock".to_owned());
        let networks = container.network_settings.get_or_insert_default().networks.get_or_insert_default();
        *networks = HashMap::from([("bridge".to_owned(), Default::default())]);
        let config = container.config.get_or_insert_default();
        config.user = Some("0".to_owned());
        config.exposed_ports = Some(vec!["22/tcp".to_owned()]);
        config.labels.get_or_insert_default().insert("com.docker.swarm.service.name".to_owned(), "x".to_owned());
        weak.processes.push("/usr/sbin/sshd -D".to_owned());
        weak.newest_image = Some("sha256:another".to_owned());
        weak
    }
}
