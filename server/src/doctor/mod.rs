//! `clawloops doctor`: looks at every part and says what is wrong and what to do.

pub mod certificate;
pub mod machine;
mod master_key;
mod ports;

use crate::{
    Error, Result,
    clock::{Clock as _, SystemClock},
    config::Config,
    data::{self, Pool, cluster::Cluster, listen::Changes},
    error::chain,
    manager::{self, Engine},
    model,
    platform::keyring::Keyring,
};
use contract::{Code, PartHealth, Problem};
use secrecy::ExposeSecret as _;
use std::{sync::Arc, time::Duration};

pub use master_key::examine as master_key;

/// A part that takes longer to answer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at every part. `litellm` was looked at by the model service; without a pool, no PostgreSQL was found.
pub async fn examine(config: &Config, pool: Option<&Pool>, engine: &dyn Engine, litellm: PartHealth) -> Vec<PartHealth> {
    let (mut parts, postgres) = tokio::join!(docker(config, engine), postgres(pool));
    parts.extend([postgres, master_key(config, pool).await, litellm]);
    parts.extend(certificate::examine(config, SystemClock.now()).await);
    parts.extend(machine::examine(config).await);
    parts.extend(ports::examine(config, pool).await);
    parts
}

/// Looks from the command line, beside a running server or without one; starts nothing.
///
/// # Errors
/// When the settings themselves cannot be used.
pub async fn from_outside(config: Config) -> Result<Vec<PartHealth>> {
    let config = Arc::new(config);
    let cluster = if config.data.database_url.is_some() { None } else { Cluster::running(&config).await? };
    let url = config.data.database_url.as_ref().map(|url| url.expose_secret().to_owned()).or_else(|| cluster.as_ref().map(Cluster::url));
    // Connects when it is first asked: a database that is down is a finding, not an error.
    let pool = url.as_deref().map(data::connect_lazily).transpose()?;
    let engine = manager::engine(&config)?;
    let litellm = match &pool {
        Some(pool) => {
            // Only looks: no secret is opened, so no key is needed.
            let service = model::Service::new(pool.clone(), Arc::new(SystemClock), Arc::clone(&config), Keyring::of(&[]), Changes::new())?;
            model::litellm::health(&service).await
        }
        None => wrong("LiteLLM", "", "Not known while no server runs, which brings it.", "Start clawloops serve."),
    };
    Ok(examine(&config, pool.as_ref(), &*engine, litellm).await)
}

/// One part in one line, with what to do in a second.
#[must_use]
pub fn line(part: &PartHealth) -> String {
    let PartHealth { name, detail, problem } = part;
    match problem {
        None => format!("  fine   {name:<14} {detail}"),
        Some(problem) => {
            let remedy = problem.remedy.as_deref().map(|remedy| format!("\n{:24}{remedy}", "")).unwrap_or_default();
            format!("  WRONG  {name:<14} {}{remedy}", problem.message)
        }
    }
}

fn fine(name: &str, detail: impl Into<String>) -> PartHealth {
    PartHealth { name: name.to_owned(), detail: detail.into(), problem: None }
}

fn wrong(name: &str, detail: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> PartHealth {
    let problem = Problem::new(Code::Unavailable, message).remedy(remedy);
    PartHealth { name: name.to_owned(), detail: detail.into(), problem: Some(problem) }
}

/// Whatever a part says of itself, bounded in time; a problem of its own goes through as it is.
async fn ask<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::internal("waiting", format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn docker(config: &Config, engine: &dyn Engine) -> Vec<PartHealth> {
    const DOCKER: &str = "Docker Engine";
    const RESTART: &str = "Docker restart";
    const IMAGE: &str = "Runtime image";
    const WALLS: &str = "Firewall";
    let image = config.runtimes.runtime_image.as_str();
    let health = match ask(engine.health()).await {
        Ok(health) => health,
        Err(error) => {
            let remedy = match &config.runtimes.runtime_manager {
                Some(socket) => format!("Start clawloops runtime-manager, which opens {}, and let it know this account.", socket.display()),
                None => "Install Docker (Debian: apt-get install docker.io), start it, and let this user reach its socket. \
                         For another socket set DOCKER_HOST."
                    .to_owned(),
            };
            let unknown = |name: &str| wrong(name, "", "Not known while Docker does not answer.", "Start Docker first.");
            let engine = match error {
                Error::Problem(problem) => PartHealth { name: DOCKER.to_owned(), detail: String::new(), problem: Some(*problem) },
                error => wrong(DOCKER, "", format!("Docker does not answer: {}.", chain(&error)), remedy),
            };
            return vec![engine, unknown(RESTART), unknown(IMAGE), unknown(WALLS)];
        }
    };
    let image = match ask(engine.has_image(image)).await {
        Ok(true) => fine(IMAGE, image),
        Ok(false) => wrong(
            IMAGE,
            image,
            "The runtime image is not there, so no runtime can start.",
            format!(
                "Pull it (docker pull {image}), build it (deploy/runtime-image/build.sh), or set CLAWLOOPS_RUNTIME_IMAGE to one that is there."
            ),
        ),
        Err(error) => wrong(IMAGE, image, format!("Docker does not say whether it is there: {}.", chain(&error)), "Look at Docker's log."),
    };
    let walls = match ask(engine.hold_walls()).await {
        Ok(()) => fine(WALLS, "runtimes reach the internal listener and nothing else of this machine"),
        Err(Error::Problem(problem)) => PartHealth { name: WALLS.to_owned(), detail: String::new(), problem: Some(*problem) },
        Err(error) => wrong(
            WALLS,
            "",
            format!("The rules that hold runtimes cannot be set: {}. No runtime starts without them.", chain(&error)),
            "Install iptables (Debian: apt-get install iptables) and run as root, or give the server the capability NET_ADMIN.",
        ),
    };
    let restart = if health.keeps_containers {
        fine(RESTART, "runtimes outlive a restart of Docker (live-restore)")
    } else {
        wrong(
            RESTART,
            "",
            "Docker ends every runtime when it is restarted or upgraded: its live-restore is off.",
            "Add \"live-restore\": true to /etc/docker/daemon.json (without that file: {\"live-restore\": true}), then systemctl reload docker. \
             Nothing that runs is ended by that.",
        )
    };
    vec![fine(DOCKER, health.version), restart, image, walls]
}

async fn postgres(pool: Option<&Pool>) -> PartHealth {
    const NAME: &str = "PostgreSQL";
    let Some(pool) = pool else {
        return wrong(
            NAME,
            "",
            "No database is running.",
            "Start clawloops serve, which brings its own, or set DATABASE_URL to one that runs.",
        );
    };
    match ask(data::version(pool)).await {
        Ok((version, number)) if number < 150_000 => {
            wrong(NAME, version, "This PostgreSQL is older than version 15.", "Use PostgreSQL 15 or later.")
        }
        Ok((version, _)) => fine(NAME, version),
        Err(error) => wrong(
            NAME,
            "",
            format!("The database does not answer: {}.", chain(&error)),
            "Look at its log: postgres.log in the data directory, or where DATABASE_URL leads.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::fake::{FakeEngine, Misery};

    async fn wrongs(pool: Option<&Pool>, misery: Misery) -> Vec<(String, Option<String>)> {
        let engine = FakeEngine::well(Arc::new(SystemClock));
        engine.suffer(misery);
        let mut config = Config::for_tests();
        config.entry.listen = ([127, 0, 0, 1], 0).into();
        let parts = examine(&config, pool, &*engine, fine("LiteLLM", "")).await;
        // How much room this machine has is not what is tested.
        let parts = parts.into_iter().filter(|part| part.name != "Disk" && part.name != "Memory");
        parts.filter_map(|part| part.problem.map(|problem| (part.name, problem.remedy))).collect()
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn every_part_that_is_not_well_is_named_with_a_remedy(pool: Pool) {
        assert_eq!(wrongs(Some(&pool), Misery::default()).await, []);
        let cases = [
            (Misery { down: true, ..Misery::default() }, vec!["Docker Engine", "Docker restart", "Runtime image", "Firewall"]),
            (Misery { no_live_restore: true, ..Misery::default() }, vec!["Docker restart"]),
            (Misery { no_image: true, ..Misery::default() }, vec!["Runtime image"]),
            (Misery { no_walls: true, ..Misery::default() }, vec!["Firewall"]),
        ];
        for (misery, expected) in cases {
            let found = wrongs(Some(&pool), misery.clone()).await;
            assert!(found.iter().all(|(_, remedy)| remedy.is_some()), "{found:?}");
            assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), expected, "{misery:?}");
        }
        assert_eq!(wrongs(None, Misery::default()).await[0].0, "PostgreSQL");
        pool.close().await;
        assert_eq!(wrongs(Some(&pool), Misery::default()).await[0].0, "PostgreSQL");
    }
}
