//! Usage as a file.

use crate::support::{Person, TestApp};
use contract::Role;
use server::data::{Pool, usage_total};

/// So many records of a person, a second apart, of whom every second came at the same moment as the one before it.
async fn used(pool: &Pool, person: &Person, records: i32, model: &str) {
    sqlx::query(
        "insert into usage_record (usage_record_id, at, person_id, model, route, input_tokens, cached_input_tokens, output_tokens, input_price,
                                   cost, latency_ms, first_token_ms, outcome)
         select gen_random_uuid(), now() - make_interval(secs => n / 2), $1, $2, 'Demo', 10, 4, 7, 3000000, 30, 900, 120, 'done'
         from generate_series(1, $3) n",
    )
    .bind(person.caller.person_id.0)
    .bind(model)
    .bind(records)
    .execute(pool)
    .await
    .unwrap();
}

async fn file(app: &TestApp, person: &Person, path: &str) -> reqwest::Response {
    app.ask("GET", path).header("cookie", &person.cookie).send().await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn records_come_as_files_whole_and_each_once(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, bob, root) =
        (app.person("ada", Role::Person).await, app.person("bob", Role::Person).await, app.person("root", Role::Administrator).await);
    used(&app.pool, &ada, 2500, "=cmd(\"x\",1)").await;
    used(&app.pool, &bob, 1, "plain").await;

    let answer = file(&app, &ada, "/usage.json").await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"usage.json\"");
    let mut records: Vec<serde_json::Value> = answer.json().await.unwrap();
    let first = records[0].as_object().unwrap();
    let told = ["person", "email", "model", "route", "outcome", "counted_in"].map(|name| first[name].as_str().unwrap());
    assert_eq!(told, ["ada", "ada@example.com", "=cmd(\"x\",1)", "Demo", "done", "tokens"]);
    let counted =
        ["input_tokens", "cached_input_tokens", "output_tokens", "input_price_micros", "cost_micros", "latency_ms", "first_token_ms"];
    assert_eq!(counted.map(|name| first[name].as_i64().unwrap()), [10, 4, 7, 3_000_000, 30, 900, 120]);
    assert!(records.windows(2).all(|two| two[0]["at"].as_str() <= two[1]["at"].as_str()));
    records.sort_by_key(|record| record["id"].to_string());
    records.dedup_by_key(|record| record["id"].to_string());
    assert_eq!(records.len(), 2500);

    let csv = file(&app, &ada, "/usage.csv?days=7").await.text().await.unwrap();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 2501);
    assert!(lines[0].starts_with("id,at,person,email,runtime,key,model,") && lines[0].split(',').count() == 20, "{}", lines[0]);
    assert!(
        lines[1].contains(",ada,ada@example.com,,,\"'=cmd(\"\"x\"\",1)\",Demo,10,4,7,3000000,0,0,30,900,120,done,false,tokens"),
        "{}",
        lines[1]
    );

    let all = file(&app, &root, "/admin/usage.csv").await.text().await.unwrap();
    assert_eq!(all.split_terminator("\r\n").count(), 2502);
    let none: Vec<serde_json::Value> = file(&app, &root, "/usage.json").await.json().await.unwrap();
    assert!(none.is_empty());
    for (path, status) in [
        ("/admin/usage.csv", 403),
        ("/admin/usage.json?by=day", 403),
        ("/usage.csv?days=0", 422),
        ("/usage.csv?days=many", 422),
        ("/usage.csv?days=367", 422),
        ("/usage.csv?days=3661&by=day", 422),
        ("/usage.csv?by=night", 422),
    ] {
        assert_eq!(file(&app, &bob, path).await.status(), status, "{path}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn days_come_as_files_further_back_than_records(pool: Pool) {
    let app = TestApp::on(pool).await;
    let (ada, root) = (app.person("ada", Role::Person).await, app.person("root", Role::Administrator).await);
    for path in ["/usage.json?by=day", "/usage.json?by=day&days=3660"] {
        let none: Vec<serde_json::Value> = file(&app, &ada, path).await.json().await.unwrap();
        assert!(none.is_empty());
    }
    used(&app.pool, &ada, 4, "plain").await;
    let long_ago = "update usage_record set at = at - make_interval(days => n) from
                    (select usage_record_id as id, 1500 + (row_number() over () / 3)::int * 2 as n from usage_record) old where old.id = usage_record_id";
    sqlx::query(long_ago).execute(&app.pool).await.unwrap();
    used(&app.pool, &ada, 2, "plain").await;
    let yesterday = time::OffsetDateTime::now_utc() - time::Duration::days(1);
    assert_eq!(usage_total::fold(&mut app.pool.acquire().await.unwrap(), yesterday, 10).await.unwrap(), 4);

    let days: Vec<serde_json::Value> = file(&app, &root, "/admin/usage.json?by=day&days=3000").await.json().await.unwrap();
    let told = |day: &serde_json::Value| ["person", "model", "route", "outcome"].map(|name| day[name].as_str().unwrap().to_owned());
    assert!(days.iter().all(|day| told(day) == ["ada", "plain", "Demo", "done"]), "{days:?}");
    let sum = |name: &str| days.iter().map(|day| day[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!(["calls", "input_tokens", "cached_input_tokens", "output_tokens", "cost_micros"].map(sum), [6, 60, 24, 42, 180]);
    assert!(days.len() >= 3 && days.windows(2).all(|two| two[0]["day"].as_str() <= two[1]["day"].as_str()), "{days:?}");

    let csv = file(&app, &ada, "/usage.csv?by=day&days=3000").await.text().await.unwrap();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), days.len() + 1);
    assert!(lines[0].starts_with("day,person,email,runtime,key,model,route,outcome,calls,") && lines[0].split(',').count() == 14);
    assert!(lines[1].contains(",ada,ada@example.com,,,plain,Demo,done,"), "{}", lines[1]);
    let records = file(&app, &ada, "/usage.csv?days=366").await.text().await.unwrap();
    assert_eq!(records.split_terminator("\r\n").count(), 3, "those that are kept");
}
