//! What the kernel of Docker's machine says that Docker does not: which boot this is, which process Docker is, who ran out of memory.
//!
//! Read from `/proc` and `/sys`, which anybody may. Whoever runs in a container of its own sees less of it, and says less.

use super::epoch::Epoch;
use std::{io, path::Path};
use tokio::{fs::read_to_string, net::UnixStream};

/// Changes with every boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where dockerd writes its process id, unless it is told otherwise.
const DOCKER_PID: &str = "/var/run/docker.pid";

/// This boot, and the dockerd at this address; none where the kernel does not name its boots, and while nobody listens there: between two dockerds
/// there is no telling which one it is.
pub(super) async fn epoch(address: &str) -> Option<Epoch> {
    let machine = read_to_string(BOOT_ID).await.ok()?.trim().to_owned();
    let listens = match address.strip_prefix("unix://") {
        Some(socket) => listener(Path::new(socket)).await.ok()?,
        None => None,
    };
    let engine = match dockerd(listens).await {
        // The socket may be its init's, a proxy's, or that of a process which is not seen from here.
        None => dockerd(read_to_string(DOCKER_PID).await.ok().and_then(|pid| pid.trim().parse().ok())).await,
        found => found,
    };
    Some(Epoch { machine, engine })
}

/// The process that listens at a socket (`SO_PEERCRED` of unix(7)), by its id.
async fn listener(socket: &Path) -> io::Result<Option<i32>> {
    Ok(UnixStream::connect(socket).await?.peer_cred()?.pid())
}

/// One dockerd, told from any other by its process id and the moment of its start; none when the process is no dockerd.
async fn dockerd(pid: Option<i32>) -> Option<String> {
    let pid = pid?;
    let stat = read_to_string(format!("/proc/{pid}/stat")).await.ok()?;
    Some(format!("{pid}-{}", begun(&stat)?))
}

/// When a process began, in ticks since the boot: field 22 of proc_pid_stat(5), and only dockerd's.
fn begun(stat: &str) -> Option<&str> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    // The fields from the third on.
    rest.split_whitespace().nth(19).filter(|_| name == "dockerd")
}

/// Whether a process of this container was ended for lack of memory, though the container runs on. Docker tells that only at its end. None where it
/// cannot be read.
pub(super) async fn ran_out_of_memory(container_id: &str, pid: i64) -> Option<bool> {
    let groups = read_to_string(format!("/proc/{pid}/cgroup")).await.ok()?;
    // Another process of that number, seen from inside a container, is in another group.
    let (version, group) = memory_group(&groups).filter(|(_, group)| group.contains(container_id))?;
    let file = match version {
        Version::One => Path::new("/sys/fs/cgroup/memory").join(group.trim_start_matches('/')).join("memory.oom_control"),
        Version::Two => Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/')).join("memory.events"),
    };
    kills(&read_to_string(file).await.ok()?).map(|kills| kills > 0)
}

/// Control groups, version 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The group that holds a process's memory, of the lines of `/proc/<pid>/cgroup`.
fn memory_group(groups: &str) -> Option<(Version, &str)> {
    let mut whole = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            return Some((Version::One, group));
        }
        if number == "0" {
            whole = Some((Version::Two, group));
        }
    }
    whole
}

fn kills(counts: &str) -> Option<u64> {
    counts.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_dockerd_is_read_whatever_stands_in_its_line() {
        let stat =
            "3687 (dockerd) S 1 3687 3687 0 -1 4194560 24094 1 2 3 10 20 30 40 20 0 17 0 15573 1640652800 20504 18446744073709551615";
        assert_eq!(begun(stat), Some("15573"));
        assert_eq!(begun(&stat.replace("dockerd", "a (b) c")), None, "its number was given to another");
        assert_eq!(begun(""), None);
    }

    #[tokio::test]
    async fn who_listens_at_a_socket_is_named_and_nobody_is_no_engine() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let address = format!("unix://{}", socket.display());
        assert_eq!(epoch(&address).await, None, "nobody listens: which engine it is cannot be told, and what is known stays");
        let listening = tokio::net::UnixListener::bind(&socket).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(listener(&socket).await.unwrap(), Some(own));
        assert_eq!(dockerd(Some(own)).await, None, "this is no dockerd");
        assert!(epoch(&address).await.is_some_and(|epoch| !epoch.machine.is_empty()));
        drop(listening);
        // A process that another test is just about to start holds it open until then.
        let begun = std::time::Instant::now();
        while epoch(&address).await.is_some() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "a socket that was left behind is an engine");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Whoever calls itself dockerd and listens anywhere is an engine, told from the one before it.
    #[tokio::test]
    async fn a_dockerd_with_a_socket_of_its_own_is_told_from_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        // The kernel names a process by the file that it was started from.
        let program = folder.path().join("dockerd");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut lives = Vec::new();
        for _ in 0..2 {
            let mut child = tokio::process::Command::new(&program).arg("60").kill_on_drop(true).spawn().unwrap();
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
            lives.push(dockerd(pid).await.unwrap());
            assert_eq!(dockerd(pid).await.as_ref(), lives.last());
            child.kill().await.unwrap();
            assert_eq!(dockerd(pid).await, None, "it ended");
        }
        assert_ne!(lives[0], lives[1]);
    }

    #[test]
    fn memory_is_found_in_both_versions_of_control_groups() {
        assert_eq!(memory_group("9:name=systemd:/x\n4:cpu,memory:/docker/ab\n0::/y\n"), Some((Version::One, "/docker/ab")));
        assert_eq!(memory_group("0::/system.slice/docker-ab.scope\n"), Some((Version::Two, "/system.slice/docker-ab.scope")));
        assert_eq!(memory_group(""), None);
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(kills("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"), Some(0));
        assert_eq!(kills("oom_kill_disable 0\n"), None);
    }
}
