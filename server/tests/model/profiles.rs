//! The models of a profile: what a runtime may call, is told of, and is refused.

use super::support::World;
use contract::{ModelId, ProfileChange, Role, RuntimeId};
use serde_json::{Value, json};
use server::{data::Pool, platform::profiles};

fn change(models: Option<Vec<ModelId>>) -> ProfileChange {
    ProfileChange {
        name: "Narrow".to_owned(),
        description: String::new(),
        image: None,
        memory_bytes: 2 << 30,
        cpu_millis: 1000,
        pids: 512,
        workspace_bytes: 1 << 30,
        models,
        gpu: false,
        oci_runtime: None,
        sleep_after_minutes: None,
        sleep_stop_after_minutes: None,
        position: 5,
        offered: true,
    }
}

async fn give(world: &World, runtime_id: RuntimeId, profile: contract::ProfileId) {
    sqlx::query("update runtime set profile_id = $2 where runtime_id = $1")
        .bind(runtime_id.0)
        .bind(profile.0)
        .execute(&world.pool)
        .await
        .unwrap();
}

async fn listed(world: &World, key: &str) -> Vec<String> {
    let url = format!("http://{}/v1/models", world.internal);
    let list: Value = world.http.get(url).bearer_auth(key).send().await.unwrap().json().await.unwrap();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_calls_only_the_models_of_its_profile(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let (ada, own_key, _) = world.with_key("ada").await;
    let (runtime_id, key) = world.runtime(&ada).await;
    world.model("other", Some((1, 1, 1)), true).await;
    let call = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "answers"}], "max_tokens": 20});
    assert_eq!(listed(&world, &key).await, ["demo", "other", "priced"], "the first profile allows all");

    let (id,): (uuid::Uuid,) = sqlx::query_as("select model_id from model where name = 'other'").fetch_one(&world.pool).await.unwrap();
    let narrow = profiles::add(&world.pool, &root, change(Some(vec![ModelId(id)]))).await.unwrap();
    give(&world, runtime_id, narrow.profile_id).await;
    assert_eq!(listed(&world, &key).await, ["other"]);
    let one = |name: &str| world.http.get(format!("http://{}/v1/models/{name}", world.internal)).bearer_auth(&key).send();
    assert_eq!((one("other").await.unwrap().status().as_u16(), one("priced").await.unwrap().status().as_u16()), (200, 404));

    // In the chat it is said so that it can be read; nothing is sent and nothing counted.
    let answer = world.chat_from_runtime(&key, &call("priced")).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-clawloops-refusal"].to_str().unwrap()), (200, "model"));
    let said: Value = answer.json().await.unwrap();
    assert_eq!(
        said["choices"][0]["message"]["content"].as_str().unwrap(),
        "The model `priced` is not part of this runtime's profile, Narrow. Choose another model, change the profile, or ask your administrator \
         (root@example.com)."
    );
    let url = format!("http://{}/v1/embeddings", world.internal);
    let refused = world.http.post(url).bearer_auth(&key).json(&json!({"model": "priced", "input": "hello"})).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "model_not_in_profile");
    assert!(world.upstream.seen.lock().unwrap().is_empty());

    // What is allowed goes through, and a person's own key knows no profile.
    assert_eq!(world.chat_from_runtime(&key, &call("other")).await.status(), 200);
    assert_eq!(world.chat(&own_key, &call("priced")).await.status(), 200);
    world.settled().await;

    // Changed, it holds for the next call.
    profiles::change(&world.pool, &root, narrow.profile_id, change(None)).await.unwrap();
    let answer = world.chat_from_runtime(&key, &call("priced")).await;
    assert!(answer.headers().get("x-clawloops-refusal").is_none());
    world.settled().await;
}

/// A model that leaves the catalog leaves the profile: what allowed it alone allows nothing, not everything.
#[sqlx::test(migrations = "../migrations")]
async fn a_profile_whose_models_are_gone_allows_none(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let (ada, ..) = world.with_key("ada").await;
    let (runtime_id, key) = world.runtime(&ada).await;
    world.model("other", Some((1, 1, 1)), true).await;
    let (id,): (uuid::Uuid,) = sqlx::query_as("select model_id from model where name = 'other'").fetch_one(&world.pool).await.unwrap();
    let narrow = profiles::add(&world.pool, &root, change(Some(vec![ModelId(id)]))).await.unwrap();
    give(&world, runtime_id, narrow.profile_id).await;
    sqlx::query("delete from model where name = 'other'").execute(&world.pool).await.unwrap();
    assert!(listed(&world, &key).await.is_empty());
    let body = json!({"model": "priced", "messages": [{"role": "user", "content": "answers"}]});
    assert_eq!(world.chat_from_runtime(&key, &body).await.headers()["x-clawloops-refusal"], "model");
}
