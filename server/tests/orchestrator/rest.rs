//! What it costs to have runtimes that need nothing. Statements are counted, not time: a busy machine makes none of them more.

use crate::World;
use contract::{Phase, RuntimeId};
use server::{data::Pool, orchestrator::Orchestrator, platform::keyring::Keyring};
use sqlx::postgres::PgPoolOptions;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Every statement that this thread sends to PostgreSQL, by its first words.
#[derive(Default)]
struct Statements(Mutex<Vec<String>>);

impl Statements {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Summary<'a>(&'a mut Vec<String>);

impl Visit for Summary<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "summary" {
            self.0.push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Summary(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

async fn many(world: &World, server: &Orchestrator, count: usize) -> Vec<RuntimeId> {
    let mut made = Vec::new();
    for number in 0..count {
        made.push(server.create(&world.ada, &format!("Claw {number}"), None).await.unwrap());
    }
    world.settle(server).await;
    made
}

/// Rows of runtimes that stand still, and of the workspaces that they have.
async fn stopped(world: &World, count: i32) {
    let rows = "insert into runtime (runtime_id, person_id, name, host_label, desired_state, phase, profile_id, memory_bytes, cpu_millis, pids, workspace_bytes,
                                     image, volume)
                select gen_random_uuid(), $1, 'Still ' || number, 'still-' || number, 'stopped', 'stopped', (select profile_id from profile limit 1), 1, 1, 1, 1,
                       'image', 'still-' || number from generate_series(1, $2) number";
    sqlx::query(rows).bind(world.ada.person_id.0).bind(count).execute(&world.pool).await.unwrap();
    let workspaces =
        "insert into workspace (volume, person_id, measured_at) select volume, person_id, now() from runtime where phase = 'stopped'";
    sqlx::query(workspaces).execute(&world.pool).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_at_rest_asks_the_database_for_little(pool: Pool) {
    const READY: usize = 96;
    const LOOKED_FOR: Duration = Duration::from_secs(16);
    let world = World::new(pool).await;
    let keys = Keyring::of(&[[7; 32]]);
    keys.join(&world.pool).await.unwrap();
    many(&world, &world.server(), READY).await;
    stopped(&world, 300).await;
    let server = world.server_with(world.pool.clone(), keys);

    let statements = Arc::new(Statements::default());
    let _counted = tracing::subscriber::set_default(Arc::clone(&statements));
    // With one of them alone, whoever comes first to a place that tells decides for all threads whether it is heard.
    let _other = tracing::Dispatch::new(Statements::default());
    tracing::callsite::rebuild_interest_cache();
    let (stop, looked_before, begun) = (CancellationToken::new(), world.engine.looks(), Instant::now());
    let feed = {
        let (changes, pool) = (world.changes.clone(), world.pool.clone());
        tokio::spawn(async move { changes.feed(&pool).await })
    };
    let running = tokio::spawn(Arc::clone(&server).run(stop.clone()));
    tokio::time::sleep(LOOKED_FOR).await;
    let (asked, looked, took) = (statements.taken(), world.engine.looks() - looked_before, begun.elapsed());
    stop.cancel();
    running.await.unwrap();
    feed.abort();

    // They were looked at, each by itself: it is the database that is spared.
    assert!(looked >= READY, "{looked} looks within {took:?}");
    // A round of close looks, a pass, and a measure; each of a few statements, however many there are.
    let rounds = took.as_secs() / 5 + 2;
    let most = usize::try_from(rounds * 12).unwrap();
    println!("{} statements and {looked} looks within {took:?}", asked.len());
    assert!(!asked.is_empty() && asked.len() <= most, "{} statements within {took:?}, at most {most}: {asked:#?}", asked.len());
    assert_eq!(server.pass().await.unwrap(), [], "nothing was to be done");
}

/// What is read for many together is found out to be wrong as if each were read by itself.
#[sqlx::test(migrations = "../migrations")]
async fn a_key_that_is_gone_is_found_by_the_round(pool: Pool) {
    let world = World::new(pool).await;
    let ids = many(&world, &world.server(), 5).await;
    let lost = ids[2];
    let gone = "delete from model_key where runtime_id = $1";
    assert_eq!(sqlx::query(gone).bind(lost.0).execute(&world.pool).await.unwrap().rows_affected(), 1);
    let revoked = "update model_key set revoked_at = now() where runtime_id = $1";
    assert_eq!(sqlx::query(revoked).bind(ids[4].0).execute(&world.pool).await.unwrap().rows_affected(), 1);

    let (server, stop) = (world.server(), CancellationToken::new());
    let running = tokio::spawn(Arc::clone(&server).run(stop.clone()));
    let good = "select count(*) from model_key join model_key_secret using (key_id) where runtime_id = any($1) and ends_at is null and revoked_at is null";
    let wanted: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let held: i64 = sqlx::query_scalar(good).bind(&wanted).fetch_one(&world.pool).await.unwrap();
        if held == 5 {
            break;
        }
        assert!(Instant::now() < until, "{held} of 5 keys are good");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    running.await.unwrap();
    let told: i64 =
        sqlx::query_scalar("select count(*) from audit_entry where action = 'runtime.repaired'").fetch_one(&world.pool).await.unwrap();
    assert_eq!(told, 2, "and nothing else was touched");
}

/// A text that was right once is known by its print: whatever it follows from, and the text itself, may change, and a pass sees it.
#[sqlx::test(migrations = "../migrations")]
async fn a_pass_sees_what_changed_after_it_knew_that_all_is_right(pool: Pool) {
    let world = World::new(pool).await;
    let (id, server) = (world.running().await, world.server());
    let at_rest = async || server.pass().await.unwrap().is_empty();
    for _ in 0..2 {
        assert!(at_rest().await, "nothing changed");
    }
    let right = world.engine.configuration(id).unwrap();

    // One letter, and back.
    world.engine.edit(id, Some(&right.replacen("local", "lokal", 1)));
    assert_eq!(server.pass().await.unwrap(), [id]);
    world.engine.edit(id, Some(&right));
    assert!(at_rest().await);

    for change in [
        "update person set email = 'countess@example.org'",
        "insert into model (model_id, provider_id, name, upstream, context_tokens, output_tokens, input_price, cached_input_price, output_price, published)
         select gen_random_uuid(), provider_id, 'second', 'second', 1000, 100, 0, 0, 0, true from provider",
        "update model set context_tokens = context_tokens + 1",
        "update profile set all_models = false",
        "update runtime set key_number = key_number + 1",
    ] {
        sqlx::query(change).execute(&world.pool).await.unwrap();
        assert_eq!(server.pass().await.unwrap(), [id], "{change}");
        world.settle(&server).await;
        assert!(at_rest().await, "{change}");
    }
    assert_eq!(world.phase(id).await, Phase::Ready);
}

/// What is asked every few seconds is answered from an index, so that many rows cost no more than few.
#[sqlx::test(migrations = "../migrations")]
async fn what_is_asked_at_rest_reads_no_whole_table(pool: Pool) {
    let world = World::new(pool).await;
    // PostgreSQL counts by connection, and adds up when it likes: with one it can be told to.
    let one = PgPoolOptions::new().max_connections(1).connect_with((*world.pool.connect_options()).clone()).await.unwrap();
    let keys = Keyring::of(&[[7; 32]]);
    keys.join(&one).await.unwrap();
    stopped(&world, 4000).await;
    sqlx::query("update runtime set master_key_id = (select value from setting where name = 'master_key_id')").execute(&one).await.unwrap();
    sqlx::query("analyze").execute(&one).await.unwrap();
    let server = world.server_with(one.clone(), keys);
    let read = async || -> i64 {
        sqlx::query("select pg_stat_force_next_flush()").execute(&one).await.unwrap();
        let rows = "select sum(seq_tup_read)::bigint from pg_stat_user_tables where relname in ('runtime', 'workspace')";
        sqlx::query_scalar(rows).fetch_one(&one).await.unwrap()
    };
    let before = read().await;
    for _ in 0..3 {
        assert_eq!(server.follow_master_key().await.unwrap(), 0);
        server.measure().await.unwrap();
    }
    assert_eq!(read().await - before, 0, "rows that were read to find that there is nothing");
    server.pass().await.unwrap();
    assert!(read().await - before >= 4000, "a pass reads them all: what is read is counted");
}
