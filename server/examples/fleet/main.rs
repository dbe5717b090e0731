//! Ten thousand runtimes: what the orchestrator costs, over the engine in memory and a private PostgreSQL as `clawloops serve` runs it.
//!
//! The real orchestrator runs: its loop, passes, steps, store and logs. In place of Docker stands the engine that tests use, which answers at once, so that
//! what is measured is ours. `make bench` prints it with the other figures; `docs/BENCHMARKS.md` tells the method. By itself:
//! `cargo run --release -p server --example fleet -- --data-dir /tmp/fleet`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod meter;

use anyhow::{Context as _, anyhow, ensure};
use async_trait::async_trait;
use clap::Parser;
use contract::{Caller, PersonId, Phase, Role, RuntimeId, SessionId};
use futures::{StreamExt as _, TryStreamExt as _};
use meter::{Meter, Spent, resident};
use server::{
    clock::{Clock, SystemClock},
    config::Config,
    data::{self, Pool, cluster::Cluster, listen::Changes},
    manager::{
        fake::FakeEngine,
        rpc::{Consent, Mute, Openclaw, Outlook, Purpose},
    },
    orchestrator::{Doors, Orchestrator, logs::Logs},
    platform::{keyring::Keyring, profiles},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How many are made at the same time.
const MADE_AT_ONCE: usize = 8;
/// How many whole passes are measured.
const PASSES: u32 = 10;
/// How far apart events come.
const EVENT_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked whether an event was acted upon: the finest that tokio's clock tells.
const LOOK: Duration = Duration::from_millis(1);
/// An event that nobody acts upon for so long is lost.
const LOST: Duration = Duration::from_secs(60);

/// Measures the orchestrator with many runtimes.
#[derive(Parser)]
struct Settings {
    /// Where the private PostgreSQL and the logs lie.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where `initdb` and `postgres` lie; found by itself on Debian.
    #[arg(long, env = "CLAWLOOPS_POSTGRES_BIN")]
    postgres_bin: Option<PathBuf>,
    /// How many runtimes.
    #[arg(long, default_value_t = 10_000)]
    runtimes: u32,
    /// How long nothing happens, in seconds. With ten thousand a whole pass comes every 100 s by itself: two belong to it.
    #[arg(long, default_value_t = 200)]
    idle: u64,
    /// How many events are measured.
    #[arg(long, default_value_t = 600)]
    events: usize,
}

/// The engine in memory has one gateway for all, and nobody calls models.
struct NoDoors;

#[async_trait]
impl Doors for NoDoors {
    async fn open(&self, _gateway: IpAddr) -> server::Result<()> {
        Ok(())
    }
}

/// An OpenClaw that never has anything to do.
struct IdleOpenclaw;

#[async_trait]
impl Openclaw for IdleOpenclaw {
    async fn outlook(&self, _address: SocketAddr) -> Result<Outlook, Mute> {
        Ok(Outlook::default())
    }

    async fn prepare(&self, _address: SocketAddr, _purpose: Purpose) -> Result<Consent, Mute> {
        Ok(Consent::Given { suspension_id: "idle".to_owned() })
    }

    async fn resume(&self, _address: SocketAddr, _suspension_id: &str) -> Result<(), Mute> {
        Ok(())
    }
}

/// Everything that is measured.
struct Fleet {
    pool: Pool,
    engine: Arc<FakeEngine>,
    orchestrator: Arc<Orchestrator>,
    meter: Meter,
    people: Vec<Caller>,
}

/// How often the keys are looked at, as `clawloops serve` does.
const KEYS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr).init();
    let mut config = Config::for_tests();
    (config.data.data_dir, config.data.postgres_bin) = (settings.data_dir.clone(), settings.postgres_bin.clone());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cluster = Cluster::start(&config).await.context("starting the private PostgreSQL")?;
    let url = cluster.url();
    let measured = tokio::select! {
        measured = measure_on(&url, Arc::new(config), &settings) => measured,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("told to end")),
    };
    cluster.stop().await?;
    measured
}

async fn measure_on(url: &str, config: Arc<Config>, settings: &Settings) -> anyhow::Result<()> {
    let pool = data::connect(url).await?;
    data::migrate(&pool).await?;
    profiles::follow_settings(&pool, &config).await?;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&pool).await?;
    let meter = Meter::of_backend(backend)?;
    let people = people(&pool, settings.runtimes).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Keyring::of(&[[7; 32]]);
    keys.join(&pool).await?;
    let (engine, changes) = (FakeEngine::well(Arc::clone(&clock)), Changes::new());
    let logs = Logs::new(&config, Arc::clone(&engine) as _, Arc::clone(&clock));
    let orchestrator =
        Orchestrator::new(pool.clone(), clock, Arc::clone(&engine) as _, config, Arc::clone(&keys), Arc::new(NoDoors), changes.clone());
    let orchestrator = Arc::new(orchestrator.keeping(logs).speaking(Arc::new(IdleOpenclaw)));
    let feed = {
        let pool = pool.clone();
        tokio::spawn(async move { changes.feed(&pool).await })
    };
    let following = {
        let (keys, pool, orchestrator) = (keys, pool.clone(), Arc::clone(&orchestrator));
        tokio::spawn(async move { follow_keys(&keys, &pool, &orchestrator).await })
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&orchestrator).run(stop.clone()));
    let fleet = Fleet { pool, engine, orchestrator, meter, people };
    let measured = fleet.measure(settings).await;
    stop.cancel();
    running.await?;
    feed.abort();
    following.abort();
    fleet.pool.close().await;
    measured
}

/// Looks at the master keys, and at which runtimes' keys follow them.
async fn follow_keys(keys: &Keyring, pool: &Pool, orchestrator: &Orchestrator) {
    let mut tick = tokio::time::interval(KEYS);
    loop {
        tick.tick().await;
        let followed = async {
            keys.look(pool).await?;
            orchestrator.follow_master_key().await
        };
        if let Err(error) = followed.await {
            tracing::error!(%error, "the master keys could not be looked at");
        }
    }
}

/// One person a runtime.
async fn people(pool: &Pool, count: u32) -> anyhow::Result<Vec<Caller>> {
    let people: Vec<Caller> = (1..=count)
        .map(|number| Caller {
            person_id: PersonId(uuid::Uuid::now_v7()),
            session_id: SessionId(uuid::Uuid::now_v7()),
            email: format!("person-{number}@clawloops.example"),
            name: format!("Person {number}"),
            role: Role::Person,
            time_zone: "UTC".to_owned(),
        })
        .collect();
    let insert = "insert into person (person_id, email, name, role, password_hash)
                  select person_id, email, name, 'person', 'none' from unnest($1::uuid[], $2::text[], $3::text[]) as one (person_id, email, name)";
    sqlx::query(insert)
        .bind(people.iter().map(|person| person.person_id.0).collect::<Vec<_>>())
        .bind(people.iter().map(|person| person.email.clone()).collect::<Vec<_>>())
        .bind(people.iter().map(|person| person.name.clone()).collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(people)
}

impl Fleet {
    async fn measure(&self, settings: &Settings) -> anyhow::Result<()> {
        let count = settings.runtimes;
        let (began, before) = (Instant::now(), self.meter.read()?);
        let made = futures::stream::iter(&self.people).map(|person| async move {
            let runtime_id = self.orchestrator.create(person, &format!("Claw of {}", person.name), None).await?;
            Ok::<_, server::Error>((person, runtime_id))
        });
        let made: Vec<(&Caller, RuntimeId)> = made.buffered(MADE_AT_ONCE).try_collect().await?;
        self.until_ready(count).await?;
        say(
            "orchestrator, all made and ready",
            &format!("{count} runtimes in {:.0} s; {}", began.elapsed().as_secs_f64(), cost(self.meter.since(before)?)),
        );

        let mut passes = Vec::new();
        let before = self.meter.read()?;
        for _ in 0..PASSES {
            let began = Instant::now();
            let restless = self.orchestrator.pass().await?;
            passes.push(began.elapsed());
            ensure!(restless.is_empty(), "{} runtimes are not at rest", restless.len());
        }
        let spent = self.meter.since(before)? / PASSES;
        passes.sort_unstable();
        let text = format!("{} CPU (aim: under 1 s), {}", in_ms(spent.ours + spent.postgres), cost(spent));
        say("orchestrator, full pass", &text);
        say("  wall", &format!("{} median, {} longest", in_ms(passes[passes.len() / 2]), in_ms(passes[passes.len() - 1])));

        // What so many starts at once left for PostgreSQL to tidy is theirs, and not what rest costs.
        sqlx::query("vacuum (analyze)").execute(&self.pool).await?;
        sqlx::query("checkpoint").execute(&self.pool).await?;
        let (before, transactions) = (self.meter.read()?, self.transactions().await?);
        tokio::time::sleep(Duration::from_secs(settings.idle)).await;
        let (spent, transactions) = (self.meter.since(before)?, self.transactions().await? - transactions);
        let share = |time: Duration| time.as_secs_f64() / spent.wall.as_secs_f64() * 100.0;
        let (ours, postgres) = (share(spent.ours), share(spent.postgres));
        say(
            "orchestrator, idle",
            &format!("{:.2} % of a core (aim: under 1 %): {ours:.2} % ours, {postgres:.2} % PostgreSQL", ours + postgres),
        );
        say("  asked of PostgreSQL", &format!("{:.1} transactions a second", f64::from(transactions) / spent.wall.as_secs_f64()));
        let (now, most) = resident()?;
        say(
            "orchestrator, memory",
            &format!("{now} MiB resident (aim: under 256 MiB), {most} MiB at most; the engine in memory is part of it"),
        );

        self.events(&made, settings.events).await
    }

    /// How many transactions ended in this database, as PostgreSQL adds them up: seconds late.
    async fn transactions(&self) -> anyhow::Result<i32> {
        let ended = "select (xact_commit + xact_rollback)::int from pg_stat_database where datname = current_database()";
        Ok(sqlx::query_scalar(ended).fetch_one(&self.pool).await?)
    }

    /// Waits until all runtimes are ready.
    async fn until_ready(&self, count: u32) -> anyhow::Result<()> {
        let (mut ready, mut since) = (0, Instant::now());
        while ready < i64::from(count) {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now: i64 =
                sqlx::query_scalar("select count(*) from runtime where phase = $1").bind(Phase::Ready).fetch_one(&self.pool).await?;
            if now != ready {
                (ready, since) = (now, Instant::now());
            }
            ensure!(since.elapsed() < LOST, "only {ready} of {count} runtimes become ready");
        }
        Ok(())
    }

    /// Containers that end by themselves, and people who press Stop, in turns: until the engine is asked to do what follows.
    async fn events(&self, made: &[(&Caller, RuntimeId)], count: usize) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(EVENT_EVERY);
        let mut waiting = Vec::new();
        // All over the fleet, none of them twice.
        let apart = (made.len() / count.max(1)).max(1);
        for (number, (person, runtime_id)) in made.iter().step_by(apart).take(count).enumerate() {
            tick.tick().await;
            let (engine, runtime_id, began) = (Arc::clone(&self.engine), *runtime_id, Instant::now());
            let stops = number % 2 == 0;
            if stops {
                self.orchestrator.stop(person, runtime_id).await?;
            } else {
                engine.end(runtime_id, 1);
            }
            waiting.push(tokio::spawn(async move {
                let acted = || if stops { engine.running(runtime_id).is_none() } else { engine.limits(runtime_id).is_none() };
                while !acted() && began.elapsed() < LOST {
                    tokio::time::sleep(LOOK).await;
                }
                (stops, began.elapsed())
            }));
        }
        let (mut stops, mut ends) = (Vec::new(), Vec::new());
        for one in waiting {
            let (stop, took) = one.await?;
            if stop { &mut stops } else { &mut ends }.push(took);
        }
        let mut all: Vec<Duration> = stops.iter().chain(&ends).copied().collect();
        say("orchestrator, event to action", &format!("{} (aim: p99 under 50 ms)", percentiles(&mut all)?));
        say("  Stop, until it is ended", &percentiles(&mut stops)?);
        say("  a crash, until it is cleared", &percentiles(&mut ends)?);
        Ok(())
    }
}

impl std::ops::Div<u32> for Spent {
    type Output = Self;

    fn div(self, times: u32) -> Self {
        Self { wall: self.wall / times, ours: self.ours / times, postgres: self.postgres / times }
    }
}

fn cost(spent: Spent) -> String {
    format!("{} ours, {} PostgreSQL", in_ms(spent.ours), in_ms(spent.postgres))
}

fn percentiles(times: &mut [Duration]) -> anyhow::Result<String> {
    times.sort_unstable();
    let at = |percent: usize| {
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().context("nothing was measured")
    };
    Ok(format!("{} median, {} p99, {} longest of {}", in_ms(at(50)?), in_ms(at(99)?), in_ms(at(100)?), times.len()))
}

fn in_ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1000.0) }
}

fn say(label: &str, text: &str) {
    println!("{label:<34} {text}");
}
