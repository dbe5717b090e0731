//! What the machine itself has: disk, memory, ports.

use super::{fine, wrong};
use crate::{
    certificate::{self, Only, source::Source},
    clock::SystemClock,
    config::Config,
};
use contract::PartHealth;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

const GIB: i64 = 1 << 30;

/// The machine's memory, in bytes; zero where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In all.
    pub total: i64,
    /// What new programs may have without swapping.
    pub available: i64,
}

/// Reads the machine's memory.
#[must_use]
pub fn memory() -> Memory {
    read_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn read_memory(meminfo: &str) -> Memory {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<i64>().ok()).unwrap_or(0) * 1024
    };
    Memory { total: bytes("MemTotal"), available: bytes("MemAvailable") }
}

/// Looks at disk, memory and ports.
pub async fn examine(config: &Config) -> Vec<PartHealth> {
    vec![ports(config).await, disk(&config.data.data_dir), memory_for_runtimes(memory(), config.runtimes.runtime_memory_mib)]
}

/// Whether the dashboard's port is free, or ours. The internal port is opened on the networks of runtimes only, and found out there.
async fn ports(config: &Config) -> PartHealth {
    const NAME: &str = "Port";
    let listen = config.entry.listen;
    match TcpListener::bind(listen).await {
        Ok(free) => {
            drop(free);
            fine(NAME, format!("{listen} is free"))
        }
        Err(_) if answers(config, listen, "localhost", "/healthz").await => fine(NAME, format!("{listen} is served by ClawLoops")),
        Err(error) => wrong(
            NAME,
            listen.to_string(),
            format!("{listen} cannot be listened on: {error}."),
            "Stop what uses it, or set CLAWLOOPS_LISTEN and CLAWLOOPS_PUBLIC_URL to another port.",
        ),
    }
}

/// Whether whoever listens there answers as ClawLoops does to this path of this host, and shows the certificate that the settings name.
pub(super) async fn answers(config: &Config, mut at: SocketAddr, host: &str, path: &str) -> bool {
    let source = Source::named(config, Arc::new(SystemClock));
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let asked = async {
        let stream = TcpStream::connect(at).await?;
        match &source {
            None => ask(stream, host, path).await,
            Some(source) => ask(pinned(source).await?.connect(ServerName::from(at.ip()), stream).await?, host, path).await,
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\nok\n")))
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(16_384).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Speaks TLS with whoever shows the certificate of this source.
async fn pinned(source: &Source) -> io::Result<TlsConnector> {
    let pair = source.look().await.map_err(io::Error::other)?;
    let own = pair.as_ref().and_then(certificate::Pair::own).ok_or_else(|| io::Error::other("no certificate"))?.clone();
    let config = ClientConfig::builder_with_provider(certificate::provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Only::this(own)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn disk(data_dir: &Path) -> PartHealth {
    const NAME: &str = "Disk";
    let there = data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match nix::sys::statvfs::statvfs(there) {
        Ok(stat) => {
            let free = i64::try_from(stat.blocks_available().saturating_mul(stat.fragment_size())).unwrap_or(i64::MAX);
            judge_disk(free, &there.display().to_string())
        }
        Err(error) => wrong(NAME, "", format!("The free space of {} is not known: {error}.", there.display()), "Check that it is mounted."),
    }
}

fn judge_disk(free: i64, place: &str) -> PartHealth {
    let detail = format!("{} free at {place}", gib(free));
    if free < 5 * GIB {
        return wrong(
            "Disk",
            detail,
            "Less than 5 GiB is free. PostgreSQL and workspaces need room.",
            "Free space, or move the data directory.",
        );
    }
    fine("Disk", detail)
}

fn memory_for_runtimes(memory: Memory, runtime_mib: i64) -> PartHealth {
    const NAME: &str = "Memory";
    let detail = format!("{} of {} available", gib(memory.available), gib(memory.total));
    if memory.available < runtime_mib.saturating_mul(1 << 20) {
        let message = format!("Not even one more runtime of {runtime_mib} MiB fits.");
        return wrong(NAME, detail, message, "Stop runtimes, or add memory. Less than 2048 MiB a runtime does not do for OpenClaw.");
    }
    fine(NAME, detail)
}

fn gib(bytes: i64) -> String {
    let tenths = bytes / (GIB / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let memory = read_memory("MemTotal:       24675768 kB\nMemFree: 1 kB\nMemAvailable:   20971520 kB\n");
        assert_eq!(memory, Memory { total: 24_675_768 * 1024, available: 20 * GIB });
        assert_eq!(read_memory("nonsense"), Memory::default());
    }

    #[test]
    fn too_little_room_is_a_problem_with_a_remedy() {
        assert!(judge_disk(5 * GIB, "/").problem.is_none());
        assert!(judge_disk(5 * GIB - 1, "/").problem.unwrap().remedy.is_some());
        let memory = Memory { total: 4 * GIB, available: 2 * GIB };
        assert!(memory_for_runtimes(memory, 2048).problem.is_none());
        assert!(memory_for_runtimes(memory, 2049).problem.is_some());
        assert_eq!(memory_for_runtimes(memory, 2048).detail, "2.0 GiB of 4.0 GiB available");
    }

    #[tokio::test]
    async fn a_port_in_foreign_hands_is_told_from_a_free_one() {
        let foreign = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::for_tests();
        config.entry.listen = foreign.local_addr().unwrap();
        let answering = tokio::task::spawn(async move {
            let (mut stream, _) = foreign.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsomebody else").await.unwrap();
        });
        assert!(ports(&config).await.problem.is_some());
        answering.await.unwrap();
        assert!(ports(&config).await.problem.is_none());
    }

    #[tokio::test]
    async fn a_port_with_the_certificate_of_the_settings_is_our_own() {
        use crate::{
            certificate::Files,
            ingress::{listener, tls::Certificates},
        };
        let folder = tempfile::tempdir().unwrap();
        let files = Files { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let issue = || {
            let issued = rcgen::generate_simple_self_signed(vec!["claw.example".to_owned()]).unwrap();
            std::fs::write(&files.certificate, issued.cert.pem()).unwrap();
            std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        };
        issue();
        let tls = Certificates::open(files.clone()).await.unwrap().listener().unwrap();
        let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::for_tests();
        config.entry.listen = listening.local_addr().unwrap();
        (config.entry.tls_cert, config.entry.tls_key) = (Some(files.certificate.clone()), Some(files.key.clone()));
        let router = axum::Router::new().route("/healthz", axum::routing::get(|| async { "ok\n" }));
        let stop = tokio_util::sync::CancellationToken::new();
        let serving = tokio::spawn(listener::serve_with(listening, Some(tls), router, config.limits.clone(), stop.clone()));
        assert_eq!(ports(&config).await.problem, None);
        // One that was put there and is not shown is somebody else's, as far as can be told.
        issue();
        assert!(ports(&config).await.problem.is_some());
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
