//! Records that become totals: no sum changes, whenever, by whomever and however often it is done.

use super::{
    settling::{used, wanted},
    support::{World, config},
};
use contract::{
    Breakdown, BudgetChange, Caller, GroupId, KeyId, ModelId, Role, RuntimeId, SetBy, Subject, Unit, UsageReport, Whose, Window,
};
use futures::TryStreamExt as _;
use proptest::{
    collection::vec,
    option,
    strategy::{Strategy, ValueTree as _},
    test_runner::TestRunner,
};
use server::{
    clock::Clock as _,
    data::{
        self, Pool,
        budget::{Outcome, Used},
        limit::Scope,
        listen::Changes,
    },
    model::{
        Service,
        budget::{self, Answer},
        export::{By, Format},
        retention, usage,
    },
    platform::groups,
    platform::keyring::Keyring,
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where people are: half hours and quarters of hours, and the ends of the world.
const ZONES: [&str; 6] = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati"];
const OUTCOMES: [&str; 5] = ["done", "hung_up", "failed", "refused", "lost"];
const DAY: i64 = 86_400;

/// A call that came so many seconds ago; the rest are places in what the team has.
#[derive(Clone, Debug)]
struct Call {
    ago: i64,
    person: usize,
    runtime: Option<usize>,
    key: Option<usize>,
    model: usize,
    route: usize,
    outcome: usize,
    tokens: (i64, i64, i64),
    cost: i64,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    // Close to each other as well, so that many share a line.
    let ago = proptest::prop_oneof![0..40 * DAY, 20 * DAY..20 * DAY + 3600, (0..40_i64).prop_map(|day| day * DAY + 1)];
    let who = (0..3_usize, option::of(0..2_usize), option::of(0..2_usize));
    let how = (0..3_usize, 0..2_usize, 0..OUTCOMES.len());
    let call = (ago, who, how, (0..5000_i64, 0..100_i64, 0..900_i64), 0..1_000_000_i64).prop_map(
        |(ago, (person, runtime, key), (model, route, outcome), tokens, cost)| {
            let free = OUTCOMES[outcome] == "refused";
            let (tokens, cost) = if free { ((0, 0, 0), 0) } else { (tokens, cost) };
            Call { ago, person, runtime, key, model, route, outcome, tokens, cost }
        },
    );
    vec(call, 20..120)
}

/// Three people, two of whom share a group; the first has two runtimes and the second two keys.
struct Team {
    world: World,
    people: Vec<Caller>,
    root: Caller,
    runtimes: Vec<RuntimeId>,
    keys: Vec<KeyId>,
    group: GroupId,
    model: ModelId,
}

impl Team {
    async fn new(pool: Pool) -> Self {
        let world = World::before(pool, config(Some("http://127.0.0.1:1".to_owned()))).await;
        let root = world.person("root", Role::Administrator).await;
        let mut people = Vec::new();
        let mut keys = Vec::new();
        for (name, zone) in [("ada", ZONES[1]), ("bob", ZONES[2]), ("eve", ZONES[0])] {
            let (person, _, key) = world.with_key(name).await;
            let moved = sqlx::query("update person set time_zone = $2 where person_id = $1").bind(person.person_id.0).bind(zone);
            moved.execute(&world.pool).await.unwrap();
            people.push(person);
            keys.push(key);
        }
        let mut runtimes = Vec::new();
        for _ in 0..2 {
            runtimes.push(world.runtime(&people[0]).await.0);
        }
        groups::add(&world.pool, &root, "Research").await.unwrap();
        let group = groups::all(&world.pool, &root).await.unwrap().remove(0).group_id;
        for person in &people[..2] {
            groups::put(&world.pool, &root, group, &person.email).await.unwrap();
        }
        let found = sqlx::query_scalar::<_, Uuid>("select model_id from model where name = 'priced'").fetch_one(&world.pool).await;
        Self { people, root, runtimes, keys, group, model: ModelId(found.unwrap()), world }
    }

    fn pool(&self) -> &Pool {
        &self.world.pool
    }

    /// Another server of this team, which keeps records for so many days.
    fn server(&self, days: i64) -> Arc<Service> {
        let mut settings = config(Some("http://127.0.0.1:1".to_owned()));
        settings.models.usage_retention_days = days;
        Service::new(self.pool().clone(), self.world.clock.clone(), Arc::new(settings), Keyring::of(&[[7; 32]]), Changes::new()).unwrap()
    }

    async fn put(&self, calls: &[Call]) {
        for call in calls {
            sqlx::query(
                "insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, outcome, input_tokens,
                                           cached_input_tokens, output_tokens, cost, latency_ms)
                 values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 5)",
            )
            .bind(self.world.clock.now() - time::Duration::seconds(call.ago))
            .bind(self.people[call.person].person_id.0)
            .bind(call.runtime.map(|place| self.runtimes[place].0))
            .bind(call.key.map(|place| self.keys[place].0))
            .bind(["priced", "small", "large"][call.model])
            .bind(["Demo", "Other"][call.route])
            .bind(OUTCOMES[call.outcome])
            .bind(call.tokens.0)
            .bind(call.tokens.1)
            .bind(call.tokens.2)
            .bind(call.cost)
            .execute(self.pool())
            .await
            .unwrap();
        }
    }

    async fn clear(&self) {
        sqlx::query("truncate usage_record, usage_total").execute(self.pool()).await.unwrap();
    }

    /// Folds what came before then, so many at once, until nothing is left; answers how many.
    async fn fold(&self, before: OffsetDateTime, most: i64) -> i64 {
        let mut folded = 0;
        loop {
            let some = data::usage_total::fold(&mut self.pool().acquire().await.unwrap(), before, most).await.unwrap();
            assert!(some <= most, "{some} at once, of at most {most}");
            folded += some;
            if some == 0 {
                return folded;
            }
        }
    }

    /// How many records there are, and how many calls in totals.
    async fn kept(&self) -> (i64, i64) {
        let kept = "select (select count(*) from usage_record), (select coalesce(sum(calls), 0)::bigint from usage_total)";
        sqlx::query_as(kept).fetch_one(self.pool()).await.unwrap()
    }

    /// Everything that adds up.
    async fn picture(&self) -> Picture {
        let mut picture = Picture { reports: Vec::new(), files: Vec::new(), limits: self.limits().await };
        for zone in ZONES {
            let root = Caller { time_zone: zone.to_owned(), ..self.root.clone() };
            let ada = Caller { time_zone: zone.to_owned(), ..self.people[0].clone() };
            for (days, everyones, mine) in [
                (1, Breakdown::Model, Breakdown::Runtime),
                (22, Breakdown::Group, Breakdown::Model),
                (60, Breakdown::Person, Breakdown::Key),
                (40, Breakdown::Runtime, Breakdown::Runtime),
            ] {
                picture.reports.push(usage::report(&self.world.service, &root, Whose::Everyone, days, everyones).await.unwrap());
                picture.reports.push(usage::report(&self.world.service, &ada, Whose::Mine, days, mine).await.unwrap());
            }
            picture.files.push(self.days(&root, Whose::Everyone).await);
            picture.files.push(self.days(&ada, Whose::Mine).await);
        }
        picture
    }

    /// The file of a quarter's days.
    async fn days(&self, caller: &Caller, whose: Whose) -> String {
        let file = usage::export(self.pool(), self.world.clock.now(), caller, (whose, 90), (By::Day, Format::Csv)).await.unwrap();
        file.try_collect::<Vec<String>>().await.unwrap().concat()
    }

    /// What limits of every kind would begin with if they were set now.
    async fn limits(&self) -> Vec<(Subject, Window, Unit, i64)> {
        let mut connection = data::begin(self.pool()).await.unwrap();
        let now = self.world.clock.now();
        let subjects = [
            Subject::Everyone,
            Subject::Person(self.people[0].person_id),
            Subject::Group(self.group),
            Subject::Runtime(self.runtimes[0]),
            Subject::Key(self.keys[1]),
            Subject::Model(self.model),
        ];
        let windows = [
            (Window::Day, Unit::Tokens),
            (Window::Week, Unit::Money),
            (Window::Month, Unit::Tokens),
            (Window::Month, Unit::Requests),
            (Window::Total, Unit::Money),
            (Window::Total, Unit::Tokens),
            (Window::Total, Unit::Requests),
        ];
        for subject in subjects {
            for (window, unit) in windows {
                let change = BudgetChange { subject, window, unit, amount: Some(1_000_000_000) };
                data::limit::put(&mut connection, server::clock::new_id(), &change, SetBy::Administrator, now).await.unwrap();
            }
        }
        for person in &self.people {
            let scope = Scope { model: Some("priced".to_owned()), ..Scope::of(&mut connection, person.person_id).await.unwrap() };
            data::limit::open(&mut connection, &scope, now).await.unwrap();
        }
        let limits = data::limit::all(&mut connection, now).await.unwrap();
        assert_eq!(limits.len(), subjects.len() * windows.len());
        limits.into_iter().map(|limit| (limit.subject, limit.window, limit.unit, limit.settled)).collect()
    }
}

#[derive(Debug, PartialEq)]
struct Picture {
    reports: Vec<UsageReport>,
    files: Vec<String>,
    limits: Vec<(Subject, Window, Unit, i64)>,
}

#[sqlx::test(migrations = "../migrations")]
async fn no_sum_changes_whenever_records_are_folded(pool: Pool) {
    let team = Team::new(pool).await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..5 {
        let drawn = (calls(), vec((DAY..41 * DAY, 1..60_i64), 1..4)).new_tree(&mut runner).unwrap();
        let (calls, folds) = drawn.current();
        team.clear().await;
        team.put(&calls).await;
        let all = i64::try_from(calls.len()).unwrap();
        let before = team.picture().await;
        assert!(before.limits.iter().any(|(.., settled)| *settled > 0) && before.reports[2].totals.calls > 0);
        let mut latest = i64::MAX;
        for (ago, most) in folds {
            latest = latest.min(ago);
            team.fold(team.world.clock.now() - time::Duration::seconds(ago), most).await;
            let young = i64::try_from(calls.iter().filter(|call| call.ago <= latest).count()).unwrap();
            assert_eq!(team.kept().await, (young, all - young), "folded is what is older, and nothing else");
            assert_eq!(team.picture().await, before, "{ago} seconds ago, {most} at once: {calls:?}");
        }
        // A call that took long comes late, and is folded into a line that is there.
        team.put(&calls[..5]).await;
        let before = team.picture().await;
        team.fold(team.world.clock.now() - time::Duration::seconds(latest), 3).await;
        assert_eq!(team.picture().await, before);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_day_of_every_time_zone_begins_with_a_quarter_of_an_hour(pool: Pool) {
    let (days, odd): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where date_bin('15 minutes', began, 'epoch') <> began)
         from pg_timezone_names zone
         cross join generate_series(timestamp '2025-01-01', timestamp '2027-12-31', interval '1 day') day
         cross join lateral (values (day at time zone zone.name)) b (began)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(days > 100_000, "{days} days");
    assert_eq!(odd, 0);
}

/// Calls of all three within two hours of a day long ago.
fn crowd(calls: i64) -> Vec<Call> {
    let call = |n: i64| Call {
        ago: 30 * DAY + n % 7200,
        person: usize::try_from(n % 3).unwrap(),
        runtime: None,
        key: Some(0),
        model: usize::try_from(n % 2).unwrap(),
        route: 0,
        outcome: 0,
        tokens: (n, 1, 2),
        cost: n,
    };
    (0..calls).map(|n| call(n * 37)).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn several_servers_fold_beside_each_other_and_nothing_twice(pool: Pool) {
    let team = Team::new(pool).await;
    team.put(&crowd(400)).await;
    let before = team.picture().await;
    let then = team.world.clock.now() - time::Duration::days(1);
    let servers = (0..4_i64).map(|server| {
        let pool = team.pool().clone();
        tokio::spawn(async move {
            let mut folded = 0;
            // One that finds the rest taken by others comes again, as each does with the next hour.
            for _ in 0..200 {
                folded += data::usage_total::fold(&mut pool.acquire().await.unwrap(), then, 3 + server).await.unwrap();
            }
            folded
        })
    });
    let folded: i64 = futures::future::join_all(servers).await.into_iter().map(|server| server.unwrap()).sum();
    assert_eq!((folded, team.kept().await), (400, (0, 400)));
    assert_eq!(team.picture().await, before);
    assert_eq!(team.fold(then, 100).await, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_fold_that_is_cut_off_did_nothing(pool: Pool) {
    let team = Team::new(pool).await;
    team.put(&crowd(50)).await;
    let mut connection = data::begin(team.pool()).await.unwrap();
    assert_eq!(data::usage_total::fold(&mut connection, team.world.clock.now(), 20).await.unwrap(), 20);
    // Another server takes what this one does not hold.
    assert_eq!(team.kept().await, (50, 0));
    drop(connection);
    assert_eq!(team.fold(team.world.clock.now(), 20).await, 50);
    assert_eq!(team.kept().await, (0, 50));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runtime_that_is_gone_is_not_found_as_with_records(pool: Pool) {
    let team = Team::new(pool).await;
    let call = Call { runtime: Some(0), person: 0, key: None, ..crowd(1).remove(0) };
    team.put(&[call.clone(), Call { ago: 3 * DAY, ..call }]).await;
    team.fold(team.world.clock.now() - time::Duration::days(10), 10).await;
    assert_eq!(team.kept().await, (1, 1));
    sqlx::query("delete from runtime where runtime_id = $1").bind(team.runtimes[0].0).execute(team.pool()).await.unwrap();
    let report = usage::report(&team.world.service, &team.people[0], Whose::Mine, 60, Breakdown::Runtime).await.unwrap();
    assert_eq!((report.totals.calls, report.by_runtime), (2, Vec::new()));
    let file = team.days(&team.people[0], Whose::Mine).await;
    assert_eq!(file.matches(",ada,ada@example.com,,,priced,Demo,done,1,").count(), 2, "{file}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_old_is_what_the_setting_says(pool: Pool) {
    let team = Team::new(pool).await;
    team.put(&[400 * DAY - 5, 400 * DAY + 5].map(|ago| Call { ago, ..crowd(1).remove(0) })).await;
    let go = CancellationToken::new();
    assert_eq!(retention::fold(&team.server(0), &go).await.unwrap(), 0, "kept for ever");
    assert_eq!(retention::fold(&team.world.service, &go).await.unwrap(), 1);
    team.world.clock.advance(time::Duration::seconds(10));
    assert_eq!(retention::fold(&team.world.service, &go).await.unwrap(), 1);
    assert_eq!(team.kept().await, (0, 2));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_folds_by_itself(pool: Pool) {
    let team = Team::new(pool).await;
    team.put(&crowd(50)).await;
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    tokio::spawn(team.server(29).run(stop));
    for _ in 0..500 {
        if team.kept().await == (0, 50) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("old records are still there after 10 s");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_call_that_ends_after_its_record_became_a_total_is_not_counted_again(pool: Pool) {
    let team = Team::new(pool).await;
    let wanted = wanted(&team.world, &team.people[2], team.keys[2], 100);
    let Answer::Held { hold, .. } = budget::reserve(&team.world.service, wanted.clone()).await.unwrap() else { panic!("refused") };
    // Another server writes it off, and a long time goes by.
    let lost = Used { outcome: Outcome::Lost, ..used(100, 50) };
    assert!(data::budget::settle(&mut team.pool().acquire().await.unwrap(), wanted.id, &lost).await.unwrap());
    team.world.clock.advance(time::Duration::days(401));
    assert_eq!(retention::fold(&team.world.service, &CancellationToken::new()).await.unwrap(), 1);
    hold.settle(used(40, 50)).await;
    assert_eq!(team.kept().await, (0, 1));
    let counted = "select sum(input_tokens)::bigint, sum(output_tokens)::bigint from usage_entry";
    assert_eq!(sqlx::query_as::<_, (i64, i64)>(counted).fetch_one(team.pool()).await.unwrap(), (100, 50));
}
