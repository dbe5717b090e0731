//! An Ollama in its usual place: found, offered, taken, published, called. It stands on a port of its own here, and speaks as Ollama does.

use crate::{
    real::{chat, free_port, program},
    support::{World, config, serve},
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use contract::{Caller, CountedIn, ModelChange, ModelView, NewProvider, Price, ProviderKind, Role};
use serde_json::{Value, json};
use server::{
    data::{Pool, listen::Change},
    model::{catalog, providers},
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Ollama's addresses that matter here. Answers carry a count of 7 and 3 tokens.
async fn ollama(seen: Arc<Mutex<Vec<Value>>>) -> String {
    let router = Router::new()
        .route("/api/tags", get(async || Json(json!({"models": [{"name": "qwen3:4b", "model": "qwen3:4b", "size": 1}]}))))
        .route("/v1/models", get(async || Json(json!({"object": "list", "data": [{"id": "qwen3:4b", "object": "model"}]}))))
        .route(
            "/v1/chat/completions",
            post(async move |Json(body): Json<Value>| {
                seen.lock().unwrap().push(body);
                Json(json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "qwen3:4b",
                            "choices": [{"index": 0, "message": {"role": "assistant", "content": "from ollama"}, "finish_reason": "stop"}],
                            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}))
            }),
        );
    format!("http://{}", serve(router).await)
}

fn change(name: &str, published: bool, price: Option<Price>) -> ModelChange {
    ModelChange {
        name: name.to_owned(),
        upstream: "qwen3:4b".to_owned(),
        description: String::new(),
        context_tokens: 32_768,
        output_tokens: 4096,
        price,
        counted_in: CountedIn::Tokens,
        published,
        groups: None,
        is_default: false,
        fallbacks: Vec::new(),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_ollama_is_found_offered_published_and_called(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let address = ollama(seen.clone()).await;
    let mut config = config(None);
    config.data.data_dir = folder.path().to_owned();
    config.models.litellm_bin = Some(program("CLAWLOOPS_LITELLM_BIN"));
    config.models.litellm_port = free_port();
    config.models.ollama_url = address.parse().unwrap();
    // Nobody is there: whatever of this machine went through it would fail.
    config.models.https_proxy = Some("http://127.0.0.1:9".to_owned().into());
    config.models.no_proxy = Some("models.internal".to_owned());
    let world = World::before(pool, config).await;
    let (ada, key, _) = world.with_key("ada").await;
    let admin = Caller { role: Role::Administrator, ..ada.clone() };

    let offered = providers::offered(&world.service, &admin).await.unwrap().remove(0);
    assert_eq!((offered.kind, &offered.base_url, &offered.models), (ProviderKind::Ollama, &address, &vec!["qwen3:4b".to_owned()]));
    let new = NewProvider {
        kind: offered.kind,
        name: "Ollama".to_owned(),
        base_url: Some(offered.base_url),
        allows_private: true,
        region: None,
        is_direct: false,
        secret: None,
    };
    let provider = providers::add(&world.service, &admin, new).await.unwrap().provider_id;
    assert!(providers::offered(&world.service, &admin).await.unwrap().is_empty(), "what is taken is not offered again");
    assert_eq!(providers::upstream_models(&world.service, &admin, provider).await.unwrap(), ["qwen3:4b"]);

    // Not published, not priced, published.
    let draft: ModelView = catalog::add(&world.service, &admin, provider, change("draft", false, Some(Price::FREE))).await.unwrap();
    catalog::add(&world.service, &admin, provider, change("unpriced", true, None)).await.unwrap();
    catalog::add(&world.service, &admin, provider, change("qwen", true, Some(Price::FREE))).await.unwrap();
    world.service.changes().tell(Change::Catalog);
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20});
    let mut answer = chat(&world, &key, body("qwen")).await;
    for _ in 0..4 {
        if answer.0 != 503 {
            break;
        }
        answer = chat(&world, &key, body("qwen")).await;
    }
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert!(answer.1.contains("from ollama"), "{}", answer.1);
    assert_eq!(seen.lock().unwrap()[0]["model"], "qwen3:4b");
    world.settled().await;
    assert_eq!(world.records().await, [("qwen".to_owned(), 7, 0, 3, 0, "done".to_owned(), false)]);
    assert_eq!(chat(&world, &key, body("draft")).await.0, 404);

    // LiteLLM knows what can be called, and no more; by the first of these the demo model is translated.
    let (names, environment) = newest_litellm(folder.path());
    assert_eq!(names, ["=demo", "demo", "priced", "qwen"]);
    assert!(environment.contains("\0HTTPS_PROXY=http://127.0.0.1:9\0"), "{environment:?}");
    assert!(environment.contains("\0NO_PROXY=models.internal,127.0.0.1,localhost,::1\0"), "{environment:?}");

    // Published, it is called a moment later.
    catalog::change(&world.service, &admin, draft.model_id, change("draft", true, Some(Price::FREE))).await.unwrap();
    world.service.changes().tell(Change::Catalog);
    let answer = chat(&world, &key, body("draft")).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    world.stop().await;
}

/// The models in the newest configuration, and the environment of the LiteLLM that runs with it.
fn newest_litellm(data_dir: &Path) -> (Vec<String>, String) {
    let notes = std::fs::read_dir(data_dir.join("litellm")).unwrap().map(|entry| entry.unwrap().path());
    let note = notes
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("pid-"))
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap();
    let port = note.file_name().unwrap().to_str().unwrap()["pid-".len()..].to_owned();
    let file: Value = serde_json::from_slice(&std::fs::read(note.with_file_name(format!("config-{port}.yaml"))).unwrap()).unwrap();
    let mut names: Vec<String> =
        file["model_list"].as_array().unwrap().iter().map(|model| model["model_name"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    let id = std::fs::read_to_string(note).unwrap();
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap();
    (names, format!("\0{}", String::from_utf8(environment).unwrap()))
}

#[sqlx::test(migrations = "../migrations")]
async fn another_server_in_ollamas_place_is_not_offered(pool: Pool) {
    let router = Router::new().route("/v1/models", get(async || Json(json!({"data": [{"id": "x"}]}))));
    let mut config = config(Some("http://127.0.0.1:1".to_owned()));
    config.models.ollama_url = format!("http://{}", serve(router).await).parse().unwrap();
    let world = World::before(pool, config).await;
    let admin = world.person("root", Role::Administrator).await;
    assert!(providers::offered(&world.service, &admin).await.unwrap().is_empty());
}
