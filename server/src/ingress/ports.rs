//! The ports of runtimes, where they have no host names: one listener each, opened when the runtime gets its port and closed when it is gone.

use super::{gate::Gate, listener, router::Arrived};
use crate::{
    Result, config,
    data::{
        self, Pool,
        listen::{Change, Changes},
    },
    error::chain,
    orchestrator::ports::Ports,
};
use axum::{Extension, Router};
use rustls::ServerConfig;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::broadcast::{Receiver, error::RecvError},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Which ports are given away is looked up this often, whether or not a change was told.
const LOOK: Duration = Duration::from_secs(30);
/// And one that could not be opened is tried again: whoever has it may end, another server of this database among them.
const AGAIN: Duration = Duration::from_secs(2);
/// Changes that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(100);

/// What a runtime's listener is made of.
pub struct Listeners {
    /// The database.
    pub pool: Pool,
    /// The range, and what became of it.
    pub ports: Arc<Ports>,
    /// Counts connections together with those to the dashboard.
    pub gate: Arc<Gate>,
    /// How TLS is spoken; none for plain http.
    pub tls: Option<Arc<ServerConfig>>,
    /// What is served.
    pub router: Router,
    /// What clients may take.
    pub limits: config::Limits,
    /// Fires when the server is to stop.
    pub stop: CancellationToken,
}

/// Gives a port to every runtime that has none of the range: after the setting was made, or the range moved.
///
/// # Errors
/// A problem for the administrator when there are fewer ports than runtimes.
pub async fn settle(pool: &Pool, ports: &Ports) -> Result<()> {
    let mut transaction = data::begin(pool).await?;
    let without = data::address::without_port(&mut transaction, ports.range()).await?;
    if without.is_empty() {
        return Ok(());
    }
    let busy = ports.busy();
    for runtime_id in &without {
        if data::address::give_port(&mut transaction, *runtime_id, ports.range(), &busy).await?.is_none() {
            return Err(ports.used_up().into());
        }
    }
    transaction.commit().await?;
    tracing::info!(runtimes = without.len(), ports = %ports.range(), "gave runtimes ports of their own");
    Ok(())
}

impl Listeners {
    /// Listens on what is given away, until the server stops and the connections of every port have ended.
    pub async fn follow(self, changes: Changes) {
        let mut changed = changes.subscribe();
        let mut open = BTreeMap::new();
        let connections = TaskTracker::new();
        loop {
            let well = match self.open_and_close(&mut open, &connections).await {
                Ok(all) => all,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "it is not known which ports runtimes have");
                    false
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(if well { LOOK } else { AGAIN }) => {}
                () = something(&mut changed) => tokio::time::sleep(TOGETHER).await,
            }
        }
        connections.close();
        connections.wait().await;
    }

    /// Makes what is listened on what is given away. The answer is whether that went well for all.
    async fn open_and_close(&self, open: &mut BTreeMap<u16, CancellationToken>, connections: &TaskTracker) -> Result<bool> {
        let given = data::address::given_ports(&mut *self.pool.acquire().await?, self.ports.range()).await?;
        open.retain(|port, listening| {
            let stays = given.binary_search(port).is_ok();
            if !stays {
                listening.cancel();
            }
            stays
        });
        self.ports.keep(&given);
        let mut well = true;
        for port in given {
            if open.contains_key(&port) {
                continue;
            }
            match TcpListener::bind((self.ports.ip(), port)).await {
                Ok(listening) => {
                    open.insert(port, self.serve(port, listening, connections));
                    self.ports.opened(port);
                    tracing::debug!(port, "a runtime's port is open");
                }
                Err(error) => {
                    if self.ports.fault(port).is_none() {
                        tracing::error!(port, %error, "a runtime's port cannot be listened on; it is tried again");
                    }
                    self.ports.failed(port, &error);
                    well = false;
                }
            }
        }
        Ok(well)
    }

    fn serve(&self, port: u16, listening: TcpListener, connections: &TaskTracker) -> CancellationToken {
        let stop = self.stop.child_token();
        let router = self.router.clone().layer(Extension(Arrived(port)));
        let (gate, tls, limits, stopping) = (Arc::clone(&self.gate), self.tls.clone(), self.limits.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = listener::serve_behind(gate, listening, tls, router, limits, stopping).await {
                tracing::error!(port, %error, "a runtime's port failed");
            }
        });
        stop
    }
}

/// Waits for a change that may have given a port away, or taken one back.
async fn something(changes: &mut Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::Runtime { .. } | Change::Anything) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
