//! The engine behind a runtime manager: a process of its own, which alone may speak to Docker. See [`super::warden`] for its side.

use super::{
    Capacity, Engine, EngineEvent, Health, LogLine, Seen, World,
    wire::{self, Call, Fault, Request},
};
use crate::{
    Error, Result,
    runtime::spec::{Isolation, Limits, RuntimeSpec},
};
use async_trait::async_trait;
use contract::{RuntimeId, RuntimeStats};
use futures::{StreamExt as _, stream::BoxStream};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::net::UnixStream;

/// Asks a runtime manager over its socket. A manager that is not there is an engine that does not answer; when it is back, it is found again.
pub struct Remote {
    socket: PathBuf,
    token: PathBuf,
}

/// The file of the token, when nobody names another: beside the socket.
#[must_use]
pub fn token_beside(socket: &Path) -> PathBuf {
    let mut token = socket.as_os_str().to_owned();
    token.push(".token");
    token.into()
}

impl Remote {
    /// The manager at this socket, which takes the token of this file; of the file beside the socket without one.
    #[must_use]
    pub fn new(socket: &Path, token: Option<&Path>) -> Self {
        Self { socket: socket.to_owned(), token: token.map_or_else(|| token_beside(socket), Path::to_owned) }
    }

    async fn call(&self, request: &Request) -> io::Result<UnixStream> {
        // Read each time: a manager that was set up anew has another one.
        let token = tokio::fs::read_to_string(&self.token).await?;
        let request = serde_json::value::to_raw_value(request)?;
        let call = Call { version: wire::VERSION.to_owned(), token: token.trim().to_owned(), request };
        let mut stream = UnixStream::connect(&self.socket).await?;
        match wire::send(&mut stream, &serde_json::to_vec(&call)?).await {
            // One that refuses does so without reading on; what it said is there to be read.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(stream),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let asked = async { answer(&mut self.call(&request).await?).await };
        asked.await.map_err(silent)?.map_err(Error::from)
    }

    /// Asks for something that goes on: the first answer says that it does.
    async fn follow<T: DeserializeOwned + Send + 'static>(&self, request: Request) -> Result<BoxStream<'static, T>> {
        let asked = async {
            let mut stream = self.call(&request).await?;
            Ok((answer::<()>(&mut stream).await?, stream))
        };
        let (begun, stream) = asked.await.map_err(silent)?;
        begun?;
        Ok(futures::stream::unfold(stream, async |mut stream| match answer(&mut stream).await {
            Ok(Ok(item)) => Some((item, stream)),
            // It ends with the manager, as it does with the engine.
            Ok(Err(_)) | Err(_) => None,
        })
        .boxed())
    }
}

async fn answer<T: for<'a> Deserialize<'a>>(stream: &mut UnixStream) -> io::Result<Result<T, Fault>> {
    let frame = wire::receive(stream, wire::LONGEST_ANSWER).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_slice(&frame)?)
}

fn silent(error: io::Error) -> Error {
    Error::Engine { context: "asking the runtime manager".to_owned(), source: Box::new(error) }
}

#[async_trait]
impl Engine for Remote {
    async fn health(&self) -> Result<Health> {
        self.ask(Request::Health).await
    }

    async fn capacity(&self) -> Result<Capacity> {
        self.ask(Request::Capacity).await
    }

    async fn workspaces(&self) -> Result<BTreeSet<String>> {
        self.ask(Request::Workspaces).await
    }

    async fn has_image(&self, image: &str) -> Result<bool> {
        self.ask(Request::HasImage { image: image.to_owned() }).await
    }

    async fn survey(&self) -> Result<World> {
        self.ask(Request::Survey).await
    }

    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen> {
        self.ask(Request::Look { runtime_id }).await
    }

    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation> {
        self.ask(Request::Isolate { runtime_id }).await
    }

    async fn release(&self, runtime_id: RuntimeId) -> Result<()> {
        self.ask(Request::Release { runtime_id }).await
    }

    async fn keep_workspace(&self, workspace: &str) -> Result<()> {
        self.ask(Request::KeepWorkspace { workspace: workspace.to_owned() }).await
    }

    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>> {
        self.ask(Request::MeasureWorkspace { workspace: workspace.to_owned() }).await
    }

    async fn wipe_workspace(&self, workspace: &str) -> Result<()> {
        self.ask(Request::WipeWorkspace { workspace: workspace.to_owned() }).await
    }

    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()> {
        self.ask(Request::Configure { runtime_id, configuration: configuration.to_owned() }).await
    }

    async fn create(&self, spec: &RuntimeSpec) -> Result<()> {
        self.ask(Request::Create { spec: spec.clone() }).await
    }

    async fn start(&self, runtime_id: RuntimeId) -> Result<()> {
        self.ask(Request::Start { runtime_id }).await
    }

    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool> {
        self.ask(Request::IsReady { runtime_id }).await
    }

    async fn stop(&self, runtime_id: RuntimeId, grace: Duration) -> Result<()> {
        self.ask(Request::Stop { runtime_id, grace }).await
    }

    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()> {
        self.ask(Request::Freeze { runtime_id }).await
    }

    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()> {
        self.ask(Request::Thaw { runtime_id }).await
    }

    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()> {
        self.ask(Request::Update { runtime_id, limits: *limits }).await
    }

    async fn remove(&self, runtime_id: RuntimeId) -> Result<()> {
        self.ask(Request::Remove { runtime_id }).await
    }

    async fn stats(&self, runtime_id: RuntimeId) -> Result<Option<RuntimeStats>> {
        self.ask(Request::Stats { runtime_id }).await
    }

    async fn logs(&self, runtime_id: RuntimeId, lines: usize) -> Result<Vec<String>> {
        self.ask(Request::Logs { runtime_id, lines }).await
    }

    async fn output(&self, runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool) -> Result<BoxStream<'static, LogLine>> {
        self.follow(Request::Output { runtime_id, since, follow }).await
    }

    async fn hold_walls(&self) -> Result<()> {
        self.ask(Request::HoldWalls).await
    }

    async fn lift_walls(&self) -> Result<()> {
        self.ask(Request::LiftWalls).await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>> {
        self.follow(Request::Events).await
    }
}
