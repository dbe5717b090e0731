//! `clawloops doctor`: looks at every part and says what is wrong and what to do.

pub mod machine;

use crate::{
    Error, Result,
    config::Config,
    data::{self, Pool},
    error::chain,
    manager::Engine,
};
use contract::{Code, PartHealth, Problem};
use std::time::Duration;

/// A part that takes longer to answer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at every part. `litellm` was looked at by the model service; without a pool, no PostgreSQL was found.
pub async fn examine(config: &Config, pool: Option<&Pool>, engine: &dyn Engine, litellm: PartHealth) -> Vec<PartHealth> {
    let ((docker, image, walls), postgres) = tokio::join!(docker(config, engine), postgres(pool));
    let mut parts = vec![docker, image, walls, postgres, litellm];
    parts.extend(machine::examine(config).await);
    parts
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

async fn docker(config: &Config, engine: &dyn Engine) -> (PartHealth, PartHealth, PartHealth) {
    const DOCKER: &str = "Docker Engine";
    const IMAGE: &str = "Runtime image";
    const WALLS: &str = "Firewall";
    let image = config.runtimes.runtime_image.as_str();
    let version = match ask(engine.health()).await {
        Ok(version) => version,
        Err(error) => {
            let remedy = "Install Docker (Debian: apt-get install docker.io), start it, and let this user reach its socket. \
                          For an engine elsewhere set DOCKER_HOST.";
            let unknown = |name: &str| wrong(name, "", "Not known while Docker does not answer.", "Start Docker first.");
            return (wrong(DOCKER, "", format!("Docker does not answer: {}.", chain(&error)), remedy), unknown(IMAGE), unknown(WALLS));
        }
    };
    let image = match ask(engine.has_image(image)).await {
        Ok(true) => fine(IMAGE, image),
        Ok(false) => wrong(
            IMAGE,
            image,
            "The runtime image is not there, so no runtime can start.",
            format!("Pull it (docker pull {image}), build it (make image), or set CLAWLOOPS_RUNTIME_IMAGE to one that is there."),
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
    (fine(DOCKER, version), image, walls)
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
