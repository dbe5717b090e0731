//! The storm: a thousand calls at once on a limit for a hundred, over two servers on one database. The upstream's own count is the judge.

use super::support::{World, call, streamed};
use contract::{BudgetChange, Role, Subject, Unit, Window};
use server::{data::Pool, model::usage};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::{sync::Arc, time::Duration};

const CALLS: usize = 1000;
const FIT: i64 = 100;

#[sqlx::test(migrations = "../migrations")]
async fn of_a_thousand_calls_at_once_a_hundred_pass_and_none_is_lost(_: PgPoolOptions, database: PgConnectOptions) {
    storm(World::new(patient(database).await).await, true).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_same_with_slices(_: PgPoolOptions, database: PgConnectOptions) {
    // Where calls at once are limited none are taken.
    storm(World::fast(patient(database).await).await, false).await;
}

/// Calls wait for a connection as long as they must: a slow machine is no failure.
pub async fn patient(database: PgConnectOptions) -> Pool {
    PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(600)).connect_with(database).await.unwrap()
}

async fn storm(world: World, at_once: bool) {
    let world = Arc::new(world);
    // What was a slice is told by the database: at the end none is left to be seen.
    sqlx::raw_sql(
        "create table slice_seen (reservation_id uuid);
         create function see_slice() returns trigger language plpgsql as
         $$ begin insert into slice_seen values (new.reservation_id); return null; end $$;
         create trigger see_slice after update on reservation for each row when (new.is_slice and not old.is_slice) execute function see_slice()",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let (second, other_door) = world.another().await;
    let root = world.person("root", Role::Administrator).await;
    let mut keys = Vec::new();
    let group = uuid::Uuid::now_v7();
    sqlx::query("insert into person_group (group_id, name) values ($1, 'Storm')").bind(group).execute(&world.pool).await.unwrap();
    for name in ["ada", "bob", "eve"] {
        let (person, key, _) = world.with_key(name).await;
        sqlx::query("insert into person_group_member values ($1, $2)")
            .bind(group)
            .bind(person.person_id.0)
            .execute(&world.pool)
            .await
            .unwrap();
        keys.push(key);
    }
    // One limit that all share, and others that hold nobody back but are counted too.
    for (subject, window, unit, amount) in [
        (Subject::Group(group.into()), Window::Total, Unit::Requests, FIT),
        (Subject::Group(group.into()), Window::Month, Unit::Tokens, 100_000_000),
        (Subject::Everyone, Window::Day, Unit::Money, 1_000_000_000_000),
        (Subject::Everyone, Window::Total, Unit::Concurrency, 1_000_000),
    ] {
        if unit == Unit::Concurrency && !at_once {
            continue;
        }
        let change = BudgetChange { subject, window, unit, amount: Some(amount) };
        usage::set_budget(&world.service, &root, change).await.unwrap();
    }
    let slices_seen = async || -> i64 { sqlx::query_scalar("select count(*) from slice_seen").fetch_one(&world.pool).await.unwrap() };
    // In one burst nobody is known to be fast before the limit is all but gone: it begins with a slice in use.
    while !at_once && slices_seen().await == 0 {
        assert_eq!(world.chat(&keys[0], &call("answers", 5)).await.status(), 200, "a slice is taken long before the limit is gone");
        // After a try that came too early none is made for a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut calls = tokio::task::JoinSet::new();
    for turn in 0..CALLS {
        let (http, key) = (world.http.clone(), keys[turn % keys.len()].clone());
        let door = if turn % 2 == 0 { world.public } else { other_door };
        calls.spawn(async move {
            let body = match turn % 3 {
                0 => streamed("drips", 5),
                1 => call("is slow", 5),
                _ => call("answers", 5),
            };
            let asked = http.post(format!("http://{door}/v1/chat/completions")).bearer_auth(key).json(&body);
            if turn % 5 == 0 {
                // Hangs up, at some moment.
                drop(asked.timeout(Duration::from_millis(20 + u64::try_from(turn).unwrap() % 400)).send().await);
                return None;
            }
            let answer = asked.send().await.unwrap();
            let status = answer.status().as_u16();
            drop(answer.bytes().await);
            Some(status)
        });
    }
    let mut passed = 0;
    while let Some(status) = calls.join_next().await {
        let status = status.unwrap();
        assert!(matches!(status, None | Some(200 | 429)), "{status:?}");
        passed += i64::from(status == Some(200));
    }
    assert!(passed <= FIT);
    assert!(world.upstream.seen.lock().unwrap().len() <= usize::try_from(FIT).unwrap());
    // What a server held for calls that did not come is given back, and can be used.
    if !at_once {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        while world.upstream.seen.lock().unwrap().len() < usize::try_from(FIT).unwrap() && tokio::time::Instant::now() < until {
            world.chat(&keys[0], &call("answers", 5)).await;
        }
        for key in &keys {
            assert_eq!(world.chat(key, &call("answers", 5)).await.status(), 429);
        }
    }
    for _ in 0..6000 {
        let held: i64 = sqlx::query_scalar("select count(*) from reservation").fetch_one(&world.pool).await.unwrap();
        if held == 0 && world.service.calls_in_progress() + second.calls_in_progress() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        world.upstream.seen.lock().unwrap().len(),
        usize::try_from(FIT).unwrap(),
        "the upstream saw as many as the limit lets through"
    );
    let (counted, tokens): (i64, i64) =
        sqlx::query_as("select count(*), sum(input_tokens + output_tokens)::bigint from usage_record where outcome <> 'refused'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!((counted, tokens), (FIT, *world.upstream.tokens.lock().unwrap()), "none is lost, none is counted twice");
    let tallies: Vec<(String, i64, i64)> =
        sqlx::query_as("select unit, sum(settled)::bigint, sum(reserved)::bigint from budget_tally group by unit order by unit")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let of = |unit: &str| tallies.iter().find(|tally| tally.0 == unit).map(|tally| (tally.1, tally.2));
    assert_eq!(of("requests"), Some((FIT, 0)));
    assert_eq!(of("tokens"), Some((tokens, 0)));
    assert_eq!(of("concurrency"), at_once.then_some((0, 0)));
    let slices = slices_seen().await;
    assert_eq!(slices > 0, !at_once, "{slices} slices were taken");
    assert!(of("money").is_some_and(|(settled, reserved)| settled > 0 && reserved == 0));
}
