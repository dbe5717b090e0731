//! A model that is published to some groups: who may call it, is told of it, and gets an answer as for a model that there is not.

use super::support::World;
use contract::{Caller, GroupId, KeyEnd, KeyWish, ModelChange, ModelId, Role};
use serde_json::{Value, json};
use server::{
    data::Pool,
    model::{catalog, keys},
    platform::groups,
};

/// Publishes the world's priced model to these groups, or to everyone.
async fn publish(world: &World, root: &Caller, to: Option<Vec<GroupId>>) -> ModelId {
    let all = catalog::all(&world.service, root).await.unwrap();
    let model = all.into_iter().find(|model| model.name == "priced").unwrap();
    let change = ModelChange {
        name: model.name,
        upstream: model.upstream,
        description: model.description,
        context_tokens: model.context_tokens,
        output_tokens: model.output_tokens,
        price: model.price,
        counted_in: model.counted_in,
        published: model.published,
        groups: to,
        is_default: model.is_default,
        fallbacks: model.fallbacks,
    };
    catalog::change(&world.service, root, model.model_id, change).await.unwrap().model_id
}

async fn group(world: &World, root: &Caller, name: &str) -> GroupId {
    groups::add(&world.pool, root, name).await.unwrap();
    groups::all(&world.pool, root).await.unwrap().into_iter().find(|group| group.name == name).unwrap().group_id
}

async fn get(world: &World, key: &str, path: &str) -> (u16, Value) {
    let address = if key.starts_with("cl_rt_") { world.internal } else { world.public };
    let answer = world.http.get(format!("http://{address}/v1/{path}")).bearer_auth(key).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn listed(world: &World, key: &str) -> Vec<String> {
    let (_, list) = get(world, key, "models").await;
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

fn call() -> Value {
    json!({"model": "priced", "messages": [{"role": "user", "content": "answers"}], "max_tokens": 20})
}

#[sqlx::test(migrations = "../migrations")]
async fn a_model_of_a_group_is_there_for_its_members_alone(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let (ada, adas, _) = world.with_key("ada").await;
    let (bob, bobs, _) = world.with_key("bob").await;
    let (_, runtimes) = world.runtime(&bob).await;
    let research = group(&world, &root, "Research").await;
    let model = publish(&world, &root, Some(vec![research])).await;
    groups::put(&world.pool, &root, research, " ADA@example.com ").await.unwrap();
    // Twice is once.
    groups::put(&world.pool, &root, research, "ada@example.com").await.unwrap();

    assert_eq!(listed(&world, &adas).await, ["demo", "priced"]);
    assert_eq!(world.chat(&adas, &call()).await.status(), 200);
    world.settled().await;
    let sent = world.upstream.seen.lock().unwrap().len();

    // For others it is as one that there is not: the same answer, word for word but for the name.
    for key in [&bobs, &runtimes] {
        assert_eq!(listed(&world, key).await, ["demo"]);
        assert_eq!(get(&world, key, "models/priced").await.0, 404);
    }
    let kept = world.chat(&bobs, &call()).await;
    let unknown = world.chat(&bobs, &json!({"model": "nothing", "messages": call()["messages"], "max_tokens": 20})).await;
    assert_eq!((kept.status().as_u16(), unknown.status().as_u16()), (404, 404));
    let (kept, unknown) = (kept.text().await.unwrap(), unknown.text().await.unwrap());
    assert_eq!(kept.replace("priced", "nothing"), unknown);
    let embeddings = world.post("embeddings", &runtimes, &json!({"model": "priced", "input": "hello"})).await;
    assert_eq!(embeddings.status(), 404);
    assert_eq!(world.upstream.seen.lock().unwrap().len(), sent, "nothing of it was sent");

    // Nor is it on the pages of others, nor may a key be made for it; and to whom else it is published is not told.
    let names = |models: Vec<contract::ModelView>| models.into_iter().map(|model| (model.name, model.groups)).collect::<Vec<_>>();
    assert_eq!(names(catalog::for_caller(&world.service, &bob).await.unwrap()), [("demo".to_owned(), None)]);
    assert_eq!(names(catalog::for_caller(&world.service, &ada).await.unwrap())[1], ("priced".to_owned(), None));
    let wish = || KeyWish { name: "narrow".to_owned(), models: Some(vec![model]), ends: KeyEnd::Never, limits: Vec::new() };
    assert!(keys::make(&world.service, &bob, wish()).await.is_err());
    assert!(keys::make(&world.service, &ada, wish()).await.is_ok());

    // Whoever leaves has it no more with the next call, whoever comes has it.
    groups::take(&world.pool, &root, research, ada.person_id).await.unwrap();
    groups::put(&world.pool, &root, research, "bob@example.com").await.unwrap();
    assert_eq!(world.chat(&adas, &call()).await.status(), 404);
    assert_eq!((world.chat(&bobs, &call()).await.status(), listed(&world, &runtimes).await.len()), (reqwest::StatusCode::OK, 2));
    world.settled().await;

    // A group that is gone leaves it to nobody, not to all.
    groups::remove(&world.pool, &root, research).await.unwrap();
    assert_eq!((world.chat(&adas, &call()).await.status().as_u16(), world.chat(&bobs, &call()).await.status().as_u16()), (404, 404));
    publish(&world, &root, None).await;
    assert_eq!(world.chat(&adas, &call()).await.status(), 200);
    world.settled().await;

    let told: Vec<(String, String, String)> =
        sqlx::query_as("select action, subject, detail from audit_entry where action like 'group.%' order by audit_entry_id")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let told: Vec<_> = told.iter().map(|(action, subject, detail)| (action.as_str(), subject.as_str(), detail.as_str())).collect();
    assert_eq!(
        told,
        [
            ("group.added", "Research", ""),
            ("group.joined", "ada@example.com", "Research"),
            ("group.left", "ada@example.com", "Research"),
            ("group.joined", "bob@example.com", "Research"),
            ("group.removed", "Research", ""),
        ]
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn only_an_administrator_makes_groups_and_their_names_differ(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let ada = world.person("ada", Role::Person).await;
    let research = group(&world, &root, " Research ".trim()).await;
    let sales = group(&world, &root, "Sales").await;
    let problem = |result: server::Result<()>| {
        let contract::Problem { code, field, .. } = result.unwrap_err().into();
        (code, field)
    };
    let name = || Some("name".to_owned());
    use contract::Code;
    assert_eq!(problem(groups::add(&world.pool, &root, "RESEARCH").await), (Code::Conflict, name()));
    assert_eq!(problem(groups::rename(&world.pool, &root, sales, "research").await), (Code::Conflict, name()));
    assert_eq!(problem(groups::add(&world.pool, &root, " ").await), (Code::Invalid, name()));
    assert_eq!(problem(groups::add(&world.pool, &root, &"x".repeat(61)).await), (Code::Invalid, name()));
    assert_eq!(
        problem(groups::put(&world.pool, &root, sales, "nobody@example.com").await),
        (Code::PersonNotFound, Some("email".to_owned()))
    );
    groups::remove(&world.pool, &root, sales).await.unwrap();
    assert_eq!(problem(groups::remove(&world.pool, &root, sales).await).0, Code::GroupNotFound);
    for denied in [
        groups::all(&world.pool, &ada).await.map(drop),
        groups::add(&world.pool, &ada, "Mine").await,
        groups::rename(&world.pool, &ada, research, "Mine").await,
        groups::remove(&world.pool, &ada, research).await,
        groups::put(&world.pool, &ada, research, "ada@example.com").await,
        groups::take(&world.pool, &ada, research, root.person_id).await,
    ] {
        assert_eq!(problem(denied).0, Code::AccessDenied);
    }
}
