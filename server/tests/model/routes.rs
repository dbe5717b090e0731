//! Ways of a call: straight to a provider, to models that answer in another's place, and not to one that fails again and again.

use crate::support::{Upstream, World, call, streamed, upstream, wish};
use axum::http::HeaderMap;
use contract::{Caller, CountedIn, KeyEnd, KeyWish, ModelChange, ModelView, NewProvider, Price, ProviderKind, Role, Unit, Window};
use serde_json::{Value, json};
use server::{
    Error,
    data::Pool,
    model::{catalog, keys, providers},
};
use std::{net::SocketAddr, time::Duration};

fn admin(of: &Caller) -> Caller {
    Caller { role: Role::Administrator, ..of.clone() }
}

fn at(address: SocketAddr) -> NewProvider {
    NewProvider {
        kind: ProviderKind::OpenAiCompatible,
        name: format!("Server {address}"),
        base_url: Some(format!("http://{address}/v1")),
        allows_private: true,
        region: None,
        is_direct: true,
        secret: Some("sk-the-providers-own".to_owned()),
    }
}

fn model(name: &str, fallbacks: &[&str]) -> ModelChange {
    ModelChange {
        name: name.to_owned(),
        upstream: format!("org/{name}"),
        description: String::new(),
        context_tokens: 100_000,
        output_tokens: 4096,
        price: Some(Price::FREE),
        counted_in: CountedIn::Tokens,
        published: true,
        groups: None,
        is_default: false,
        fallbacks: fallbacks.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A model on a direct route to this address.
async fn put(world: &World, ada: &Caller, address: SocketAddr, change: ModelChange) -> ModelView {
    let provider = providers::add(&world.service, &admin(ada), at(address)).await.unwrap();
    catalog::add(&world.service, &admin(ada), provider.provider_id, change).await.unwrap()
}

/// The same body for another model.
fn to(model: &str, mut body: Value) -> Value {
    body["model"] = json!(model);
    body
}

/// The headers and the body of the calls that an upstream saw.
fn seen(upstream: &Upstream) -> Vec<(HeaderMap, Value)> {
    upstream.seen.lock().unwrap().iter().map(|seen| (seen.headers.clone(), seen.body.clone())).collect()
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_direct_route_goes_to_the_provider_and_leaves_to_litellm_what_it_translates(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (server, address) = upstream().await;
    put(&world, &ada, address, model("fast", &[])).await;

    for body in [call("answers", 5), streamed("answers", 5)] {
        let answer = world.chat(&key, &to("fast", body)).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().contains_key("x-clawloops-overhead-ms"));
        assert!(!answer.headers().contains_key("x-clawloops-model"));
        answer.bytes().await.unwrap();
    }
    world.settled().await;
    let record = ("fast".to_owned(), 10, 4, 5, 0, "done".to_owned(), false);
    assert_eq!(world.records().await, [record.clone(), record]);
    let routes: Vec<String> = sqlx::query_scalar("select distinct route from usage_record").fetch_all(&world.pool).await.unwrap();
    assert_eq!(routes, [format!("Server {address}")]);
    for (headers, body) in seen(&server) {
        assert_eq!(headers["authorization"], "Bearer sk-the-providers-own");
        assert_eq!(body["model"], "org/fast", "by the name that the provider knows");
    }
    assert!(seen(&world.upstream).is_empty(), "LiteLLM was not asked");

    // Anthropic's shape is not the provider's.
    let body = json!({"model": "fast", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(world.post("messages", &key, &body).await.status(), 200);
    assert_eq!(seen(&world.upstream)[0].1["model"], "fast");
    assert_eq!(seen(&server).len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn another_model_answers_where_one_does_not_and_each_is_recorded(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    put(&world, &ada, nobody(), model("away", &[])).await;
    put(&world, &ada, nobody(), model("down", &["away", "priced"])).await;

    let answer = world.chat(&key, &to("down", streamed("answers", 5))).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-clawloops-model"].to_str().unwrap()), (200, "priced"));
    assert!(answer.text().await.unwrap().trim_end().ends_with("data: [DONE]"));
    world.settled().await;
    let nothing = |name: &str| (name.to_owned(), 0, 0, 0, 0, "failed".to_owned(), false);
    let records = world.records().await;
    assert_eq!(records[..2], [nothing("down"), nothing("away")]);
    assert_eq!((records[2].0.as_str(), records[2].3, records[2].5.as_str()), ("priced", 5, "done"), "at its own price");
    assert!(records[2].4 > 0);

    // What the caller got wrong is wrong everywhere, and one who asked for vectors wants no others.
    for (path, body) in
        [("chat/completions", to("priced", call("does not like it", 5))), ("embeddings", json!({"model": "down", "input": "x"}))]
    {
        let before = seen(&world.upstream).len();
        let answer = world.post(path, &key, &body).await;
        assert!(!answer.status().is_success());
        assert_eq!(seen(&world.upstream).len() - before, usize::from(path.starts_with("chat")), "{path}");
    }

    // When nobody answers, it is said of the model that was asked.
    let down = world.chat(&key, &to("down", call("fails", 5))).await;
    assert_eq!(down.status(), 503);
    assert!(down.text().await.unwrap().contains("`down` cannot be reached"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_fallback_opens_no_door_and_passes_no_limit(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, _, _) = world.with_key("ada").await;
    let down = put(&world, &ada, nobody(), model("down", &["priced"])).await;

    // A key for this model alone.
    let only = KeyWish { models: Some(vec![down.model_id]), ..wish("only", KeyEnd::Never) };
    let only = keys::make(&world.service, &ada, only).await.unwrap().secret;
    assert_eq!(world.chat(&only, &to("down", call("answers", 5))).await.status(), 503);

    // The one that stands in costs money, of which there is none.
    world.limit(&ada, Window::Day, Unit::Money, Some(1)).await;
    let any = keys::make(&world.service, &ada, wish("any", KeyEnd::Never)).await.unwrap().secret;
    let refused = world.chat(&any, &to("down", call("answers", 5))).await;
    assert_eq!(refused.status(), 503, "it is said of the model that was asked");
    assert!(seen(&world.upstream).is_empty());

    // Names that are not there, and no names twice or of itself.
    for fallbacks in [&["nobody"][..], &["down"], &["priced", "priced"]] {
        let changed = catalog::change(&world.service, &admin(&ada), down.model_id, model("down", fallbacks)).await;
        let Err(Error::Problem(problem)) = changed else { panic!("{fallbacks:?}") };
        assert_eq!(problem.field.as_deref(), Some("fallbacks"));
    }
    let kept = catalog::all(&world.service, &admin(&ada)).await.unwrap();
    assert_eq!(kept.iter().find(|model| model.name == "down").unwrap().fallbacks, ["priced"]);
    let offered = catalog::for_caller(&world.service, &ada).await.unwrap();
    assert!(offered.iter().all(|model| model.fallbacks.is_empty()), "people are not told");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_model_that_fails_again_and_again_is_left_alone_and_comes_back_by_itself(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (server, address) = upstream().await;
    put(&world, &ada, address, model("flaky", &[])).await;
    let unhealthy = async || {
        let all = catalog::all(&world.service, &admin(&ada)).await.unwrap();
        all.into_iter().find(|model| model.name == "flaky").unwrap().unhealthy
    };

    // What callers bring about says nothing of the provider.
    for does in ["does not like it", "is busy"] {
        for _ in 0..6 {
            world.chat(&key, &to("flaky", call(does, 5))).await;
        }
    }
    assert_eq!(unhealthy().await, None);
    for _ in 0..5 {
        assert_eq!(world.chat(&key, &to("flaky", call("fails", 5))).await.status(), 502);
    }
    let asked = seen(&server).len();
    let resting = world.chat(&key, &to("flaky", call("answers", 5))).await;
    assert_eq!((resting.status().as_u16(), resting.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert!(resting.text().await.unwrap().contains("failed several times in a row"));
    assert_eq!(seen(&server).len(), asked, "nothing was sent");
    assert_eq!(unhealthy().await.unwrap().said, "HTTP 500 Internal Server Error");
    assert_eq!(world.chat(&key, &call("answers", 5)).await.status(), 200, "others are not concerned");

    world.clock.advance(time::Duration::seconds(5));
    assert_eq!(world.chat(&key, &to("flaky", call("answers", 5))).await.status(), 200);
    assert_eq!(unhealthy().await, None);
    world.settled().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_that_leads_inside_wants_to_be_allowed_also_when_it_comes_to_lead_there_later(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (server, address) = upstream().await;
    let inside = NewProvider { allows_private: false, ..at(address) };
    let Err(Error::Problem(problem)) = providers::add(&world.service, &admin(&ada), inside).await else { panic!("it was added") };
    assert_eq!(problem.field.as_deref(), Some("base_url"));
    assert!(problem.message.contains("own network"), "{}", problem.message);

    // A name that was outside when it was added.
    let model = put(&world, &ada, address, model("inside", &[])).await;
    sqlx::query("update provider set allows_private = false, base_url = $1 where provider_id = $2")
        .bind(format!("http://localhost:{}/v1", address.port()))
        .bind(model.provider_id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(world.chat(&key, &to("inside", call("answers", 5))).await.status(), 503);
    let Err(Error::Problem(problem)) = providers::upstream_models(&world.service, &admin(&ada), model.provider_id).await else {
        panic!("it was asked")
    };
    assert!(problem.message.contains("own network"), "{}", problem.message);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(seen(&server).is_empty());
    world.settled().await;
}
