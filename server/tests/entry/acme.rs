//! Certificates from a real ACME server: Pebble, with its small DNS server, which says that every name is at this machine. It refuses one nonce in twenty,
//! as it does by itself. `deploy/setup/pebble.sh` builds both; `make test` says where they are, and without them this fails.

use crate::support::Table;
use contract::Phase;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use server::{
    certificate,
    clock::{SystemClock, new_id},
    config::Config,
    ingress::{acme::Keeper, listener, redirect, tls},
    orchestrator::Route,
};
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

const HOST: &str = "claw.example";

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Ends with its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(name: &str, arguments: &[&str]) -> Program {
    let folder = std::env::var_os("CLAWLOOPS_TEST_PEBBLE").expect("CLAWLOOPS_TEST_PEBBLE is not set; make test does");
    let mut command = Command::new(PathBuf::from(folder).join(name));
    // No waiting before it looks, which is a courtesy to people; refused nonces stay.
    command.args(arguments).env("PEBBLE_VA_NOSLEEP", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Program(command.spawn().unwrap())
}

/// An ACME server, and where it is.
struct Pebble {
    folder: tempfile::TempDir,
    at: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    records: SocketAddr,
    running: Vec<Program>,
}

impl Pebble {
    /// Not yet started. It signs for `life` seconds, and comes to `http` to see whose a name is.
    fn new(http: SocketAddr, life: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (at, management) = (free(), free());
        // What it is itself believed by.
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("root.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.path().join("cert.pem"), own.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        let settings = serde_json::json!({"pebble": {
            "listenAddress": at.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http.port(),
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "short", "validityPeriod": life}},
        }});
        std::fs::write(folder.path().join("pebble.json"), settings.to_string()).unwrap();
        Self { folder, at, management, dns: free(), records: free(), running: Vec::new() }
    }

    async fn start(&mut self) {
        let (dns, records) = (self.dns.to_string(), self.records.to_string());
        let mut silent = vec!["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1"];
        silent.extend(["-dnsserver", dns.as_str(), "-management", records.as_str()]);
        self.running.push(start("pebble-challtestsrv", &silent));
        let settings = self.folder.path().join("pebble.json");
        self.running.push(start("pebble", &["-config", settings.to_str().unwrap(), "-dnsserver", dns.as_str()]));
        let began = Instant::now();
        for at in [self.at, self.management, self.records] {
            while TcpStream::connect(at).await.is_err() {
                assert!(began.elapsed() < Duration::from_secs(20), "{at} does not answer");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Believes what it signed.
    async fn believer(&self) -> ClientConfig {
        drop(rustls::crypto::ring::default_provider().install_default());
        let own = std::fs::read(self.folder.path().join("root.pem")).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&own).unwrap()]).no_proxy().build().unwrap();
        let root = client.get(format!("https://localhost:{}/roots/0", self.management.port())).send().await.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&root.bytes().await.unwrap()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(certificate::provider()).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // Whoever resumes is shown nothing, and goes by what was shown before.
        config.resumption = rustls::client::Resumption::disabled();
        config
    }

    fn settings(&self, data_dir: &Path) -> Config {
        let mut config = Config::for_tests();
        config.entry.public_url = format!("https://{HOST}").parse().unwrap();
        config.entry.acme = Some(format!("https://localhost:{}/dir", self.at.port()).parse().unwrap());
        config.entry.acme_contact = Some("ada@example.org".to_owned());
        config.entry.acme_root = Some(self.folder.path().join("root.pem"));
        config.data.data_dir = data_dir.to_owned();
        // A connection here says nothing until its certificate was renewed, which takes as long as it takes on a busy machine.
        config.limits.header_seconds = 300;
        config
    }
}

/// The two listeners of a server that gets its certificates by itself.
struct Served {
    keeper: Arc<Keeper>,
    tls: SocketAddr,
    plain: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(config: &Config, plain: SocketAddr, table: &Arc<Table>) -> Served {
    let (keeper, stop) = (Keeper::open(config).await.unwrap().unwrap(), CancellationToken::new());
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = listening.local_addr().unwrap();
    let router = axum::Router::new().fallback(|| async { "here" });
    let secure = tls::listener(Arc::clone(&keeper) as _).unwrap();
    tokio::spawn(listener::serve_with(listening, Some(secure), router, config.limits.clone(), stop.clone()));
    let sending = redirect::router(&config.entry.public_url, Some(Arc::clone(&keeper)));
    // The address was free a moment ago, and the server before this one may still be going.
    let plain_listening = loop {
        match TcpListener::bind(plain).await {
            Ok(listening) => break listening,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    tokio::spawn(listener::serve(plain_listening, sending, config.limits.clone(), stop.clone()));
    tokio::spawn(Arc::clone(&keeper).run(Arc::clone(table) as _, Arc::new(SystemClock), stop.clone()));
    Served { keeper, tls, plain, stop }
}

impl Served {
    async fn connect(&self, believer: &ClientConfig, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.tls).await?;
        TlsConnector::from(Arc::new(believer.clone())).connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
    }

    async fn shown(&self, believer: &ClientConfig, host: &str) -> Option<CertificateDer<'static>> {
        let stream = self.connect(believer, host).await.ok()?;
        Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
    }

    /// The certificate that is shown for a host, once there is one that is believed and is not this one.
    async fn other(&self, believer: &ClientConfig, host: &str, than: Option<&CertificateDer<'static>>) -> CertificateDer<'static> {
        let began = Instant::now();
        loop {
            match self.shown(believer, host).await {
                Some(shown) if Some(&shown) != than => return shown,
                _ => assert!(began.elapsed() < Duration::from_secs(60), "no certificate for {host}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask_plain(&self, host: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn runtime(table: &Table, label: &str, phase: Phase) {
    let route = Route {
        runtime_id: new_id(),
        person_id: new_id(),
        person_email: "ada@example.com".to_owned(),
        name: label.to_owned(),
        phase,
        address: (phase == Phase::Ready).then(free),
        problem: None,
    };
    table.0.lock().unwrap().insert(label.to_owned(), route);
}

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut modes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        modes.push((entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777));
    }
    modes.sort();
    modes
}

#[tokio::test]
async fn each_host_gets_a_certificate_that_is_renewed_while_it_is_used_and_kept_over_a_restart() {
    let (plain, data, table) = (free(), tempfile::tempdir().unwrap(), Arc::new(Table::default()));
    let mut pebble = Pebble::new(plain, 45);
    let config = pebble.settings(data.path());
    runtime(&table, "ada-agent", Phase::Ready);
    runtime(&table, "bob-agent", Phase::Asleep);

    // The ACME server is away and nothing is kept: nobody is sent to https, and nobody is shown a certificate that no browser believes.
    let early = serve(&config, plain, &table).await;
    let troubles = certificate::folder(data.path()).join(certificate::TROUBLES);
    let began = Instant::now();
    while !std::fs::read_to_string(&troubles).is_ok_and(|text| text.contains(HOST)) {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not say what is wrong");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(!early.keeper.has(HOST));
    let answer = early.ask_plain(HOST, "/").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("waits for the certificate"), "{answer}");
    drop(early);

    // It is there. The first certificate comes by itself, and is believed.
    pebble.start().await;
    let believer = pebble.believer().await;
    let served = serve(&config, plain, &table).await;
    let first = served.other(&believer, HOST, None).await;
    let of_ada = served.other(&believer, "ada-agent.claw.example", None).await;
    assert_ne!(first, of_ada, "each host has its own");
    // One that sleeps has one when it is asked for.
    served.other(&believer, "bob-agent.claw.example", None).await;
    assert!(std::fs::read_to_string(&troubles).unwrap().starts_with("{}"));

    // A host that is not ours, or of no runtime, is never ordered.
    for nobody in ["nobody.claw.example", "evil.example", "a.b.claw.example", "claw.example.evil.example"] {
        assert!(served.connect(&believer, nobody).await.is_err(), "{nobody}");
    }
    sleep(Duration::from_secs(2)).await;
    let kept = modes(&certificate::folder(data.path()));
    let certificates: Vec<&str> = kept.iter().filter_map(|(name, _)| name.strip_suffix(".pem")).collect();
    assert_eq!(certificates, ["ada-agent.claw.example", "bob-agent.claw.example", HOST]);
    assert!(kept.iter().all(|(name, mode)| *mode == if name == "challenges" { 0o700 } else { 0o600 }), "{kept:?}");
    assert_eq!(modes(&certificate::folder(data.path()).join("challenges")), [], "answers are taken away again");

    // The path of challenges is never sent elsewhere; everything else is.
    let challenge = served.ask_plain(HOST, "/.well-known/acme-challenge/nothing").await;
    assert!(challenge.starts_with("HTTP/1.1 404") && !challenge.contains("location"), "{challenge}");
    let up = served.ask_plain(HOST, "/.well-known/acme-challenge/../../master.key").await;
    assert!(up.starts_with("HTTP/1.1 404"), "{up}");
    let sent = served.ask_plain("ada-agent.claw.example", "/chat?x=1").await;
    assert!(sent.starts_with("HTTP/1.1 308") && sent.contains("location: https://ada-agent.claw.example/chat?x=1\r\n"), "{sent}");
    assert!(served.ask_plain("evil.example", "/.well-known/acme-challenge/nothing").await.starts_with("HTTP/1.1 421"));

    // Renewed in time, while a connection stays open.
    let mut open = served.connect(&believer, HOST).await.unwrap();
    let second = served.other(&believer, HOST, Some(&first)).await;
    open.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("here"), "{answer}");
    let ((_, until), (from, _)) = (certificate::validity(&first).unwrap(), certificate::validity(&second).unwrap());
    assert!(from < until, "before the one before had ended");

    // The ACME server is gone, and the next start shows what is kept.
    drop(served);
    pebble.running.clear();
    let again = serve(&config, plain, &table).await;
    assert_eq!(again.shown(&believer, HOST).await, Some(second));
    assert!(again.keeper.has("ada-agent.claw.example:443"));
}

#[tokio::test]
async fn a_program_that_writes_dns_records_gets_one_certificate_for_all() {
    let (plain, data, table) = (free(), tempfile::tempdir().unwrap(), Arc::new(Table::default()));
    let mut pebble = Pebble::new(plain, 7_776_000);
    pebble.start().await;
    let believer = pebble.believer().await;
    let mut config = pebble.settings(data.path());
    let (hook, log) = (data.path().join("hook"), data.path().join("hook.log"));
    let script = format!(
        "#!/bin/sh\necho \"$1 $2\" >>{}\ncase $1 in present) what=set ;; *) what=clear ;; esac\n\
         exec curl -sS --fail -d \"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" http://{}/$what-txt\n",
        log.display(),
        pebble.records
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).unwrap();
    config.entry.acme_dns_hook = Some(hook);
    let served = serve(&config, plain, &table).await;
    let all = served.other(&believer, HOST, None).await;
    assert_eq!(served.shown(&believer, "anybody-at-all.claw.example").await, Some(all));
    assert!(served.connect(&believer, "evil.example").await.is_err());
    let called = std::fs::read_to_string(&log).unwrap();
    for (deed, times) in [("present", 2), ("cleanup", 2)] {
        let line = format!("{deed} _acme-challenge.{HOST}");
        assert_eq!(called.lines().filter(|called| *called == line).count(), times, "{called}");
    }

    // What such a program complains of is said.
    let (other, broken) = (tempfile::tempdir().unwrap(), data.path().join("broken"));
    std::fs::write(&broken, "#!/bin/sh\necho 'the zone is not ours' >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o700)).unwrap();
    config.data.data_dir = other.path().to_owned();
    config.entry.acme_dns_hook = Some(broken);
    let _refused = serve(&config, free(), &table).await;
    let troubles = certificate::folder(other.path()).join(certificate::TROUBLES);
    let began = Instant::now();
    while !std::fs::read_to_string(&troubles).is_ok_and(|text| text.contains("the zone is not ours")) {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not say what is wrong");
        sleep(Duration::from_millis(100)).await;
    }
}
