//! Calls: what reaches the upstream, what comes back, and what is counted.

use crate::support::{World, call, streamed};
use contract::Role;
use serde_json::{Value, json};
use server::{data::Pool, model::door::MOST_BYTES};
use std::time::Duration;

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_passes_and_is_counted_as_the_upstream_counts_it(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let mut body = call("answers", 7);
    body["temperature"] = json!(0.25);
    body["unheard_of"] = json!({"a": [1, null]});
    let answer = world
        .http
        .post(format!("http://{}/v1/chat/completions", world.public))
        .bearer_auth(&key)
        .header("openai-beta", "x=1")
        .header("cookie", "__Host-clawloops_session=stolen")
        .header("x-forwarded-user", "root@example.com")
        .header("x-api-key", &key)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-id"].len(), 32);
    let overhead: f64 = answer.headers()["x-clawloops-overhead-ms"].to_str().unwrap().parse().unwrap();
    assert!((0.0..10_000.0).contains(&overhead));
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["choices"][0]["message"]["content"], "hi");

    {
        let seen = world.upstream.seen.lock().unwrap();
        assert_eq!(seen[0].headers["authorization"], "Bearer sk-master", "the caller's key stays here");
        assert_eq!(seen[0].headers["openai-beta"], "x=1");
        for name in ["cookie", "x-forwarded-user", "x-api-key"] {
            assert!(!seen[0].headers.contains_key(name), "{name}");
        }
        assert_eq!(seen[0].body, body, "without a limit nothing of the body is changed");
    }
    world.settled().await;
    // (10 - 4) at 3 $, 4 cached at 0.30 $, 7 answered at 15 $ a million: 18 + 1.2 + 105 micro-units, rounded up.
    assert_eq!(world.records().await, [("priced".to_owned(), 10, 4, 7, 125, "done".to_owned(), false)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_records_of_many_calls_are_what_the_upstream_counted(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (_, runtimes) = world.runtime(&ada).await;
    let bodies = (0..40).map(|number| if number % 2 == 0 { call("answers", number) } else { streamed("answers", number) });
    let calls = bodies.enumerate().map(|(number, body)| {
        let (world, key) = (&world, if number % 3 == 0 { &runtimes } else { &key });
        async move { world.post("chat/completions", key, &body).await.text().await.unwrap() }
    });
    assert!(futures::future::join_all(calls).await.iter().all(|said| !said.contains("error")));
    world.post("embeddings", &key, &json!({"model": "priced", "input": "hello"})).await.text().await.unwrap();
    world.settled().await;
    let records = world.records().await;
    assert_eq!(records.len(), world.upstream.seen.lock().unwrap().len());
    assert!(records.iter().all(|record| record.5 == "done" && !record.6), "{records:?}");
    assert_eq!(records.iter().map(|record| record.1 + record.3).sum::<i64>(), *world.upstream.tokens.lock().unwrap());

    // By runtime and by key it is the same whole.
    let report = server::model::usage::report(&world.service, &ada, contract::Whose::Mine, 7, contract::Breakdown::Key).await.unwrap();
    let calls = |lines: &[contract::UsageLine]| lines.iter().map(|line| (line.name.clone(), line.totals.calls)).collect::<Vec<_>>();
    assert_eq!((calls(&report.by_key), report.by_runtime[0].totals.calls), (vec![("laptop".to_owned(), 27)], 14));
    assert_eq!(report.by_runtime[0].totals.cost + report.by_key[0].totals.cost, report.totals.cost);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_passes_and_shows_usage_only_to_who_asked(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let answer = world.chat(&key, &streamed("answers", 3)).await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let text = answer.text().await.unwrap();
    assert!(text.matches("\"word\"").count() == 3 && text.ends_with("data: [DONE]\n\n") && !text.contains("usage"), "{text}");

    let mut body = streamed("answers", 3);
    body["stream_options"] = json!({"include_usage": true, "other": 1});
    let text = world.chat(&key, &body).await.text().await.unwrap();
    assert!(text.contains("\"completion_tokens\":3"), "{text}");
    {
        let seen = world.upstream.seen.lock().unwrap();
        assert_eq!(seen[0].body["stream_options"], json!({"include_usage": true}));
        assert_eq!(seen[1].body["stream_options"], json!({"include_usage": true, "other": 1}));
    }
    world.settled().await;
    for record in world.records().await {
        assert_eq!((record.1, record.3, record.5.as_str(), record.6), (10, 3, "done", false));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_caller_who_hangs_up_is_counted_in_full(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let mut answer = world.chat(&key, &streamed("drips", 20)).await;
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    world.settled().await;
    assert_eq!(world.records().await, [("priced".to_owned(), 10, 4, 20, 320, "hung_up".to_owned(), false)]);

    // One who goes before the answer begins, too.
    let early = world.http.post(format!("http://{}/v1/chat/completions", world.public)).bearer_auth(&key).json(&call("is slow", 9));
    assert!(early.timeout(Duration::from_millis(100)).send().await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.settled().await;
    let records = world.records().await;
    assert_eq!((records.len(), records[1].3), (2, 9), "{records:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_caller_who_goes_after_the_last_event_did_not_hang_up(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let mut answer = world.chat(&key, &streamed("lingers", 3)).await;
    let mut text = Vec::new();
    while !text.ends_with(b"data: [DONE]\n\n") {
        text.extend_from_slice(&answer.chunk().await.unwrap().expect("the upstream has not ended it yet"));
    }
    drop(answer);
    world.settled().await;
    assert_eq!(world.records().await, [("priced".to_owned(), 10, 4, 3, 65, "done".to_owned(), false)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_upstream_that_misbehaves_is_told_in_openais_shape_and_holds_nothing(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    for (does, status, code) in [
        ("refuses our key", 502, "upstream_failed"),
        ("has no credit", 502, "upstream_failed"),
        ("is busy", 429, "rate_limit_exceeded"),
        ("does not like it", 400, "invalid_request"),
        // Here the provider may have been at work.
        ("fails", 502, "upstream_failed"),
        ("takes too long", 502, "upstream_failed"),
    ] {
        let answer = world.chat(&key, &call(does, 5)).await;
        assert_eq!(answer.status(), status, "{does}");
        assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().unwrap()), (status == 429).then_some("7"), "{does}");
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["error"]["code"], code, "{does}");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(!message.contains("sk-abc") && message.contains("priced"), "{message}");
    }
    world.settled().await;
    for (place, (_, input, _, output, cost, outcome, estimated)) in world.records().await.into_iter().enumerate() {
        assert_eq!((outcome.as_str(), output, estimated), ("failed", 0, place > 3));
        assert!(
            if estimated { (20..40).contains(&input) && cost == 3 * input } else { input == 0 && cost == 0 },
            "{place}: {input} {cost}"
        );
    }

    // An answer without a count is estimated, and marked as such.
    world.chat(&key, &call("counts nothing", 5)).await.text().await.unwrap();
    world.chat(&key, &call("talks garbage", 5)).await.text().await.unwrap();
    world.chat(&key, &streamed("counts nothing", 6)).await.text().await.unwrap();
    let broken = world.chat(&key, &streamed("stops in the middle", 10)).await.text().await.unwrap();
    assert!(broken.contains("\"error\"") && !broken.contains("[DONE]"), "{broken}");
    world.settled().await;
    let records = world.records().await.split_off(6);
    assert_eq!(records.iter().map(|record| record.5.as_str()).collect::<Vec<_>>(), ["done", "done", "done", "failed"]);
    assert!(records.iter().all(|record| record.6 && record.1 > 0), "{records:?}");
    assert_eq!((records[2].3, records[3].3), (6, 5), "a token a chunk");
    let reserved: i64 = sqlx::query_scalar("select count(*) from reservation where person_id = $1")
        .bind(ada.person_id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(reserved, 0);
}

/// A server that hangs up on every call: before the answer, or in the middle of it when its behaviour names one.
async fn server_that_dies() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let half = |kind: &str, text: String| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 4000\r\n\r\n{text}");
    let whole = half("application/json", "w".repeat(400));
    let stream = half("text/event-stream", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n".repeat(7));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let read = socket.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..read]);
            }
            let request = String::from_utf8(request).unwrap();
            let says = if request.contains("half an answer") {
                &*whole
            } else if request.contains("half a stream") {
                &*stream
            } else {
                ""
            };
            socket.write_all(says.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_litellm_that_dies_over_a_call_leaves_an_estimate(pool: Pool) {
    let world = World::before(pool, crate::support::config(Some(server_that_dies().await))).await;
    let (_, key, _) = world.with_key("ada").await;
    for (body, status, output) in [
        (call("dies", 5), 502, 0),
        (streamed("dies", 5), 502, 0),
        (call("half an answer", 5), 502, 100),
        (streamed("half a stream", 5), 200, 7),
    ] {
        let answer = world.chat(&key, &body).await;
        assert_eq!(answer.status(), status, "{body}");
        let said = answer.text().await.unwrap();
        assert!(said.contains("upstream_failed"), "{said}");
        world.settled().await;
        let (_, input, _, counted, cost, outcome, estimated) = world.records().await.pop().unwrap();
        assert_eq!((counted, outcome.as_str(), estimated, cost), (output, "failed", true, 3 * input + 15 * output));
        assert!((20..40).contains(&input), "about a quarter of the body: {input}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_litellm_that_is_down_is_told_and_costs_nothing(pool: Pool) {
    let world = World::before(pool, crate::support::config(Some("http://127.0.0.1:1".to_owned()))).await;
    let (_, key, _) = world.with_key("ada").await;
    let answer = world.chat(&key, &call("answers", 5)).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["error"]["code"], "service_unavailable");
    world.settled().await;
    assert_eq!(world.records().await, [("priced".to_owned(), 0, 0, 0, 0, "failed".to_owned(), false)]);
    assert!(server::model::litellm::health(&world.service).await.problem.is_some());
}

#[sqlx::test(migrations = "../migrations")]
async fn bad_requests_are_told_what_is_wrong(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    world.model("secret-draft", Some((0, 0, 0)), false).await;
    world.model("unpriced", None, true).await;
    let post =
        |path: &str, body: Vec<u8>| world.http.post(format!("http://{}/v1/{path}", world.public)).bearer_auth(&key).body(body).send();
    let model = |name: &str| json!({"model": name, "messages": []}).to_string().into_bytes();
    for (path, body, status, code) in [
        ("chat/completions", b"{not json".to_vec(), 400, "invalid_request"),
        ("chat/completions", b"".to_vec(), 400, "invalid_request"),
        ("chat/completions", b"[1]".to_vec(), 400, "invalid_request"),
        ("chat/completions", json!({"model": "priced"}).to_string().into_bytes(), 400, "invalid_request"),
        ("embeddings", json!({"model": "priced", "messages": []}).to_string().into_bytes(), 400, "invalid_request"),
        ("chat/completions", vec![b' '; MOST_BYTES + 1], 413, "request_too_large"),
        ("chat/completions", model("no-such-model"), 404, "model_not_found"),
        ("chat/completions", model("secret-draft"), 404, "model_not_found"),
        ("chat/completions", model("unpriced"), 403, "model_not_priced"),
        ("nowhere", Vec::new(), 404, "unknown_url"),
        ("models", Vec::new(), 405, "method_not_allowed"),
    ] {
        let answer = post(path, body).await.unwrap();
        assert_eq!(answer.status(), status, "{path} {code}");
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["error"]["code"], code);
        assert!(said["error"]["message"].as_str().unwrap().len() > 20);
    }
    assert!(world.upstream.seen.lock().unwrap().is_empty(), "nothing of it reached the upstream");
    assert!(world.records().await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn embeddings_are_counted_and_models_are_listed(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let url = |path: &str| format!("http://{}/v1/{path}", world.public);
    let answer =
        world.http.post(url("embeddings")).bearer_auth(&key).json(&json!({"model": "priced", "input": "hello"})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    world.settled().await;
    assert_eq!(world.records().await, [("priced".to_owned(), 10, 0, 0, 30, "done".to_owned(), false)]);

    let list: Value = world.http.get(url("models")).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    let names: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo", "priced"], "the default first");
    let one: Value = world.http.get(url("models/priced")).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    assert_eq!((one["id"].as_str(), one["object"].as_str()), (Some("priced"), Some("model")));
    assert_eq!(world.http.get(url("models/none")).bearer_auth(&key).send().await.unwrap().status(), 404);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_price_is_copied_so_that_history_does_not_change(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    world.chat(&key, &call("answers", 7)).await;
    world.settled().await;
    sqlx::query("update model set input_price = 0, cached_input_price = 0, output_price = 0 where name = 'priced'")
        .execute(&world.pool)
        .await
        .unwrap();
    world.chat(&key, &call("answers", 7)).await;
    world.settled().await;
    assert_eq!(world.records().await.iter().map(|record| record.4).collect::<Vec<_>>(), [125, 0]);
}

#[sqlx::test(migrations = "../migrations")]
async fn usage_is_reported_by_day_model_and_person_and_only_to_whom_it_concerns(pool: Pool) {
    use contract::{Breakdown, Code, Whose};
    use server::model::usage::report;
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (eve, other, _) = world.with_key("eve").await;
    let admin = world.person("root", Role::Administrator).await;
    world.chat(&key, &call("answers", 7)).await;
    world.settled().await;
    world.clock.advance(time::Duration::days(1));
    world.chat(&key, &call("answers", 7)).await;
    world.chat(&other, &call("answers", 2)).await;
    world.settled().await;

    let mine = report(&world.service, &ada, Whose::Mine, 7, Breakdown::Model).await.unwrap();
    assert_eq!((mine.totals.calls, mine.totals.input_tokens, mine.totals.output_tokens, mine.totals.cost.0), (2, 20, 14, 250));
    assert_eq!(mine.by_day.iter().map(|day| day.day.day()).collect::<Vec<_>>(), [22, 23]);
    assert!(mine.by_person.is_empty() && mine.by_model.len() == 1);
    assert_eq!(report(&world.service, &ada, Whose::Mine, 1, Breakdown::Model).await.unwrap().totals.calls, 1, "today alone");

    let all = report(&world.service, &admin, Whose::Everyone, 30, Breakdown::Person).await.unwrap();
    assert_eq!(all.totals.calls, 3);
    assert_eq!(all.by_person.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["ada", "eve"]);
    let days = all.by_day.iter().map(|day| (day.day.day(), day.line, day.totals.calls)).collect::<Vec<_>>();
    assert_eq!(days, [(22, Some(0), 1), (23, Some(0), 1), (23, Some(1), 1)], "of each person");
    assert_eq!(report(&world.service, &admin, Whose::Person(eve.person_id), 7, Breakdown::Model).await.unwrap().totals.calls, 1);

    for whose in [Whose::Everyone, Whose::Person(eve.person_id)] {
        let error = report(&world.service, &ada, whose, 7, Breakdown::Model).await.unwrap_err();
        assert_eq!(error.into_problem().code, Code::AccessDenied);
    }
    for (whose, by) in [(Whose::Mine, Breakdown::Person), (Whose::Everyone, Breakdown::Key)] {
        let error = report(&world.service, &admin, whose, 7, by).await.unwrap_err();
        assert_eq!(error.into_problem().code, Code::Invalid);
    }
}
