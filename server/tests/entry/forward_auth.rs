//! Forward auth: what another ingress is told about a request.

use crate::support::{Person, TestApp, echo};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use contract::{PersonStatus, Phase, Role};
use server::{config::Config, data::Pool};
use std::time::{Duration, Instant};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn asked_from_here(config: &mut Config) {
    config.entry.forward_auth_from = vec!["127.0.0.1".parse().unwrap()];
}

/// As Traefik asks about `GET path` of this runtime's host.
fn ask(app: &TestApp, label: &str, path: &str, cookie: &str) -> reqwest::RequestBuilder {
    app.ask_host("GET", "127.0.0.1", "/auth/verify")
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", format!("{label}.clawloops.localhost:{}", app.port))
        .header("x-forwarded-uri", path)
        .header("cookie", cookie)
}

async fn inside(app: &TestApp, name: &str) -> (Person, String) {
    let person = app.person(name, Role::Person).await;
    let label = format!("{name}-agent");
    let runtime = app.runtime(&person, &label, Some(echo().await)).await;
    let cookie = app.enter(&person, runtime, &label).await;
    (person, cookie)
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_asks_for_others_unless_it_was_set(pool: Pool) {
    let app = TestApp::on(pool.clone()).await;
    let (_, cookie) = inside(&app, "ada").await;
    assert_eq!(ask(&app, "ada-agent", "/", &cookie).send().await.unwrap().status(), 404);
    assert_eq!(app.ask("GET", "/auth/keys").send().await.unwrap().status(), 404);

    let app = TestApp::with(pool, |config| config.entry.ingress_token = Some(TOKEN.into())).await;
    let (_, cookie) = inside(&app, "bob").await;
    let with = async |token: &str| ask(&app, "bob-agent", "/", &cookie).header("x-clawloops-ingress", token).send().await.unwrap().status();
    assert_eq!(ask(&app, "bob-agent", "/", &cookie).send().await.unwrap().status(), 403);
    assert_eq!(with("another one of about the same length").await, 403);
    assert_eq!(with(TOKEN).await, 200);
    // On a runtime's own host this is the runtime's own address, for whoever is no ingress.
    let own = app.ask_runtime("GET", "bob-agent", "/auth/verify").header("cookie", &cookie).send().await.unwrap();
    assert!(own.text().await.unwrap().contains("\"path\":\"/auth/verify\""));
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_may_enter_is_named_and_nothing_of_ours_goes_in(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (ada, cookie) = inside(&app, "ada").await;
    let forged = format!("theme=dark; {cookie}; {}", ada.cookie);
    let answer = ask(&app, "ada-agent", "/chat?x=1", &forged).header("x-forwarded-user", "root@example.com").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let said = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((said("x-forwarded-user").as_str(), said("cookie").as_str()), ("ada@example.com", "theme=dark"));
    assert_eq!(said("x-forwarded-host"), format!("ada-agent.clawloops.localhost:{}", app.port));

    // The assertion is for this runtime, for a moment, and the published key checks it.
    let assertion = said("x-clawloops-assertion");
    let parts: Vec<&str> = assertion.split('.').collect();
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&decoded(parts[1])).unwrap();
    assert_eq!(
        (claims["aud"].as_str(), claims["email"].as_str()),
        (Some(app.runtime_origin("ada-agent").as_str()), Some("ada@example.com"))
    );
    assert!(claims["exp"].as_i64().unwrap() - app.clock.now().unix_timestamp() <= 60);
    let keys: serde_json::Value = app.ask("GET", "/auth/keys").send().await.unwrap().json().await.unwrap();
    let public = decoded(keys["keys"][0]["x"].as_str().unwrap());
    let checked = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
    assert!(checked.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &decoded(parts[2])).is_ok());

    // Also when nothing else is left of the cookies: then there is an empty one to put there.
    let bare = ask(&app, "ada-agent", "/", &cookie).send().await.unwrap();
    assert_eq!(bare.headers()["cookie"], "");
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_may_not_is_shown_the_way_or_refused(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (_, cookie) = inside(&app, "ada").await;
    let (_, others) = inside(&app, "bob").await;
    let page = || ask(&app, "ada-agent", "/chat?session=main", "").header("accept", "text/html");

    let way_in = page().send().await.unwrap();
    assert_eq!(way_in.status(), 302);
    let to = way_in.headers()["location"].to_str().unwrap();
    assert!(to.starts_with(&format!("{}/open/", app.origin())) && to.ends_with("?to=%2Fchat%3Fsession%3Dmain"), "{to}");
    assert_eq!(ask(&app, "ada-agent", "/api/x", "").send().await.unwrap().status(), 401);
    assert_eq!(ask(&app, "ada-agent", "/", &others).send().await.unwrap().status(), 403);
    for (label, path) in [
        ("nobody", "/"),
        ("ada-agent", "/api/v1/admin/rpc"),
        ("ada-agent", "/api/v1/admin/%72pc"),
        ("ada-agent", "/__clawloops/enter?ticket=x"),
    ] {
        assert_eq!(ask(&app, label, path, &cookie).send().await.unwrap().status(), 403, "{label}{path}");
    }
    // A form of another site, and a WebSocket from another origin.
    let foreign = ask(&app, "ada-agent", "/", &cookie).header("sec-fetch-site", "same-site").header("sec-fetch-mode", "no-cors");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    for (origin, status) in [(app.origin(), 403), (app.runtime_origin("ada-agent"), 200)] {
        let socket = ask(&app, "ada-agent", "/", &cookie).header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").header("origin", origin);
        assert_eq!(socket.send().await.unwrap().status(), status);
    }
    assert_eq!(ask(&app, "ada-agent", "/", &cookie).header("x-original-uri", "/").send().await.unwrap().status(), 403);
}

#[sqlx::test(migrations = "../migrations")]
async fn nginx_is_answered_in_the_few_words_that_it_knows(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (_, cookie) = inside(&app, "ada").await;
    let ask = async |cookie: &str| {
        let asked = app.ask_host("GET", "127.0.0.1", "/auth/verify").header("x-original-method", "GET").header("x-original-uri", "/");
        let asked = asked.header("x-original-host", format!("ada-agent.clawloops.localhost:{}", app.port));
        asked.header("cookie", cookie).header("accept", "text/html").send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("").await, ask(&cookie).await), (401, 200));
}

#[sqlx::test(migrations = "../migrations")]
async fn caddy_asks_under_the_host_that_it_asks_about(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (_, cookie) = inside(&app, "ada").await;
    let asked = app.ask_runtime("GET", "ada-agent", "/auth/verify").header("x-forwarded-method", "GET").header("x-forwarded-uri", "/hello");
    let asked = asked.header("x-forwarded-host", format!("ada-agent.clawloops.localhost:{}", app.port));
    let answer = asked.header("cookie", &cookie).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-forwarded-user"].to_str().unwrap()), (200, "ada@example.com"));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_sleeps_is_woken_and_what_is_not_ready_is_told(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (_, cookie) = inside(&app, "ada").await;
    let becomes = |phase| app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().phase = phase;
    becomes(Phase::Asleep);
    assert_eq!(ask(&app, "ada-agent", "/", &cookie).send().await.unwrap().status(), 200);
    becomes(Phase::Creating);
    let waiting = ask(&app, "ada-agent", "/", &cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!((waiting.status().as_u16(), waiting.headers()["retry-after"].to_str().unwrap()), (503, "2"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revocation_holds_within_two_seconds(pool: Pool) {
    let app = TestApp::with(pool, asked_from_here).await;
    let (ada, cookie) = inside(&app, "ada").await;
    let (bob, others) = inside(&app, "bob").await;
    let root = app.person("root", Role::Administrator).await;
    for (label, cookie) in [("ada-agent", &cookie), ("bob-agent", &others)] {
        assert_eq!(ask(&app, label, "/", cookie).send().await.unwrap().status(), 200);
    }
    app.backend.ports().accounts.sign_out(&ada.caller).await.unwrap();
    app.backend.ports().admin.set_status(&root.caller, bob.caller.person_id, PersonStatus::Disabled).await.unwrap();
    let began = Instant::now();
    for (label, cookie) in [("ada-agent", &cookie), ("bob-agent", &others)] {
        while ask(&app, label, "/", cookie).send().await.unwrap().status() != 401 {
            assert!(began.elapsed() < Duration::from_secs(2), "{label} may still enter");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
