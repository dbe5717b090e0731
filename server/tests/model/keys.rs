//! Keys: which door they open, and when they no longer do.

use crate::support::{World, call, streamed};
use contract::{Code, Role};
use futures::StreamExt as _;
use serde_json::Value;
use server::{
    data::{Pool, listen::Change},
    model::{budget, keys},
};
use time::Duration;

async fn refusal(answer: reqwest::Response) -> String {
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["error"]["code"], "invalid_api_key");
    said["error"]["message"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revoked_key_stops_at_once_and_another_persons_cannot_be_revoked(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, key_id) = world.with_key("ada").await;
    let (eve, ..) = world.with_key("eve").await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    let listed = keys::of(&world.service, &ada).await.unwrap();
    assert!(key.starts_with(listed[0].hint.trim_end_matches('…')) && listed[0].last_used_at.is_some());
    assert!(!serde_json::to_string(&listed).unwrap().contains(&key[22..]), "the secret is shown once");

    assert_eq!(keys::revoke(&world.service, &eve, key_id).await.unwrap_err().into_problem().code, Code::NotFound);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    assert!(refusal(world.chat(&key, &call("answers", 1)).await).await.contains("revoked"));
    // Only who holds the whole key is told that it was revoked.
    let mut wrong = key.clone();
    wrong.replace_range(wrong.len() - 6.., "zzzzzz");
    assert!(refusal(world.chat(&wrong, &call("answers", 1)).await).await.contains("not known"));
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_but_a_good_key_opens_a_door(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (_, runtime_key) = world.runtime(&ada).await;
    for path in ["chat/completions", "embeddings", "models", "models/demo", "nowhere"] {
        let answer = world.http.post(format!("http://{}/v1/{path}", world.public)).body("{}").send().await.unwrap();
        assert!(refusal(answer).await.contains("No key"), "{path}");
    }
    for wrong in ["sk-123", "cl_live_0123456789ab_0123456789abcdef", "cl_live_", "cl_live_%00_\u{fffd}"] {
        let answer =
            world.http.get(format!("http://{}/v1/models", world.public)).header("authorization", format!("Bearer {wrong}").as_bytes());
        refusal(answer.send().await.unwrap()).await;
    }
    let basic = world.http.get(format!("http://{}/v1/models", world.public)).basic_auth(&key, None::<&str>);
    refusal(basic.send().await.unwrap()).await;
    // Each key has its own door.
    refusal(world.chat(&runtime_key, &call("answers", 1)).await).await;
    refusal(world.chat_from_runtime(&key, &call("answers", 1)).await).await;
    assert_eq!(world.chat_from_runtime(&runtime_key, &call("answers", 1)).await.status(), 200);
    // A runtime's key under a person's name is neither.
    refusal(world.chat(&runtime_key.replace("cl_rt_", "cl_live_"), &call("answers", 1)).await).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtimes_key_is_dead_while_it_is_stopped_and_after_it_was_replaced(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, ..) = world.with_key("ada").await;
    let (runtime, key) = world.runtime(&ada).await;
    let wish = async |state: &str| {
        sqlx::query("update runtime set desired_state = $2 where runtime_id = $1")
            .bind(runtime.0)
            .bind(state)
            .execute(&world.pool)
            .await
            .unwrap();
    };
    assert_eq!(world.chat_from_runtime(&key, &call("answers", 1)).await.status(), 200);
    wish("stopped").await;
    assert!(refusal(world.chat_from_runtime(&key, &call("answers", 1)).await).await.contains("stopped"));
    wish("running").await;
    assert_eq!(world.chat_from_runtime(&key, &call("answers", 1)).await.status(), 200);

    let mut connection = world.pool.acquire().await.unwrap();
    let now = server::clock::Clock::now(&*world.clock);
    server::data::model_key::put_runtime_key(&mut connection, ada.person_id, runtime, "r", "00000000ffff", &[1; 32], now).await.unwrap();
    assert!(refusal(world.chat_from_runtime(&key, &call("answers", 1)).await).await.contains("revoked"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_ends_with_its_time_and_with_its_person(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let short = keys::make(&world.service, &ada, "for a day", Some(1)).await.unwrap().secret;
    assert_eq!(world.chat(&short, &call("answers", 1)).await.status(), 200);
    world.clock.advance(Duration::days(1));
    assert!(refusal(world.chat(&short, &call("answers", 1)).await).await.contains("expired"));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    let (_, runtime_key) = world.runtime(&ada).await;
    sqlx::query("update person set status = 'disabled' where person_id = $1").bind(ada.person_id.0).execute(&world.pool).await.unwrap();
    assert!(refusal(world.chat(&key, &call("answers", 1)).await).await.contains("disabled"));
    refusal(world.chat_from_runtime(&runtime_key, &call("answers", 1)).await).await;
    for (name, days, field) in [("", None, "name"), ("x", Some(0), "days"), ("a\nb", None, "name")] {
        let problem = keys::make(&world.service, &ada, name, days).await.unwrap_err().into_problem();
        assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some(field)));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_gets_a_key_while_being_disabled(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, ..) = world.with_key("ada").await;
    let mut disabling = world.pool.begin().await.unwrap();
    sqlx::query("update person set status = 'disabled' where person_id = $1").bind(ada.person_id.0).execute(&mut *disabling).await.unwrap();
    let making = keys::make(&world.service, &ada, "second", None);
    tokio::pin!(making);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), &mut making).await.is_err(), "it waits for what comes of it");
    disabling.commit().await.unwrap();
    assert_eq!(making.await.unwrap_err().into_problem().code, Code::PersonDisabled);
    assert_eq!(keys::of(&world.service, &ada).await.unwrap().len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_that_dies_while_its_request_is_sent_reaches_no_model(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, key_id) = world.with_key("ada").await;
    let body = call("answers", 5).to_string();
    let (head, tail) = (body[..20].to_owned(), body[20..].to_owned());
    let slowly = futures::stream::once(async { Ok::<_, std::io::Error>(head) }).chain(futures::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
        Ok(tail)
    }));
    let sent = world.http.post(format!("http://{}/v1/chat/completions", world.public)).bearer_auth(&key);
    let sent = tokio::spawn(sent.body(reqwest::Body::wrap_stream(slowly)).send());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    assert!(refusal(sent.await.unwrap().unwrap()).await.contains("no longer good"));
    world.settled().await;
    assert!(world.upstream.seen.lock().unwrap().is_empty());
    assert!(world.records().await.iter().all(|record| record.4 == 0 && record.5 == "failed"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_whole_answer_is_kept_from_a_key_that_died_and_counted(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, key_id) = world.with_key("ada").await;
    let sent = world.http.post(format!("http://{}/v1/chat/completions", world.public)).bearer_auth(&key).json(&call("is slow", 5)).send();
    let sent = tokio::spawn(sent);
    while world.upstream.seen.lock().unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    world.service.changes().tell(Change::Keys { person_id: ada.person_id });
    assert!(refusal(sent.await.unwrap().unwrap()).await.contains("no longer good"));
    world.settled().await;
    assert_eq!(world.records().await[0].3, 5, "what the upstream did is counted");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_is_cut_when_the_time_of_its_key_is_over(pool: Pool) {
    let world = World::new(pool).await;
    let ada = world.person("ada", Role::Person).await;
    let key = keys::make(&world.service, &ada, "for a day", Some(1)).await.unwrap().secret;
    let mut stream = world.chat(&key, &streamed("drips", 100)).await;
    assert!(stream.chunk().await.unwrap().is_some());
    budget::cut_dead_keys(&world.service).await.unwrap();
    assert!(!String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()).contains("no longer good"));
    world.clock.advance(Duration::days(1));
    budget::cut_dead_keys(&world.service).await.unwrap();
    assert!(stream.text().await.unwrap().contains("no longer good"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_in_progress_is_cut_when_its_key_ends(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, key_id) = world.with_key("ada").await;
    let mut stream = world.chat(&key, &streamed("drips", 200)).await;
    assert!(stream.chunk().await.unwrap().is_some());
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    // What PostgreSQL tells every server, told here by hand.
    world.service.changes().tell(Change::Keys { person_id: ada.person_id });
    let began = std::time::Instant::now();
    let rest = stream.text().await.unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(rest.ends_with("\n\n") && rest.contains("no longer good") && !rest.contains("[DONE]"), "{rest}");
    world.settled().await;
    let record = world.records().await.remove(0);
    assert_eq!((record.3, record.5.as_str()), (200, "hung_up"), "what the upstream did is counted");
}
