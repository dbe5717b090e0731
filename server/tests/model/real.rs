//! The whole way: the door, a supervised LiteLLM and a supervised local model. `make test` sets the two programs; without them this fails.

use crate::{
    outages::{endless, litellm_goes},
    support::{World, config},
};
use contract::{Caller, CountedIn, ModelChange, NewProvider, Price, ProviderKind, Role};
use serde_json::{Value, json};
use server::{
    data::{Pool, listen::Change},
    model::{catalog, litellm, providers},
};
use std::{path::Path, sync::Arc, time::Duration};

pub fn program(name: &str) -> std::path::PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: `make test` sets it")).into()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub async fn chat(world: &World, key: &str, body: Value) -> (u16, String) {
    let answer = world.chat(key, &body).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// What an answer tells of its usage, whole or as a stream: sent, cached, answered.
fn told(text: &str) -> (i64, i64, i64) {
    let events =
        text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line)).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut usages =
        events.filter_map(|event| [&event["usage"], &event["response"]["usage"]].into_iter().find(|usage| usage.is_object()).cloned());
    let usage = usages.next_back().unwrap();
    let count = |names: &[&str]| names.iter().find_map(|name| usage.pointer(name)?.as_i64()).unwrap_or(0);
    let beside = count(&["/cache_read_input_tokens"]) + count(&["/cache_creation_input_tokens"]);
    (
        count(&["/prompt_tokens", "/input_tokens"]) + beside,
        count(&["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens", "/cache_read_input_tokens"]),
        count(&["/completion_tokens", "/output_tokens"]),
    )
}

fn kill_litellm(data_dir: &Path) {
    let pids: Vec<String> = std::fs::read_dir(data_dir.join("litellm"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("pid-"))
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap())
        .collect();
    assert!(!pids.is_empty());
    for pid in pids {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse().unwrap()), nix::sys::signal::Signal::SIGKILL).ok();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn calls_go_through_litellm_to_a_model_and_are_counted_as_the_model_counts(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(None);
    config.data.data_dir = folder.path().to_owned();
    config.models.litellm_bin = Some(program("CLAWLOOPS_LITELLM_BIN"));
    config.models.local_model_bin = Some(program("CLAWLOOPS_LOCAL_MODEL_BIN"));
    (config.models.litellm_port, config.models.local_model_port) = (free_port(), free_port());
    let local_port = config.models.local_model_port;
    let (litellm_port, local_url) = (config.models.litellm_port, format!("http://127.0.0.1:{local_port}/v1"));
    let world = Arc::new(World::before(pool, config).await);
    let (ada, key, _) = world.with_key("ada").await;

    // The first call waits for LiteLLM to come up. Under load that took 40 s.
    let demo = json!({"model": "demo", "messages": [{"role": "user", "content": "hello"}]});
    let mut answer = chat(&world, &key, demo.clone()).await;
    for _ in 0..4 {
        if answer.0 != 503 {
            break;
        }
        answer = chat(&world, &key, demo.clone()).await;
    }
    assert_eq!(answer.0, 200, "{}", answer.1);
    let said: Value = serde_json::from_str(&answer.1).unwrap();
    assert!(said["choices"][0]["message"]["content"].as_str().unwrap().contains("demo model of ClawLoops"), "{said}");
    assert_eq!(said["model"], "demo");
    assert!(litellm::health(&world.service).await.problem.is_none());

    // The local model counts its own tokens: ours must agree, streamed and not.
    let body = json!({"model": "local-tiny", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 12});
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        body["stream_options"] = json!({"include_usage": true});
        let (status, text) = chat(&world, &key, body).await;
        assert_eq!(status, 200, "{text}");
        let usage: Value = if stream {
            assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
            let line = text.lines().find(|line| line.contains("\"prompt_tokens\"")).unwrap();
            serde_json::from_str::<Value>(&line["data: ".len()..]).unwrap()["usage"].clone()
        } else {
            serde_json::from_str::<Value>(&text).unwrap()["usage"].clone()
        };
        world.settled().await;
        let (model, input, _, output, cost, outcome, estimated) = world.records().await.pop().unwrap();
        assert_eq!((model.as_str(), outcome.as_str(), estimated, cost), ("local-tiny", "done", false, 0));
        assert_eq!((json!(input), json!(output)), (usage["prompt_tokens"].clone(), usage["completion_tokens"].clone()));
        assert!(input > 0 && output > 0);
    }

    // In the other shapes as well, and the demo model too.
    for (path, body) in [
        ("completions", json!({"prompt": "hello there", "max_tokens": 16, "stream_options": {"include_usage": true}})),
        ("responses", json!({"input": "hello there", "max_output_tokens": 16})),
        ("messages", json!({"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 16})),
    ] {
        for (model, stream) in [("local-tiny", false), ("local-tiny", true), ("demo", false), ("demo", true)] {
            let mut body = body.clone();
            (body["model"], body["stream"]) = (json!(model), json!(stream));
            let answer = world.post(path, &key, &body).await;
            assert_eq!(answer.status(), 200, "{path} {model}");
            assert_eq!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"), stream, "{path} {model}");
            let text = answer.text().await.unwrap();
            world.settled().await;
            let (counted, input, cached, output, _, outcome, estimated) = world.records().await.pop().unwrap();
            assert_eq!((counted.as_str(), outcome.as_str(), estimated), (model, "done", false), "{path}: {text}");
            assert_eq!((input, cached, output), told(&text), "{path} {model}: {text}");
        }
    }
    let question = json!({"model": "local-tiny", "messages": [{"role": "user", "content": "hello"}]});
    let counted = world.post("messages/count_tokens", &key, &question).await;
    assert!(counted.json::<Value>().await.unwrap()["input_tokens"].as_i64().unwrap() > 0);

    // A model that is published now is called a moment later, and nothing that runs is cut by it.
    let admin = Caller { role: Role::Administrator, ..ada.clone() };
    let provider = NewProvider {
        kind: ProviderKind::OpenAiCompatible,
        allows_private: true,
        region: None,
        is_direct: false,
        name: "Mine".to_owned(),
        base_url: Some(local_url),
        secret: Some("sk-not-wanted-here".to_owned()),
    };
    let provider = providers::add(&world.service, &admin, provider).await.unwrap();
    assert_eq!(providers::upstream_models(&world.service, &admin, provider.provider_id).await.unwrap().len(), 1);
    let model = ModelChange {
        name: "mine/small".to_owned(),
        upstream: "local".to_owned(),
        description: String::new(),
        context_tokens: 4096,
        output_tokens: 512,
        price: Some(Price::FREE),
        counted_in: CountedIn::Tokens,
        published: true,
        groups: None,
        is_default: false,
        fallbacks: Vec::new(),
    };
    let endless_model = ModelChange { name: "mine/endless".to_owned(), upstream: "drips".to_owned(), ..model.clone() };
    catalog::add(&world.service, &admin, provider.provider_id, model).await.unwrap();
    let endless_provider = NewProvider {
        kind: ProviderKind::OpenAiCompatible,
        name: "Endless".to_owned(),
        base_url: Some(format!("http://{}/v1", endless().await)),
        allows_private: true,
        region: None,
        is_direct: false,
        secret: None,
    };
    let endless_provider = providers::add(&world.service, &admin, endless_provider).await.unwrap();
    catalog::add(&world.service, &admin, endless_provider.provider_id, endless_model).await.unwrap();
    world.service.changes().tell(Change::Catalog);
    let (status, text) =
        chat(&world, &key, json!({"model": "mine/small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5})).await;
    assert_eq!(status, 200, "{text}");
    let file = std::fs::read_dir(folder.path().join("litellm")).unwrap();
    for entry in file {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        assert!(!text.contains("sk-not-wanted-here"), "a secret stands in a file");
    }

    // Killed from outside in the middle of streams, LiteLLM comes back by itself.
    litellm_goes(&world, &key, "mine/endless", || kill_litellm(folder.path())).await;
    let mut back = chat(&world, &key, demo.clone()).await;
    for _ in 0..20 {
        if back.0 == 200 {
            break;
        }
        assert!(matches!(back.0, 502 | 503), "{}", back.1);
        tokio::time::sleep(Duration::from_millis(500)).await;
        back = chat(&world, &key, demo.clone()).await;
    }
    assert_eq!(back.0, 200, "{}", back.1);
    world.stop().await;
    assert!(
        std::fs::read_dir(folder.path().join("litellm")).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("pid-"))
    );
    for port in [litellm_port, local_port] {
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "port {port} is still held");
    }
}
