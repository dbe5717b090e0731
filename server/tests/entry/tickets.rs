//! The way from a session into a runtime's host.

use crate::support::{TestApp, echo};
use contract::Role;
use server::data::Pool;

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_opens_once_and_leaves_a_cookie_for_that_host(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let enter = app.ticket(&ada, runtime, "ada-agent").await;

    let first = app.ask_runtime("GET", "ada-agent", &enter).send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), first.headers()["location"].to_str().unwrap()),
        (303, format!("{}/", app.runtime_origin("ada-agent")).as_str())
    );
    let cookie = first.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-clawloops_runtime=") && cookie.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let inside = app.ask_runtime("GET", "ada-agent", "/hello").header("cookie", cookie).send().await.unwrap();
    assert_eq!(inside.status(), 200);

    // Replayed and forged.
    for address in [enter.as_str(), "/__clawloops/enter?ticket=forged", "/__clawloops/enter"] {
        let answer = app.ask_runtime("GET", "ada-agent", address).header("accept", "text/html").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{address}");
        assert!(!answer.headers().contains_key("set-cookie"));
        assert!(answer.text().await.unwrap().contains(&format!("{}/runtimes/{runtime}/open", app.origin())));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_ticket_that_was_shown_to_another_host_opens_nothing_any_more(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob) = (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await);
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    app.runtime(&bob, "bob-agent", Some(echo().await)).await;
    let enter = app.ticket(&ada, runtime, "ada-agent").await;
    assert_eq!(app.ask_runtime("GET", "bob-agent", &enter).send().await.unwrap().status(), 403);
    assert_eq!(app.ask_runtime("GET", "ada-agent", &enter).send().await.unwrap().status(), 403);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deep_link_survives_and_cannot_lead_elsewhere(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let origin = app.runtime_origin("ada-agent");

    // Without a cookie a page goes over the dashboard, with where it wanted to go.
    let out = app.ask_runtime("GET", "ada-agent", "/chat?session=main").header("sec-fetch-dest", "iframe").send().await.unwrap();
    let back = format!("{}/open/{runtime}?to=%2Fchat%3Fsession%3Dmain", app.origin());
    assert_eq!((out.status().as_u16(), out.headers()["location"].to_str().unwrap()), (303, back.as_str()));
    // Anything else is told that it is signed out.
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/chat").header("sec-fetch-dest", "empty").send().await.unwrap().status(), 401);

    for (to, then) in [("%2Fchat%3Fsession%3Dmain", "/chat?session=main"), ("%2F%2Fevil.example", "/"), ("https%3A%2F%2Fevil.example", "/")]
    {
        let open = app.ask("GET", &format!("/open/{runtime}?to={to}")).header("cookie", &ada.cookie).send().await.unwrap();
        let enter = open.headers()["location"].to_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
        let entered = app.ask_runtime("GET", "ada-agent", &enter).send().await.unwrap();
        assert_eq!(entered.headers()["location"].to_str().unwrap(), format!("{origin}{then}"));
    }
    // Nor when somebody writes it into the ticket's own address.
    let enter = app.ticket(&ada, runtime, "ada-agent").await;
    let entered = app.ask_runtime("GET", "ada-agent", &format!("{enter}&to=%2F%5Cevil.example")).send().await.unwrap();
    assert_eq!(entered.headers()["location"].to_str().unwrap(), format!("{origin}/"));
}
