//! A runtime that was turned against its own person: a server in its place that says whatever it likes.

use crate::{
    raw::scripted,
    support::{Person, TestApp, echo},
};
use contract::Role;
use serde_json::Value;
use server::data::Pool;

async fn with_answer(app: &TestApp, ada: &Person, name: &str, answer: Vec<u8>) -> String {
    let runtime = app.runtime(ada, name, Some(scripted(answer, true).await)).await;
    app.enter(ada, runtime, name).await
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_that_a_runtime_says_reaches_beyond_its_host(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let cookies: String = (0..100).map(|n| format!("Set-Cookie: c{n}=1; Domain=clawloops.localhost; Path=/\r\n")).collect();
    let hostile = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nClear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=99; includeSubDomains\r\n\
         Alt-Svc: h3=\"evil.example:443\"\r\nReport-To: {{}}\r\nNEL: {{}}\r\nReporting-Endpoints: a=\"https://evil.example\"\r\nService-Worker-Allowed: /\r\n\
         Access-Control-Allow-Origin: {0}\r\nAccess-Control-Allow-Credentials: true\r\nX-Accel-Redirect: /etc/passwd\r\nX-Accel-Buffering: yes\r\n\
         X-Frame-Options: ALLOWALL\r\nContent-Security-Policy: frame-ancestors *\r\nSet-Cookie2: x=1\r\nPublic-Key-Pins: x\r\n\
         Content-Security-Policy-Report-Only: default-src 'none'; report-uri https://evil.example\r\n\
         Set-Cookie: __Host-clawloops_session=planted; Path=/; Secure\r\nSet-Cookie: =__Host-clawloops_session=planted; Path=/\r\n\
         Set-Cookie: __Host-clawloops_runtime=; Max-Age=0; Path=/; Secure\r\nConnection: X-Other, Set-Cookie9\r\nX-Other: 1\r\nX-Kept: 1\r\n\r\nok",
        app.origin()
    );
    let cookie = with_answer(&app, &ada, "ada-agent", hostile.into()).await;
    let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers();
    let mut names: Vec<&str> = headers.keys().map(http_name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "content-length",
            "content-security-policy",
            "content-security-policy-report-only",
            "content-type",
            "date",
            "x-kept",
            "x-request-id"
        ]
    );
    assert_eq!(headers["content-security-policy"].to_str().unwrap(), format!("frame-ancestors {}", app.origin()));
    assert_eq!(headers["content-security-policy-report-only"], "default-src 'none'");

    let many = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nok", &cookies[..cookies.find("Set-Cookie: c80=").unwrap()]);
    let cookie = with_answer(&app, &ada, "ada-cookies", many.into()).await;
    let answer = app.ask_runtime("GET", "ada-cookies", "/").header("cookie", &cookie).send().await.unwrap();
    let set: Vec<&str> = answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(set.len(), 50);
    assert!(set.iter().all(|cookie| cookie.ends_with("=1; Path=/")), "{set:?}");
}

fn http_name(name: &reqwest::header::HeaderName) -> &str {
    name.as_str()
}

/// What a page of the runtime makes its person's browser send to the dashboard, with the person's own cookie. Browsers say where it comes from.
#[sqlx::test(migrations = "../migrations")]
async fn a_runtimes_page_can_neither_sign_its_person_out_nor_read_frame_or_script_the_dashboard(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    app.enter(&ada, runtime, "ada-agent").await;
    let origin = app.runtime_origin("ada-agent");
    let ask = |method: &str, path: &str, mode: &str, destination: &str| {
        let asked = app.ask(method, path).header("cookie", &ada.cookie).header("origin", &origin).header("sec-fetch-site", "same-site");
        asked.header("sec-fetch-mode", mode).header("sec-fetch-dest", destination)
    };
    // A form that is sent by itself, `fetch`, `sendBeacon`, an image, a script, a style sheet, an event stream, a worker.
    let tries = [
        ("POST", "/api/ui/sign-out", "navigate", "document"),
        ("POST", "/api/ui/sign-out", "cors", "empty"),
        ("POST", "/api/ui/sign-out", "no-cors", "empty"),
        ("POST", "/api/ui/me", "cors", "empty"),
        ("GET", "/api/ui/me", "navigate", "iframe"),
        ("GET", "/runtimes", "cors", "empty"),
        ("GET", "/runtimes", "no-cors", "image"),
        ("GET", "/runtimes", "no-cors", "script"),
        ("GET", "/runtimes", "no-cors", "style"),
        ("GET", "/events", "cors", "empty"),
        ("GET", "/usage.json", "cors", "empty"),
        ("GET", "/usage.csv", "same-origin", "worker"),
    ];
    for (method, path, mode, destination) in tries {
        let answer = ask(method, path, mode, destination).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path} {mode} {destination}");
        assert!(!answer.headers().contains_key("access-control-allow-origin") && !answer.headers().contains_key("set-cookie"));
    }
    let preflight =
        ask("OPTIONS", "/api/ui/sign-out", "cors", "empty").header("access-control-request-method", "POST").send().await.unwrap();
    assert!(!preflight.status().is_success() && !preflight.headers().contains_key("access-control-allow-origin"));
    // A link leads there, in a window of its own that the runtime's page cannot reach into; a frame stays empty.
    for destination in ["document", "iframe"] {
        let page = ask("GET", "/runtimes", "navigate", destination).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 200);
        let headers = page.headers();
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
        assert_eq!(
            (&headers["x-frame-options"], &headers["cross-origin-opener-policy"]),
            (&"DENY".parse().unwrap(), &"same-origin".parse().unwrap())
        );
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    }
    // After all that the session is what it was.
    let me = app.ask("GET", "/runtimes").header("cookie", &ada.cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!(me.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_that_makes_no_sense_is_a_502_of_ours(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nhello").into_bytes();
    let many: String = (0..150).map(|n| format!("X-{n}: 1\r\n")).collect();
    let answers: Vec<(&str, Vec<u8>)> = vec![
        ("two kinds of length", head("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("two kinds of length, the other way", head("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        ("two lengths", head("Content-Length: 5\r\nContent-Length: 6")),
        ("one length twice", head("Content-Length: 5\r\nContent-Length: 5")),
        ("a list of lengths", head("Content-Length: 5, 6")),
        ("a length with a sign", head("Content-Length: +5")),
        ("a coding nobody knows", head("Transfer-Encoding: cow")),
        ("two codings", head("Transfer-Encoding: gzip, chunked")),
        ("a bare CR", head("Content-Length: 5\r\nX: a\rSet-Cookie: x=1")),
        ("a NUL", head("Content-Length: 5\r\nX: a\0b")),
        ("a folded line", head("Content-Length: 5\r\nX: a\r\n Set-Cookie: x=1")),
        ("a space before the colon", head("Content-Length : 5")),
        ("a space in a name", head("Content-Length: 5\r\nSet Cookie: x=1")),
        ("a line without a colon", head("Content-Length: 5\r\nhello")),
        ("too many headers", head(&format!("{many}Content-Length: 5"))),
        ("headers too large", head(&format!("X: {}\r\nContent-Length: 5", "x".repeat(70_000)))),
        ("headers far too large", head(&format!("X: {}\r\nContent-Length: 5", "x".repeat(900_000)))),
        ("no HTTP", b"hello, world\r\n\r\n".to_vec()),
        (
            "another protocol that nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n".to_vec(),
        ),
        (
            "a WebSocket that nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        ),
        ("answers that go before one, without end", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000).into_bytes()),
    ];
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    for (what, answer) in answers {
        let address = scripted(answer, true).await;
        lead(&app, address);
        let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(!answer.headers().contains_key("set-cookie") && !answer.headers().contains_key("link"), "{what}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!((status, problem["code"].as_str()), (502, Some("RUNTIME_ANSWER_BROKEN")), "{what}");
        let page = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 502, "{what}");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains(&format!("frame-ancestors {}", app.origin())));
        assert!(page.text().await.unwrap().contains("makes no sense"), "{what}");
    }
    // One answer may go before, and stays here.
    lead(
        &app,
        scripted(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), true).await,
    );
    let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap();
    assert!(answer.status() == 200 && !answer.headers().contains_key("link"));
}

/// Leads the runtime's host somewhere else.
fn lead(app: &TestApp, address: std::net::SocketAddr) {
    let mut table = app.table.0.lock().unwrap();
    let route = table.get_mut("ada-agent").unwrap();
    (route.address, route.phase) = (Some(address), contract::Phase::Ready);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_is_what_was_said_of_it_or_is_cut(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let ask = || app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send();

    // Longer: what is over is nobody's, also on the connection that is used again.
    lead(
        &app,
        scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_vec(), false).await,
    );
    for _ in 0..3 {
        assert_eq!(ask().await.unwrap().text().await.unwrap(), "ok");
    }
    // Shorter, and chunks that break off: the browser is not told that this was all.
    for short in
        ["Content-Length: 10\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n5\r\nok", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        lead(&app, scripted(format!("HTTP/1.1 200 OK\r\n{short}").into_bytes(), true).await);
        let read = async { ask().await?.bytes().await };
        assert!(read.await.is_err(), "{short:?}");
    }
    // Trailers stay here.
    let trailing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: x=1\r\n\r\n";
    lead(&app, scripted(trailing.as_bytes().to_vec(), true).await);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: ada-agent.clawloops.localhost:{}\r\nTE: trailers\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n",
        app.port
    );
    let said = crate::raw::say(&app, request.as_bytes()).await;
    assert!(said.contains("ok") && !said.to_ascii_lowercase().contains("set-cookie"), "{said}");
    // Nothing is left open after all that.
    assert_eq!(app.entry.open_connections(), 0);
}
