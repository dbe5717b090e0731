//! The gateway: who a runtime is told is asking, and what comes back.

use crate::support::{TestApp, echo};
use contract::Role;
use serde_json::Value;
use server::data::Pool;

#[sqlx::test(migrations = "../migrations")]
async fn a_forged_identity_never_reaches_the_runtime(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let mut request = app.ask_runtime("POST", "ada-agent", "/echo?x=1").header("cookie", format!("theme=dark; {cookie}")).body("hello");
    let forged = [
        "x-forwarded-user",
        "X-Forwarded-User",
        "x_forwarded_user",
        "x.forwarded.user",
        "x-forwarded_user",
        "x-openclaw-scopes",
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "remote-user",
        "x-forwarded-prefix",
    ];
    for name in forged {
        request = request.header(name, "root@example.com");
    }
    let answer: Value = request.header("connection", "x-forwarded-user, keep-alive").send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (answer["method"].as_str(), answer["path"].as_str(), answer["body"].as_str()),
        (Some("POST"), Some("/echo?x=1"), Some("hello"))
    );
    let text = answer["headers"].to_string();
    assert!(!text.contains("root@example.com") && !text.contains("clawloops_"), "{text}");
    let said = |name: &str| -> Vec<&str> {
        answer["headers"].as_array().unwrap().iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
    };
    let authority = format!("ada-agent.clawloops.localhost:{}", app.port);
    assert_eq!(said("x-forwarded-user"), ["ada@example.com"]);
    assert_eq!(said("x-forwarded-host"), [authority.as_str()]);
    assert_eq!(said("host"), [authority.as_str()]);
    assert_eq!(said("x-forwarded-proto"), ["http"]);
    assert_eq!(said("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(said("cookie"), ["theme=dark"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_dashboard_alone_may_frame_a_runtime(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap();
    let headers = answer.headers();
    assert!(!headers.contains_key("x-frame-options") && !headers.contains_key("set-cookie"));
    assert_eq!(headers["content-security-policy"].to_str().unwrap(), format!("default-src 'self'; frame-ancestors {}", app.origin()));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_hosts_own_door_is_closed_to_browsers(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    for path in ["/api/v1/admin/rpc", "/api/v1/admin/%72pc", "//api/v1/admin/rpc", "/API/v1/admin/rpc/"] {
        let answer = app.ask_runtime("POST", "ada-agent", path).header("cookie", &cookie).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_neighbours_page_cannot_ask_in_the_persons_name(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let ask = |method: &str, site: &str, mode: &str| {
        app.ask_runtime(method, "ada-agent", "/")
            .header("cookie", &cookie)
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .send()
    };
    assert_eq!(ask("POST", "same-site", "navigate").await.unwrap().status(), 403);
    assert_eq!(ask("GET", "same-site", "no-cors").await.unwrap().status(), 403);
    assert_eq!(ask("GET", "same-site", "navigate").await.unwrap().status(), 200);
    assert_eq!(ask("POST", "same-origin", "cors").await.unwrap().status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn who_comes_too_early_waits_in_a_room_of_ours(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", None).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let page = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.headers()["retry-after"].to_str().unwrap()), (503, "2"));
    assert!(page.headers()["content-security-policy"].to_str().unwrap().ends_with(&format!("frame-ancestors {}", app.origin())));
    let text = page.text().await.unwrap();
    assert!(text.contains("OpenClaw is starting up") && text.contains("http-equiv=\"refresh\""), "{text}");
    let fetched = app.ask_runtime("GET", "ada-agent", "/api").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(fetched.status(), 503);
    assert_eq!(fetched.json::<Value>().await.unwrap()["code"], "SERVICE_UNAVAILABLE");
}
