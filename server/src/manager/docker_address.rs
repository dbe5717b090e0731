//! Where the Docker Engine may be: on this machine.
//!
//! A runtime's configuration is mounted from a file of this machine, the rules around it are this machine's packet filter, and it reaches models through
//! a listener on an address of this machine. An engine elsewhere would run none of it, so it is refused before anything starts.

use crate::Result;
use contract::{Code, Problem};
use std::net::IpAddr;
use url::{Host, Url};

/// Where the engine is when nobody says so.
pub const SOCKET: &str = "unix:///var/run/docker.sock";

/// The engine's address: `DOCKER_HOST`, or the local socket without it.
///
/// # Errors
/// `Invalid` when it is neither a socket of this machine nor a port of its loopback.
pub fn local(docker_host: Option<&str>) -> Result<&str> {
    let Some(address) = docker_host.filter(|address| !address.is_empty()) else { return Ok(SOCKET) };
    if is_local(address) {
        return Ok(address);
    }
    Err(Problem::new(Code::Invalid, format!("DOCKER_HOST is {address}, which is not a Docker Engine of this machine."))
        .remedy(
            "Runtimes are held by this machine's firewall and reach models through this machine, so they run here: set DOCKER_HOST to unix:///… or to \
             tcp://127.0.0.1:…, or leave it out.",
        )
        .into())
}

fn is_local(address: &str) -> bool {
    if let Some(path) = address.strip_prefix("unix://") {
        return path.starts_with('/');
    }
    if !["tcp://", "http://"].iter().any(|scheme| address.starts_with(scheme)) {
        return false;
    }
    // Read as any other address with a host, whatever the scheme.
    let Ok(url) = Url::parse(&address.replacen("tcp://", "http://", 1)) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn an_engine_of_this_machine_is_taken() {
        assert_eq!(local(None).unwrap(), SOCKET);
        assert_eq!(local(Some("")).unwrap(), SOCKET, "set to nothing is not set");
        for address in [
            "unix:///run/user/1000/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://127.0.0.2:2375",
            "tcp://localhost:2375",
            "tcp://[::1]:2375",
            "http://127.0.0.1:2375",
        ] {
            assert_eq!(local(Some(address)).unwrap(), address);
        }
    }

    #[test]
    fn an_engine_elsewhere_is_refused_by_name() {
        for address in [
            "tcp://10.0.0.5:2375",
            "tcp://[2001:db8::1]:2375",
            "tcp://docker.example.org:2376",
            "tcp://localhost.example.org:2375",
            "tcp://127.0.0.1@example.org:2375",
            "tcp://0.0.0.0:2375",
            "https://127.0.0.1:2376",
            "ssh://root@build",
            "unix://docker.sock",
            "npipe:////./pipe/docker_engine",
            "127.0.0.1:2375",
        ] {
            let Err(Error::Problem(problem)) = local(Some(address)) else { panic!("{address} was taken") };
            assert!(problem.message.contains(address) && problem.remedy.is_some(), "{problem:?}");
        }
    }
}
