//! The ports of runtimes, where they have no host names: how many are left, and which of them another program has.

use super::{fine, machine, wrong};
use crate::{
    config::Config,
    data::{self, Pool},
    error::chain,
};
use contract::PartHealth;
use futures::future::join_all;
use std::net::SocketAddr;
use tokio::net::TcpListener;

const NAME: &str = "Runtime ports";

/// Looks at the ports that are given away, where the settings leave some to runtimes.
pub async fn examine(config: &Config, pool: Option<&Pool>) -> Option<PartHealth> {
    let ports = config.entry.runtime_ports?;
    let given = async {
        let Some(pool) = pool else { return Ok(None) };
        data::address::given_ports(&mut *pool.acquire().await?, ports).await.map(Some)
    };
    let given = match given.await {
        Ok(Some(given)) => given,
        Ok(None) => return Some(wrong(NAME, ports.to_string(), "Not known while no database is running.", "Start clawloops serve.")),
        Err(error) => return Some(wrong(NAME, ports.to_string(), format!("Not known: {}.", chain(&error)), "Look at PostgreSQL first.")),
    };
    let looked = given.iter().map(|port| async move { is_taken(config, *port).await.then_some(*port) });
    let taken: Vec<u16> = join_all(looked).await.into_iter().flatten().collect();
    let detail = format!("{} of {} ({ports}) are given to runtimes", given.len(), ports.count());
    if !taken.is_empty() {
        let listed = taken.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        return Some(wrong(
            NAME,
            detail,
            format!(
                "Another program has {} of a runtime, which nobody can open so: {listed}.",
                if taken.len() == 1 { "the port" } else { "ports" }
            ),
            "Stop that program: the server takes the port within seconds. Or delete the runtime and make it anew under the same name, which gives it \
             another port and keeps its workspace.",
        ));
    }
    if given.len() >= ports.count() {
        return Some(wrong(
            NAME,
            detail,
            "All ports are given away: no more runtimes can be made.",
            "Widen CLAWLOOPS_RUNTIME_PORTS and restart the server, or delete runtimes that nobody needs.",
        ));
    }
    Some(fine(NAME, detail))
}

/// Whether somebody who is not this server listens there.
async fn is_taken(config: &Config, port: u16) -> bool {
    let at = SocketAddr::new(config.entry.listen.ip(), port);
    if TcpListener::bind(at).await.is_ok() {
        return false;
    }
    let host = format!("{}:{port}", config.entry.public_url.host_str().unwrap_or_default());
    !machine::answers(config, at, &host, "/__clawloops/healthz").await
}
