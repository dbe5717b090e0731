//! The walls around a runtime: what Docker says of them, and what is found when one looks from inside.

use super::{
    bench::Looked,
    world::{self, BOOT, World, greet, own_addresses},
};
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
        let looked = Looked::at(world, id).await;
        let those = |looked: &Looked, hold: bool| -> Vec<&str> {
            looked.checks().into_iter().filter(|(_, holds)| *holds == hold).map(|(name, _)| name).collect()
        };
        assert_eq!(those(&looked, false), Vec::<&str>::new());
        assert_eq!(those(&looked.weakened(), true), Vec::<&str>::new(), "each check can fail");
    }
    from_inside(world, one, other).await;
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
