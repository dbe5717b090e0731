//! Each shape of the API: what reaches the upstream, how it is counted and limited, and in whose words an error is said.

use crate::{
    support::{World, call},
    upstream::whole_stream,
};
use contract::{Role, Unit, Window};
use serde_json::{Value, json};
use server::data::Pool;

/// The shapes whose answers are text: path, the member that bounds them, and a call.
fn shapes() -> [(&'static str, &'static str, Value); 4] {
    let with = |member: &str, content: Value| {
        let mut body = call("answers", 7);
        body.as_object_mut().unwrap().remove("messages");
        body[member] = content;
        body
    };
    let messages = json!([{"role": "user", "content": "hello"}]);
    [
        ("chat/completions", "max_tokens", with("messages", messages.clone())),
        ("completions", "max_tokens", with("prompt", json!("hello"))),
        ("responses", "max_output_tokens", with("input", json!("hello"))),
        ("messages", "max_tokens", with("messages", messages)),
    ]
}

fn and(mut body: Value, member: &str, value: impl Into<Value>) -> Value {
    body[member] = value.into();
    body
}

fn doing(mut body: Value, does: &str) -> Value {
    body["x_fake"]["does"] = json!(does);
    body
}

#[sqlx::test(migrations = "../migrations")]
async fn every_shape_passes_untouched_and_is_counted_as_the_upstream_counts(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    for (path, length, body) in shapes() {
        let body = and(and(body, length, 500), "unheard_of", json!({"a": [1, null]}));
        let answer = world
            .http
            .post(format!("http://{}/v1/{path}", world.public))
            .header("x-api-key", &key)
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "some-2026-01-01")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let id = answer.headers()["x-request-id"].clone();
        assert_eq!((id.len(), answer.headers().get("request-id")), (32, (path == "messages").then_some(&id)));
        let overhead: f64 = answer.headers()["x-clawloops-overhead-ms"].to_str().unwrap().parse().unwrap();
        assert!((0.0..10_000.0).contains(&overhead));
        assert!(answer.text().await.unwrap().contains("\"hi\""));
        {
            let seen = world.upstream.seen.lock().unwrap();
            let seen = seen.last().unwrap();
            assert_eq!(seen.body, body, "without a limit nothing of the body is changed");
            assert_eq!(seen.headers["authorization"], "Bearer sk-master");
            assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
            assert_eq!(seen.headers["anthropic-beta"], "some-2026-01-01");
            assert!(!seen.headers.contains_key("x-api-key"), "the caller's key stays here");
        }

        let streamed = and(body.clone(), "stream", true);
        let answer = world.post(path, &key, &streamed).await;
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        let text = answer.text().await.unwrap();
        if path.ends_with("completions") {
            assert!(text.matches("\"word\"").count() == 7 && text.ends_with("data: [DONE]\n\n") && !text.contains("usage"), "{text}");
            let text = world.post(path, &key, &and(streamed, "stream_options", json!({"include_usage": true}))).await.text().await.unwrap();
            assert!(text.contains("\"completion_tokens\":7"), "{text}");
        } else {
            assert_eq!(text, whole_stream(path, 7), "every byte of it");
            assert_eq!(world.upstream.seen.lock().unwrap().last().unwrap().body, streamed);
        }
    }
    world.settled().await;
    let records = world.records().await;
    assert_eq!(records.len(), 10);
    for record in records {
        // (10 - 4) at 3 $, 4 cached at 0.30 $, 7 answered at 15 $ a million, rounded up.
        assert_eq!(record, ("priced".to_owned(), 10, 4, 7, 125, "done".to_owned(), false));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_limit_cuts_every_shape_in_its_own_word_and_tells_what_is_left(pool: Pool) {
    let world = World::new(pool).await;
    for (place, (path, length, body)) in shapes().into_iter().enumerate() {
        let (person, key, _) = world.with_key(&format!("person{place}")).await;
        world.limit(&person, Window::Day, Unit::Tokens, Some(300)).await;
        let mut body = body;
        body["x_fake"]["output"] = json!(1000);
        let answer = world.post(path, &key, &and(body.clone(), "n_predict", 900)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers().clone();
        drop(answer.text().await);
        world.settled().await;
        let most = {
            let seen = world.upstream.seen.lock().unwrap();
            let seen = &seen.last().unwrap().body;
            assert!(seen.get("n_predict").is_none(), "{seen}");
            seen[length].as_i64().unwrap()
        };
        assert!((16..300).contains(&most), "{path}: {most}");
        let line = world.budgets(&person).await.remove(0);
        assert_eq!(line.settled, 10 + most);
        assert!(line.settled <= 300 && line.reserved == 0, "{path}: {line:?}");
        let name = |rest: &str, anthropic: &str| {
            if path == "messages" { format!("anthropic-ratelimit-tokens-{anthropic}") } else { format!("x-ratelimit-{rest}") }
        };
        let told = |headers: &reqwest::header::HeaderMap, name: String| headers.get(&name).map(|value| value.to_str().unwrap().to_owned());
        let reset = if path == "messages" { "2026-11-23T00:00:00Z" } else { "12h0m0s" };
        assert_eq!(told(&headers, name("limit-tokens", "limit")).as_deref(), Some("300"), "{path}");
        // All of it is held while the call runs; what a call that is over gave back is there again.
        let left: i64 = told(&headers, name("remaining-tokens", "remaining")).unwrap().parse().unwrap();
        assert!(left == 0 || left == 300 - line.settled, "{path}: {left} with {line:?}");
        assert_eq!(told(&headers, name("reset-tokens", "reset")).as_deref(), Some(reset));

        // What is left is too little: 429 in the words of this API, with the true rest.
        let refused = world.post(path, &key, &body).await;
        assert_eq!((refused.status().as_u16(), refused.headers()["x-clawloops-refusal"].to_str().unwrap()), (429, "budget"), "{path}");
        assert_eq!(refused.headers()["retry-after"], "43200");
        assert_eq!(refused.headers()["x-should-retry"], "false");
        let left = told(refused.headers(), name("remaining-tokens", "remaining"));
        assert_eq!(left, Some((300 - line.settled).to_string()));
        let id = refused.headers()["x-request-id"].to_str().unwrap().to_owned();
        let said: Value = refused.json().await.unwrap();
        if path == "messages" {
            assert_eq!(
                (&said["type"], &said["error"]["type"], &said["request_id"]),
                (&json!("error"), &json!("rate_limit_error"), &json!(id))
            );
        } else {
            assert_eq!(said["error"]["code"], "insufficient_quota");
        }
        assert!(said["error"]["message"].as_str().unwrap().contains("300 tokens a day"), "{said}");
    }
    // Without a limit nothing is said of one.
    let (_, key, _) = world.with_key("free").await;
    let answer = world.post("messages", &key, &shapes()[3].2).await;
    assert!(answer.headers().keys().all(|name| !name.as_str().contains("ratelimit")));
}

#[sqlx::test(migrations = "../migrations")]
async fn errors_are_said_in_the_words_of_the_api_that_was_called(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    world.model("unpriced", None, true).await;
    let body = shapes()[3].2.clone();
    for (key, body, status, kind) in [
        ("cl_live_000000000000_0123456789abcdef", body.clone(), 401, "authentication_error"),
        (&*key, and(body.clone(), "model", "none"), 404, "not_found_error"),
        (&*key, and(body.clone(), "model", "unpriced"), 403, "permission_error"),
        (&*key, and(body.clone(), "max_tokens", "many"), 400, "invalid_request_error"),
        (&*key, doing(body.clone(), "does not like it"), 400, "invalid_request_error"),
        (&*key, doing(body.clone(), "is busy"), 429, "rate_limit_error"),
        (&*key, doing(body.clone(), "fails"), 502, "api_error"),
    ] {
        for path in ["messages", "messages/count_tokens"] {
            let answer = world.post(path, key, &body).await;
            assert_eq!(answer.status(), status, "{path} {kind}");
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().unwrap()), (status == 429).then_some("7"));
            let id = answer.headers()["request-id"].to_str().unwrap().to_owned();
            let said: Value = answer.json().await.unwrap();
            assert_eq!((&said["type"], &said["error"]["type"], &said["request_id"]), (&json!("error"), &json!(kind), &json!(id)), "{said}");
            assert!(said["error"]["message"].as_str().unwrap().len() > 20);
        }
    }
    let get = async |path: &str, anthropic: bool| {
        let mut asked = world.http.get(format!("http://{}/v1/{path}", world.public)).header("x-api-key", &key);
        if anthropic {
            asked = asked.header("anthropic-version", "2023-06-01");
        }
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(get("messages", false).await.1["error"]["type"], "invalid_request_error");
    assert_eq!(get("models/none", true).await.1["error"]["type"], "not_found_error");
    assert_eq!(get("models/none", false).await.1["error"]["code"], "model_not_found");
    // Models in the words of either.
    let (status, list) = get("models", true).await;
    assert_eq!((status, &list["has_more"], &list["first_id"], &list["last_id"]), (200, &json!(false), &json!("demo"), &json!("priced")));
    let one = get("models/priced", true).await.1;
    assert_eq!((&one["type"], &one["id"], &one["display_name"]), (&json!("model"), &json!("priced"), &json!("priced")));
    assert!(one["created_at"].as_str().unwrap().ends_with('Z'), "{one}");
    assert_eq!(get("models/priced", false).await.1["object"], "model");
    // What is not offered says so.
    for path in ["audio/translations", "images/edits", "images/variations"] {
        let answer = world.post(path, &key, &json!({"model": "priced", "input": "hello", "prompt": "a cat"})).await;
        assert_eq!(answer.status(), 404);
        let said: Value = answer.json().await.unwrap();
        assert!(said["error"]["message"].as_str().unwrap().contains("there are /v1/images/generations"), "{said}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_that_breaks_off_says_so_in_its_own_words(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    for (path, _, body) in shapes() {
        let body = doing(and(body, "stream", true), "stops in the middle");
        let text = world.post(path, &key, &body).await.text().await.unwrap();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let data: Value = serde_json::from_str(last.lines().last().unwrap().strip_prefix("data: ").unwrap()).unwrap();
        match path {
            "messages" => {
                assert!(last.starts_with("event: error\n"), "{last}");
                assert_eq!((&data["type"], &data["error"]["type"]), (&json!("error"), &json!("api_error")));
            }
            "responses" => {
                assert!(last.starts_with("event: error\n"), "{last}");
                assert_eq!(
                    (&data["type"], &data["code"], &data["error"]["code"]),
                    (&json!("error"), &json!("upstream_failed"), &json!("upstream_failed"))
                );
            }
            _ => assert_eq!(data["error"]["code"], "upstream_failed"),
        }
    }
    world.settled().await;
    for record in world.records().await {
        // A token a piece is what was seen of it, in a message too, where the upstream had counted the beginning.
        let (_, input, _, output, _, outcome, estimated) = record;
        assert!(outcome == "failed" && estimated && input > 0 && (2..=3).contains(&output), "{input} {output} {outcome}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_answer_without_a_count_is_estimated_in_every_shape(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    for (path, _, body) in shapes().into_iter().take(3) {
        for stream in [false, true] {
            let body = doing(and(body.clone(), "stream", stream), "counts nothing");
            drop(world.post(path, &key, &body).await.text().await);
            world.settled().await;
            let (_, input, _, output, _, outcome, estimated) = world.records().await.pop().unwrap();
            assert!(estimated && outcome == "done" && input > 0, "{path}");
            assert!(if stream { output == 7 } else { output > 7 }, "a token a piece, or four bytes: {path} {output}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_caller_of_messages_who_hangs_up_is_counted_in_full(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    for place in [2, 3] {
        let (path, _, body) = shapes()[place].clone();
        let mut answer = world.post(path, &key, &doing(and(body, "stream", true), "drips")).await;
        assert!(answer.chunk().await.unwrap().is_some());
        drop(answer);
        world.settled().await;
        assert_eq!(world.records().await.pop().unwrap(), ("priced".to_owned(), 10, 4, 7, 125, "hung_up".to_owned(), false), "{path}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_reads_a_refusal_as_an_answer_of_its_shape(pool: Pool) {
    let world = World::new(pool).await;
    world.person("root", Role::Administrator).await;
    let (ada, ..) = world.with_key("ada").await;
    let (_, key) = world.runtime(&ada).await;
    world.limit(&ada, Window::Day, Unit::Money, Some(50)).await;
    for (path, _, body) in shapes() {
        let answer = world.post(path, &key, &body).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["x-clawloops-refusal"].to_str().unwrap()), (200, "budget"), "{path}");
        let said: Value = answer.json().await.unwrap();
        let (text, usage) = match path {
            "chat/completions" => (&said["choices"][0]["message"]["content"], &said["usage"]["total_tokens"]),
            "completions" => (&said["choices"][0]["text"], &said["usage"]["total_tokens"]),
            "responses" => (&said["output"][0]["content"][0]["text"], &said["usage"]["total_tokens"]),
            _ => (&said["content"][0]["text"], &said["usage"]["output_tokens"]),
        };
        assert!(text.as_str().unwrap().starts_with("Your limit of $0.00005 a day is used up"), "{said}");
        assert_eq!(usage, 0, "{said}");

        let stream = world.post(path, &key, &and(body, "stream", true)).await;
        assert_eq!(stream.headers()["content-type"], "text/event-stream; charset=utf-8");
        let stream = stream.text().await.unwrap();
        let events: Vec<Value> = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let first = &events[0];
        match path {
            "responses" => {
                assert_eq!((&first["type"], &events.last().unwrap()["type"]), (&json!("response.created"), &json!("response.completed")));
                assert_eq!(
                    events.iter().map(|event| event["sequence_number"].as_i64().unwrap()).collect::<Vec<_>>(),
                    (0..9).collect::<Vec<_>>()
                );
            }
            "messages" => assert_eq!((&first["type"], &events.last().unwrap()["type"]), (&json!("message_start"), &json!("message_stop"))),
            _ => assert!(stream.ends_with("data: [DONE]\n\n")),
        }
        assert!(stream.contains("Your limit of $0.00005 a day"), "{stream}");
    }
    // Where no text is answered an error is: nobody would read it.
    let refused = world.post("embeddings", &key, &json!({"model": "priced", "input": "hello ".repeat(20)})).await;
    assert_eq!(refused.status(), 429);
    world.settled().await;
    let records = world.records().await;
    assert_eq!(records.len(), 9);
    assert!(records.iter().all(|record| record.4 == 0 && record.5 == "refused"));
    assert!(world.upstream.seen.lock().unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn tokens_are_counted_for_nothing(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(0)).await;
    let body = json!({"model": "priced", "messages": [{"role": "user", "content": "hello"}], "fallbacks": ["dear"]});
    let answer = world.post("messages/count_tokens", &key, &body).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-clawloops-overhead-ms"));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"input_tokens": 10}));
    assert!(world.upstream.seen.lock().unwrap()[0].body.get("fallbacks").is_none());
    world.settled().await;
    assert!(world.records().await.is_empty());
    assert_eq!(world.budgets(&ada).await[0].settled, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_body_only_names_is_held_as_the_whole_context(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(50_000)).await;
    let body = and(shapes()[2].2.clone(), "max_output_tokens", 20);
    assert_eq!(world.post("responses", &key, &body).await.status(), 200);
    // The model takes 100,000 tokens, and the earlier conversation may have them.
    let refused = world.post("responses", &key, &and(body.clone(), "previous_response_id", "resp_1")).await;
    assert_eq!(refused.status(), 429);
    world.limit(&ada, Window::Day, Unit::Tokens, Some(200_000)).await;
    assert_eq!(world.post("responses", &key, &and(body, "previous_response_id", "resp_1")).await.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_provider_would_run_by_itself_is_refused_in_every_shape(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    for (path, _, body) in shapes() {
        for (member, value) in [
            ("tools", json!([{"type": "web_search_20250305", "name": "web_search"}])),
            ("tools", json!([{"type": "mcp", "server_url": "litellm_proxy"}])),
            ("mcp_servers", json!([{"type": "url", "url": "https://example.com"}])),
            ("background", json!(true)),
        ] {
            let answer = world.post(path, &key, &and(body.clone(), member, value)).await;
            assert_eq!(answer.status(), 400, "{path} {member}");
            let said: Value = answer.json().await.unwrap();
            assert!(said["error"]["message"].as_str().unwrap().contains("not offered here"), "{said}");
        }
        let steered = and(and(and(body, "service_tier", "priority"), "silent_model", "dear"), "metadata", json!({"tags": ["x"]}));
        assert_eq!(world.post(path, &key, &steered).await.status(), 200);
        let seen = world.upstream.seen.lock().unwrap();
        let seen = &seen.last().unwrap().body;
        assert!(["service_tier", "silent_model", "metadata"].iter().all(|member| seen.get(member).is_none()), "{seen}");
    }
    assert_eq!(world.upstream.seen.lock().unwrap().len(), 4);
}
