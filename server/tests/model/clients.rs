//! The clients that people use, unchanged: through the door, a real LiteLLM and an upstream that calls tools, in every shape they speak. `make test`
//! sets where they are; without them this fails.

use crate::{
    real::{free_port, program},
    support::{World, config, serve},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
    routing::post,
};
use contract::{Caller, CountedIn, Micros, ModelChange, NewProvider, Price, ProviderKind, Role, Unit, Window};
use serde_json::{Value, json};
use server::{
    data::{Pool, listen::Change},
    model::{catalog, providers},
};
use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

/// What the upstream counted: sent, cached, answered.
type Book = Arc<Mutex<Vec<(i64, i64, i64)>>>;

/// What a client was told of a call: its name, then sent, cached and answered, where it was.
type Told = (String, Option<i64>, Option<i64>, Option<i64>);

const SENT: i64 = 40;
const CACHED: i64 = 16;

#[sqlx::test(migrations = "../migrations")]
async fn real_clients_speak_every_shape_and_are_counted_as_the_upstream_counts(pool: Pool) {
    let book = Book::default();
    let upstream = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completion))
        .route("/v1/embeddings", post(embedding))
        .route("/v1/images/generations", post(pictures))
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/transcriptions", post(transcription))
        .with_state(book.clone());
    let upstream = serve(upstream).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(None);
    config.data.data_dir = folder.path().to_owned();
    config.models.litellm_bin = Some(program("CLAWLOOPS_LITELLM_BIN"));
    config.models.litellm_port = free_port();
    let world = World::before(pool, config).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (eve, spent, _) = world.with_key("eve").await;
    world.limit(&eve, Window::Day, Unit::Tokens, Some(1)).await;
    let admin = Caller { role: Role::Administrator, ..ada.clone() };
    let provider = NewProvider {
        kind: ProviderKind::OpenAiCompatible,
        allows_private: true,
        region: None,
        is_direct: false,
        name: "Tools".to_owned(),
        base_url: Some(format!("http://{upstream}/v1")),
        secret: None,
    };
    let provider = providers::add(&world.service, &admin, provider).await.unwrap();
    let model = ModelChange {
        name: "team/tools".to_owned(),
        upstream: "tools".to_owned(),
        description: String::new(),
        context_tokens: 100_000,
        output_tokens: 1000,
        price: Some(Price::FREE),
        counted_in: CountedIn::Tokens,
        published: true,
        groups: None,
        is_default: false,
        fallbacks: Vec::new(),
    };
    for (name, counted_in) in
        [("team/pictures", CountedIn::Images), ("team/voice", CountedIn::Characters), ("team/dictation", CountedIn::Seconds)]
    {
        let price = Some(Price::each(counted_in, Micros(1_000_000)));
        let media = ModelChange { name: name.to_owned(), upstream: name.replace("team/", ""), price, counted_in, ..model.clone() };
        catalog::add(&world.service, &admin, provider.provider_id, media).await.unwrap();
    }
    catalog::add(&world.service, &admin, provider.provider_id, model).await.unwrap();
    world.service.changes().tell(Change::Catalog);
    // LiteLLM comes up.
    let body = json!({"model": "team/tools", "messages": [{"role": "user", "content": "hello"}]});
    for _ in 0..4 {
        if world.chat(&key, &body).await.status() == 200 {
            break;
        }
    }
    world.settled().await;
    assert_eq!(book.lock().unwrap().len(), 1, "LiteLLM did not come up");

    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = (program("CLAWLOOPS_TEST_PYTHON"), here.join("tests/clients/python.py"));
    let node = (program("CLAWLOOPS_TEST_NODE"), here.join("tests/clients/node.mjs"));
    for (program, script) in [python, node] {
        let (before, counted) = (world.records().await.len(), book.lock().unwrap().len());
        let run = tokio::process::Command::new(&program)
            .arg(&script)
            .env("BASE_URL", format!("http://{}", world.public))
            .env("PACKAGES", here.join("../end2end"))
            .envs([("KEY", &*key), ("SPENT_KEY", &*spent), ("MODEL", "team/tools"), ("NO_PROXY", "127.0.0.1")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        world.settled().await;
        let told: Vec<Told> = String::from_utf8(run.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let records: Vec<_> = world.records().await.split_off(before).into_iter().filter(|record| record.5 != "refused").collect();
        let book = book.lock().unwrap().split_off(counted);
        assert_eq!((records.len(), book.len()), (told.len(), told.len()), "a record a call: {told:?}");
        for ((name, sent, cached, answered), (record, counted)) in told.into_iter().zip(records.into_iter().zip(book)) {
            let (_, input, cached_input, output, _, outcome, estimated) = record;
            assert_eq!((input, cached_input, output), counted, "{name}");
            assert_eq!((outcome.as_str(), estimated), ("done", false), "{name}");
            // What the client was told, where it was.
            assert_eq!((sent.unwrap_or(input), cached.unwrap_or(cached_input), answered.unwrap_or(output)), counted, "{name}");
        }
    }
    world.stop().await;
}

/// A chat that calls the tool it is offered, and says what came of it.
async fn chat(State(book): State<Book>, Json(body): Json<Value>) -> Response {
    let messages = body["messages"].as_array().unwrap();
    let has_result = messages.iter().any(|message| message["role"] == "tool");
    let has_picture = body["messages"].to_string().contains("data:image/png;base64,iVBORw0KGgo");
    let calls = body["tools"].is_array() && !has_result;
    let text = if has_result {
        "It is sunny."
    } else if has_picture {
        "A picture."
    } else if body["response_format"].is_object() {
        "{\"ok\": true}"
    } else {
        "Hello."
    };
    let answered = if calls { 9 } else { 5 };
    book.lock().unwrap().push((SENT, CACHED, answered));
    let usage = json!({"prompt_tokens": SENT, "completion_tokens": answered, "total_tokens": SENT + answered,
                       "prompt_tokens_details": {"cached_tokens": CACHED}});
    let call = |arguments: &str| json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]);
    let finish = if calls { "tool_calls" } else { "stop" };
    if body["stream"] != true {
        let message = if calls {
            json!({"role": "assistant", "content": null, "tool_calls": call("{\"city\": \"Paris\"}")})
        } else {
            json!({"role": "assistant", "content": text})
        };
        return Json(json!({"id": "1", "object": "chat.completion", "created": 1, "model": "tools",
                           "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}))
        .into_response();
    }
    let deltas = if calls {
        let more = json!([{"index": 0, "function": {"arguments": "{\"city\": \"Paris\"}"}}]);
        vec![json!({"role": "assistant", "tool_calls": call("")}), json!({"tool_calls": more})]
    } else {
        let (one, other) = text.split_at(4);
        vec![json!({"role": "assistant", "content": one}), json!({"content": other})]
    };
    let choices = deltas.into_iter().map(|delta| json!([{"index": 0, "delta": delta, "finish_reason": null}]));
    let mut events: Vec<Value> =
        choices.chain([json!([{"index": 0, "delta": {}, "finish_reason": finish}])]).map(|choices| chunk(&choices)).collect();
    let mut last = chunk(&json!([]));
    last["usage"] = usage;
    events.push(last);
    stream(&events)
}

fn chunk(choices: &Value) -> Value {
    json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tools", "choices": choices})
}

fn stream(events: &[Value]) -> Response {
    let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from(text)).into_response()
}

async fn completion(State(book): State<Book>, Json(body): Json<Value>) -> Response {
    book.lock().unwrap().push((SENT, CACHED, 3));
    let usage = json!({"prompt_tokens": SENT, "completion_tokens": 3, "total_tokens": SENT + 3, "prompt_tokens_details": {"cached_tokens": CACHED}});
    let completion = |text: &str, finish: Value| {
        json!({"id": "1", "object": "text_completion", "created": 1, "model": "tools",
               "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": null}]})
    };
    if body["stream"] != true {
        let mut whole = completion("Something.", json!("stop"));
        whole["usage"] = usage;
        return Json(whole).into_response();
    }
    let mut last = completion("", Value::Null);
    (last["choices"], last["usage"]) = (json!([]), usage);
    stream(&[completion("Some", Value::Null), completion("thing.", json!("stop")), last])
}

async fn pictures(State(book): State<Book>, Json(body): Json<Value>) -> Response {
    assert_eq!(body["model"], "pictures");
    let number = body["n"].as_i64().unwrap();
    book.lock().unwrap().push((number, 0, 0));
    let data: Vec<Value> = (0..number).map(|_| json!({"b64_json": "AAAA"})).collect();
    Json(json!({"created": 1, "data": data})).into_response()
}

async fn speech(State(book): State<Book>, Json(body): Json<Value>) -> Response {
    assert_eq!((&body["model"], &body["speed"]), (&json!("voice"), &json!(1.25)));
    book.lock().unwrap().push((i64::try_from(body["input"].as_str().unwrap().chars().count()).unwrap(), 0, 0));
    ([(header::CONTENT_TYPE, "audio/mpeg")], Body::from(&b"\xff\xfb\x90 spoken"[..])).into_response()
}

async fn transcription(State(book): State<Book>, body: Bytes) -> Response {
    let form = String::from_utf8_lossy(&body);
    assert!(form.contains("dictation") && form.contains("RIFF....WAVE"), "{form}");
    book.lock().unwrap().push((8, 0, 0));
    Json(json!({"text": "Hello.", "duration": 7.5, "usage": {"type": "duration", "seconds": 8}})).into_response()
}

async fn embedding(State(book): State<Book>, Json(_): Json<Value>) -> Response {
    book.lock().unwrap().push((SENT, 0, 0));
    Json(json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}], "model": "tools",
                "usage": {"prompt_tokens": SENT, "total_tokens": SENT}}))
    .into_response()
}
