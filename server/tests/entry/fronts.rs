//! Real proxies in front, with the configurations of `deploy/ingress`: pages, the way into a runtime, WebSockets, streams and uploads through each, and
//! forward auth as nginx, Caddy and Traefik ask. nginx and Caddy must be there; `make test` installs them.

use crate::{
    support::{TestApp, echo},
    tls::{Authority, HOST, files},
};
use contract::Role;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use server::{config::Config, data::Pool};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A proxy that ends with its test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Everything of one test: a server, a proxy's ports, a folder with a certificate.
struct Front {
    app: TestApp,
    authority: Authority,
    folder: tempfile::TempDir,
    secure: SocketAddr,
    plain: SocketAddr,
    _proxy: Option<Proxy>,
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn shipped(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/ingress");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Replaces what must be there to be replaced.
fn with(text: String, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the configuration any more");
        text.replace(from, to)
    })
}

impl Front {
    async fn new(pool: Pool, set: impl FnOnce(&mut Config)) -> Self {
        let (secure, plain) = (free(), free());
        let app = TestApp::with(pool, |config| {
            config.entry.ingress_url = Some(format!("http://127.0.0.1:{}", config.entry.public_url.port().unwrap()).parse().unwrap());
            config.entry.public_url = format!("https://{HOST}:{}", secure.port()).parse().unwrap();
            config.entry.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            set(config);
        });
        let (app, folder, authority) = (app.await, tempfile::tempdir().unwrap(), Authority::new());
        authority.issue(&files(folder.path()));
        Self { app, authority, folder, secure, plain, _proxy: None }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// Starts the proxy and waits until it shakes hands.
    async fn start(&mut self, command: &mut Command) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self._proxy = Some(Proxy(child.unwrap_or_else(|error| panic!("{command:?}: {error}; make test installs it"))));
        let began = Instant::now();
        while self.authority.connect(self.secure, HOST, &[]).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", std::fs::read_to_string(self.path("log")).unwrap());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// nginx with this inside of its `http`.
    async fn nginx(&mut self, http: &str) {
        let folder = self.folder.path().display();
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {folder}/{kind};")).join(" ");
        let whole = format!(
            "user root; worker_processes 1; daemon off; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ access_log off; {temporary}\n{http}\n}}"
        );
        let file = self.write("nginx.conf", &whole);
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("nginx");
        self.start(Command::new(program).args(["-c", &file, "-p", &self.path("")])).await;
    }

    /// Caddy with this, on the ports of this test.
    async fn caddy(&mut self, sites: &str) {
        let options = format!("{{\n\tadmin off\n\thttp_port {}\n\thttps_port {}\n}}\n", self.plain.port(), self.secure.port());
        let file = self.write("Caddyfile", &(options + sites));
        let home = self.path("");
        self.start(
            Command::new("caddy")
                .args(["run", "--adapter", "caddyfile", "--config", &file])
                .env("HOME", &home)
                .env("XDG_DATA_HOME", &home)
                .env("XDG_CONFIG_HOME", &home),
        )
        .await;
    }

    async fn ask(&self, protocol: &str, host: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<Incoming> {
        let stream = self.authority.connect(self.secure, host, &[protocol]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let (io, authority) = (TokioIo::new(stream), format!("{host}:{}", self.secure.port()));
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = Request::builder().method(method);
        let request =
            if protocol == "h2" { request.uri(format!("https://{authority}{path}")) } else { request.uri(path).header("host", authority) };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::<bytes::Bytes>::from(body.to_owned())).unwrap();
        if protocol == "h2" {
            let (mut asking, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            asking.send_request(request).await.unwrap()
        } else {
            let (mut asking, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            asking.send_request(request).await.unwrap()
        }
    }

    /// All the way in, through the proxy, as a browser goes: the cookie on the runtime's host.
    async fn enter(&self, name: &str) -> String {
        let person = self.app.person(name, Role::Person).await;
        let label = format!("{name}-agent");
        let runtime = self.app.runtime(&person, &label, Some(echo().await)).await;
        self.open(&person.cookie, &format!("/open/{runtime}"), &label).await
    }

    async fn open(&self, cookie: &str, path: &str, label: &str) -> String {
        let origin = format!("https://{label}.{HOST}:{}", self.secure.port());
        let open = self.ask("h2", HOST, path, &[("cookie", cookie), ("accept", "text/html")], "").await;
        assert_eq!(open.status(), 303);
        let enter = open.headers()["location"].to_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
        let entered = self.ask("h2", &format!("{label}.{HOST}"), &enter, &[("accept", "text/html")], "").await;
        assert_eq!(entered.status(), 303, "{enter}");
        entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    async fn echoes(&self, host: &str, cookie: &str, origin: &str) -> Result<bool, tokio_tungstenite::tungstenite::Error> {
        let stream = self.authority.connect(self.secure, host, &["http/1.1"]).await.unwrap();
        let mut request = format!("wss://{host}:{}/", self.secure.port()).into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let (mut socket, _) = client_async(request, stream).await?;
        socket.send(Message::text("ping?")).await?;
        Ok(matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == "ping?"))
    }

    /// What a person does, through the proxy. `cookie` is one on the host of `ada-agent`.
    async fn serves_runtimes(&self, cookie: &str) {
        let host = format!("ada-agent.{HOST}");
        let origin = format!("https://{host}:{}", self.secure.port());
        for protocol in ["h2", "http/1.1"] {
            let cookies = format!("theme=dark; {cookie}");
            let forged = [
                ("cookie", cookies.as_str()),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-user", "root@example.com"),
                ("x-forwarded-host", "evil.example"),
                ("x-openclaw-scopes", "operator.admin"),
                ("forwarded", "for=6.6.6.6"),
            ];
            let answer = self.ask(protocol, &host, "/hello?x=1", &forged, "").await;
            assert_eq!(answer.status(), 200, "{protocol}");
            let ancestors = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(ancestors.contains(&format!("frame-ancestors https://{HOST}:{}", self.secure.port())), "{ancestors}");
            assert!(!answer.headers().contains_key("x-frame-options"));
            let seen: serde_json::Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
            assert_eq!(seen["path"], "/hello?x=1");
            let told = |name: &str| -> Vec<&str> {
                let headers = seen["headers"].as_array().unwrap().iter();
                headers.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
            };
            assert_eq!(told("x-forwarded-user"), ["ada@example.com"]);
            assert_eq!(told("x-forwarded-host"), [format!("{host}:{}", self.secure.port())]);
            assert_eq!(told("cookie"), ["theme=dark"], "our own cookie stays outside");
            assert!(told("x-openclaw-scopes").is_empty() && told("forwarded").is_empty());
            assert!(told("x-forwarded-for").iter().all(|said| !said.contains("6.6.6.6")), "{:?}", told("x-forwarded-for"));
        }
        assert!(self.echoes(&host, cookie, &origin).await.unwrap());
        assert!(self.echoes(&host, cookie, &format!("https://{HOST}:{}", self.secure.port())).await.is_err(), "from another origin");
        assert!(self.echoes(&host, "theme=dark", &origin).await.is_err(), "signed out");

        // A stream comes as it is made, and a large body goes through.
        let mut stream = self.ask("http/1.1", &host, "/endless", &[("cookie", cookie)], "").await;
        for _ in 0..3 {
            assert!(tokio::time::timeout(Duration::from_secs(2), stream.frame()).await.unwrap().unwrap().is_ok());
        }
        let large = "x".repeat(3_000_000);
        let answer = self.ask("h2", &host, "/upload", &[("cookie", cookie), ("origin", &origin)], &large).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.unwrap().to_bytes().len() > large.len());

        // Signed out: a page is shown the way, all else is refused; of another's runtime nothing is shown.
        let page = self.ask("h2", &host, "/chat", &[("accept", "text/html")], "").await;
        assert!(page.status().is_redirection(), "{}", page.status());
        assert!(page.headers()["location"].to_str().unwrap().contains("/open/"));
        assert_eq!(self.ask("h2", &host, "/api/x", &[("accept", "application/json")], "").await.status(), 401);
        let theirs = self.enter("bob").await;
        assert_ne!(self.ask("h2", &host, "/api/x", &[("cookie", theirs.as_str())], "").await.status(), 200);
        let door = self.ask("h2", &host, "/api/v1/admin/rpc", &[("cookie", cookie), ("origin", &origin)], "{}").await;
        assert!(matches!(door.status().as_u16(), 403 | 404), "{}", door.status());
    }

    async fn serves_pages(&self) {
        let page = self.ask("h2", HOST, "/sign-in", &[("accept", "text/html")], "").await;
        assert_eq!((page.status().as_u16(), page.headers()["strict-transport-security"].to_str().unwrap()), (200, "max-age=31536000"));
        let mut plain = TcpStream::connect(self.plain).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(
            &mut plain,
            format!("GET /usage HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await
        .unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut plain, &mut answer).await.unwrap();
        let location = answer.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("location")));
        let moved = ["HTTP/1.1 301", "HTTP/1.1 308"].iter().any(|start| answer.starts_with(start));
        assert!(moved && location.is_some_and(|(_, to)| to.starts_with(&format!("https://{HOST}"))), "{answer}");
    }

    /// What stands in each shipped configuration, as it is here.
    fn here(&self) -> [(&'static str, String); 4] {
        let files = files(self.folder.path());
        [
            ("claw.example", HOST.to_owned()),
            ("/etc/clawloops/tls/fullchain.pem", files.certificate.display().to_string()),
            ("/etc/clawloops/tls/privkey.pem", files.key.display().to_string()),
            ("127.0.0.1:3000", format!("127.0.0.1:{}", self.app.port)),
        ]
    }
}

fn asked_from_here(config: &mut Config) {
    config.entry.forward_auth_from = vec!["127.0.0.1".parse().unwrap()];
}

#[sqlx::test(migrations = "../migrations")]
async fn nginx_in_front(pool: Pool) {
    let mut front = Front::new(pool, |_| {}).await;
    let ports = [("listen 80;", format!("listen {};", front.plain)), ("listen 443 ", format!("listen {} ", front.secure))];
    let config = with(with(shipped("nginx.conf"), &front.here()), &ports);
    front.nginx(&config).await;
    front.serves_pages().await;
    let cookie = front.enter("ada").await;
    front.serves_runtimes(&cookie).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn caddy_in_front(pool: Pool) {
    let mut front = Front::new(pool, |_| {}).await;
    let config = with(shipped("Caddyfile"), &front.here());
    front.caddy(&config).await;
    front.serves_pages().await;
    let cookie = front.enter("ada").await;
    front.serves_runtimes(&cookie).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn caddy_asks_before_it_carries_the_traffic_itself(pool: Pool) {
    let mut front = Front::new(pool, asked_from_here).await;
    let (files, own, runtime) = (files(front.folder.path()), front.app.port, echo().await);
    let config = format!(
        "{HOST}, *.{HOST} {{\n\ttls {} {}\n\t@runtime {{\n\t\thost ada-agent.{HOST}\n\t\tnot path /__clawloops/*\n\t}}\n\
         \thandle @runtime {{\n\t\trequest_header -X-Openclaw-Scopes\n\t\trequest_header -Forwarded\n\
         \t\tforward_auth 127.0.0.1:{own} {{\n\t\t\turi /auth/verify\n\t\t\tcopy_headers X-Forwarded-User X-Clawloops-Assertion Cookie\n\t\t}}\n\
         \t\treverse_proxy {runtime} {{\n\t\t\theader_down -X-Frame-Options\n\t\t\theader_down Content-Security-Policy \"frame-ancestors https://{HOST}:{}\"\n\
         \t\t\tflush_interval -1\n\t\t}}\n\t}}\n\thandle {{\n\t\treverse_proxy 127.0.0.1:{own}\n\t}}\n}}\n",
        files.certificate.display(),
        files.key.display(),
        front.secure.port(),
    );
    front.caddy(&config).await;
    let cookie = front.enter("ada").await;
    front.serves_runtimes(&cookie).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn nginx_asks_before_it_carries_the_traffic_itself(pool: Pool) {
    let mut front = Front::new(pool, asked_from_here).await;
    let (files, own, runtime) = (files(front.folder.path()), front.app.port, echo().await);
    // Whatever is not a yes goes to the built-in gateway, which judges again and answers in full.
    let config = format!(
        "map $http_upgrade $way {{ default upgrade; '' ''; }}\n\
         server {{ listen {secure} ssl http2; server_name ada-agent.{HOST};\n\
           ssl_certificate {certificate}; ssl_certificate_key {key}; client_max_body_size 0;\n\
           proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;\n\
           location = /auth-verify {{ internal; proxy_pass http://127.0.0.1:{own}/auth/verify; proxy_pass_request_body off;\n\
             proxy_set_header Content-Length ''; proxy_set_header X-Original-Method $request_method; proxy_set_header X-Original-Host $http_host;\n\
             proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Forwarded-Method ''; proxy_set_header X-Forwarded-Uri ''; }}\n\
           location @gateway {{ proxy_pass http://127.0.0.1:{own}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $way; }}\n\
           location /__clawloops/ {{ proxy_pass http://127.0.0.1:{own}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; }}\n\
           location / {{ auth_request /auth-verify; error_page 401 403 500 = @gateway;\n\
             auth_request_set $user $upstream_http_x_forwarded_user; auth_request_set $cookies $upstream_http_cookie;\n\
             proxy_pass http://{runtime}; proxy_set_header Host $http_host; proxy_set_header Cookie $cookies;\n\
             proxy_set_header X-Forwarded-User $user; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $http_host;\n\
             proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Openclaw-Scopes ''; proxy_set_header Forwarded '';\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $way;\n\
             proxy_hide_header X-Frame-Options; proxy_hide_header Content-Security-Policy;\n\
             add_header Content-Security-Policy 'frame-ancestors https://{HOST}:{port}'; }} }}\n\
         server {{ listen {secure} ssl http2 default_server; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
           location / {{ proxy_pass http://127.0.0.1:{own}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; }} }}\n",
        secure = front.secure,
        port = front.secure.port(),
        certificate = files.certificate.display(),
        key = files.key.display(),
    );
    front.nginx(&config).await;
    let cookie = front.enter("ada").await;
    front.serves_runtimes(&cookie).await;
}

#[sqlx::test(migrations = "../migrations")]
#[ignore = "wants a Traefik of 3.7.13 or later: CLAWLOOPS_TEST_TRAEFIK names the program"]
async fn traefik_in_front(pool: Pool) {
    let program = PathBuf::from(std::env::var_os("CLAWLOOPS_TEST_TRAEFIK").expect("CLAWLOOPS_TEST_TRAEFIK names the program"));
    let mut front = Front::new(pool, |config| {
        asked_from_here(config);
        config.entry.ingress_token = Some(TOKEN.into());
    })
    .await;
    let dynamic = front.folder.path().join("dynamic");
    std::fs::create_dir(&dynamic).unwrap();
    let files = files(front.folder.path());
    let certificates = with(
        shipped("dynamic/certificates.yaml"),
        &[
            ("/etc/traefik/tls/fullchain.pem", files.certificate.display().to_string()),
            ("/etc/traefik/tls/privkey.pem", files.key.display().to_string()),
        ],
    );
    std::fs::write(dynamic.join("certificates.yaml"), certificates).unwrap();
    let config = with(
        shipped("traefik.yaml"),
        &[
            ("\":80\"", format!("\"{}\"", front.plain)),
            ("\":443\"", format!("\"{}\"", front.secure)),
            ("127.0.0.1:3000/internal", format!("127.0.0.1:{}/internal", front.app.port)),
            ("REPLACE-WITH-CLAWLOOPS_INGRESS_TOKEN", TOKEN.to_owned()),
            ("/etc/traefik/dynamic", dynamic.display().to_string()),
        ],
    );
    let file = front.write("traefik.yaml", &config);
    front.start(Command::new(program).arg(format!("--configFile={file}"))).await;
    // It has read where everything is.
    let began = Instant::now();
    while front.ask("h2", HOST, "/healthz", &[], "").await.status() != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", std::fs::read_to_string(front.path("log")).unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    front.serves_pages().await;
    let cookie = front.enter("ada").await;
    // Carried by Traefik within a second, and by the gateway until then; the machine of a test may be busy.
    let (host, began) = (format!("ada-agent.{HOST}"), Instant::now());
    loop {
        let answer = front.ask("h2", &host, "/", &[("cookie", cookie.as_str())], "").await;
        let seen: serde_json::Value = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        if seen["headers"].as_array().unwrap().iter().any(|pair| pair[0] == "x-clawloops-assertion") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    front.serves_runtimes(&cookie).await;
}
