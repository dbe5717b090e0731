//! The walls around a runtime: what Docker says of them, and what is found when one looks from inside.

use super::world::{self, BOOT, World, greet, own_addresses};
use bollard::models::{ContainerInspectResponse, HostConfig};
use contract::{Phase, RuntimeId};
use server::data::Pool;
use std::time::Duration;
use tokio::net::TcpListener;

#[sqlx::test(migrations = "../migrations")]
async fn every_container_has_its_walls_by_inspection_and_from_inside(pool: Pool) {
    world::play(pool, walls).await;
}

async fn walls(world: &World) {
    let life = world.live();
    let one = life.orchestrator.create(&world.caller, "One", None).await.unwrap();
    let other = life.orchestrator.create(&world.caller, "Other", None).await.unwrap();
    for id in [one, other] {
        world.until(id, Phase::Ready, BOOT).await;
        let apparmor = world.docker.info().await.unwrap().security_options.unwrap_or_default();
        let findings = bench(&world.inspect(id).await, &world.name(id), apparmor.iter().any(|option| option.contains("apparmor")));
        assert_eq!(findings, Vec::<&str>::new());
    }
    assert_eq!(bench(&weakened(&world.inspect(one).await), &world.name(one), false).len(), 24, "each check can fail");
    from_inside(world, one, other).await;
}

/// The checks of docker-bench-security, section 5 (CIS Docker Benchmark 1.6), as far as a container tells of them; what does not hold.
///
/// 5.2 (SELinux) is the operator's choice of machine, 5.11 asks for what 5.10 gives. 5.23 and 5.24 (`exec`) are about commands that nothing of ours
/// gives. 5.27: OpenClaw's readiness is asked from outside, by the orchestrator, at every start; a command inside would be one more process in it.
fn bench(container: &ContainerInspectResponse, own: &str, has_apparmor: bool) -> Vec<&'static str> {
    let host = container.host_config.clone().unwrap_or_default();
    let config = container.config.clone().unwrap_or_default();
    let security = host.security_opt.clone().unwrap_or_default();
    let mounts = container.mounts.clone().unwrap_or_default();
    let networks: Vec<String> = container.network_settings.clone().and_then(|all| all.networks).unwrap_or_default().into_keys().collect();
    let shares = |mode: &Option<String>, what: &str| mode.as_deref().is_some_and(|mode| mode == what || mode.starts_with("container:"));
    let published = host.port_bindings.clone().unwrap_or_default().values().any(|bound| bound.as_ref().is_some_and(|all| !all.is_empty()));
    let sensitive = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];
    let mounted = |path: &str| mounts.iter().any(|mount| mount.source.as_deref() == Some(path));
    let checks = [
        ("5.1 swarm services are not used", config.labels.iter().flatten().all(|(name, _)| !name.starts_with("com.docker.swarm"))),
        (
            "5.1 AppArmor is on",
            security.iter().all(|option| !option.contains("apparmor=unconfined"))
                && (!has_apparmor || container.app_armor_profile.as_deref() == Some("docker-default")),
        ),
        ("5.3 no capability", host.cap_drop.as_deref() == Some(&["ALL".to_owned()]) && host.cap_add.clone().unwrap_or_default().is_empty()),
        ("5.4 not privileged", host.privileged == Some(false)),
        ("5.5 no sensitive folder of the host", !sensitive.into_iter().any(mounted)),
        ("5.7 no port below 1024, and none at all", !published && host.publish_all_ports == Some(false)),
        ("5.9 not the host's network", networks == [own] && host.network_mode.as_deref() == Some(own)),
        ("5.10 memory is bounded, and swap with it", host.memory == Some(2048 << 20) && host.memory_swap == host.memory),
        ("5.11 processor time is bounded", host.nano_cpus == Some(2_000_000_000)),
        ("5.12 the root is read-only", host.readonly_rootfs == Some(true)),
        (
            "5.14 it is not restarted without end",
            host.restart_policy.clone().is_some_and(|policy| policy.name.is_some_and(|name| name.to_string() == "no")),
        ),
        ("5.15 not the host's processes", !shares(&host.pid_mode, "host")),
        ("5.16 not the host's shared memory", !shares(&host.ipc_mode, "host")),
        ("5.17 no device", host.devices.clone().unwrap_or_default().is_empty()),
        ("5.18 no limit of its own above the engine's", host.ulimits.clone().unwrap_or_default().is_empty()),
        ("5.19 no mount is shared back", mounts.iter().all(|mount| !mount.propagation.as_deref().unwrap_or_default().contains("shared"))),
        ("5.20 not the host's name", !shares(&host.uts_mode, "host")),
        ("5.21 the system calls are filtered", security.iter().all(|option| !option.contains("seccomp=unconfined"))),
        ("5.25 no cgroup of its own choice", host.cgroup_parent.as_deref().unwrap_or_default().is_empty()),
        ("5.26 no new privileges", security.iter().any(|option| option == "no-new-privileges:true" || option == "no-new-privileges")),
        ("5.29 processes are bounded", host.pids_limit == Some(512)),
        (
            "5.31 no socket of Docker",
            !mounts.iter().any(|mount| mount.source.as_deref().is_some_and(|source| source.ends_with("docker.sock"))),
        ),
        (
            "5.30 not the default bridge, nor the host's users",
            !shares(&host.userns_mode, "host") && !networks.contains(&"bridge".to_owned()),
        ),
        ("4.1 not root", config.user.as_deref() == Some("1000:1000")),
    ];
    checks.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
}

/// The same container as somebody careless would run it.
fn weakened(container: &ContainerInspectResponse) -> ContainerInspectResponse {
    let mut weak = container.clone();
    let mut host = HostConfig {
        security_opt: Some(vec!["seccomp=unconfined".to_owned(), "apparmor=unconfined".to_owned()]),
        cap_add: Some(vec!["NET_ADMIN".to_owned()]),
        privileged: Some(true),
        publish_all_ports: Some(true),
        network_mode: Some("host".to_owned()),
        memory: Some(0),
        nano_cpus: Some(0),
        readonly_rootfs: Some(false),
        devices: Some(vec![bollard::models::DeviceMapping::default()]),
        ulimits: Some(vec![bollard::models::ResourcesUlimits::default()]),
        cgroup_parent: Some("/".to_owned()),
        pids_limit: Some(0),
        ..Default::default()
    };
    for mode in [&mut host.pid_mode, &mut host.ipc_mode, &mut host.uts_mode, &mut host.userns_mode] {
        *mode = Some("host".to_owned());
    }
    weak.host_config = Some(host);
    let mounts = weak.mounts.get_or_insert_default();
    mounts[0].source = Some("/etc".to_owned());
    mounts[0].propagation = Some("rshared".to_owned());
    mounts[1].source = Some("/var/run/docker.sock".to_owned());
    let config = weak.config.get_or_insert_default();
    config.user = Some("0".to_owned());
    config.labels.get_or_insert_default().insert("com.docker.swarm.service.name".to_owned(), "x".to_owned());
    weak
}

/// Which of these answer from inside a runtime. All are asked at once, since a closed one answers nothing for as long as one waits.
async fn reached(world: &World, id: RuntimeId, addresses: &[String]) -> Vec<String> {
    let asked = addresses.iter().map(|address| format!("(curl -s -g -o /dev/null -m 3 'http://{address}/' && echo '{address}') &"));
    let said = world.inside(id, &format!("{} wait", asked.collect::<Vec<_>>().join(" "))).await;
    said.lines().map(str::to_owned).collect()
}

async fn from_inside(world: &World, id: RuntimeId, other: RuntimeId) {
    let elsewhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let elsewhere = tokio::spawn(greet(elsewhere, "elsewhere"));
    let address = async |id: RuntimeId| {
        let network = world.inspect(id).await.network_settings.unwrap().networks.unwrap()[&world.name(id)].clone();
        (network.gateway.unwrap(), network.ip_address.unwrap())
    };
    let (gateway, _) = address(id).await;
    let (other_gateway, other_address) = address(other).await;
    // What it may reach, so that silence elsewhere says something.
    let internal = format!("{gateway}:{}", world.doors.port);
    assert_eq!(reached(world, id, std::slice::from_ref(&internal)).await, [internal]);
    // Another listener of this machine, at every address of it; Docker, PostgreSQL, another runtime, the cloud's metadata, the world.
    let hosts = own_addresses().into_iter().chain([gateway.clone(), other_gateway]);
    let mut closed: Vec<String> = hosts.map(|host| format!("{host}:{port}")).collect();
    closed.extend([format!("{gateway}:2375"), format!("{gateway}:5432"), format!("{other_address}:18789")]);
    closed.extend(["169.254.169.254:80", "[fd00:ec2::254]:80", "1.1.1.1:80"].map(str::to_owned));
    assert_eq!(reached(world, id, &closed).await, Vec::<String>::new());
    assert!(world.inside(id, "getent hosts example.com || echo nowhere").await.contains("nowhere"), "names of the world are found");
    assert_eq!(world.inside(id, "ls /var/run/docker.sock /run/docker.sock 2>/dev/null | wc -l").await.trim(), "0");
    elsewhere.abort();

    // Rights: no user's but its own, no capability in any set, and no way to get one.
    assert_eq!(world.inside(id, "id -u").await.trim(), "1000");
    let sets = world.inside(id, "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | grep -vc 0000000000000000").await;
    assert_eq!(sets.trim(), "0", "a set of capabilities is not empty");
    assert!(world.inside(id, "grep NoNewPrivs /proc/self/status").await.contains('1'));
    assert!(world.inside(id, "mount -t tmpfs none /mnt 2>&1; unshare -Ur true 2>&1; true").await.contains("not permitted"));

    // Writing: its workspace and /tmp, and nothing else that lasts or that another would read.
    let writable = world.inside(id, "find / -xdev -type d -writable 2>/dev/null | sort | head").await;
    assert_eq!(writable.split_whitespace().collect::<Vec<_>>(), ["/home/claw/.openclaw", "/tmp"], "folders of the image can be written");
    let mounts = world.inside(id, "awk '$4 ~ /(^|,)rw(,|$)/ && $2 !~ /^\\/(proc|sys|dev)(\\/|$)/ { print $2 }' /proc/mounts | sort").await;
    let mut lasting: Vec<&str> = mounts.lines().filter(|path| !path.starts_with("/etc/")).collect();
    lasting.dedup();
    assert_eq!(lasting, ["/home/claw/.openclaw", "/tmp"], "{mounts}");
    assert!(world.inside(id, "echo x >> /etc/clawloops/openclaw.json 2>&1 || echo no").await.contains("no"));
    assert!(
        world.inside(id, "for f in /etc/hosts /etc/hostname /etc/resolv.conf; do echo x >> $f; done 2>&1; true").await.contains("denied")
    );

    // Processes: as many as allowed, and the next one is refused. The other runtime does not notice.
    let said = world
        .inside(id, "i=0; while [ $i -lt 700 ]; do sleep 3 & i=$((i + 1)); done 2>&1; cat /sys/fs/cgroup/pids.current 2>/dev/null; true")
        .await;
    assert!(said.contains("fork") || said.contains("temporarily unavailable"), "700 processes were let in: {said}");
    assert!(world.inside(other, "sleep 0 && echo fine").await.contains("fine"));
    tokio::time::sleep(Duration::from_millis(100)).await;
}
