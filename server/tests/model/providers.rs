//! Providers of every kind, through a real LiteLLM to a server in their place: how each is asked, and with which key.

use crate::{
    real::{chat, free_port, program},
    support::{World, config, serve},
};
use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use contract::{Caller, CountedIn, ModelChange, NewProvider, Price, ProviderKind, Role};
use serde_json::{Value, json};
use server::{
    Error,
    data::{Pool, listen::Change},
    model::{catalog, providers},
};
use std::sync::{Arc, Mutex};

/// Path and key of each request.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Answers as OpenAI's API does, and as Bedrock's does on its own paths.
async fn answer(State(seen): State<Seen>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let key = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    seen.lock().unwrap().push((path.clone(), key));
    Json(if path == "/foundation-models" {
        json!({"modelSummaries": [{"modelId": "anthropic.claude-3-haiku-20240307-v1:0"}, {"modelId": "maker.another"}]})
    } else if path.ends_with("/models") {
        json!({"object": "list", "data": [{"id": "one", "object": "model", "owned_by": "vllm"}]})
    } else if path.ends_with("/converse") {
        json!({"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
               "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}, "metrics": {"latencyMs": 1}})
    } else {
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "one",
               "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
    })
    .into_response()
}

fn new(kind: ProviderKind, base_url: Option<String>) -> NewProvider {
    NewProvider {
        kind,
        name: kind.label().to_owned(),
        base_url,
        allows_private: true,
        region: (kind == ProviderKind::Bedrock).then(|| "eu-central-1".to_owned()),
        is_direct: false,
        secret: kind.wants_key().then(|| format!("key-of-{}", kind.label())),
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn each_kind_is_asked_in_its_own_way(pool: Pool) {
    let folder = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let address = serve(Router::new().fallback(answer).with_state(seen.clone())).await;
    let mut config = config(None);
    config.data.data_dir = folder.path().to_owned();
    config.models.litellm_bin = Some(program("CLAWLOOPS_LITELLM_BIN"));
    config.models.litellm_port = free_port();
    config.models.vllm_url = format!("http://{address}/v1").parse().unwrap();
    let world = World::before(pool, config).await;
    let (ada, key, _) = world.with_key("ada").await;
    let admin = Caller { role: Role::Administrator, ..ada.clone() };

    // A vLLM says that it is one.
    let offered = providers::offered(&world.service, &admin).await.unwrap();
    assert_eq!(
        (offered.len(), offered[0].kind, offered[0].models.as_slice()),
        (1, ProviderKind::OpenAiCompatible, &["one".to_owned()][..])
    );

    let kinds = [
        (ProviderKind::Mistral, "/v1/chat/completions"),
        (ProviderKind::Azure, "/openai/v1/chat/completions"),
        (ProviderKind::OpenAiCompatible, "/v1/chat/completions"),
        (ProviderKind::Bedrock, "/model/anthropic.claude-3-haiku-20240307-v1:0/converse"),
    ];
    for (kind, _) in kinds {
        let provider = providers::add(&world.service, &admin, new(kind, Some(format!("http://{address}")))).await.unwrap();
        let models = providers::upstream_models(&world.service, &admin, provider.provider_id).await.unwrap();
        let expected = if kind == ProviderKind::Bedrock { "anthropic.claude-3-haiku-20240307-v1:0" } else { "one" };
        assert_eq!(models[0], expected, "{kind:?}");
        let change = ModelChange {
            name: format!("by-{}", provider.name.to_lowercase().replace(' ', "-")),
            upstream: if kind == ProviderKind::Bedrock { "anthropic.claude-3-haiku-20240307-v1:0" } else { "one" }.to_owned(),
            description: String::new(),
            context_tokens: 32_768,
            output_tokens: 4096,
            price: Some(Price::FREE),
            counted_in: CountedIn::Tokens,
            published: true,
            groups: None,
            is_default: false,
            fallbacks: Vec::new(),
        };
        catalog::add(&world.service, &admin, provider.provider_id, change).await.unwrap();
    }
    world.service.changes().tell(Change::Catalog);
    for (kind, path) in kinds {
        let name = format!("by-{}", kind.label().to_lowercase().replace(' ', "-"));
        let body = json!({"model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20});
        let mut answer = (0, String::new());
        for _ in 0..5 {
            seen.lock().unwrap().clear();
            answer = chat(&world, &key, body.clone()).await;
            if answer.0 != 503 {
                break;
            }
        }
        assert_eq!(answer.0, 200, "{kind:?}: {}", answer.1);
        let said: Value = serde_json::from_str(&answer.1).unwrap();
        assert_eq!(said["choices"][0]["message"]["content"], "hi", "{kind:?}");
        let (asked, by) = seen.lock().unwrap().last().cloned().unwrap();
        assert_eq!(asked.replace("%3A", ":"), path, "{kind:?}");
        if kind.wants_key() {
            assert_eq!(by, format!("Bearer key-of-{}", kind.label()), "{kind:?}");
        }
        world.settled().await;
        let record = world.records().await.pop().unwrap();
        assert_eq!((record.0, record.1, record.3, record.6), (name, 7, 3, false), "{kind:?}");
    }
    world.stop().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_kind_needs_or_has_not_is_said_by_its_field(pool: Pool) {
    let world = World::before(pool, config(None)).await;
    let (ada, _, _) = world.with_key("ada").await;
    let admin = Caller { role: Role::Administrator, ..ada };
    let region = |text: &str| Some(text.to_owned());
    for (field, wrong) in [
        ("base_url", new(ProviderKind::Azure, None)),
        ("base_url", new(ProviderKind::Ollama, None)),
        ("base_url", new(ProviderKind::Google, Some("https://8.8.8.8".to_owned()))),
        ("region", NewProvider { region: None, ..new(ProviderKind::Bedrock, None) }),
        ("region", NewProvider { region: region("a.evil.example/"), ..new(ProviderKind::Bedrock, None) }),
        ("region", NewProvider { region: region("eu-central-1"), ..new(ProviderKind::OpenAi, None) }),
        ("secret", NewProvider { secret: None, ..new(ProviderKind::Mistral, None) }),
        ("is_direct", NewProvider { is_direct: true, ..new(ProviderKind::Anthropic, None) }),
    ] {
        let kind = wrong.kind;
        let Err(Error::Problem(problem)) = providers::add(&world.service, &admin, wrong).await else { panic!("{kind:?} {field}") };
        assert_eq!(problem.field.as_deref(), Some(field), "{kind:?}: {}", problem.message);
    }
    for kind in [ProviderKind::Google, ProviderKind::Bedrock, ProviderKind::Mistral] {
        assert!(providers::add(&world.service, &admin, new(kind, None)).await.is_ok(), "{kind:?}");
    }
}
