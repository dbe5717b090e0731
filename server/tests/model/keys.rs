//! Keys: which door they open, and when they no longer do.

use crate::support::{World, call, streamed, wish};
use contract::{Caller, Code, KeyEnd, KeyWish, ModelId, NewKey, Role};
use futures::StreamExt as _;
use serde_json::Value;
use server::{
    data::{self, Pool, listen::Change},
    model::{budget, keys},
    runtime::checksum,
};
use time::{Duration, macros::date};

fn with_checksum(text: &str) -> String {
    format!("{text}{}", checksum::of(text))
}

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
    assert!(refusal(world.chat(&wrong, &call("answers", 1)).await).await.contains("mistyped"));
    let other = with_checksum(&format!("{}{}", &key[..21], "x".repeat(43)));
    assert!(refusal(world.chat(&other, &call("answers", 1)).await).await.contains("not known"));
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
    for wrong in ["sk-123", "cl_live_0123456789ab_0123456789abcdef", "cl_live_", "cl_rt_", "cl_live_%00_\u{fffd}"] {
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

    let next = world.give(&ada, runtime, 1, Duration::ZERO).await;
    assert!(refusal(world.chat_from_runtime(&key, &call("answers", 1)).await).await.contains("replaced"));
    assert_eq!(world.chat_from_runtime(&next, &call("answers", 1)).await.status(), 200);
    // Given again it stays what it is, and the one before it stays dead.
    assert_eq!(world.give(&ada, runtime, 0, Duration::HOUR).await, key);
    assert!(refusal(world.chat_from_runtime(&key, &call("answers", 1)).await).await.contains("replaced"));
    assert_eq!(world.chat_from_runtime(&next, &call("answers", 1)).await.status(), 200);
    let listed = keys::of(&world.service, &ada).await.unwrap();
    assert_eq!(listed.iter().filter(|key| key.runtime_id == Some(runtime)).count(), 1, "one key, whatever its secret");
    // It is not for its person to revoke: it would never be given again.
    let id = listed.iter().find(|key| key.runtime_id.is_some()).unwrap().key_id;
    for refused in [keys::revoke(&world.service, &ada, id).await.err(), keys::rotate(&world.service, &ada, id, Duration::HOUR).await.err()]
    {
        assert_eq!(refused.unwrap().into_problem().code, Code::NotFound);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_ends_with_its_time_and_with_its_person(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let short = keys::make(&world.service, &ada, wish("for a day", KeyEnd::After(1))).await.unwrap().secret;
    assert_eq!(world.chat(&short, &call("answers", 1)).await.status(), 200);
    world.clock.advance(Duration::days(1));
    assert!(refusal(world.chat(&short, &call("answers", 1)).await).await.contains("expired"));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    let (_, runtime_key) = world.runtime(&ada).await;
    sqlx::query("update person set status = 'disabled' where person_id = $1").bind(ada.person_id.0).execute(&world.pool).await.unwrap();
    assert!(refusal(world.chat(&key, &call("answers", 1)).await).await.contains("disabled"));
    refusal(world.chat_from_runtime(&runtime_key, &call("answers", 1)).await).await;
    for (name, ends, field) in [("", KeyEnd::Never, "name"), ("x", KeyEnd::After(0), "days"), ("a\nb", KeyEnd::Never, "name")] {
        let problem = keys::make(&world.service, &ada, wish(name, ends)).await.unwrap_err().into_problem();
        assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some(field)));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn nobody_gets_a_key_while_being_disabled(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, ..) = world.with_key("ada").await;
    let mut disabling = world.pool.begin().await.unwrap();
    sqlx::query("update person set status = 'disabled' where person_id = $1").bind(ada.person_id.0).execute(&mut *disabling).await.unwrap();
    let making = keys::make(&world.service, &ada, wish("second", KeyEnd::Never));
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
    let key = keys::make(&world.service, &ada, wish("for a day", KeyEnd::After(1))).await.unwrap().secret;
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

#[sqlx::test(migrations = "../migrations")]
async fn a_mistyped_key_an_unknown_one_and_one_of_before_are_told_apart(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, key_id) = world.with_key("ada").await;
    for at in [9, 15, 25, key.len() - 8, key.len() - 1] {
        let mut typed = key.clone();
        typed.replace_range(at..=at, if &key[at..=at] == "a" { "b" } else { "a" });
        assert!(refusal(world.chat(&typed, &call("answers", 1)).await).await.contains("mistyped"), "{at}");
    }
    assert!(refusal(world.chat(&key[..key.len() - 3], &call("answers", 1)).await).await.contains("mistyped"));
    let never = with_checksum(&format!("cl_live_0123456789ab_{}", "A".repeat(43)));
    assert!(refusal(world.chat(&never, &call("answers", 1)).await).await.contains("not known"));

    // One that was made before there were checksums.
    let (public_id, secret) = ("00ff00ff00ff", "a-b_".repeat(11)[..43].to_owned());
    sqlx::query("update model_key_secret set public_id = $2, secret_hash = sha256($3::bytea) where key_id = $1")
        .bind(key_id.0)
        .bind(public_id)
        .bind(secret.as_bytes())
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(world.chat(&format!("cl_live_{public_id}_{secret}"), &call("answers", 1)).await.status(), 200);
    // Its secret under another public part is nobody's.
    let answer = world.chat(&format!("cl_live_111111111111_{secret}"), &call("answers", 1)).await;
    assert!(refusal(answer).await.contains("not known"));
}

/// Nothing is found of a secret that was never here, whatever public part stands before it: so there is nothing to measure either.
#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_secret_costs_the_same_with_a_public_part_that_is_here(pool: Pool) {
    let world = World::new(pool).await;
    let (_, key, _) = world.with_key("ada").await;
    let secret = "B".repeat(43);
    let wrong = [with_checksum(&format!("{}{secret}", &key[..21])), with_checksum(&format!("cl_live_0123456789ab_{secret}"))];
    let mut said = Vec::new();
    for wrong in &wrong {
        let answer = world.chat(wrong, &call("answers", 1)).await;
        let names: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
        said.push((names, refusal(answer).await));
    }
    assert_eq!(said[0], said[1]);
    let plan: String = {
        let mut transaction = world.pool.begin().await.unwrap();
        sqlx::query("set local enable_seqscan = off").execute(&mut *transaction).await.unwrap();
        let lines: Vec<(String,)> = sqlx::query_as("explain select key_id from model_key_secret where secret_hash = '\\x00'")
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        lines.into_iter().map(|(line,)| line).collect()
    };
    assert!(plan.contains("model_key_secret_hash_key"), "found by the secret's hash alone: {plan}");
    assert!(data::model_key::find(&mut world.pool.acquire().await.unwrap(), &[0; 32]).await.unwrap().is_none());
}

async fn rotated(world: &World, caller: &Caller, key_id: contract::KeyId, overlap: Duration) -> NewKey {
    keys::rotate(&world.service, caller, key_id, overlap).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_is_rotated_with_an_overlap_and_both_are_shown_until_the_old_one_dies(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, first, key_id) = world.with_key("ada").await;
    let (eve, ..) = world.with_key("eve").await;
    assert_eq!(world.chat(&first, &call("answers", 1)).await.status(), 200);
    assert_eq!(keys::rotate(&world.service, &eve, key_id, Duration::HOUR).await.unwrap_err().into_problem().code, Code::NotFound);

    let made = rotated(&world, &ada, key_id, Duration::HOUR).await;
    let second = made.secret;
    assert!(made.key.key_id == key_id && second.starts_with(made.key.hint.trim_end_matches('…')) && second != first);
    assert_eq!(made.key.last_used_at, None, "the new secret was not used yet");
    assert!(first.starts_with(made.key.former[0].hint.trim_end_matches('…')) && made.key.former[0].last_used_at.is_some());
    assert_eq!(made.key.former[0].ends_at, server::clock::Clock::now(&*world.clock) + Duration::HOUR);
    for key in [&first, &second] {
        assert_eq!(world.chat(key, &call("answers", 1)).await.status(), 200);
    }
    // Again, with less time: neither of the two before it gets more than that.
    let third = rotated(&world, &ada, key_id, Duration::minutes(10)).await;
    assert_eq!(third.key.former.len(), 2);
    world.clock.advance(Duration::minutes(10));
    for key in [&first, &second] {
        assert!(refusal(world.chat(key, &call("answers", 1)).await).await.contains("replaced"));
    }
    assert_eq!(world.chat(&third.secret, &call("answers", 1)).await.status(), 200);
    let listed = keys::of(&world.service, &ada).await.unwrap();
    assert!(listed.len() == 1 && listed[0].former.is_empty(), "one key, and nothing that works no more");
    // What it was used for stays the one key's.
    world.settled().await;
    let whose: Vec<(uuid::Uuid,)> = sqlx::query_as("select distinct key_id from usage_record").fetch_all(&world.pool).await.unwrap();
    assert_eq!(whose, [(key_id.0,)]);

    for (overlap, code) in [(Duration::days(31), Code::Invalid), (Duration::seconds(-1), Code::Invalid)] {
        assert_eq!(keys::rotate(&world.service, &ada, key_id, overlap).await.unwrap_err().into_problem().code, code);
    }
    // Revoked with all its secrets, and then there is nothing to rotate.
    let fourth = rotated(&world, &ada, key_id, Duration::DAY).await;
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    for key in [&third.secret, &fourth.secret] {
        assert!(refusal(world.chat(key, &call("answers", 1)).await).await.contains("revoked"));
    }
    assert_eq!(keys::rotate(&world.service, &ada, key_id, Duration::HOUR).await.unwrap_err().into_problem().code, Code::Conflict);
    let short = keys::make(&world.service, &ada, wish("short", KeyEnd::After(1))).await.unwrap();
    world.clock.advance(Duration::days(1));
    assert_eq!(keys::rotate(&world.service, &ada, short.key.key_id, Duration::HOUR).await.unwrap_err().into_problem().code, Code::Conflict);
    assert!(keys::of(&world.service, &ada).await.unwrap()[0].expired);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stream_is_cut_when_the_old_secret_of_its_key_ends_and_one_of_the_new_goes_on(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, first, key_id) = world.with_key("ada").await;
    let second = rotated(&world, &ada, key_id, Duration::HOUR).await.secret;
    let (mut old, mut new) = (world.chat(&first, &streamed("drips", 100)).await, world.chat(&second, &streamed("drips", 100)).await);
    assert!(old.chunk().await.unwrap().is_some() && new.chunk().await.unwrap().is_some());
    budget::cut_dead_keys(&world.service).await.unwrap();
    assert!(!String::from_utf8_lossy(&old.chunk().await.unwrap().unwrap()).contains("no longer good"));
    world.clock.advance(Duration::HOUR);
    budget::cut_dead_keys(&world.service).await.unwrap();
    assert!(old.text().await.unwrap().contains("no longer good"));
    assert!(new.text().await.unwrap().contains("[DONE]"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_calls_the_models_it_was_made_for_asked_at_each_call(pool: Pool) {
    let world = World::new(pool).await;
    let ada = world.person("ada", Role::Person).await;
    world.model("other", Some((1, 1, 1)), true).await;
    world.model("hidden", Some((1, 1, 1)), false).await;
    let id = async |name: &str| {
        let (id,): (uuid::Uuid,) =
            sqlx::query_as("select model_id from model where name = $1").bind(name).fetch_one(&world.pool).await.unwrap();
        ModelId(id)
    };
    let narrow = |models: Vec<ModelId>| KeyWish { models: Some(models), ..wish("narrow", KeyEnd::Never) };
    for wrong in [vec![], vec![id("hidden").await], vec![id("other").await, ModelId(uuid::Uuid::now_v7())]] {
        let problem = keys::make(&world.service, &ada, narrow(wrong)).await.unwrap_err().into_problem();
        assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some("model_ids")));
    }
    let made = keys::make(&world.service, &ada, narrow(vec![id("other").await])).await.unwrap();
    assert_eq!(made.key.models, Some(vec!["other".to_owned()]));

    let list = world.http.get(format!("http://{}/v1/models", world.public)).bearer_auth(&made.secret).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let names: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["other"]);
    let mut other = call("answers", 1);
    other["model"] = "other".into();
    assert_eq!(world.chat(&made.secret, &other).await.status(), 200);
    let refused = world.chat(&made.secret, &call("answers", 1)).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["x-clawloops-refusal"].to_str().unwrap()), (403, "model"));
    let said: Value = refused.json().await.unwrap();
    assert_eq!((&said["error"]["code"], &said["error"]["param"]), (&"model_not_in_key".into(), &"model".into()));
    assert!(said["error"]["message"].as_str().unwrap().contains("narrow"), "{said}");
    assert_eq!(world.upstream.seen.lock().unwrap().len(), 1);

    // A rotation keeps them; a model that leaves the catalog leaves the key, which then allows none.
    let next = rotated(&world, &ada, made.key.key_id, Duration::ZERO).await;
    assert_eq!(next.key.models, made.key.models);
    sqlx::query("delete from model where name = 'other'").execute(&world.pool).await.unwrap();
    assert_eq!(world.chat(&next.secret, &call("answers", 1)).await.status(), 403);
    assert_eq!(keys::of(&world.service, &ada).await.unwrap()[0].models, Some(vec![]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_key_ends_with_a_day_in_its_owners_time_zone(pool: Pool) {
    let world = World::new(pool).await;
    let ada = Caller { time_zone: "America/New_York".to_owned(), ..world.person("ada", Role::Person).await };
    let made = keys::make(&world.service, &ada, wish("until tomorrow", KeyEnd::With(date!(2026 - 11 - 23)))).await.unwrap();
    assert_eq!(made.key.expires_at, Some(time::macros::datetime!(2026-11-24 05:00 UTC)));
    world.clock.advance(Duration::hours(41) - Duration::SECOND);
    assert_eq!(world.chat(&made.secret, &call("answers", 1)).await.status(), 200);
    world.clock.advance(Duration::SECOND);
    assert!(refusal(world.chat(&made.secret, &call("answers", 1)).await).await.contains("expired"));
    // It is the 24th there now.
    for (day, good) in [
        (date!(2026 - 11 - 24), true),
        (date!(2026 - 11 - 23), false),
        (date!(2020 - 01 - 01), false),
        (date!(2036 - 11 - 20), true),
        (date!(2036 - 12 - 24), false),
        (date!(9999 - 12 - 31), false),
    ] {
        let made = keys::make(&world.service, &ada, wish("a day", KeyEnd::With(day))).await;
        assert_eq!(made.is_ok(), good, "{day}");
        if let Err(error) = made {
            let problem = error.into_problem();
            assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some("day")));
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_last_use_is_written_once_a_minute(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let used = async || keys::of(&world.service, &ada).await.unwrap()[0].last_used_at;
    let version = async || -> String {
        sqlx::query_scalar("select xmin::text || ' ' || ctid::text from model_key_secret").fetch_one(&world.pool).await.unwrap()
    };
    let models = async || {
        let answer = world.http.get(format!("http://{}/v1/models", world.public)).bearer_auth(&key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    assert_eq!(used().await, None);
    models().await;
    let (first, written) = (used().await.unwrap(), version().await);
    world.clock.advance(Duration::seconds(59));
    for _ in 0..3 {
        models().await;
    }
    assert_eq!((used().await.unwrap(), version().await), (first, written.clone()), "nothing is written");
    world.clock.advance(Duration::SECOND);
    models().await;
    assert_eq!(used().await.unwrap() - first, Duration::MINUTE);
    assert_ne!(version().await, written);
}

/// An installation from before keys had secrets of their own: what opened the door opens it still, and the page shows what it showed.
#[sqlx::test(migrations = false)]
async fn keys_of_an_older_installation_are_taken_along(pool: Pool) {
    // What new databases are made from may have every migration already.
    sqlx::raw_sql("drop schema public cascade; create schema public").execute(&pool).await.unwrap();
    let steps = sqlx::migrate!("../migrations");
    let this = steps.iter().position(|step| step.description == "key").unwrap();
    for step in steps.iter().take(this) {
        sqlx::raw_sql(step.sql.clone()).execute(&pool).await.unwrap();
    }
    let (open, revoked) = ("o".repeat(43), "r".repeat(43));
    sqlx::query("insert into person (person_id, email, name, role, password_hash) values ($1, 'ada@example.com', 'Ada', 'person', 'x')")
        .bind(uuid::Uuid::from_u128(1))
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into model_key (key_id, person_id, name, public_id, secret_hash, last_used_at, revoked_at)
         values ($1, $3, 'open', '0123456789ab', sha256($4::bytea), '2026-11-20 08:00Z', null),
                ($2, $3, 'revoked', 'ba9876543210', sha256($5::bytea), null, now())",
    )
    .bind(uuid::Uuid::from_u128(2))
    .bind(uuid::Uuid::from_u128(3))
    .bind(uuid::Uuid::from_u128(1))
    .bind(open.as_bytes())
    .bind(revoked.as_bytes())
    .execute(&pool)
    .await
    .unwrap();
    for step in steps.iter().skip(this) {
        sqlx::raw_sql(step.sql.clone()).execute(&pool).await.unwrap();
    }

    let world = World::new(pool).await;
    assert_eq!(world.chat(&format!("cl_live_0123456789ab_{open}"), &call("answers", 1)).await.status(), 200);
    assert!(refusal(world.chat(&format!("cl_live_ba9876543210_{revoked}"), &call("answers", 1)).await).await.contains("revoked"));
    let ada = Caller {
        person_id: contract::PersonId(uuid::Uuid::from_u128(1)),
        session_id: contract::SessionId(uuid::Uuid::from_u128(9)),
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
        role: Role::Person,
        time_zone: "UTC".to_owned(),
    };
    let listed = keys::of(&world.service, &ada).await.unwrap();
    let open = listed.iter().find(|key| key.name == "open").unwrap();
    assert_eq!((open.hint.as_str(), &open.models, open.is_open()), ("cl_live_0123456789ab…", &None, true));
    assert!(open.last_used_at.is_some());
}
