//! A runtime that sleeps, from outside: whoever may visit it wakes it and is let through, whoever may not wakes nobody.

use crate::support::{TestApp, echo};
use contract::{Phase, Role};
use server::data::Pool;
use std::time::{Duration, Instant};

fn phase(app: &TestApp) -> Phase {
    app.table.0.lock().unwrap()["ada-agent"].phase
}

fn becomes(app: &TestApp, phase: Phase) {
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().phase = phase;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_visit_wakes_what_sleeps_and_is_let_through(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, eve) = (app.person("ada", Role::Person).await, app.person("eve", Role::Person).await);
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let others = app.runtime(&eve, "eve-agent", Some(echo().await)).await;
    let eves = app.enter(&eve, others, "eve-agent").await;

    // Signed out, or as somebody else: nobody wakes.
    becomes(&app, Phase::Asleep);
    for strange in ["", eves.as_str()] {
        let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", strange).header("accept", "text/html").send().await.unwrap();
        assert_ne!(answer.status(), 200);
        assert_eq!(phase(&app), Phase::Asleep);
    }
    // Its own person's request is answered by the runtime itself.
    let answer = app.ask_runtime("GET", "ada-agent", "/hello").header("cookie", &cookie).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), phase(&app)), (200, Phase::Ready));
    assert!(answer.text().await.unwrap().contains("/hello"));
}

#[sqlx::test(migrations = "../migrations")]
async fn one_that_wakes_slowly_is_waited_for_a_moment_and_then_said(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let runtime = app.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    becomes(&app, Phase::Waking);
    let ask = || app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).header("accept", "text/html");
    let began = Instant::now();
    let answer = ask().send().await.unwrap();
    let took = began.elapsed();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "2"));
    assert!(answer.text().await.unwrap().contains("is waking up"));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");

    // One that wakes meanwhile is let through in the same request.
    let (answer, ()) = tokio::join!(ask().send(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        becomes(&app, Phase::Ready);
    });
    assert_eq!(answer.unwrap().status(), 200);
    // One that needs a whole start is said at once.
    becomes(&app, Phase::Creating);
    let began = Instant::now();
    assert_eq!(ask().send().await.unwrap().status(), 503);
    assert!(began.elapsed() < Duration::from_secs(1));
}
