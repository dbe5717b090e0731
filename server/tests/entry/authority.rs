//! A certificate authority of ClawLoops' own: what it makes, for whom it is good, how it is made anew, and the page that tells how to trust it.

use crate::support::TestApp;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use server::{
    certificate::{self, authority::Authority, source::Source},
    clock::{Clock, HandClock, SystemClock},
    config::{Config, Tls},
    data::Pool,
    ingress::{listener, origins::Origins, redirect, tls::Certificates, trust::Trust},
};
use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};
use time::{Duration, OffsetDateTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

fn settings(folder: &Path, public_url: &str, by_port: bool) -> Config {
    let mut config = Config::for_tests();
    config.data.data_dir = folder.to_owned();
    (config.entry.public_url, config.entry.tls) = (public_url.parse().unwrap(), Some(Tls::OwnAuthority));
    config.entry.runtime_ports = by_port.then(|| "20000-20009".parse().unwrap());
    config
}

fn trusting(root: &CertificateDer<'static>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(certificate::provider()).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// Whether a client that trusts this root believes whoever shows this chain to be this host.
fn believes(root: &CertificateDer<'static>, chain: &[CertificateDer<'static>], host: &str, now: OffsetDateTime) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), certificate::provider()).build().unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unix_timestamp().try_into().unwrap()));
    let name = ServerName::try_from(host.to_owned()).unwrap();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &chain[0], &chain[1..], &name, &[], now).is_ok()
}

#[tokio::test]
async fn what_it_makes_is_believed_for_this_host_and_its_root_for_no_other() {
    let now = SystemClock.now();
    for (public_url, by_port, good, bad) in [
        ("https://192.0.2.7:8443", true, vec!["192.0.2.7"], vec!["192.0.2.8", "localhost", "claw.example"]),
        ("https://server", true, vec!["server"], vec!["ada.server", "192.0.2.7", "other"]),
        ("https://claw.example", false, vec!["claw.example", "ada.claw.example"], vec!["a.b.claw.example", "other.example"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::named(&settings(folder.path(), public_url, by_port), Arc::new(SystemClock)).unwrap();
        assert!(authority.look().await.unwrap().is_none(), "nothing is made by looking");
        let pair = authority.pair().await.unwrap();
        let (root, shown) = authority.look().await.unwrap().unwrap();
        assert_eq!(shown.unwrap().digest, pair.digest);
        for host in good {
            assert!(believes(&root.certificate, &pair.key.cert, host, now), "{public_url} {host}");
        }
        for host in bad {
            assert!(!believes(&root.certificate, &pair.key.cert, host, now), "{public_url} {host}");
        }
        let (from, until) = certificate::validity(&pair.key.cert[0]).unwrap();
        assert!(until - from <= Duration::days(398), "longer than browsers take");
        assert!(root.until - now > Duration::days(3640));

        // Whoever gets hold of the root's key cannot pretend to be another site with it.
        let text = std::fs::read_to_string(authority.folder().join("authority.pem")).unwrap();
        let key = KeyPair::try_from(&PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
        let own_host = public_url.parse::<url::Url>().unwrap().host_str().unwrap().to_owned();
        let mut signer = CertificateParams::default();
        signer.distinguished_name = rcgen::DistinguishedName::new();
        signer.distinguished_name.push(rcgen::DnType::OrganizationName, "ClawLoops");
        signer.distinguished_name.push(rcgen::DnType::CommonName, format!("ClawLoops at {own_host}"));
        let issuer = Issuer::new(signer, &key);
        for (host, is_believed) in [(own_host.as_str(), true), ("bank.example", false), ("192.0.2.99", false), ("2001:db8::1", false)] {
            let leaf_key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
            assert_eq!(believes(&root.certificate, &[leaf.der().clone()], host, now), is_believed, "{public_url} {host}");
        }
    }
}

#[tokio::test]
async fn keys_are_for_the_servers_account_alone_and_servers_share_one_root() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "https://192.0.2.7", true);
    let servers: Vec<_> = (0..8).map(|_| Authority::named(&config, Arc::new(SystemClock)).unwrap()).collect();
    let asked = servers.iter().map(|authority| async { authority.pair().await.unwrap().key.cert[1].clone() });
    let roots = futures::future::join_all(asked).await;
    let (root, _) = servers[0].look().await.unwrap().unwrap();
    assert!(roots.iter().all(|shown| *shown == root.certificate));
    let inside = servers[0].folder().to_owned();
    assert_eq!(std::fs::metadata(&inside).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for file in std::fs::read_dir(&inside).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["authority.pem", "server.pem"], "nothing half-written is left");
    // Under another address there is another authority, and back under the first the same.
    let elsewhere = Authority::named(&settings(folder.path(), "https://192.0.2.8", true), Arc::new(SystemClock)).unwrap();
    elsewhere.pair().await.unwrap();
    assert_ne!(elsewhere.look().await.unwrap().unwrap().0, root);
    assert_eq!(servers[1].look().await.unwrap().unwrap().0, root);
}

#[tokio::test]
async fn it_is_made_anew_before_it_ends_without_a_restart_and_under_the_same_root() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(SystemClock.now());
    let authority = Authority::named(&settings(folder.path(), "https://192.0.2.7", true), Arc::clone(&clock) as _).unwrap();
    let certificates = Certificates::open(Source::Own(Arc::clone(&authority))).await.unwrap();
    let (root, _) = authority.look().await.unwrap().unwrap();
    let shown = async || authority.look().await.unwrap().unwrap().1.unwrap().key.cert[0].clone();
    let first = shown().await;
    assert!(!certificates.renew().await.unwrap(), "nothing is new");
    clock.advance(Duration::days(59));
    assert!(!certificates.renew().await.unwrap());
    clock.advance(Duration::days(2));
    assert!(certificates.renew().await.unwrap());
    let second = shown().await;
    assert_ne!(second, first);
    let until = certificate::validity(&second).unwrap().1;
    assert!(until - clock.now() > Duration::days(88));
    assert_eq!(authority.look().await.unwrap().unwrap().0, root);
    assert!(!certificates.renew().await.unwrap());

    // One that was damaged, or is of a root from before, is replaced; a root that cannot be read is not.
    std::fs::write(authority.folder().join("server.pem"), "nothing").unwrap();
    assert!(certificates.renew().await.unwrap());
    std::fs::write(authority.folder().join("authority.pem"), "nothing").unwrap();
    assert!(certificates.renew().await.is_err(), "people trust the one that was there: it is not replaced without a word");

    // At the very end of the root there is another one.
    std::fs::remove_file(authority.folder().join("authority.pem")).unwrap();
    assert!(certificates.renew().await.unwrap());
    let (third, _) = authority.look().await.unwrap().unwrap();
    clock.advance(Duration::days(3650 - 45));
    assert!(certificates.renew().await.unwrap());
    let (_, pair) = authority.look().await.unwrap().unwrap();
    assert!(certificate::validity(&pair.unwrap().key.cert[0]).unwrap().1 <= third.until, "no certificate outlives its root");
    clock.advance(Duration::days(20));
    assert!(certificates.renew().await.unwrap());
    assert_ne!(authority.look().await.unwrap().unwrap().0, third);
}

/// An answer over plain HTTP/1.1: its status, its headers in small letters, its body.
async fn plain(at: SocketAddr, host: &str, path: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, answer[end + 4..].to_vec())
}

#[sqlx::test(migrations = "../migrations")]
async fn the_page_and_the_root_are_there_over_http_and_https_and_nothing_else_is(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "https://127.0.0.1", true);
    let app = TestApp::with(pool, |own| {
        own.entry = config.entry.clone();
        own.data = config.data.clone();
    })
    .await;
    let source = Source::named(&config, Arc::new(SystemClock)).unwrap();
    let certificates = Certificates::open(source).await.unwrap();
    let (root, _) = Authority::named(&config, Arc::new(SystemClock)).unwrap().look().await.unwrap().unwrap();

    let stop = CancellationToken::new();
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listening.local_addr().unwrap();
    let redirecting = redirect::router(Origins::configured(&config.entry), Trust::named(&config, Arc::new(SystemClock)));
    tokio::spawn(listener::serve(listening, redirecting, config.limits.clone(), stop.clone()));

    let (status, head, body) = plain(http, "127.0.0.1", "/trust").await;
    let page = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    let shown = page.replace("<wbr>", "");
    assert!(shown.contains(&root.fingerprint()) && page.contains("127.0.0.1") && page.contains("/trust/clawloops.crt"), "{page}");
    assert!(
        head.contains("content-security-policy: default-src 'none'; style-src 'sha256-") && !head.contains("strict-transport"),
        "{head}"
    );
    for system in ["Windows", "macOS", "iPhone", "Android", "Debian", "Fedora", "Firefox", "Chromium"] {
        assert!(page.contains(&format!("<summary>{system}")), "{system}");
    }
    let (status, head, body) = plain(http, "127.0.0.1", "/trust/clawloops.crt").await;
    assert!(status == 200 && head.contains("content-type: application/x-x509-ca-cert") && head.contains("filename=\"clawloops.crt\""));
    assert_eq!(body, root.certificate.to_vec());
    let (_, _, pem) = plain(http, "127.0.0.1", "/trust/clawloops.pem").await;
    assert_eq!(CertificateDer::from_pem_slice(&pem).unwrap(), root.certificate);
    assert!(!String::from_utf8_lossy(&pem).contains("PRIVATE"));
    // All else is sent to https, and other hosts nowhere.
    for path in ["/", "/trust/", "/trust/authority.pem", "/trust/server.pem", "/trust/../sign-in"] {
        let (status, head, _) = plain(http, "127.0.0.1", path).await;
        assert!(status == 308 && head.contains("location: https://127.0.0.1/"), "{path} {head}");
    }
    assert_eq!(plain(http, "evil.example", "/trust").await.0, 421);

    // Over https, with a client that trusts the root and looks at the address.
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let https = listening.local_addr().unwrap();
    let tls = certificates.listener().unwrap();
    tokio::spawn(listener::serve_with(listening, Some(tls), app.router.clone(), config.limits.clone(), stop.clone()));
    for path in ["/trust", "/trust/clawloops.crt", "/sign-in"] {
        let stream = TcpStream::connect(https).await.unwrap();
        let connector = TlsConnector::from(Arc::new(trusting(&root.certificate)));
        let mut stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{path} {text}");
        assert!(!text.contains("strict-transport-security"), "{path}: whoever ceases to trust must find a way back");
        assert!(text.contains("frame-ancestors 'none'"), "{path}");
    }
    stop.cancel();
}

#[sqlx::test(migrations = "../migrations")]
async fn where_certificates_come_from_elsewhere_there_is_no_such_page(pool: Pool) {
    let app = TestApp::on(pool).await;
    for path in ["/trust", "/trust/clawloops.crt", "/trust/x"] {
        let answer = app.ask("GET", path).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap()["code"].as_str().unwrap().to_owned()),
            (404, "NOT_FOUND".to_owned()),
            "{path}"
        );
    }
}
