//! Limits of every kind, against a simple model of them: whatever happens in whatever order, no limit is passed and nothing is held at the end.

use super::support::{World, call};
use contract::{BudgetChange, Caller, KeyId, MoreAnswer, NewRequest, Role, RuntimeId, Subject, Unit, Window};
use serde_json::Value;
use server::{
    clock::Clock as _,
    data::{
        self, Pool,
        budget::{Outcome, Reserved, Used, Wanted},
        settlement,
    },
    model::{breaker, budget, more, usage},
};
use std::collections::HashMap;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const LEASE: Duration = Duration::days(400);

/// Sets a limit as an administrator does: whoever is there is one for that moment.
async fn set(world: &World, subject: Subject, window: Window, unit: Unit, amount: Option<i64>) {
    let id: Uuid = sqlx::query_scalar("select person_id from person order by created_at limit 1").fetch_one(&world.pool).await.unwrap();
    let root = Caller {
        person_id: id.into(),
        session_id: Uuid::nil().into(),
        email: "root@example.com".to_owned(),
        name: "root".to_owned(),
        role: Role::Administrator,
        time_zone: "UTC".to_owned(),
    };
    usage::set_budget(&world.service, &root, BudgetChange { subject, window, unit, amount }).await.unwrap();
}

async fn group(world: &World, members: &[&Caller]) -> Subject {
    let id = Uuid::now_v7();
    sqlx::query("insert into person_group (group_id, name) values ($1, 'Research')").bind(id).execute(&world.pool).await.unwrap();
    for member in members {
        sqlx::query("insert into person_group_member values ($1, $2)")
            .bind(id)
            .bind(member.person_id.0)
            .execute(&world.pool)
            .await
            .unwrap();
    }
    Subject::Group(id.into())
}

async fn model_of(world: &World, name: &str) -> Subject {
    let id: Uuid = sqlx::query_scalar("select model_id from model where name = $1").bind(name).fetch_one(&world.pool).await.unwrap();
    Subject::Model(id.into())
}

/// Who calls with what.
#[derive(Clone)]
struct Source {
    person: Caller,
    key_id: KeyId,
    runtime_id: Option<RuntimeId>,
}

fn wanted(world: &World, source: &Source, model: &str, input: i64, output: i64) -> Wanted {
    let now = world.clock.now();
    Wanted {
        id: Uuid::now_v7(),
        person_id: source.person.person_id,
        runtime_id: source.runtime_id,
        key_id: source.key_id,
        model: model.to_owned(),
        route: "Demo".to_owned(),
        at: now,
        // The service's own sweep, which looks at the test's clock, leaves them alone.
        lease_until: now + LEASE,
        input_tokens: input,
        output_tokens: output,
        least_output_tokens: output,
        answers: 1,
        input_price: 1_000_000,
        cached_input_price: 1_000_000,
        output_price: 1_000_000,
        tells: false,
    }
}

fn used(input: i64, output: i64, outcome: Outcome) -> Used {
    Used {
        input_tokens: input,
        cached_input_tokens: 0,
        output_tokens: output,
        latency_ms: 1,
        first_token_ms: None,
        outcome,
        estimated: false,
    }
}

/// What of a limit's books the model keeps: calls by their id, with the window that they count in.
struct Books {
    subject: Subject,
    window: Window,
    unit: Unit,
    amount: i64,
    /// Held and settled, by whose (of everyone's) and the window's beginning.
    held: HashMap<Uuid, (Option<Uuid>, i64, i64)>,
    settled: HashMap<(Option<Uuid>, i64), i64>,
}

impl Books {
    fn applies(&self, source: &Source, model: &str, members: &[Uuid], models: &HashMap<Subject, String>) -> bool {
        match self.subject {
            Subject::Everyone => true,
            Subject::Person(id) => id == source.person.person_id,
            Subject::Group(_) => members.contains(&source.person.person_id.0),
            Subject::Runtime(id) => source.runtime_id == Some(id),
            Subject::Key(id) => source.key_id == id,
            Subject::Model(_) => models.get(&self.subject).is_some_and(|name| name == model),
        }
    }

    /// The beginning of the window, in UTC as everybody is here.
    fn begins(&self, at: OffsetDateTime) -> i64 {
        let midnight = at.replace_time(time::Time::MIDNIGHT);
        match self.window {
            Window::Minute => at.unix_timestamp() / 60,
            Window::Hour => at.unix_timestamp() / 3600,
            Window::Day => midnight.unix_timestamp(),
            Window::Week => (midnight - Duration::days(at.weekday().number_days_from_monday().into())).unix_timestamp(),
            Window::Month => at.year() as i64 * 12 + i64::from(u8::from(at.month())),
            Window::Total => 0,
        }
    }

    fn whose(&self, source: &Source) -> Option<Uuid> {
        (self.subject == Subject::Everyone).then_some(source.person.person_id.0)
    }

    fn size(&self, tokens: i64) -> i64 {
        // A token costs a micro-unit here.
        if matches!(self.unit, Unit::Money | Unit::Tokens) { tokens } else { 1 }
    }

    fn gone(&self, whose: Option<Uuid>, begins: i64) -> i64 {
        let held: i64 = self.held.values().filter(|held| (held.0, held.1) == (whose, begins)).map(|held| held.2).sum();
        held + self.settled.get(&(whose, begins)).copied().unwrap_or_default()
    }

    fn settle(&mut self, id: Uuid, tokens: i64) {
        if let Some((whose, begins, _)) = self.held.remove(&id) {
            let size = if self.unit == Unit::Concurrency { 0 } else { self.size(tokens) };
            *self.settled.entry((whose, begins)).or_default() += size;
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn any_history_comes_out_as_the_simple_model_says(pool: Pool) {
    let world = World::new(pool).await;
    let mut sources = Vec::new();
    for name in ["ada", "bob", "eve"] {
        let (person, _, key_id) = world.with_key(name).await;
        let (runtime_id, _) = world.runtime(&person).await;
        let runtime_key: Uuid = sqlx::query_scalar("select key_id from model_key where runtime_id = $1")
            .bind(runtime_id.0)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        sources.push(Source { person: person.clone(), key_id, runtime_id: None });
        sources.push(Source { person, key_id: runtime_key.into(), runtime_id: Some(runtime_id) });
    }
    world.model("other", Some((1_000_000, 1_000_000, 1_000_000)), true).await;
    let members = [sources[0].person.person_id.0, sources[2].person.person_id.0];
    let shared = group(&world, &[&sources[0].person, &sources[2].person]).await;
    let other = model_of(&world, "other").await;
    let models = HashMap::from([(other, "other".to_owned())]);
    let limits = [
        (Subject::Everyone, Window::Day, Unit::Tokens, 3000),
        (Subject::Everyone, Window::Minute, Unit::Requests, 5),
        (Subject::Person(sources[0].person.person_id), Window::Week, Unit::Money, 9000),
        (Subject::Person(sources[2].person.person_id), Window::Total, Unit::Concurrency, 3),
        (shared, Window::Hour, Unit::Tokens, 1200),
        (shared, Window::Month, Unit::Money, 30_000),
        (Subject::Runtime(sources[1].runtime_id.unwrap()), Window::Hour, Unit::Requests, 6),
        (Subject::Key(sources[4].key_id), Window::Total, Unit::Tokens, 2500),
        (other, Window::Minute, Unit::Tokens, 400),
        (other, Window::Total, Unit::Concurrency, 4),
    ];
    let mut books = Vec::new();
    for (subject, window, unit, amount) in limits {
        set(&world, subject, window, unit, Some(amount)).await;
        books.push(Books { subject, window, unit, amount, held: HashMap::new(), settled: HashMap::new() });
    }
    // The same every time: xorshift.
    let mut state = 88_172_645_463_325_252_u64;
    let mut draw = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(most).unwrap()).unwrap()
    };
    let mut open: Vec<(Uuid, i64)> = Vec::new();
    let (mut granted, mut refused) = (0, 0);
    let mut connection = world.pool.acquire().await.unwrap();
    for _ in 0..700 {
        match draw(10) {
            0..=4 => {
                let source = &sources[draw(sources.len())];
                let model = ["priced", "other"][draw(2)];
                let (input, output) = (10 + i64::try_from(draw(150)).unwrap(), 10 + i64::try_from(draw(60)).unwrap());
                let wanted = wanted(&world, source, model, input, output);
                let applying: Vec<usize> = (0..books.len()).filter(|at| books[*at].applies(source, model, &members, &models)).collect();
                let fits = applying.iter().all(|at| {
                    let limit = &books[*at];
                    limit.gone(limit.whose(source), limit.begins(wanted.at)) + limit.size(input + output) <= limit.amount
                });
                let answer = data::budget::reserve(&mut connection, &wanted, false).await.unwrap();
                assert_eq!(matches!(answer, Reserved::Granted { .. }), fits, "{answer:?} {wanted:?}");
                if fits {
                    granted += 1;
                    open.push((wanted.id, input + output));
                    for at in applying {
                        let limit = &mut books[at];
                        let (whose, begins, size) = (limit.whose(source), limit.begins(wanted.at), limit.size(input + output));
                        limit.held.insert(wanted.id, (whose, begins, size));
                    }
                } else {
                    refused += 1;
                }
            }
            5..=6 if !open.is_empty() => {
                let (id, held) = open.swap_remove(draw(open.len()));
                let output = i64::try_from(draw(usize::try_from(held).unwrap())).unwrap();
                let outcome = [Outcome::Done, Outcome::HungUp, Outcome::Failed, Outcome::Lost][draw(4)];
                assert!(data::budget::settle(&mut connection, id, &used(0, output, outcome)).await.unwrap());
                books.iter_mut().for_each(|limit| limit.settle(id, output));
            }
            7 if open.len() > 2 => {
                // Several at once, as a server does that ends many calls in one moment.
                let calls: Vec<(Uuid, i64)> = open.drain(..open.len() / 2).collect();
                let batch: Vec<(Uuid, Used)> = calls.iter().map(|(id, held)| (*id, used(0, held / 2, Outcome::Done))).collect();
                assert_eq!(settlement::settle_all(&mut connection, &batch).await.unwrap().len(), calls.len());
                for (id, held) in calls {
                    books.iter_mut().for_each(|limit| limit.settle(id, held / 2));
                }
            }
            8 => {
                // A limit is taken away and set anew: it knows what was used before it.
                let at = draw(books.len());
                let limit = &books[at];
                set(&world, limit.subject, limit.window, limit.unit, None).await;
                set(&world, limit.subject, limit.window, limit.unit, Some(limit.amount)).await;
            }
            _ => world.clock.advance(Duration::seconds(i64::try_from(draw(900)).unwrap())),
        }
        let passed: i64 =
            sqlx::query_scalar("select count(*) from budget_tally t join budget b using (budget_id) where settled + reserved > amount")
                .fetch_one(&world.pool)
                .await
                .unwrap();
        assert_eq!(passed, 0);
    }
    assert!(granted > 100 && refused > 30, "{granted} granted, {refused} refused");
    // The servers died that held the rest: each call counts as what it held.
    world.clock.advance(LEASE + Duration::SECOND);
    budget::renew_and_sweep(&world.service).await.unwrap();
    let held: i64 = sqlx::query_scalar("select coalesce(sum(reserved), 0)::bigint from budget_tally").fetch_one(&world.pool).await.unwrap();
    assert_eq!(held, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refusal_says_whose_limit_it_is_and_what_ran_out(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, key_id) = world.with_key("ada").await;
    let (_, other, _) = world.with_key("bob").await;
    let shared = group(&world, &[&ada]).await;
    let said = async |key: &str| {
        let answer = world.chat(key, &call("answers", 1)).await;
        let retry = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (
            status,
            retry,
            body["error"]["code"].as_str().unwrap_or_default().to_owned(),
            body["error"]["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (subject, window, unit, amount, whose) in [
        (shared, Window::Week, Unit::Tokens, 1, "The limit of 1 token a week that all members of the group Research share is used up"),
        (Subject::Key(key_id), Window::Hour, Unit::Requests, 0, "The limit of 0 calls an hour of the key laptop is used up"),
        (
            model_of(&world, "priced").await,
            Window::Total,
            Unit::Money,
            1,
            "The limit of $0.000001 in total that all who use the model priced share",
        ),
    ] {
        set(&world, subject, window, unit, Some(amount)).await;
        let (status, _, code, message) = said(&key).await;
        assert_eq!((status, code.as_str()), (429, "insufficient_quota"));
        assert!(message.starts_with(whose), "{message}");
        set(&world, subject, window, unit, None).await;
    }
    assert_eq!(world.chat(&other, &call("answers", 1)).await.status(), 200, "nobody else is concerned");

    // A rate returns by itself, and clients wait for it.
    set(&world, Subject::Person(ada.person_id), Window::Minute, Unit::Requests, Some(1)).await;
    world.clock.advance(Duration::seconds(20));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    let (status, retry, code, message) = said(&key).await;
    assert_eq!((status, retry.as_deref(), code.as_str()), (429, Some("40"), "rate_limit_exceeded"));
    assert!(message.starts_with("Your limit of 1 call a minute is used up") && message.contains("in 40 seconds"), "{message}");
    world.clock.advance(Duration::seconds(40));
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    set(&world, Subject::Person(ada.person_id), Window::Minute, Unit::Requests, None).await;

    set(&world, Subject::Person(ada.person_id), Window::Total, Unit::Concurrency, Some(0)).await;
    let (status, retry, code, message) = said(&key).await;
    assert_eq!((status, retry.as_deref(), code.as_str()), (429, Some("1"), "rate_limit_exceeded"));
    assert!(message.starts_with("Your limit of 0 calls at once is reached"), "{message}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_keys_own_limit_holds_beside_all_others(pool: Pool) {
    let world = World::new(pool).await;
    let ada = world.person("ada", Role::Person).await;
    let limits = vec![contract::Limit { window: Window::Day, unit: Unit::Requests, amount: 1 }];
    let wish = contract::KeyWish { limits: limits.clone(), ..super::support::wish("narrow", contract::KeyEnd::Never) };
    let made = server::model::keys::make(&world.service, &ada, wish).await.unwrap();
    assert_eq!(made.key.limits.iter().map(|one| one.limit).collect::<Vec<_>>(), limits);
    assert_eq!(world.chat(&made.secret, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&made.secret, &call("answers", 1)).await.status(), 429);
    // Another key of the same person has none, and the person's own limit holds for both.
    let wide = server::model::keys::make(&world.service, &ada, super::support::wish("wide", contract::KeyEnd::Never)).await.unwrap();
    assert_eq!(world.chat(&wide.secret, &call("answers", 1)).await.status(), 200);
    world.limit(&ada, Window::Day, Unit::Requests, Some(2)).await;
    assert_eq!(world.chat(&wide.secret, &call("answers", 1)).await.status(), 429);
}

#[sqlx::test(migrations = "../migrations")]
async fn most_of_a_limit_is_told_once_in_the_chat_of_a_runtime(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (_, runtime_key) = world.runtime(&ada).await;
    world.limit(&ada, Window::Day, Unit::Requests, Some(20)).await;
    for _ in 0..10 {
        let said: Value = world.chat(&key, &call("answers", 1)).await.json().await.unwrap();
        assert_eq!(said["choices"][0]["message"]["content"], "hi", "a person's own key is for programs");
    }
    world.settled().await;
    let content = async || {
        let said: Value = world.chat_from_runtime(&runtime_key, &call("answers", 1)).await.json().await.unwrap();
        world.settled().await;
        said["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    // A form that a program reads stays as it is, and nothing is told yet.
    let mut form = call("answers", 1);
    form["response_format"] = serde_json::json!({"type": "json_object"});
    let said: Value = world.chat_from_runtime(&runtime_key, &form).await.json().await.unwrap();
    assert_eq!(said["choices"][0]["message"]["content"], "hi");
    world.settled().await;
    let first = content().await;
    assert!(first.starts_with("*50 % of your limit of 20 calls a day is used.") && first.ends_with("hi"), "{first}");
    assert_eq!(content().await, "hi");
    for _ in 0..4 {
        world.chat(&key, &call("answers", 1)).await;
    }
    world.settled().await;
    let stream = world.chat_from_runtime(&runtime_key, &super::support::streamed("answers", 3)).await.text().await.unwrap();
    let events: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let note = events[0]["choices"][0]["delta"]["content"].as_str().unwrap();
    assert!(note.starts_with("*85 % of your limit of 20 calls a day is used."), "{stream}");
    assert_eq!(events[1]["choices"][0]["delta"]["content"], "word");
    world.settled().await;
    // The next day has its own.
    world.clock.advance(Duration::DAY);
    assert_eq!(content().await, "hi");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_in_a_loop_is_paused_at_no_cost_until_it_is_resumed(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (runtime_id, runtime_key) = world.runtime(&ada).await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(400)).await;
    // 100 tokens are a quarter of the day.
    let mut body = call("answers", 40);
    body["max_tokens"] = serde_json::json!(40);
    for _ in 0..2 {
        assert_eq!(world.chat_from_runtime(&runtime_key, &body).await.status(), 200);
        world.settled().await;
    }
    breaker::judge(&world.service, runtime_id).await.unwrap();
    let before = world.records().await.len();
    let answer = world.chat_from_runtime(&runtime_key, &body).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-clawloops-refusal"].to_str().unwrap()), (200, "pause"));
    let said: Value = answer.json().await.unwrap();
    let text = said["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("The model calls of this runtime are paused: it used 25 % of a whole day's limit within 5 minutes"), "{text}");
    assert_eq!(world.records().await.len(), before, "it costs nothing");
    assert_eq!(world.chat(&key, &body).await.status(), 200, "the person's own key is not paused");

    world.clock.advance(Duration::SECOND);
    breaker::resume(&world.service, &ada, runtime_id, ada.person_id, "research").await.unwrap();
    breaker::judge(&world.service, runtime_id).await.unwrap();
    let answer = world.chat_from_runtime(&runtime_key, &body).await;
    assert!(!answer.headers().contains_key("x-clawloops-refusal"), "what was spent before does not count again");
    let actions: Vec<String> = sqlx::query_scalar("select action from audit_entry where action like 'runtime.calls%' order by at")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(actions, ["runtime.calls_paused", "runtime.calls_resumed"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn more_is_asked_for_and_granted_once_or_for_good_or_declined(pool: Pool) {
    let world = World::new(pool).await;
    let root = world.person("root", Role::Administrator).await;
    let (ada, key, _) = world.with_key("ada").await;
    let (eve, ..) = world.with_key("eve").await;
    set(&world, Subject::Everyone, Window::Day, Unit::Requests, Some(1)).await;
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    world.settled().await;

    let limit = world.budgets(&ada).await.remove(0);
    let ask = async |amount| {
        let wish = NewRequest { budget_id: limit.budget_id, amount, reason: "a demonstration".to_owned() };
        more::ask(&world.service, &ada, wish).await
    };
    assert_eq!(ask(1).await.unwrap_err().into_problem().field.as_deref(), Some("amount"));
    ask(2).await.unwrap();
    assert_eq!(ask(3).await.unwrap_err().into_problem().code, contract::Code::Conflict, "one at a time");
    assert_eq!(more::waiting(&world.service, &root).await.unwrap(), 1);
    let id = more::all(&world.service, &root).await.unwrap()[0].request_id;
    let denied = more::answer(&world.service, &eve, id, MoreAnswer::Once, "").await.unwrap_err().into_problem();
    assert_eq!(denied.code, contract::Code::AccessDenied);
    more::answer(&world.service, &root, id, MoreAnswer::Once, "enjoy").await.unwrap();
    assert!(more::answer(&world.service, &root, id, MoreAnswer::Declined, "").await.is_err(), "answered once");
    let told = more::own(&world.service, &ada).await.unwrap().remove(0);
    assert_eq!((told.answer, told.word.as_str(), told.answered_by.as_deref()), (Some(MoreAnswer::Once), "enjoy", Some("root")));
    let line = world.budgets(&ada).await.remove(0);
    assert_eq!((line.amount, line.extra), (2, 1));
    assert_eq!(world.budgets(&eve).await[0].amount, 1, "nobody else gets more");
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 200);
    assert_eq!(world.chat(&key, &call("answers", 1)).await.status(), 429);
    world.settled().await;
    // Once is for this window.
    world.clock.advance(Duration::DAY);
    assert_eq!(world.budgets(&ada).await[0].amount, 1);

    ask(5).await.unwrap();
    let id = more::all(&world.service, &root).await.unwrap()[0].request_id;
    more::answer(&world.service, &root, id, MoreAnswer::ForGood, "").await.unwrap();
    let line = world.budgets(&ada).await.remove(0);
    assert_eq!((line.subject, line.amount, line.extra), (Subject::Person(ada.person_id), 5, 0));
    assert_eq!(world.budgets(&eve).await[0].amount, 1);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_entry where action like 'limit.%' and person_id = $1 order by at")
            .bind(ada.person_id.0)
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(actions, ["limit.more_asked", "limit.granted_once", "limit.more_asked", "limit.set", "limit.granted"]);
}
