//! Calls that end at the same time are settled together, and come out as if each had been settled alone.

use super::support::World;
use contract::{BudgetChange, Caller, KeyId, Role, Subject, Unit, Window};
use server::{
    clock::Clock as _,
    data::{
        self, Pool,
        budget::{Outcome, Reserved, Used, Wanted},
        settlement,
    },
    model::{
        budget::{self, Answer, Hold},
        usage,
    },
};
use std::time::Duration;
use uuid::Uuid;

pub fn wanted(world: &World, person: &Caller, key_id: KeyId, input_tokens: i64) -> Wanted {
    Wanted {
        id: Uuid::now_v7(),
        person_id: person.person_id,
        runtime_id: None,
        key_id,
        model: "priced".to_owned(),
        route: "Demo".to_owned(),
        at: world.clock.now(),
        lease_until: world.clock.now() + budget::LEASE,
        input_tokens,
        output_tokens: 50,
        least_output_tokens: 16,
        answers: 1,
        input_price: 3_000_000,
        cached_input_price: 300_000,
        output_price: 15_000_000,
        tells: false,
    }
}

pub fn used(input_tokens: i64, output_tokens: i64) -> Used {
    Used {
        input_tokens,
        cached_input_tokens: 4,
        output_tokens,
        latency_ms: 5,
        first_token_ms: (output_tokens > 20).then_some(2),
        outcome: if output_tokens > 20 { Outcome::Done } else { Outcome::HungUp },
        estimated: output_tokens <= 20,
    }
}

/// What is counted for a person, by window and unit.
async fn counted(world: &World, person: &Caller) -> Vec<(String, String, i64, i64)> {
    sqlx::query_as(
        "select time_window, budget.unit, settled, reserved from budget_tally join budget using (budget_id)
                    where budget_tally.person_id = $1 order by 1, 2",
    )
    .bind(person.person_id.0)
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

type Record = (i64, i64, i64, i64, i64, Option<i64>, String, bool);

async fn recorded(world: &World, person: &Caller) -> Vec<Record> {
    sqlx::query_as(
        "select input_tokens, cached_input_tokens, output_tokens, cost, latency_ms, first_token_ms, outcome, estimated
         from usage_record where person_id = $1 order by input_tokens",
    )
    .bind(person.person_id.0)
    .fetch_all(&world.pool)
    .await
    .unwrap()
}

/// Limits for everyone that hold nobody back, so that all is counted.
async fn count_all(world: &World) {
    let root = world.person("root", Role::Administrator).await;
    for window in [Window::Day, Window::Month, Window::Total] {
        for unit in [Unit::Money, Unit::Tokens] {
            let change = BudgetChange { subject: Subject::Everyone, window, unit, amount: Some(1_000_000_000) };
            usage::set_budget(&world.service, &root, change).await.unwrap();
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn together_comes_out_as_alone(pool: Pool) {
    let world = World::new(pool).await;
    count_all(&world).await;
    let (ada, _, ada_key) = world.with_key("ada").await;
    let (eve, _, eve_key) = world.with_key("eve").await;
    let (bob, _, bob_key) = world.with_key("bob").await;
    let mut connection = world.pool.acquire().await.unwrap();
    let mut together = Vec::new();
    for turn in 1..=5_i64 {
        for (person, key) in [(&ada, ada_key), (&bob, bob_key), (&eve, eve_key)] {
            let wanted = wanted(&world, person, key, 100 * turn);
            let held = data::budget::reserve(&mut connection, &wanted, false).await.unwrap();
            assert!(matches!(held, Reserved::Granted { .. }));
            let used = used(90 * turn, 9 * turn);
            // The last one of each stays in progress.
            if turn == 5 {
                continue;
            }
            if person.person_id == eve.person_id {
                assert!(data::budget::settle(&mut connection, wanted.id, &used).await.unwrap());
            } else {
                together.push((wanted.id, used));
            }
        }
    }
    let mut expected: Vec<Uuid> = together.iter().map(|(id, _)| *id).collect();
    expected.sort();
    together.insert(2, (Uuid::now_v7(), used(1_000_000, 1_000_000)));
    let mut settled = settlement::settle_all(&mut connection, &together).await.unwrap();
    settlement::flush(&mut connection).await.unwrap();
    settled.sort();
    assert_eq!(settled, expected, "the unknown call is not among them");

    let alone = counted(&world, &eve).await;
    assert_eq!(alone.len(), 6);
    assert!(alone.iter().all(|(_, _, settled, reserved)| *settled > 0 && *reserved > 0), "{alone:?}");
    for person in [&ada, &bob] {
        assert_eq!(counted(&world, person).await, alone);
        assert_eq!(recorded(&world, person).await, recorded(&world, &eve).await);
    }
    assert_eq!(recorded(&world, &eve).await.len(), 4);

    assert!(settlement::settle_all(&mut connection, &together).await.unwrap().is_empty(), "settled twice is settled once");
    assert_eq!(counted(&world, &ada).await, alone);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_call_that_cannot_be_settled_keeps_no_other_from_it(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, _, key) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(100_000)).await;
    let mut holds: Vec<Hold> = Vec::new();
    for _ in 0..4 {
        match budget::reserve(&world.service, wanted(&world, &ada, key, 100)).await.unwrap() {
            Answer::Held { hold, .. } => holds.push(hold),
            Answer::Refused(spent) => panic!("{spent:?}"),
        }
    }
    // More than a number of the database can be: an error for every statement that it is part of.
    let bad = tokio::spawn(holds.remove(1).settle(used(10, i64::MAX)));
    let good = holds.into_iter().map(|hold| hold.settle(used(10, 30)));
    tokio::time::timeout(Duration::from_secs(20), futures::future::join_all(good)).await.unwrap();
    let line = world.budgets(&ada).await.remove(0);
    assert_eq!((line.settled, line.reserved), (120, 150), "the bad one holds what it held");
    bad.abort();
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_settled_for_many_at_once_adds_up(pool: Pool) {
    let world = World::new(pool).await;
    count_all(&world).await;
    let mut calls = Vec::new();
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve"] {
        let (person, _, key) = world.with_key(name).await;
        for turn in 0..40 {
            let wanted = wanted(&world, &person, key, 100 + turn);
            let service = world.service.clone();
            calls.push(tokio::spawn(async move {
                let Answer::Held { hold, .. } = budget::reserve(&service, wanted).await.unwrap() else { panic!("refused") };
                hold.settle(used(100, 1 + turn)).await;
            }));
        }
        people.push(person);
    }
    futures::future::join_all(calls).await.into_iter().for_each(|done| done.unwrap());
    for person in &people {
        let tokens: Vec<_> = counted(&world, person).await.into_iter().filter(|(_, unit, ..)| unit == "tokens").collect();
        assert_eq!(tokens.len(), 3);
        assert!(
            tokens.iter().all(|(_, _, settled, reserved)| (*settled, *reserved) == (40 * 100 + (1..=40).sum::<i64>(), 0)),
            "{tokens:?}"
        );
    }
}
