//! Parts that are down: the answer is clear, and the server stays up.

use crate::support::{TestApp, echo};
use contract::{Phase, Role};
use server::data::Pool;
use sqlx::{Connection as _, Executor as _, postgres::PgConnectOptions};

/// Takes the database away from everybody, or gives it back.
async fn allow(options: &PgConnectOptions, database: &str, allowed: bool) {
    let mut admin = sqlx::PgConnection::connect_with(&options.clone().database("postgres")).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("alter database \"{database}\" with allow_connections {allowed}"));
    admin.execute(limit).await.unwrap();
    if !allowed {
        let cut = sqlx::AssertSqlSafe(format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"));
        admin.execute(cut).await.unwrap();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn postgresql_goes_away_and_comes_back(pool: Pool) {
    let options = (*pool.connect_options()).clone();
    let database = options.get_database().unwrap().to_owned();
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let page = |accept: &'static str| app.ask("GET", "/").header("accept", accept).header("cookie", &ada.cookie).send();
    assert_eq!(page("text/html").await.unwrap().status(), 200);

    allow(&options, &database, false).await;
    let down = page("text/html").await.unwrap();
    assert_eq!((down.status().as_u16(), down.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert!(down.text().await.unwrap().contains("The database does not answer"));
    let problem: serde_json::Value = page("application/json").await.unwrap().json().await.unwrap();
    assert_eq!(problem["code"], "SERVICE_UNAVAILABLE");
    // What needs no database is there.
    assert_eq!(app.ask("GET", "/healthz").send().await.unwrap().status(), 200);
    assert_eq!(app.ask("GET", "/sign-in").header("accept", "text/html").send().await.unwrap().status(), 200);

    allow(&options, &database, true).await;
    assert_eq!(page("text/html").await.unwrap().status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn pages_are_served_while_docker_is_down(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    app.docker_down();
    for path in ["/", "/runtimes"] {
        let answer = app.ask("GET", path).header("accept", "text/html").header("cookie", &ada.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_does_not_answer_is_said_to_be_looked_after(pool: Pool) {
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let runtime = app.runtime(&ada, "ada-agent", Some(gone)).await;
    let cookie = app.enter(&ada, runtime, "ada-agent").await;
    let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("does not answer"));

    // And it works again by itself once somebody is there.
    let address = echo().await;
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().address = Some(address);
    assert_eq!(app.ask_runtime("GET", "ada-agent", "/").header("cookie", &cookie).send().await.unwrap().status(), 200);
    app.table.0.lock().unwrap().get_mut("ada-agent").unwrap().phase = Phase::Failed;
}
