//! Https at the listener itself, with a client that believes one authority and nobody else.

use crate::support::{TestApp, echo};
use contract::{Phase, Role};
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use server::{
    certificate::{self, Files},
    clock::SystemClock,
    config::{Config, Limits},
    data::Pool,
    ingress::{
        listener,
        origins::Origins,
        redirect,
        tls::{self, Certificates},
    },
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tokio_util::sync::CancellationToken;

pub const HOST: &str = "clawloops.localhost";

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes a certificate for the dashboard and its runtimes, and its key.
    pub fn issue(&self, files: &Files) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![HOST.to_owned(), format!("*.{HOST}")]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    pub async fn connect(&self, at: SocketAddr, host: &str, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(certificate::provider()).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(at).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
    }

    /// The certificate that is shown.
    async fn shown(&self, at: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(at, HOST, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

fn limits() -> Limits {
    Config::for_tests().limits
}

pub fn files(folder: &Path) -> Files {
    Files { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
}

/// The whole server behind TLS, beside its plain listener.
async fn behind_tls(app: &TestApp, certificates: &Arc<Certificates>) -> SocketAddr {
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listening.local_addr().unwrap();
    let config = certificates.listener().unwrap();
    tokio::spawn(listener::serve_with(listening, Some(config), app.router.clone(), limits(), app.stop.clone()));
    at
}

async fn https(pool: Pool) -> TestApp {
    TestApp::with(pool, |config| config.entry.public_url = format!("https://{HOST}").parse().unwrap()).await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_browser_gets_http_2_or_1_as_it_likes_and_is_told_to_stay(pool: Pool) {
    let app = https(pool).await;
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(&files(folder.path()));
    let certificates = Certificates::open(files(folder.path())).await.unwrap();
    let at = behind_tls(&app, &certificates).await;

    let stream = authority.connect(at, HOST, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut asking, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for path in ["/healthz", "/sign-in"] {
        let request = Request::get(format!("https://{HOST}{path}")).header("accept", "text/html").body(Empty::<&[u8]>::new()).unwrap();
        let answer = asking.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2), "{path}");
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
        answer.into_body().collect().await.unwrap();
    }
    // A runtime's host says so too.
    let request = Request::get(format!("https://nobody.{HOST}/")).body(Empty::<&[u8]>::new()).unwrap();
    let answer = asking.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["strict-transport-security"].to_str().unwrap()), (404, "max-age=31536000"));
    drop(asking);
    connection.abort();

    let stream = authority.connect(at, &format!("ada-agent.{HOST}"), &["http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // Whoever does not believe the authority, or asks for another name, gets nowhere.
    assert!(Authority::new().connect(at, HOST, &[]).await.is_err());
    assert!(authority.connect(at, "other.example", &[]).await.is_err());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_websocket_passes_over_tls(pool: Pool) {
    let app = https(pool).await;
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(&files(folder.path()));
    let certificates = Certificates::open(files(folder.path())).await.unwrap();
    let at = behind_tls(&app, &certificates).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    assert_eq!(app.table.0.lock().unwrap()["ada-agent"].phase, Phase::Ready);
    let origin = format!("https://ada-agent.{HOST}");
    let open = app.ask("GET", &format!("/open/{runtime}")).header("cookie", &ada.cookie).send().await.unwrap();
    let enter = open.headers()["location"].to_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
    let entered = app.ask_runtime("GET", "ada-agent", &enter).send().await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();

    let stream = authority.connect(at, &format!("ada-agent.{HOST}"), &["http/1.1"]).await.unwrap();
    let mut request = format!("wss://ada-agent.{HOST}/").into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", origin.parse().unwrap());
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    socket.send(Message::text("ping?")).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "ping?"));

    // Over HTTP/2 none is offered, so that browsers open them as above.
    let stream = authority.connect(at, HOST, &["h2"]).await.unwrap();
    let (asking, connection) =
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake::<_, Empty<&[u8]>>(TokioIo::new(stream)).await.unwrap();
    let mut connection = Box::pin(connection);
    let settled = tokio::time::timeout(Duration::from_millis(500), &mut connection).await;
    assert!(settled.is_err() && !connection.is_extended_connect_protocol_enabled());
    drop(asking);
}

#[tokio::test]
async fn another_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = files(folder.path());
    let first = authority.issue(&files);
    let certificates = Certificates::open(files.clone()).await.unwrap();
    let (stop, listening) = (CancellationToken::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = listening.local_addr().unwrap();
    let router = axum::Router::new().fallback(|| async { "here" });
    let serving = tokio::spawn(listener::serve_with(listening, Some(certificates.listener().unwrap()), router, limits(), stop.clone()));
    assert_eq!(authority.shown(at).await, first);
    // A connection that is open stays open.
    let mut open = authority.connect(at, HOST, &["http/1.1"]).await.unwrap();

    let second = authority.issue(&files);
    assert!(certificates.renew().await.unwrap());
    assert_eq!(authority.shown(at).await, second);
    assert!(!certificates.renew().await.unwrap(), "nothing is new");
    open.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("here"), "{answer}");

    // The certificate of the next pair without its key, as when one file was written and the other is not there yet.
    let key = std::fs::read(&files.key).unwrap();
    let third = authority.issue(&files);
    let next_key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, key).unwrap();
    assert!(certificates.renew().await.unwrap_err().to_string().contains("it is not the key of that certificate"));
    assert_eq!(authority.shown(at).await, second);
    std::fs::remove_file(&files.key).unwrap();
    assert!(certificates.renew().await.is_err());
    std::fs::write(&files.key, next_key).unwrap();

    // By itself, within seconds.
    let following = tokio::spawn(tls::follow(Arc::clone(&certificates), Arc::new(SystemClock), stop.clone()));
    let began = Instant::now();
    while authority.shown(at).await != third {
        assert!(began.elapsed() < tls::LOOK * 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let fourth = authority.issue(&files);
    while authority.shown(at).await != fourth {
        assert!(began.elapsed() < tls::LOOK * 3);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    serving.await.unwrap().unwrap();
    following.await.unwrap();
}

#[tokio::test]
async fn whoever_does_not_shake_hands_holds_up_nobody() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(&files(folder.path()));
    let certificates = Certificates::open(files(folder.path())).await.unwrap();
    let (stop, listening) = (CancellationToken::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = listening.local_addr().unwrap();
    let router = axum::Router::new().fallback(|| async { "here" });
    tokio::spawn(listener::serve_with(listening, Some(certificates.listener().unwrap()), router, limits(), stop.clone()));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let began = Instant::now();
    authority.shown(at).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    // Plain http at the TLS port ends at once.
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(2), plain.read_to_end(&mut answer)).await.unwrap());
    assert!(!String::from_utf8_lossy(&answer).contains("here"));
    stop.cancel();
}

#[tokio::test]
async fn plain_http_is_sent_to_https_and_nowhere_else() {
    let (stop, listening) = (CancellationToken::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = listening.local_addr().unwrap();
    let router = redirect::router(Origins::of(&"https://claw.example:8443".parse().unwrap()), None);
    tokio::spawn(listener::serve(listening, router, limits(), stop.clone()));
    let ask = async |method: &str, host: &str, path: &str| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
        (answer.split(' ').nth(1).unwrap().to_owned(), location)
    };
    let to = |location: &str| ("308".to_owned(), Some(location.to_owned()));
    assert_eq!(ask("GET", "claw.example", "/usage?days=7").await, to("https://claw.example:8443/usage?days=7"));
    assert_eq!(ask("POST", "ada.claw.example:80", "/").await, to("https://ada.claw.example:8443/"));
    assert_eq!(ask("GET", "claw.example", "//evil.example/").await, to("https://claw.example:8443//evil.example/"));
    for elsewhere in ["evil.example", "a.b.claw.example", "claw.example.evil.example", ""] {
        assert_eq!(ask("GET", elsewhere, "/").await, ("421".to_owned(), None), "{elsewhere}");
    }
    stop.cancel();
}
