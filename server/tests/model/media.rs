//! Pictures, speech and transcriptions: priced by the piece or by tokens, held before they are sent, counted as the upstream counts, in their own bytes.

use crate::support::{Seen, Upstream, World, misbehaves, paced};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::post,
};
use contract::{Breakdown, Code, CountedIn, Micros, ModelChange, NewProvider, Price, ProviderKind, Role, Unit, Whose, Window};
use serde_json::{Value, json};
use server::{
    data::{Pool, listen::Change},
    model::{catalog, providers, usage},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// What the upstream says in audio.
const AUDIO: &[u8] = b"\xff\xfb\x90\x00 not really \r\n\r\n data: music \x00";
/// A recording of which the upstream hears seven and a half seconds.
const RECORDING: &str = "RIFF....WAVE";

/// The part of the fake upstream that makes pictures, speaks and listens. It does what the prompt, the voice or the language says.
pub fn upstream() -> Router<Arc<Upstream>> {
    Router::new()
        .route("/v1/images/generations", post(pictures))
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/transcriptions", post(transcription))
        .layer(DefaultBodyLimit::disable())
}

async fn pictures(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let does = body["prompt"].as_str().unwrap().to_owned();
    let number = body["n"].as_u64().unwrap_or(1);
    let stream = body["stream"] == true;
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    if let Some(response) = misbehaves(&does).await {
        return response;
    }
    let usage = json!({"input_tokens": 10, "output_tokens": 1000, "total_tokens": 1010, "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}});
    if stream {
        let events = [
            json!({"type": "image_generation.partial_image", "b64_json": "AA", "partial_image_index": 0}),
            json!({"type": "image_generation.completed", "b64_json": "AAAA", "usage": usage}),
        ];
        let events = events.map(|event| Ok(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))).into();
        return ([("content-type", "text/event-stream")], Body::from_stream(paced(&does, events))).into_response();
    }
    let number = if does == "makes one" { 1 } else { number };
    let data: Vec<Value> = (0..number).map(|_| json!({"b64_json": "AAAA"})).collect();
    if does == "counts tokens" {
        Json(json!({"created": 1, "data": data, "usage": usage}))
    } else {
        Json(json!({"created": 1, "data": data}))
    }
    .into_response()
}

async fn speech(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let does = body["voice"].as_str().unwrap().to_owned();
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    if let Some(response) = misbehaves(&does).await {
        return response;
    }
    let breaks = does == "stops in the middle";
    let parts = futures::stream::unfold(0, move |number| async move {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        match number {
            2 if breaks => Some((Err(std::io::Error::other("gone")), 9)),
            0..=3 => Some((Ok(Bytes::from_static(AUDIO)), number + 1)),
            _ => None,
        }
    });
    ([("content-type", "audio/mpeg")], Body::from_stream(parts)).into_response()
}

async fn transcription(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    let does = |what: &str| text.contains(what);
    let answer = if does("counts tokens") {
        Json(json!({"text": "hello", "usage": {"type": "tokens", "input_tokens": 70, "output_tokens": 4, "total_tokens": 74}}))
            .into_response()
    } else if does("verbose_json") {
        Json(json!({"text": "hello", "duration": "7.5", "segments": []})).into_response()
    } else if does("\r\n\r\ntext\r\n") {
        "hello\n".into_response()
    } else if does("fails") {
        misbehaves("fails").await.unwrap()
    } else {
        Json(json!({"text": "hello", "usage": {"type": "duration", "seconds": 8}})).into_response()
    };
    upstream.seen.lock().unwrap().push(Seen { headers, body: Value::String(text) });
    answer
}

/// Publishes a model that is counted in this, at so many micro-units for what people read a price of.
async fn publish(world: &World, name: &str, counted_in: CountedIn, each: i64) {
    world.model(name, None, true).await;
    change(world, name, counted_in, Price::each(counted_in, Micros(each))).await.unwrap();
}

async fn change(world: &World, name: &str, counted_in: CountedIn, price: Price) -> Result<(), Code> {
    let admin = world.person(&format!("root-{}", uuid::Uuid::now_v7()), Role::Administrator).await;
    let model = catalog::all(&world.service, &admin).await.unwrap().into_iter().find(|model| model.name == name).unwrap();
    let change = ModelChange {
        name: model.name,
        upstream: model.upstream,
        description: model.description,
        context_tokens: model.context_tokens,
        output_tokens: model.output_tokens,
        price: Some(price),
        counted_in,
        published: true,
        groups: None,
        is_default: false,
        fallbacks: Vec::new(),
    };
    let changed = catalog::change(&world.service, &admin, model.model_id, change).await;
    world.service.changes().tell(Change::Catalog);
    changed.map(drop).map_err(|error| error.into_problem().code)
}

/// A form with a recording and these fields, as a client writes it.
fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    with_file(Some(RECORDING.as_bytes()), fields)
}

fn with_file(file: Option<&[u8]>, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(file) = file {
        body.extend_from_slice(
            b"--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n",
        );
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    for (name, value) in fields {
        body.extend_from_slice(format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    body.extend_from_slice(b"--b0undary--\r\n");
    body
}

async fn listen(world: &World, key: &str, form: Vec<u8>) -> reqwest::Response {
    let request = world.http.post(format!("http://{}/v1/audio/transcriptions", world.public)).bearer_auth(key);
    request.header("content-type", "multipart/form-data; boundary=b0undary").body(form).send().await.unwrap()
}

/// The error's code, in OpenAI's shape.
async fn code(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let said: Value = answer.json().await.unwrap();
    assert!(said["error"]["message"].is_string() && said["error"]["type"].is_string(), "{said}");
    (status, said["error"]["code"].as_str().unwrap().to_owned())
}

/// The last record: what was sent and answered, what it cost, how it ended, whether the count is ours.
async fn last(world: &World) -> (i64, i64, i64, String, bool) {
    world.settled().await;
    let (_, input, _, output, cost, outcome, estimated) = world.records().await.pop().unwrap();
    (input, output, cost, outcome, estimated)
}

fn done(input: i64, output: i64, cost: i64) -> (i64, i64, i64, String, bool) {
    (input, output, cost, "done".to_owned(), false)
}

#[sqlx::test(migrations = "../migrations")]
async fn pictures_are_held_by_how_many_are_asked_for_and_counted_by_how_many_came(pool: Pool) {
    let world = World::new(pool).await;
    publish(&world, "pictures", CountedIn::Images, 40_000).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Money, Some(100_000)).await;
    let body = json!({"model": "pictures", "prompt": "a boat", "n": 2, "background": "transparent", "quality": "high", "x": {"b": 1.50}, "api_base": "x"});
    let answer = world.post("images/generations", &key, &body).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "application/json"));
    assert_eq!(answer.text().await.unwrap(), r#"{"created":1,"data":[{"b64_json":"AAAA"},{"b64_json":"AAAA"}]}"#);
    assert_eq!(last(&world).await, done(2, 0, 80_000));
    let mut expected = body.clone();
    expected.as_object_mut().unwrap().remove("api_base");
    assert_eq!(world.upstream.seen.lock().unwrap().last().unwrap().body, expected, "the rest is the provider's business");

    // $0.02 are left: no picture more, and nothing is sent.
    let refused = world.post("images/generations", &key, &json!({"model": "pictures", "prompt": "a boat"})).await;
    assert_eq!(refused.headers()["x-clawloops-refusal"], "budget");
    assert_eq!(code(refused).await, (429, "insufficient_quota".to_owned()));
    assert_eq!(world.upstream.seen.lock().unwrap().len(), 1);

    // Two are held, one is made; a failure and what was refused cost nothing.
    world.limit(&ada, Window::Day, Unit::Money, Some(250_000)).await;
    for (prompt, status, record) in [
        ("makes one", 200, done(1, 0, 40_000)),
        ("fails", 502, (0, 0, 0, "failed".to_owned(), false)),
        ("does not like it", 400, (0, 0, 0, "failed".to_owned(), false)),
    ] {
        let answer = world.post("images/generations", &key, &json!({"model": "pictures", "prompt": prompt, "n": 2})).await;
        assert_eq!(answer.status().as_u16(), status, "{prompt}");
        assert_eq!(last(&world).await, record, "{prompt}");
    }
    let budget = world.budgets(&ada).await.pop().unwrap();
    assert_eq!((budget.settled, budget.reserved), (120_000, 0));
    for (body, param) in [
        (json!({"model": "pictures"}), "prompt"),
        (json!({"prompt": "x"}), "model"),
        (json!({"model": "pictures", "prompt": "x", "n": 0}), "n"),
    ] {
        let answer = world.post("images/generations", &key, &body).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["param"], param);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_priced_by_tokens_is_counted_by_what_the_provider_reports(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let body = json!({"model": "priced", "prompt": "counts tokens"});
    // 4096 tokens a picture may have: a limit that holds fewer holds none.
    world.limit(&ada, Window::Day, Unit::Tokens, Some(4_000)).await;
    assert_eq!(code(world.post("images/generations", &key, &body).await).await.0, 429);
    world.limit(&ada, Window::Day, Unit::Tokens, Some(50_000)).await;
    assert_eq!(world.post("images/generations", &key, &body).await.status(), 200);
    assert_eq!(last(&world).await, done(10, 1000, 15_030));
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let answer = world.post("images/generations", &key, &streamed).await;
    assert!(answer.text().await.unwrap().contains(r#""b64_json":"AAAA""#));
    assert_eq!(last(&world).await, done(10, 1000, 15_030));
    // One that does not say counts as what was held.
    assert_eq!(world.post("images/generations", &key, &json!({"model": "priced", "prompt": "a boat"})).await.status(), 200);
    let (input, output, cost, outcome, estimated) = last(&world).await;
    assert_eq!((output, outcome.as_str(), estimated), (4096, "done", true));
    assert!((1..100).contains(&input) && cost > 15 * 4096, "{input} {cost}");
    // A recording may be as long as the model hears.
    world.limit(&ada, Window::Day, Unit::Tokens, None).await;
    assert_eq!(listen(&world, &key, form(&[("model", "priced"), ("prompt", "counts tokens")])).await.status(), 200);
    assert_eq!(last(&world).await, done(70, 4, 270));
    assert_eq!(listen(&world, &key, form(&[("model", "priced"), ("response_format", "text")])).await.text().await.unwrap(), "hello\n");
    let (input, output, _, _, estimated) = last(&world).await;
    assert_eq!((input, output, estimated), (100_000, 4096, true));
}

#[sqlx::test(migrations = "../migrations")]
async fn speech_costs_its_characters_and_is_passed_on_as_it_comes(pool: Pool) {
    let world = World::new(pool).await;
    publish(&world, "voice", CountedIn::Characters, 15_000_000).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Money, Some(1_000)).await;
    let body = |input: &str, voice: &str| json!({"model": "voice", "input": input, "voice": voice, "speed": 1.25});
    let mut answer = world.post("audio/speech", &key, &body("h\u{e9}llo", "alloy")).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "audio/mpeg"));
    let first = answer.chunk().await.unwrap().unwrap();
    assert_eq!(&first[..], AUDIO, "it is heard before it is all there");
    let mut whole = first.to_vec();
    while let Some(part) = answer.chunk().await.unwrap() {
        whole.extend_from_slice(&part);
    }
    assert_eq!(whole, AUDIO.repeat(4));
    assert_eq!(last(&world).await, done(5, 0, 75));
    assert_eq!(world.upstream.seen.lock().unwrap().last().unwrap().body, body("h\u{e9}llo", "alloy"));

    // Who goes in the middle was spoken to; what broke off was spoken too.
    let mut answer = world.post("audio/speech", &key, &body("bye", "alloy")).await;
    answer.chunk().await.unwrap();
    drop(answer);
    assert_eq!(last(&world).await, (3, 0, 45, "hung_up".to_owned(), false));
    let mut answer = world.post("audio/speech", &key, &body("bye", "stops in the middle")).await;
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(broken.is_err(), "nobody takes a part for the whole");
    assert_eq!(last(&world).await, (3, 0, 45, "failed".to_owned(), false));
    assert_eq!(code(world.post("audio/speech", &key, &body(&"x".repeat(60), "alloy")).await).await.0, 429);
    assert_eq!(code(world.post("audio/speech", &key, &json!({"model": "voice", "input": 7, "voice": "alloy"})).await).await.0, 400);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_transcription_is_held_by_its_bytes_and_counted_by_its_seconds(pool: Pool) {
    let world = World::new(pool).await;
    publish(&world, "dictation", CountedIn::Seconds, 6_000).await;
    sqlx::query("update model set upstream = 'whisper-1' where name = 'dictation'").execute(&world.pool).await.unwrap();
    let (ada, key, _) = world.with_key("ada").await;
    let answer =
        listen(&world, &key, form(&[("model", "dictation"), ("temperature", "0.0"), ("api_base", "http://elsewhere"), ("tags[]", "x")]))
            .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["text"], "hello");
    assert_eq!(last(&world).await, done(8, 0, 800));
    let sent = world.upstream.seen.lock().unwrap().last().unwrap().body.as_str().unwrap().to_owned();
    assert!(sent.contains("name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF....WAVE\r\n"), "{sent}");
    assert!(sent.contains("name=\"temperature\"\r\n\r\n0.0\r\n") && !sent.contains("elsewhere") && !sent.contains("tags"), "{sent}");
    assert!(sent.contains("name=\"model\"\r\n\r\ndictation\r\n"), "LiteLLM knows it by our name: {sent}");

    for (format, record) in [
        ("verbose_json", done(8, 0, 800)),
        // Nobody says how long it was: as long as so many bytes can be.
        ("text", (1, 0, 100, "done".to_owned(), true)),
    ] {
        assert_eq!(listen(&world, &key, form(&[("model", "dictation"), ("response_format", format)])).await.status(), 200);
        assert_eq!(last(&world).await, record, "{format}");
    }
    assert_eq!(code(listen(&world, &key, form(&[("model", "dictation"), ("prompt", "fails")])).await).await.0, 502);
    assert_eq!(last(&world).await, (1, 0, 100, "failed".to_owned(), true));

    // A limit that does not hold the longest it may be refuses it: 60 kB are at most 81 seconds.
    world.limit(&ada, Window::Day, Unit::Money, Some(1_800 + 8_000)).await;
    let large = || with_file(Some(&[0; 60_000]), &[("model", "dictation")]);
    assert_eq!(code(listen(&world, &key, large()).await).await, (429, "insufficient_quota".to_owned()));
    world.limit(&ada, Window::Day, Unit::Money, Some(1_800 + 8_100)).await;
    assert_eq!(listen(&world, &key, large()).await.status(), 200);

    // What is no such form, or could mean two things.
    let twice = form(&[("model", "dictation"), ("model", "priced")]);
    for (form, param) in [(twice, json!("model")), (form(&[]), json!("model")), (with_file(None, &[("model", "dictation")]), json!("file"))]
    {
        let answer = listen(&world, &key, form).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["param"], param);
    }
    assert_eq!(code(world.post("audio/transcriptions", &key, &json!({"model": "dictation", "file": "x"})).await).await.0, 400);
    let huge = with_file(Some(&vec![0; 27 << 20]), &[("model", "dictation")]);
    assert_eq!(code(listen(&world, &key, huge).await).await, (413, "request_too_large".to_owned()));
    world.settled().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_price_is_for_what_it_is_for(pool: Pool) {
    let world = World::new(pool).await;
    publish(&world, "pictures", CountedIn::Images, 40_000).await;
    world.model("unpriced", None, true).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (_, runtimes) = world.runtime(&ada).await;
    let chat = json!({"model": "pictures", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(code(world.chat(&key, &chat).await).await, (403, "model_not_priced".to_owned()));
    let speech = json!({"model": "pictures", "input": "hi", "voice": "alloy"});
    assert_eq!(code(world.post("audio/speech", &key, &speech).await).await, (403, "model_not_priced".to_owned()));
    assert_eq!(code(listen(&world, &key, form(&[("model", "pictures")])).await).await, (403, "model_not_priced".to_owned()));
    let picture = |model: &str| json!({"model": model, "prompt": "a boat"});
    assert_eq!(code(world.post("images/generations", &key, &picture("unpriced")).await).await, (403, "model_not_priced".to_owned()));
    assert_eq!(code(world.post("images/generations", &key, &picture("none")).await).await, (404, "model_not_found".to_owned()));
    for path in ["images/edits", "images/variations", "audio/translations"] {
        assert_eq!(code(world.post(path, &key, &json!({})).await).await, (404, "unknown_url".to_owned()));
    }
    assert!(world.upstream.seen.lock().unwrap().is_empty(), "nothing was sent");

    // A runtime makes pictures too; a refusal of one is an error and no text that nobody could see.
    assert_eq!(world.post("images/generations", &runtimes, &picture("pictures")).await.status(), 200);
    assert_eq!(last(&world).await, done(1, 0, 40_000));
    world.limit(&ada, Window::Day, Unit::Money, Some(1)).await;
    assert_eq!(code(world.post("images/generations", &runtimes, &picture("pictures")).await).await, (429, "insufficient_quota".to_owned()));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_used_stays_what_it_was(pool: Pool) {
    let world = World::new(pool).await;
    publish(&world, "pictures", CountedIn::Images, 40_000).await;
    let (ada, key, _) = world.with_key("ada").await;
    // Nothing is recorded yet: what it is counted in may change.
    let tokens = Price { input: Micros(1_000_000), cached_input: Micros(1_000_000), output: Micros(2_000_000) };
    assert_eq!(change(&world, "pictures", CountedIn::Tokens, tokens).await, Ok(()));
    assert_eq!(change(&world, "pictures", CountedIn::Images, Price::each(CountedIn::Images, Micros(50_000))).await, Ok(()));
    assert_eq!(world.post("images/generations", &key, &json!({"model": "pictures", "prompt": "a boat", "n": 3})).await.status(), 200);
    assert_eq!(last(&world).await, done(3, 0, 150_000));
    assert_eq!(change(&world, "pictures", CountedIn::Tokens, tokens).await, Err(Code::Conflict));
    assert_eq!(change(&world, "priced", CountedIn::Images, Price::FREE).await, Ok(()), "no call of it is recorded");
    assert_eq!(change(&world, "priced", CountedIn::Tokens, tokens).await, Ok(()));

    // Pictures are no tokens, in any sum.
    assert_eq!(world.chat(&key, &crate::support::call("answers", 5)).await.status(), 200);
    world.settled().await;
    let told = async || {
        let report = usage::report(&world.service, &ada, Whose::Mine, 30, Breakdown::Model).await.unwrap();
        let mut lines: Vec<_> = report.by_model.iter().map(|line| (line.name.clone(), line.totals.input_tokens, line.pieces)).collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        (report.totals.input_tokens, report.totals.cost.0, lines)
    };
    let lines = vec![("pictures".to_owned(), 0, Some((CountedIn::Images, 3))), ("priced".to_owned(), 10, None)];
    assert_eq!(told().await, (10, 150_020, lines.clone()));
    // A model that has left the catalog is read as it was meant, and a new price changes nothing.
    sqlx::query("delete from model where name = 'pictures'").execute(&world.pool).await.unwrap();
    assert_eq!(told().await, (10, 150_020, lines));
    let exported: Vec<String> =
        sqlx::query_scalar("select coalesce(counted_in, 'tokens') from usage_entry left join counted_model on name = model order by model")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(exported, ["images", "tokens"]);
}

/// Adds a provider at this address, called without LiteLLM, and its model.
async fn add(world: &World, address: SocketAddr, model: ModelChange) {
    let admin = world.person(&format!("root-{}", uuid::Uuid::now_v7()), Role::Administrator).await;
    let provider = NewProvider {
        kind: ProviderKind::OpenAiCompatible,
        name: format!("Near {}", model.name),
        base_url: Some(format!("http://{address}/v1")),
        allows_private: true,
        region: None,
        is_direct: true,
        secret: None,
    };
    let provider = providers::add(&world.service, &admin, provider).await.unwrap();
    catalog::add(&world.service, &admin, provider.provider_id, model).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_provider_near_by_is_asked_directly_and_another_stands_in(pool: Pool) {
    let world = World::new(pool).await;
    let (near, address) = crate::support::upstream().await;
    let (_, key, _) = world.with_key("ada").await;
    let dictation = ModelChange {
        name: "dictation".to_owned(),
        upstream: "whisper-1".to_owned(),
        description: String::new(),
        context_tokens: 1000,
        output_tokens: 1000,
        price: Some(Price::each(CountedIn::Seconds, Micros(6_000))),
        counted_in: CountedIn::Seconds,
        published: true,
        groups: None,
        is_default: false,
        fallbacks: Vec::new(),
    };
    add(&world, address, dictation.clone()).await;
    // Nobody answers at a port that was just let go.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    add(&world, nobody, ModelChange { name: "away".to_owned(), fallbacks: vec!["dictation".to_owned()], ..dictation }).await;
    for (model, tries) in [("dictation", 1), ("away", 3)] {
        let answer = listen(&world, &key, form(&[("model", model)])).await;
        assert_eq!(answer.status(), 200, "{model}");
        assert_eq!(answer.headers().get("x-clawloops-model").map(|name| name.to_str().unwrap()), (model == "away").then_some("dictation"));
        let sent = near.seen.lock().unwrap().pop().unwrap().body.as_str().unwrap().to_owned();
        assert!(sent.contains("name=\"model\"\r\n\r\nwhisper-1\r\n") && sent.contains(RECORDING), "{sent}");
        assert_eq!(last(&world).await, done(8, 0, 800));
        assert_eq!(world.records().await.len(), tries, "a try is a record");
    }
    assert!(world.upstream.seen.lock().unwrap().is_empty(), "LiteLLM was not asked");
}
