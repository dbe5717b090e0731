//! What a Traefik in front reads.

use crate::support::{TestApp, echo};
use contract::{Phase, Role};
use reqwest::Response;
use server::data::Pool;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn ask(app: &TestApp, token: &str, tag: &str) -> Response {
    let asked = app.ask_host("GET", "127.0.0.1", "/internal/traefik").header("if-none-match", tag);
    asked.bearer_auth(token).send().await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn it_is_for_whoever_has_the_token(pool: Pool) {
    let closed = TestApp::on(pool.clone()).await;
    assert_eq!(ask(&closed, TOKEN, "").await.status(), 404);
    let app = TestApp::with(pool, |config| config.entry.ingress_token = Some(TOKEN.into())).await;
    for wrong in ["", &TOKEN[1..], "another one of about the same length"] {
        let refused = ask(&app, wrong, "").await;
        assert_eq!((refused.status().as_u16(), refused.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    }
    assert_eq!(ask(&app, TOKEN, "").await.status(), 200);
    // It is no address of the runtimes' hosts.
    let ada = app.person("ada", Role::Person).await;
    app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/internal/traefik").bearer_auth(TOKEN).send().await.unwrap().status(), 401);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_is_in_it_while_it_is_ready(pool: Pool) {
    let app = TestApp::with(pool, |config| {
        config.entry.ingress_token = Some(TOKEN.into());
        config.entry.ingress_url = Some("http://10.0.0.1:3000/".parse().unwrap());
    })
    .await;
    let ada = app.person("ada", Role::Person).await;
    let address = echo().await;
    app.runtime(&ada, "ada-agent", Some(address)).await;
    let answer = ask(&app, TOKEN, "").await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let read: serde_json::Value = answer.json().await.unwrap();
    let http = &read["http"];
    let router = &http["routers"]["runtime-ada-agent"];
    assert_eq!(router["rule"], "Host(`ada-agent.clawloops.localhost`)");
    assert_eq!(http["services"]["runtime-ada-agent"]["loadBalancer"]["servers"][0]["url"], format!("http://{address}"));
    for name in router["middlewares"].as_array().unwrap() {
        assert!(http["middlewares"].get(name.as_str().unwrap()).is_some(), "{name}");
    }
    assert_eq!(http["middlewares"]["clawloops-check"]["forwardAuth"]["address"], "http://10.0.0.1:3000/auth/verify");
    // The dashboard, the way in and whatever is not ready come to this server.
    for own in ["clawloops", "clawloops-gateway", "runtime-ada-agent-way-in"] {
        assert_eq!(http["routers"][own]["service"], "clawloops", "{own}");
    }
    assert_eq!(http["services"]["clawloops"]["loadBalancer"]["servers"][0]["url"], "http://10.0.0.1:3000");
    assert!(http["routers"]["runtime-ada-agent-way-in"]["priority"].as_i64() > router["priority"].as_i64());
    assert!(router["priority"].as_i64() > http["routers"]["clawloops-gateway"]["priority"].as_i64());

    assert_eq!(ask(&app, TOKEN, &tag).await.status(), 304);
    assert_eq!(ask(&app, TOKEN, &format!("\"x\", W/{tag}")).await.status(), 304);
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().phase = Phase::Stopping;
    let changed = ask(&app, TOKEN, &tag).await;
    assert_eq!(changed.status(), 200);
    let read: serde_json::Value = changed.json().await.unwrap();
    assert_eq!(read["http"]["routers"].get("runtime-ada-agent"), None);
    assert_eq!(read["http"]["services"].get("runtime-ada-agent"), None);
}
