//! The internal listener: models for runtimes, and nothing else. It stands on the gateway address of each runtime's own network, on no other.

use super::{handover, listener};
use crate::{Error, Result, config, orchestrator::Doors};
use async_trait::async_trait;
use axum::Router;
use contract::{Code, Problem};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A bridge that was just made shows its address a moment later.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Opens the internal listener where it is asked for.
pub struct InternalDoors {
    router: Router,
    port: u16,
    limits: config::Limits,
    open: Mutex<HashMap<IpAddr, JoinHandle<()>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl InternalDoors {
    /// Will serve `models` on `port` of each address that is asked for, until `stop`. A runtime may take of it what a client may take of the entry.
    #[must_use]
    pub fn new(models: Router, port: u16, limits: config::Limits, stop: CancellationToken) -> Self {
        let router = models.fallback(|| async { super::faults::as_json(&Problem::new(Code::NotFound, "There is nothing here but /v1.")) });
        Self { router, port, limits, open: Mutex::default(), tasks: TaskTracker::new(), stop }
    }

    /// Waits until all listeners are closed.
    pub async fn closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[async_trait]
impl Doors for InternalDoors {
    async fn open(&self, gateway: IpAddr) -> Result<()> {
        let mut open = self.open.lock().await;
        if open.get(&gateway).is_some_and(|door| !door.is_finished()) {
            return Ok(());
        }
        let address = SocketAddr::new(gateway, self.port);
        let listener =
            bind(address).await.map_err(|error| Error::internal(format!("opening the internal listener on {address}"), error))?;
        let (router, limits, stop) = (self.router.clone(), self.limits.clone(), self.stop.clone());
        let door = self.tasks.spawn(async move {
            if let Err(error) = listener::serve(listener, router, limits, stop).await {
                tracing::error!(%address, %error, "the internal listener failed");
            }
        });
        tracing::debug!(%address, "the internal listener is open");
        open.insert(gateway, door);
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 1..TRIES {
        match listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    listen(address)
}

/// Beside another server of the same account, too: at a rolling restart the old one is still there, and one that stands still keeps its door.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    handover::listen(address, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> config::Limits {
        config::Config::for_tests().limits
    }

    #[tokio::test]
    async fn a_door_is_opened_once_and_closes_with_the_server() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let doors = InternalDoors::new(Router::new(), port, limits(), stop.clone());
        let gateway: IpAddr = "127.0.0.1".parse().unwrap();
        doors.open(gateway).await.unwrap();
        doors.open(gateway).await.unwrap();
        let answer = get(port).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        stop.cancel();
        doors.closed().await;
        assert!(tokio::net::TcpStream::connect((gateway, port)).await.is_err());
    }

    #[tokio::test]
    async fn the_next_server_opens_the_same_door_while_the_last_one_still_has_it() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let gateway: IpAddr = "127.0.0.1".parse().unwrap();
        let (old, new) = (CancellationToken::new(), CancellationToken::new());
        let last = InternalDoors::new(Router::new(), port, limits(), old.clone());
        let next = InternalDoors::new(Router::new(), port, limits(), new.clone());
        last.open(gateway).await.unwrap();
        next.open(gateway).await.unwrap();
        old.cancel();
        last.closed().await;
        for _ in 0..20 {
            assert!(get(port).await.starts_with("HTTP/1.1 404"));
        }
        new.cancel();
        next.closed().await;
    }

    async fn get(port: u16) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}
