//! Slices: whatever happens in whatever order, on two servers, no limit is passed, nothing is lost, nothing is counted twice, and nothing stays held.

use super::{
    settling::{used, wanted},
    storm::patient,
    support::{INPUT, World, call, streamed},
};
use contract::{BudgetChange, Caller, KeyId, Role, Subject, Unit, Window};
use server::{
    clock::Clock as _,
    data::{
        self, Pool,
        budget::{Outcome, Used, Wanted},
        settlement,
        slice::{Amount, Ended, Size},
    },
    model::{
        Service,
        budget::{self, Answer, Hold},
        keys, usage,
    },
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

async fn set(world: &World, subject: Subject, window: Window, unit: Unit, amount: i64) {
    let root = world.person(&format!("root{}", Uuid::now_v7()), Role::Administrator).await;
    usage::set_budget(&world.service, &root, BudgetChange { subject, window, unit, amount: Some(amount) }).await.unwrap();
}

/// Slices in the database: calls, tokens.
async fn slices(world: &World) -> Vec<(i64, i64)> {
    sqlx::query_as("select calls, tokens from reservation where is_slice order by reservation_id").fetch_all(&world.pool).await.unwrap()
}

/// What of each limit is gone: settled, reserved.
async fn tallies(world: &World) -> Vec<(String, i64, i64)> {
    sqlx::query_as("select unit, settled, reserved from budget_tally order by unit, tally_id").fetch_all(&world.pool).await.unwrap()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Calls until there is a slice in memory, and then once more: that one asks the database for nothing.
async fn warm(world: &World, key: &str) {
    until("a slice is taken", async || {
        assert_eq!(world.chat(key, &call("answers", 1)).await.status(), 200);
        !slices(world).await.is_empty()
    })
    .await;
}

async fn ask(world: &World, door: SocketAddr, key: &str) -> u16 {
    let asked = world.http.post(format!("http://{door}/v1/chat/completions")).bearer_auth(key).json(&call("answers", 1));
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    drop(answer.bytes().await);
    status
}

#[sqlx::test(migrations = "../migrations")]
async fn fast_calls_draw_from_a_slice_and_each_is_recorded_and_counted(pool: Pool) {
    let world = World::fast(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    for (window, unit, amount) in
        [(Window::Day, Unit::Money, 100_000_000), (Window::Total, Unit::Tokens, 50_000_000), (Window::Hour, Unit::Requests, 10_000)]
    {
        world.limit(&ada, window, unit, Some(amount)).await;
    }
    warm(&world, &key).await;
    for turn in 0..100 {
        let answer = world.chat(&key, &if turn % 3 == 0 { streamed("answers", 3) } else { call("answers", 3) }).await;
        assert_eq!(answer.status(), 200);
        // What is left is told also where nobody is asked for it.
        if let Some(left) = answer.headers().get("x-ratelimit-remaining-tokens") {
            let left: i64 = left.to_str().unwrap().parse().unwrap();
            assert!((49_000_000..50_000_000).contains(&left), "{left}");
        }
        drop(answer.bytes().await);
    }
    assert!(!slices(&world).await.is_empty());
    // Idle, it is given back by itself.
    world.settled().await;
    let records = world.records().await;
    let tokens: i64 = records.iter().map(|record| record.1 + record.3).sum();
    let cost: i64 = records.iter().map(|record| record.4).sum();
    let calls = i64::try_from(records.len()).unwrap();
    assert_eq!(tokens, *world.upstream.tokens.lock().unwrap(), "the upstream is the judge");
    assert_eq!(calls, i64::try_from(world.upstream.seen.lock().unwrap().len()).unwrap());
    assert_eq!(tallies(&world).await, [("money".to_owned(), cost, 0), ("requests".to_owned(), calls, 0), ("tokens".to_owned(), tokens, 0)]);
    assert!(records.iter().all(|record| record.5 == "done"), "{records:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_revoked_key_and_a_lowered_limit_stop_fast_calls_on_every_server(pool: Pool) {
    let world = World::fast(pool).await;
    let (other, door) = world.another().await;
    let (ada, key, key_id) = world.with_key("ada").await;
    world.limit(&ada, Window::Day, Unit::Tokens, Some(50_000_000)).await;
    warm(&world, &key).await;
    until("the other server has one too", async || {
        assert_eq!(ask(&world, door, &key).await, 200);
        slices(&world).await.len() > 1
    })
    .await;
    // Lowered to nothing while both draw: both stop within the time that a slice lives, and all that was held is given back.
    world.limit(&ada, Window::Day, Unit::Tokens, Some(0)).await;
    let began = Instant::now();
    for at in [world.public, door] {
        until("the limit holds", async || ask(&world, at, &key).await == 429).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    world.settled().await;
    until("the other server gave back", async || tallies(&world).await[0].2 == 0).await;

    world.limit(&ada, Window::Day, Unit::Tokens, Some(50_000_000)).await;
    warm(&world, &key).await;
    until("the other server has one too", async || {
        assert_eq!(ask(&world, door, &key).await, 200);
        slices(&world).await.len() > 1
    })
    .await;
    keys::revoke(&world.service, &ada, key_id).await.unwrap();
    assert_eq!(ask(&world, world.public, &key).await, 401, "where it was revoked, the next call is refused");
    let began = Instant::now();
    until("the key is dead elsewhere", async || ask(&world, door, &key).await == 401).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    world.settled().await;
    until("nothing is held", async || slices(&world).await.is_empty() && other.calls_in_progress() == 0).await;
    let recorded: i64 = world.records().await.iter().filter(|record| record.5 == "done").map(|record| record.1 + record.3).sum();
    assert_eq!(recorded, *world.upstream.tokens.lock().unwrap());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_slice_is_left_at_the_end_of_its_minute_and_what_it_held_counts_where_it_was_drawn(pool: Pool) {
    let world = World::fast(pool).await;
    let (ada, key, _) = world.with_key("ada").await;
    world.clock.advance(time::Duration::seconds(43_180));
    world.limit(&ada, Window::Day, Unit::Tokens, Some(50_000_000)).await;
    warm(&world, &key).await;
    let slow = {
        let (http, at, key) = (world.http.clone(), world.public, key.clone());
        tokio::spawn(async move {
            http.post(format!("http://{at}/v1/chat/completions")).bearer_auth(key).json(&call("is slow", 7)).send().await.unwrap().status()
        })
    };
    until("it is let through", async || world.upstream.seen.lock().unwrap().iter().any(|seen| seen.body["x_fake"]["does"] == "is slow"))
        .await;
    // Midnight comes.
    world.clock.advance(time::Duration::seconds(21));
    assert_eq!(world.budgets(&ada).await[0].settled, 0);
    assert_eq!(world.chat(&key, &call("answers", 2)).await.status(), 200);
    assert_eq!(slow.await.unwrap(), 200);
    world.settled().await;
    assert_eq!(world.budgets(&ada).await[0].settled, INPUT + 2, "the new day has what came in it");
    let (old, new): (i64, i64) = sqlx::query_as(
        "select coalesce(sum(input_tokens + output_tokens) filter (where at < '2026-11-23'), 0)::bigint,
                coalesce(sum(input_tokens + output_tokens) filter (where at >= '2026-11-23'), 0)::bigint from usage_record",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!((old, new), (*world.upstream.tokens.lock().unwrap() - INPUT - 2, INPUT + 2));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_slice_whose_server_was_killed_counts_as_spent_and_is_corrected_if_it_lived(pool: Pool) {
    let world = World::fast(pool).await;
    let (other, door, life) = world.mortal().await;
    let (ada, key, _) = world.with_key("ada").await;
    for (window, unit, amount) in
        [(Window::Day, Unit::Tokens, 50_000_000), (Window::Total, Unit::Requests, 100_000), (Window::Total, Unit::Money, 900_000_000)]
    {
        world.limit(&ada, window, unit, Some(amount)).await;
    }
    until("the other server has a slice", async || {
        assert_eq!(ask(&world, door, &key).await, 200);
        !slices(&world).await.is_empty()
    })
    .await;
    life.abort();
    let passed = i64::try_from(world.upstream.seen.lock().unwrap().len()).unwrap();
    // It stands still while calls go on: the other one takes it for dead.
    for _ in 0..5 {
        assert_eq!(ask(&world, door, &key).await, 200);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.clock.advance(budget::LEASE + time::Duration::SECOND);
    budget::renew_and_sweep(&world.service).await.unwrap();
    assert!(slices(&world).await.is_empty());
    let standing = tallies(&world).await;
    assert!(standing.iter().all(|(_, settled, reserved)| *settled > 0 && *reserved == 0), "{standing:?}");
    let lost: (i64, i64, i64) = sqlx::query_as("select calls, input_tokens + output_tokens, cost from usage_record where outcome = 'lost'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let sums: (i64, i64, i64) =
        sqlx::query_as("select sum(calls)::bigint, sum(cost)::bigint, sum(input_tokens + output_tokens)::bigint from usage_entry")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(standing.iter().map(|tally| tally.1).collect::<Vec<_>>(), [sums.1, sums.0, sums.2], "records and tallies agree: {lost:?}");
    assert!(sums.2 >= *world.upstream.tokens.lock().unwrap(), "never less than what was used");
    assert!(sums.0 >= passed + 5);

    // It was not dead: what it knows puts the record right.
    other.write_used().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    other.write_used().await.unwrap();
    let calls = i64::try_from(world.upstream.seen.lock().unwrap().len()).unwrap();
    let records = world.records().await;
    assert_eq!(i64::try_from(records.len()).unwrap(), calls, "{records:?}");
    let (tokens, cost): (i64, i64) = (records.iter().map(|record| record.1 + record.3).sum(), records.iter().map(|record| record.4).sum());
    assert_eq!(tokens, *world.upstream.tokens.lock().unwrap());
    let standing = tallies(&world).await;
    assert_eq!(standing.iter().map(|tally| (tally.1, tally.2)).collect::<Vec<_>>(), [(cost, 0), (calls, 0), (tokens, 0)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_write_that_is_done_twice_is_done_once(pool: Pool) {
    let world = World::new(pool).await;
    let (ada, _, key_id) = world.with_key("ada").await;
    for (window, unit, amount) in
        [(Window::Day, Unit::Tokens, 1_000_000), (Window::Total, Unit::Requests, 100_000), (Window::Total, Unit::Money, 900_000_000)]
    {
        world.limit(&ada, window, unit, Some(amount)).await;
    }
    let mut connection = world.pool.acquire().await.unwrap();
    let like = wanted(&world, &ada, key_id, 100);
    let size = Size { cases: 10, calls: 40 };
    let id = Uuid::now_v7();
    assert_eq!(data::slice::take(&mut connection, id, &like, size).await.unwrap(), None, "no limit is counted yet: calls open them");
    let first = data::budget::reserve(&mut connection, &like, false).await.unwrap();
    assert!(matches!(first, data::budget::Reserved::Granted { .. }));
    data::budget::settle(&mut connection, like.id, &used(100, 50)).await.unwrap();
    let before = tallies(&world).await;
    let taken = data::slice::take(&mut connection, id, &like, size).await.unwrap().unwrap();
    assert_eq!((taken.amount.calls, taken.amount.tokens, taken.limited), (40, 1500, true));
    let after = |held: &Amount, ended: &[Ended]| -> Vec<(String, i64, i64)> {
        let calls = i64::try_from(ended.len()).unwrap();
        let tokens: i64 = ended.iter().map(|call| call.used.input_tokens + call.used.output_tokens).sum();
        // 4 of the input are cached.
        let cost: i64 =
            ended.iter().map(|call| ((call.used.input_tokens - 4) * 3 * 10 + 4 * 3 + call.used.output_tokens * 150 + 9) / 10).sum();
        let reserved = [held.micros, held.calls, held.tokens];
        let settled = [cost, calls, tokens];
        let lines = before.iter().zip(settled).zip(reserved);
        lines.map(|(((unit, was, _), more), reserved)| (unit.clone(), was + more, reserved)).collect()
    };
    assert_eq!(tallies(&world).await, after(&taken.amount, &[]));

    let ended: Vec<Ended> = (0..3).map(|turn| Ended { id: Uuid::now_v7(), at: world.clock.now(), used: used(60 + turn, 30) }).collect();
    let left = Amount { calls: 37, tokens: 900, micros: 2000 };
    for _ in 0..2 {
        assert!(data::slice::settle(&mut connection, id, left, &ended).await.unwrap());
        assert_eq!(tallies(&world).await, after(&left, &ended));
    }
    // What is left never grows, whatever is said.
    assert!(data::slice::settle(&mut connection, id, taken.amount, &ended).await.unwrap());
    assert_eq!(tallies(&world).await, after(&left, &ended));
    // A limit that is set now counts it with all its calls.
    world.limit(&ada, Window::Total, Unit::Concurrency, Some(100)).await;
    let scope = data::limit::Scope { person_id: ada.person_id, runtimes: vec![], keys: vec![key_id], model: Some("priced".to_owned()) };
    data::limit::open(&mut connection, &scope, world.clock.now()).await.unwrap();
    assert_eq!(tallies(&world).await.into_iter().find(|tally| tally.0 == "concurrency"), Some(("concurrency".to_owned(), 0, 37)));
    assert!(data::slice::settle(&mut connection, id, Amount::default(), &ended).await.unwrap());
    assert!(!data::slice::settle(&mut connection, id, Amount::default(), &ended).await.unwrap(), "it has ended");
    settlement::flush(&mut connection).await.unwrap();
    assert!(tallies(&world).await.iter().all(|tally| tally.2 == 0));
    assert_eq!(world.records().await.len(), 4);
    // Where calls at once are limited, and where little is left, there is none.
    assert_eq!(data::slice::take(&mut connection, Uuid::now_v7(), &like, size).await.unwrap(), None);
}

/// A limit of the random history, and what the test itself knows of it.
struct Limit {
    subject: Subject,
    window: Window,
    unit: Unit,
    amount: i64,
}

/// A call of the random history.
struct Call {
    source: usize,
    at: time::OffsetDateTime,
    /// What it holds or, once it ended, used.
    tokens: i64,
}

struct Source {
    person: Caller,
    key_id: KeyId,
    in_group: bool,
}

impl Limit {
    fn applies(&self, source: &Source) -> bool {
        match self.subject {
            Subject::Person(id) => id == source.person.person_id,
            Subject::Key(id) => id == source.key_id,
            Subject::Group(_) => source.in_group,
            _ => true,
        }
    }

    fn begins(&self, at: time::OffsetDateTime) -> i64 {
        match self.window {
            Window::Minute => at.unix_timestamp() / 60,
            Window::Hour => at.unix_timestamp() / 3600,
            Window::Day => at.unix_timestamp() / 86_400,
            _ => 0,
        }
    }

    /// What calls used and hold of it, by the window and by whose.
    fn gone(&self, calls: &HashMap<Uuid, Call>, sources: &[Source], now: time::OffsetDateTime) -> HashMap<Option<Uuid>, i64> {
        let mut gone = HashMap::new();
        for call in calls.values().filter(|call| self.applies(&sources[call.source]) && self.begins(call.at) == self.begins(now)) {
            let whose = (self.subject == Subject::Everyone).then_some(sources[call.source].person.person_id.0);
            *gone.entry(whose).or_default() += if self.unit == Unit::Requests { 1 } else { call.tokens };
        }
        gone
    }
}

/// The same for all.
fn like(world: &World, source: &Source, input: i64, output: i64) -> Wanted {
    Wanted {
        least_output_tokens: output,
        output_tokens: output,
        // A token costs a micro-unit here.
        input_price: 1_000_000,
        cached_input_price: 1_000_000,
        output_price: 1_000_000,
        ..wanted(world, &source.person, source.key_id, input)
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn any_history_on_two_servers_passes_no_limit_and_loses_nothing(_: PgPoolOptions, database: PgConnectOptions) {
    history(&patient(database).await, 88_172_645_463_325_252).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn another_history_does_not_either(_: PgPoolOptions, database: PgConnectOptions) {
    history(&patient(database).await, 7_046_029_254_386_353_131).await;
}

async fn history(pool: &Pool, seed: u64) {
    let world = World::fast(pool.clone()).await;
    let mut servers: Vec<(Arc<Service>, tokio::task::AbortHandle)> = Vec::new();
    for _ in 0..2 {
        let (service, _, life) = world.mortal().await;
        servers.push((service, life));
    }
    let mut sources = Vec::new();
    for name in ["ada", "bob", "eve"] {
        let (person, _, key_id) = world.with_key(name).await;
        sources.push(Source { person, key_id, in_group: name != "eve" });
    }
    let group = Uuid::now_v7();
    sqlx::query("insert into person_group (group_id, name) values ($1, 'Research')").bind(group).execute(pool).await.unwrap();
    for source in sources.iter().filter(|source| source.in_group) {
        sqlx::query("insert into person_group_member values ($1, $2)")
            .bind(group)
            .bind(source.person.person_id.0)
            .execute(pool)
            .await
            .unwrap();
    }
    let limits = [
        (Subject::Everyone, Window::Day, Unit::Tokens, 5_000),
        (Subject::Everyone, Window::Minute, Unit::Requests, 60),
        (Subject::Person(sources[0].person.person_id), Window::Hour, Unit::Money, 2_500),
        (Subject::Group(group.into()), Window::Total, Unit::Tokens, 7_000),
        (Subject::Key(sources[2].key_id), Window::Hour, Unit::Requests, 100),
    ]
    .map(|(subject, window, unit, amount)| Limit { subject, window, unit, amount });
    for limit in &limits {
        set(&world, limit.subject, limit.window, limit.unit, limit.amount).await;
    }
    let mut state = seed;
    let mut draw = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(most).unwrap()).unwrap()
    };
    let mut calls: HashMap<Uuid, Call> = HashMap::new();
    let mut open: Vec<(Uuid, usize, Hold)> = Vec::new();
    let (mut granted, mut refused, mut from_slices, mut seen) = (0, 0, 0, 0);
    for turn in 0..900 {
        match draw(20) {
            0..=9 => {
                let (source, server) = (draw(sources.len()), draw(servers.len()));
                let wanted = like(&world, &sources[source], 5 + i64::try_from(draw(20)).unwrap(), 5 + i64::try_from(draw(30)).unwrap());
                let (id, at, tokens) = (wanted.id, wanted.at, wanted.input_tokens + wanted.output_tokens);
                match budget::reserve(&servers[server].0, wanted).await.unwrap() {
                    Answer::Held { hold, .. } => {
                        granted += 1;
                        let known: bool = sqlx::query_scalar("select exists (select from reservation where reservation_id = $1)")
                            .bind(id)
                            .fetch_one(pool)
                            .await
                            .unwrap();
                        from_slices += usize::from(!known);
                        calls.insert(id, Call { source, at, tokens });
                        open.push((id, server, hold));
                    }
                    Answer::Refused(_) => refused += 1,
                }
            }
            10..=14 if !open.is_empty() => {
                let (id, _, hold) = open.swap_remove(draw(open.len()));
                let call = calls.get_mut(&id).unwrap();
                let output = i64::try_from(draw(usize::try_from(call.tokens + 1).unwrap())).unwrap();
                let outcome = [Outcome::Done, Outcome::HungUp, Outcome::Failed][draw(3)];
                call.tokens = output;
                let used = Used { input_tokens: 0, cached_input_tokens: 0, output_tokens: output, outcome, ..used(0, 0) };
                hold.settle(used).await;
            }
            // Nobody settles it: it counts as what it held.
            15 if !open.is_empty() => drop(open.swap_remove(draw(open.len()))),
            16 => {
                // The same limit again: all that is held on the strength of it is recalled.
                let limit = &limits[draw(limits.len())];
                set(&world, limit.subject, limit.window, limit.unit, limit.amount).await;
            }
            17 => {
                servers[draw(servers.len())].0.write_used().await.ok();
            }
            18 => world.clock.advance(time::Duration::seconds(i64::try_from(draw(20)).unwrap())),
            _ => tokio::time::sleep(Duration::from_millis(u64::try_from(draw(15)).unwrap())).await,
        }
        if turn % 300 == 299 {
            // One is killed, with what it holds: its calls count as what they held, and another takes its place.
            let at = draw(servers.len());
            servers[at].1.abort();
            let mut rest = Vec::new();
            for (id, server, hold) in open.drain(..) {
                if server == at {
                    std::mem::forget(hold);
                } else {
                    rest.push((id, server, hold));
                }
            }
            open = rest;
            let (service, _, life) = world.mortal().await;
            servers[at] = (service, life);
            world.clock.advance(budget::LEASE + time::Duration::seconds(1));
            for (service, _) in &servers {
                budget::renew_and_sweep(service).await.unwrap();
            }
        }
        let passed: i64 =
            sqlx::query_scalar("select count(*) from budget_tally t join budget b using (budget_id) where settled + reserved > amount")
                .fetch_one(pool)
                .await
                .unwrap();
        assert_eq!(passed, 0);
        for limit in &limits {
            for (whose, gone) in limit.gone(&calls, &sources, world.clock.now()) {
                assert!(
                    gone <= limit.amount,
                    "{:?} {:?} {:?} of {whose:?}: {gone} of {}",
                    limit.subject,
                    limit.window,
                    limit.unit,
                    limit.amount
                );
            }
        }
        seen += usize::from(!slices(&world).await.is_empty());
    }
    assert!(
        granted > 150 && refused > 0 && from_slices > 30 && seen > 30,
        "{granted} granted, {refused} refused, {from_slices} from {seen} slices"
    );
    for (id, _, hold) in open.drain(..) {
        calls.get_mut(&id).unwrap().tokens = 1;
        hold.settle(Used { outcome: Outcome::Done, ..used(0, 1) }).await;
    }
    // What is only held for calls to come is given back by itself.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for (service, _) in &servers {
        service.write_used().await.unwrap();
    }
    // What killed servers held is settled by its lease.
    world.clock.advance(budget::LEASE + time::Duration::seconds(1));
    budget::renew_and_sweep(&servers[0].0).await.unwrap();
    let held: i64 = sqlx::query_scalar("select count(*) from reservation").fetch_one(pool).await.unwrap();
    assert_eq!(held, 0);
    let reserved: i64 = sqlx::query_scalar("select coalesce(sum(reserved), 0)::bigint from budget_tally").fetch_one(pool).await.unwrap();
    assert_eq!(reserved, 0);
    // Each call that ended is recorded as it ended; nothing else is, but what killed servers held.
    let records: Vec<(Uuid, i64, String)> =
        sqlx::query_as("select usage_record_id, input_tokens + output_tokens, outcome from usage_record where outcome <> 'refused'")
            .fetch_all(pool)
            .await
            .unwrap();
    for (id, tokens, outcome) in &records {
        match calls.get(id) {
            Some(call) => assert_eq!(*tokens, call.tokens, "{outcome}"),
            None => assert_eq!(outcome, "lost", "a record of no call"),
        }
    }
    // What tallies say is what records say.
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from budget_tally t join budget b using (budget_id)
         where b.subject = 'group' and t.settled <> (select sum(input_tokens + output_tokens) from usage_record r
                                                      join person_group_member using (person_id) where r.outcome <> 'refused')",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
}
