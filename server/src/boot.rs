//! The composition root: the one place that knows everything.
//!
//! Up: database, migrations, master key, engine, models, orchestrator, listeners. Docker and LiteLLM may be down: pages are served all the same, and
//! those parts are tried again until they answer. Down, in order: listeners (with a grace for requests in progress) and beside them the orchestrator's
//! loop, LiteLLM and the local model, the database. Runtimes keep running and are found again by the next start, or by a server that waits for the lead:
//! it is given up at once, and the internal listener closed only then.

mod descriptors;
mod front;
pub mod manager;
mod rotation;

use crate::{
    backend::Backend,
    clock::{Clock, SystemClock},
    config::Config,
    data::{self, Pool, cluster::Cluster, listen::Changes},
    error::chain,
    ingress::{self, connections::Connections, internal::InternalDoors, listener, proxies::Proxies, tls::Certificates},
    manager::{self as engines, Engine, docker_address},
    model::{self, door::Side},
    orchestrator::{Orchestrator, logs::Logs},
    platform::{keyring::Keyring, passwords::Passwords, profiles, setup, throttle::Throttle},
};
use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// Serves until SIGINT or SIGTERM. A second one ends it at once.
///
/// # Errors
/// When a part without which nothing can be served does not come up: the data directory, PostgreSQL, the listening address; and when `DOCKER_HOST` names
/// another machine.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let forced = signals(stop.clone())?;
    tokio::select! {
        served = up_and_down(Arc::new(config), stop) => served,
        () = forced.cancelled() => anyhow::bail!("ended at once by a second signal; what was in progress is lost"),
    }
}

/// The first signal fires `stop`, the second the token that is returned.
fn signals(stop: CancellationToken) -> anyhow::Result<CancellationToken> {
    let forced = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let force = forced.clone();
    // Ends with the process.
    drop(tokio::spawn(async move {
        for token in [stop, force] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            token.cancel();
        }
    }));
    Ok(forced)
}

async fn up_and_down(config: Arc<Config>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut steps = Steps::begin();
    if config.runtimes.runtime_manager.is_none() {
        docker_address::local(config.runtimes.docker_host.as_deref())?;
    }
    front::check_ports(&config)?;
    let certificates = front::certificates(&config, Arc::new(SystemClock)).await?;
    let proxies = Proxies::of(&config.entry)?;
    let (pool, cluster) = database(&config, &mut steps).await?;
    let keeping = CancellationToken::new();
    let keeper = cluster.map(|cluster| tokio::spawn(keep(cluster, Arc::clone(&config), keeping.clone())));
    let served = serve_on(&config, &pool, (certificates, proxies), stop, &mut steps).await;

    pool.close().await;
    keeping.cancel();
    if let Some(keeper) = keeper {
        keeper.await?.stop().await.context("stopping the database")?;
        steps.done("database stopped");
    }
    served
}

/// Looks after the private cluster until `stop`: one that went away is started again.
async fn keep(mut cluster: Cluster, config: Arc<Config>, stop: CancellationToken) -> Cluster {
    let mut look = tokio::time::interval(Duration::from_secs(1));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return cluster,
            _ = look.tick() => {}
        }
        match cluster.revive(&config).await {
            Ok(false) => {}
            Ok(true) => tracing::warn!("the private database had gone away and was started again"),
            Err(error) => tracing::error!(error = %chain(&error), "the private database is gone and cannot be started"),
        }
    }
}

async fn database(config: &Config, steps: &mut Steps) -> anyhow::Result<(Pool, Option<Cluster>)> {
    let (url, cluster) = match &config.data.database_url {
        Some(url) => (url.expose_secret().to_owned(), None),
        None => {
            let cluster = Cluster::start(config).await.context("starting the private PostgreSQL")?;
            (cluster.url(), Some(cluster))
        }
    };
    let failed = match connected(&url, cluster.is_some(), steps).await {
        Ok(pool) => return Ok((pool, cluster)),
        Err(error) => error,
    };
    // Whoever started it stops it, also when nothing comes of it.
    if let Some(cluster) = cluster
        && let Err(error) = cluster.stop().await
    {
        tracing::error!(error = %chain(&error), "the private database could not be stopped");
    }
    Err(failed)
}

async fn connected(url: &str, private: bool, steps: &mut Steps) -> anyhow::Result<Pool> {
    let pool =
        data::connect(url).await.context(if private { "connecting to the private PostgreSQL" } else { "connecting to DATABASE_URL" })?;
    steps.done(if private { "private PostgreSQL started" } else { "database connected" });
    if let Err(error) = data::migrate(&pool).await {
        pool.close().await;
        return Err(anyhow::Error::new(error).context("applying migrations"));
    }
    steps.done("migrations applied");
    Ok(pool)
}

/// Everything above the database: up, served, and down again.
async fn serve_on(
    config: &Arc<Config>,
    pool: &Pool,
    (certificates, proxies): (Option<Arc<Certificates>>, Proxies),
    stop: CancellationToken,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let changes = Changes::new();
    let keys = Arc::new(Keyring::load(config).context("loading the master key")?);
    keys.join(pool).await.context("checking the master key against the database")?;

    profiles::follow_settings(pool, config).await.context("giving the first profile its values")?;

    let engine: Arc<dyn Engine> = engines::engine(config).context("configuring the container engine")?;
    let models = model::Service::new(pool.clone(), Arc::clone(&clock), Arc::clone(config), Arc::clone(&keys), changes.clone())
        .context("preparing the model service")?;
    let close_doors = CancellationToken::new();
    let internal = model::door::router(Arc::clone(&models), Side::Internal);
    let doors = Arc::new(InternalDoors::new(internal, config.entry.internal_port, config.limits.clone(), close_doors.clone()));
    let orchestrator = Orchestrator::new(
        pool.clone(),
        Arc::clone(&clock),
        Arc::clone(&engine),
        Arc::clone(config),
        Arc::clone(&keys),
        Arc::clone(&doors) as _,
        changes.clone(),
    );
    let orchestrator = Arc::new(orchestrator.keeping(Logs::new(config, Arc::clone(&engine), Arc::clone(&clock))));
    let connections = Arc::new(Connections::default());
    let backend = Arc::new(Backend {
        pool: pool.clone(),
        clock: Arc::clone(&clock),
        config: Arc::clone(config),
        passwords: Arc::new(Passwords::new().context("preparing password hashing")?),
        throttle: Arc::new(Throttle::new()),
        orchestrator: Arc::clone(&orchestrator),
        models: Arc::clone(&models),
        open: Arc::clone(&connections) as _,
    });
    let (entry, router, watch) = ingress::router::router(ingress::Parts {
        pool: pool.clone(),
        clock: Arc::clone(&clock),
        config: Arc::clone(config),
        keys: Arc::clone(&keys),
        proxies,
        changes: changes.clone(),
        connections,
        ports: backend.ports(),
        throttle: Arc::clone(&backend.throttle),
        routes: Arc::clone(&orchestrator) as _,
        logs: Arc::clone(&orchestrator) as _,
        models: model::door::router(Arc::clone(&models), Side::Public),
        stop: stop.clone(),
    });
    descriptors::raise(config.limits.connections);
    let ports = orchestrator.ports().cloned();
    if let Some(ports) = &ports {
        ingress::ports::settle(pool, ports).await.context("giving runtimes ports of their own")?;
    }
    let runtimes = ports.map(|ports| front::Runtimes { pool: pool.clone(), ports, changes: changes.clone() });
    let front = front::Front::open(&config.entry, certificates, runtimes).await?;

    let feed = {
        let (changes, pool) = (changes.clone(), pool.clone());
        tokio::spawn(async move { changes.feed(&pool).await })
    };
    let watch = tokio::spawn(watch);
    let stop_models = CancellationToken::new();
    let modelling = tokio::spawn(Arc::clone(&models).run(stop_models.clone()));
    let rotating = tokio::spawn(rotation::follow(
        rotation::Parts { keys, pool: pool.clone(), models: Arc::clone(&models), orchestrator: Arc::clone(&orchestrator), changes },
        stop.clone(),
    ));
    let orchestrating = {
        let stop = stop.clone();
        tokio::spawn(async move {
            // Also when it fails.
            let _closes = close_doors.drop_guard();
            orchestrator.run(stop).await;
        })
    };
    steps.done("listening");
    announce(config, pool, clock.as_ref(), engine).await;

    let served = front.serve(config, router, clock, stop.clone()).await;
    stop.cancel();
    say("Stopping. Runtimes keep running.");
    steps.again();
    if tokio::time::timeout(listener::GRACE, async { tokio::join!(entry.drained(), doors.closed()) }).await.is_err() {
        tracing::warn!("connections that were still open were cut");
    }
    steps.done("connections closed");
    end(stop.clone(), orchestrating, "the orchestrator").await;
    steps.done("orchestrator stopped");
    end(stop_models, modelling, "the model service").await;
    steps.done("models stopped");
    end(stop.clone(), watch, "the watch").await;
    end(stop, rotating, "the rotation of the master key").await;
    feed.abort();
    served
}

/// Tells a loop to stop and waits for it, within bounds.
async fn end(stop: CancellationToken, running: JoinHandle<()>, what: &str) {
    stop.cancel();
    let abort = running.abort_handle();
    match tokio::time::timeout(Duration::from_secs(30), running).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "{what} failed"),
        Err(_) => {
            abort.abort();
            tracing::error!("{what} did not stop in time");
        }
    }
}

/// Says where the dashboard is, how to set it up while nobody administers it, and what is missing.
async fn announce(config: &Config, pool: &Pool, clock: &dyn Clock, engine: Arc<dyn Engine>) {
    say(&format!("Open {}", config.entry.public_url.as_str().trim_end_matches('/')));
    match setup::ensure_link(pool, clock, &config.entry.public_url).await {
        Ok(Some(link)) => {
            say(&format!("Nobody administers this ClawLoops yet. Make the first administrator here (the link works once):\n  {link}"))
        }
        Ok(None) => {}
        Err(error) => tracing::error!(error = %chain(&error), "the set-up link could not be made"),
    }
    if let Some(trust) = front::how_to_trust(config).await {
        say(&trust);
    }
    // Not waited for: pages are served in the meantime.
    drop(tokio::spawn(async move {
        if let Err(error) = engine.health().await {
            tracing::warn!(error = %chain(&error), "the container engine does not answer; runtimes start when it does");
        }
    }));
}

/// A line for people, on standard output.
fn say(text: &str) {
    // Nobody may be reading, which stops nothing.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// The steps of a start or a stop, with their times.
struct Steps(Instant);

impl Steps {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Counts from now.
    fn again(&mut self) {
        self.0 = Instant::now();
    }

    fn done(&mut self, what: &str) {
        let took = self.0.elapsed();
        self.0 = Instant::now();
        say(&format!("{what:<32} {:>6.2} s", took.as_secs_f64()));
    }
}
