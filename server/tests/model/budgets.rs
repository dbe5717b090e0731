//! Limits: `settled + reserved ≤ amount` at all times, and how a refusal is said.

use crate::support::{World, call, streamed};
use contract::{Role, Subject, Unit, Window};
use serde_json::{Value, json};
use server::{
    clock::Clock as _,
    data::{self, Pool, budget::Wanted},
    model::budget,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

#[sqlx::test(migrations = "../migrations")]
async fn many_calls_at_once_never_pass_a_limit(pool: Pool) {
    let world = Arc::new(World::new(pool).await);
    let (ada, key, _) = world.with_key("ada").await;
    // The body is some 110 bytes, so a call holds some 150 tokens and uses 25: about 40 fit by use.
    world.limit(&ada, Window::Day, Unit::Tokens, Some(1000)).await;
    let mut calls = tokio::task::JoinSet::new();
    for turn in 0..60 {
        let (world, key) = (world.clone(), key.clone());
        calls.spawn(async move {
            let body = if turn % 3 == 0 { streamed("answers", 15) } else { call(if turn % 2 == 0 { "answers" } else { "is slow" }, 15) };
            let asked =
                world.http.post(format!("http://{}/v1/chat/completions", world.public)).bearer_auth(&key).json(&with_most(body, 15));
            if turn % 7 == 0 {
                // Hangs up.
                drop(asked.timeout(Duration::from_millis(30)).send().await);
                return None;
            }
            let answer = asked.send().await.unwrap();
            let status = answer.status().as_u16();
            drop(answer.text().await);
            Some(status)
        });
    }
    // While they run: the books are looked at again and again.
    let looking = async {
        let mut looks = 0;
        loop {
            for line in world.budgets(&ada).await {
                assert!(line.settled + line.reserved <= line.amount, "{line:?}");
                assert!(line.reserved >= 0);
            }
            looks += 1;
            tokio::time::sleep(Duration::from_millis(3)).await;
            if calls.is_empty() {
                return looks;
            }
            while let Some(status) = calls.try_join_next() {
                assert!(matches!(status.unwrap(), None | Some(200 | 429)));
            }
        }
    };
    assert!(looking.await > 3);
    world.settled().await;
    let line = world.budgets(&ada).await.remove(0);
    assert_eq!(line.reserved, 0);
    assert_eq!(line.settled, *world.upstream.tokens.lock().unwrap(), "the upstream is the judge");
    let counted: i64 = world.records().await.iter().map(|record| record.1 + record.3).sum();
    assert_eq!(counted, line.settled);
    assert!(line.settled >= 100, "the limit can be used: {line:?}");
}

fn with_most(mut body: Value, tokens: i64) -> Value {
    body["max_tokens"] = json!(tokens);
    body
}

#[sqlx::test(migrations = "../migrations")]
async fn a_limit_is_used_to_its_end_by_shorter_answers(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    // One call's input is held at a token a byte; the model could answer 4096 tokens, which do not fit.
    world.limit(&ada, Window::Total, Unit::Tokens, Some(300)).await;
    let answer = world.chat(&key, &call("answers", 1000)).await;
    assert_eq!(answer.status(), 200);
    world.settled().await;
    {
        let seen = world.upstream.seen.lock().unwrap();
        let most = seen[0].body["max_tokens"].as_i64().unwrap();
        assert!((16..300).contains(&most), "{most}");
    }
    let line = world.budgets(&ada).await.remove(0);
    assert!(line.settled <= 300 && line.settled > 100, "{line:?}");

    // What is left is too little even for a short answer.
    let refused = world.chat(&key, &call("answers", 1)).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-clawloops-refusal"], "budget");
    assert!(!refused.headers().contains_key("retry-after"), "it does not return by itself");
    let said: Value = refused.json().await.unwrap();
    assert_eq!((said["error"]["code"].as_str(), said["error"]["type"].as_str()), (Some("insufficient_quota"), Some("insufficient_quota")));
    // Raised, it goes on at once.
    world.limit(&ada, Window::Total, Unit::Tokens, Some(100_000)).await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtimes_chat_reads_why_and_it_costs_nothing(pool: Pool) {
    let world = World::new(pool).await;
    world.person("root", Role::Administrator).await;
    let (ada, ..) = world.with_key("ada").await;
    sqlx::query("update person set time_zone = 'Europe/Berlin' where person_id = $1")
        .bind(ada.person_id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    let (_, key) = world.runtime(&ada).await;
    world.limit(&ada, Window::Day, Unit::Money, Some(50)).await;

    let answer = world.chat_from_runtime(&key, &call("answers", 5)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-clawloops-refusal"], "budget");
    let said: Value = answer.json().await.unwrap();
    let text = said["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(
        text,
        "Your limit of $0.00005 a day is used up, or what is left is too little for this message. It begins anew on Monday, 23 November 2026 at \
         00:00 (Europe/Berlin). To go on before that, ask your administrator (root@example.com) to raise it, or ask for more on the page Usage."
    );
    assert_eq!(said["choices"][0]["finish_reason"], "stop");

    let answer = world.chat_from_runtime(&key, &streamed("answers", 5)).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, "text/event-stream; charset=utf-8"));
    let stream = answer.text().await.unwrap();
    assert!(stream.contains("Your limit of") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    for line in stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]") {
        serde_json::from_str::<Value>(line).unwrap();
    }
    // A model that was taken away is said in the chat as well.
    let mut body = call("answers", 5);
    body["model"] = json!("gone");
    let said: Value = world.chat_from_runtime(&key, &body).await.json().await.unwrap();
    assert!(said["choices"][0]["message"]["content"].as_str().unwrap().contains("`gone` is not offered"));

    let records = world.records().await;
    assert_eq!(records.iter().map(|record| (record.4, record.5.as_str())).collect::<Vec<_>>(), [(0, "refused"), (0, "refused")]);
    assert!(world.upstream.seen.lock().unwrap().is_empty());
    // The next day, in the person's own time zone: 23:00 UTC is midnight in Berlin.
    world.limit(&ada, Window::Day, Unit::Money, Some(5000)).await;
    let most = with_most(call("answers", 5), 20);
    world.chat_from_runtime(&key, &most).await;
    world.settled().await;
    assert!(world.budgets(&ada).await[0].settled > 0);
    world.clock.advance(time::Duration::hours(11));
    assert_eq!(world.budgets(&ada).await[0].settled, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn everyones_limit_holds_for_each_and_a_personal_one_stands_in_its_place(pool: Pool) {
    let world = World::new(pool).await;
    let admin = world.person("root", Role::Administrator).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (eve, other, _) = world.with_key("eve").await;
    let everyone =
        |amount| contract::BudgetChange { subject: contract::Subject::Everyone, window: Window::Month, unit: Unit::Tokens, amount };
    server::model::usage::set_budget(&world.service, &admin, everyone(Some(20))).await.unwrap();
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    world.limit(&ada, Window::Month, Unit::Tokens, Some(50_000)).await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&other, &call("answers", 1)).await.status(), 429);
    assert_eq!(world.budgets(&ada).await[0].subject, Subject::Person(ada.person_id));
    assert_eq!(world.budgets(&eve).await[0].subject, Subject::Everyone);
    // Another limit of the same person, in another window, applies as well.
    world.limit(&ada, Window::Day, Unit::Money, Some(0)).await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    // What costs nothing needs no money.
    let mut free = call("answers", 1);
    free["model"] = json!("demo");
    assert_eq!(world.chat(&key, &free).await.status(), 200);
    world.limit(&ada, Window::Day, Unit::Money, None).await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);

    let denied = server::model::usage::set_budget(&world.service, &ada, everyone(None)).await.unwrap_err().into_problem();
    assert_eq!(denied.code, contract::Code::AccessDenied);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_entry where action like 'limit.%' order by at").fetch_all(&world.pool).await.unwrap();
    assert_eq!(actions, ["limit.set", "limit.set", "limit.set", "limit.removed"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_limit_set_later_knows_what_was_used_and_a_new_time_zone_gives_nothing_away(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.chat(&key, &call("answers", 40)).await;
    world.settled().await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(60)).await;
    assert_eq!(world.budgets(&ada).await[0].settled, 50);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    sqlx::query("update person set time_zone = 'Asia/Tokyo' where person_id = $1")
        .bind(ada.person_id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(world.budgets(&ada).await[0].settled, 50);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_call_whose_server_died_counts_as_what_it_held_and_is_corrected_when_it_ends_after_all(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, _, key_id) = world.with_key("ada").await;
    let wanted = Wanted {
        id: Uuid::now_v7(),
        person_id: ada.person_id,
        runtime_id: None,
        key_id,
        model: "priced".to_owned(),
        route: "Demo".to_owned(),
        at: world.clock.now(),
        lease_until: world.clock.now() + budget::LEASE,
        input_tokens: 100,
        output_tokens: 50,
        least_output_tokens: 16,
        answers: 2,
        input_price: 3_000_000,
        cached_input_price: 300_000,
        output_price: 15_000_000,
        tells: false,
    };
    world.limit(&ada, Window::Day, Unit::Tokens, Some(1000)).await;
    let mut connection = world.pool.acquire().await.unwrap();
    data::budget::reserve(&mut connection, &wanted, false).await.unwrap();
    budget::renew_and_sweep(&world.service).await.unwrap();
    assert_eq!(world.budgets(&ada).await[0].reserved, 200, "its lease runs");

    world.clock.advance(budget::LEASE + time::Duration::SECOND);
    budget::renew_and_sweep(&world.service).await.unwrap();
    let line = world.budgets(&ada).await.remove(0);
    assert_eq!((line.settled, line.reserved), (200, 0));
    assert_eq!(world.records().await, [("priced".to_owned(), 100, 0, 100, 1800, "lost".to_owned(), true)]);

    let used = data::budget::Used {
        input_tokens: 90,
        cached_input_tokens: 0,
        output_tokens: 10,
        latency_ms: 5,
        first_token_ms: None,
        outcome: data::budget::Outcome::Done,
        estimated: false,
    };
    for _ in 0..2 {
        assert!(data::budget::settle(&mut connection, wanted.id, &used).await.unwrap(), "settled twice is settled once");
        assert_eq!(world.budgets(&ada).await[0].settled, 100);
        assert_eq!(world.records().await, [("priced".to_owned(), 90, 0, 10, 420, "done".to_owned(), false)]);
    }
    assert!(!data::budget::settle(&mut connection, Uuid::now_v7(), &used).await.unwrap(), "an unknown call is said to be unknown");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_estimate_learns_what_a_model_really_counts(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    // 4 kB that the upstream counts as ten tokens: at a token a byte they would not fit, a few calls later they do.
    let mut body = with_most(call("answers", 1), 16);
    body["messages"][0]["content"] = json!("words ".repeat(700));
    world.limit(&ada, Window::Day, Unit::Tokens, Some(3000)).await;
    assert_eq!(world.chat(&key, &body).await.status(), 429);
    world.limit(&ada, Window::Day, Unit::Tokens, None).await;
    for _ in 0..4 {
        assert_eq!(world.chat(&key, &body).await.status(), 200);
    }
    world.limit(&ada, Window::Day, Unit::Tokens, Some(3000)).await;
    assert_eq!(world.chat(&key, &body).await.status(), 200);
}

#[sqlx::test(migrations = "../migrations")]
async fn text_dressed_as_a_picture_is_held_as_text(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(5000)).await;
    let picture = format!("data:image/png;base64,{}", "word".repeat(2000));
    let mut body = with_most(call("answers", 1), 16);
    body["messages"][0]["content"] = json!([{"type": "text", "text": picture}]);
    assert_eq!(world.chat(&key, &body).await.status(), 429);
    body["messages"][0]["content"] = json!([{"type": "image_url", "image_url": {"url": picture}}]);
    assert_eq!(world.chat(&key, &body).await.status(), 200);
}
