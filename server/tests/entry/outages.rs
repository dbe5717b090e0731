//! Parts that are down: the answer is clear, and the server stays up.

use crate::support::{TestApp, echo};
use contract::{Phase, Role};
use server::{
    config::Config,
    data::{self, Pool, cluster::Cluster},
};
use sqlx::{Connection as _, Executor as _, postgres::PgConnectOptions};
use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

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

/// Not closed but gone, so that every try to connect fails: people are told within seconds, and need do nothing once it is back.
#[tokio::test]
async fn a_postgresql_that_stopped_is_said_soon_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let mut config = Config::for_tests();
    config.data.data_dir = folder.path().to_owned();
    let cluster = Cluster::start(&config).await.unwrap();
    let pool = data::connect(&cluster.url()).await.unwrap();
    data::migrate(&pool).await.unwrap();
    let app = TestApp::on(pool).await;
    let ada = app.person("ada", Role::Person).await;
    let ask = |path: &'static str| app.ask("GET", path).header("accept", "text/html").header("cookie", &ada.cookie);
    assert_eq!(ask("/").send().await.unwrap().status(), 200);

    cluster.stop().await.unwrap();
    // As one that was killed leaves it: its socket is there, nobody listens, and whoever connects is to try again.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("postgres/.s.PGSQL.5432")).unwrap());
    let link = format!("/invitation/{}", "x".repeat(43));
    let began = Instant::now();
    let strangers = app.ask("GET", &link).header("accept", "text/html");
    let program = app.ask("GET", "/v1/models").header("authorization", format!("Bearer cl_live_{}_{}", "0".repeat(12), "0".repeat(43)));
    let api =
        app.ask("POST", "/api/ui/me").header("cookie", &ada.cookie).header("origin", app.origin()).header("sec-fetch-site", "same-origin");
    let (page, api, events, strangers, program) =
        tokio::join!(ask("/").send(), api.send(), ask("/events").send(), strangers.send(), program.send());
    let took = began.elapsed();
    for (what, answer) in [("page", page), ("api", api), ("events", events), ("invitation", strangers), ("program", program)] {
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 503, "{what}: {text}");
        assert!(text.contains("The database does not answer"), "{what}: {text}");
    }
    assert!(took < Duration::from_secs(6), "said after {took:?}");

    let cluster = Cluster::start(&config).await.unwrap();
    // Each connection that died with it may cost one more answer; nobody does anything for the rest.
    let found = async {
        while ask("/").send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), found).await.is_ok(), "the same session, the same pool");
    app.pool.close().await;
    cluster.stop().await.unwrap();
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
