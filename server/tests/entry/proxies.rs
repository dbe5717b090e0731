//! Behind proxies: whose address counts.

use crate::support::{TestApp, echo};
use contract::Role;
use server::data::Pool;

async fn told_to_runtime(app: &TestApp, cookie: &str, said: &str) -> String {
    let answer = app.ask_runtime("GET", "ada-agent", "/").header("cookie", cookie).header("x-forwarded-for", said).send().await.unwrap();
    let seen: serde_json::Value = answer.json().await.unwrap();
    let headers = seen["headers"].as_array().unwrap();
    let told: Vec<&str> = headers.iter().filter(|pair| pair[0] == "x-forwarded-for").filter_map(|pair| pair[1].as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].to_owned()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_proxy_that_is_trusted_names_the_client_and_nobody_else_does(pool: Pool) {
    let trusting = TestApp::with(pool.clone(), |config| config.entry.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let ada = trusting.person("ada", Role::Person).await;
    let runtime = trusting.runtime(&ada, "ada-agent", Some(echo().await)).await;
    let cookie = trusting.enter(&ada, runtime, "ada-agent").await;
    assert_eq!(told_to_runtime(&trusting, &cookie, "6.6.6.6, 198.51.100.7").await, "198.51.100.7");

    let alone = TestApp::on(pool).await;
    let route = trusting.table.0.lock().unwrap()["ada-agent"].clone();
    alone.table.0.lock().unwrap().insert("ada-agent".to_owned(), route);
    assert_eq!(told_to_runtime(&alone, &cookie, "198.51.100.7").await, "192.0.2.1", "a loopback address is not told");
}

#[sqlx::test(migrations = "../migrations")]
async fn people_behind_one_proxy_do_not_use_up_each_others_tries(pool: Pool) {
    let app = TestApp::with(pool, |config| config.entry.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let attempt = async |client: &str| {
        let form =
            app.ask("POST", "/api/ui/me").header("content-type", "application/x-www-form-urlencoded").header("x-forwarded-for", client);
        form.body("").send().await.unwrap().status().as_u16()
    };
    let mut last = 0;
    for _ in 0..70 {
        last = attempt("198.51.100.7").await;
    }
    assert_eq!(last, 429);
    assert_ne!(attempt("198.51.100.8").await, 429);
}
