//! An engine that is waited for only so long: one that never answers is one that does not answer.

use super::{Capacity, Engine, EngineEvent, Health, LogLine, Seen, World};
use crate::{
    Error, Result,
    runtime::spec::{Isolation, Limits, RuntimeSpec},
};
use async_trait::async_trait;
use contract::{RuntimeId, RuntimeStats};
use futures::stream::BoxStream;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use time::OffsetDateTime;

/// For questions.
const ANSWER: Duration = Duration::from_secs(15);
/// For deeds: the slowest known machine takes seconds to make a container.
const DEED: Duration = Duration::from_secs(60);
/// For what touches each file of a workspace, which may hold many.
const WIPE: Duration = Duration::from_secs(300);

/// Bounds every call of another engine. A call that is given up may still have its effect: the next look finds out.
pub struct Bounded(Arc<dyn Engine>);

impl Bounded {
    /// Around this engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(engine)
    }
}

async fn within<T: Send>(bound: Duration, what: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
    tokio::time::timeout(bound, call).await.unwrap_or_else(|elapsed| {
        Err(Error::Engine { context: format!("{what}: no answer within {} s", bound.as_secs()), source: Box::new(elapsed) })
    })
}

#[async_trait]
impl Engine for Bounded {
    async fn health(&self) -> Result<Health> {
        within(ANSWER, "asking for its health", self.0.health()).await
    }

    async fn capacity(&self) -> Result<Capacity> {
        within(ANSWER, "asking for the machine's size", self.0.capacity()).await
    }

    async fn workspaces(&self) -> Result<BTreeSet<String>> {
        within(ANSWER, "listing workspaces", self.0.workspaces()).await
    }

    async fn has_image(&self, image: &str) -> Result<bool> {
        within(ANSWER, "looking for the image", self.0.has_image(image)).await
    }

    async fn survey(&self) -> Result<World> {
        within(ANSWER, "listing runtimes", self.0.survey()).await
    }

    async fn look(&self, runtime_id: RuntimeId) -> Result<Seen> {
        within(ANSWER, "looking at a runtime", self.0.look(runtime_id)).await
    }

    async fn isolate(&self, runtime_id: RuntimeId) -> Result<Isolation> {
        within(DEED, "making a network", self.0.isolate(runtime_id)).await
    }

    async fn release(&self, runtime_id: RuntimeId) -> Result<()> {
        within(DEED, "removing a network", self.0.release(runtime_id)).await
    }

    async fn keep_workspace(&self, workspace: &str) -> Result<()> {
        within(DEED, "making a workspace", self.0.keep_workspace(workspace)).await
    }

    async fn measure_workspace(&self, workspace: &str) -> Result<Option<i64>> {
        within(WIPE, "measuring a workspace", self.0.measure_workspace(workspace)).await
    }

    async fn wipe_workspace(&self, workspace: &str) -> Result<()> {
        within(WIPE, "removing a workspace", self.0.wipe_workspace(workspace)).await
    }

    async fn configure(&self, runtime_id: RuntimeId, configuration: &str) -> Result<()> {
        within(DEED, "writing a configuration", self.0.configure(runtime_id, configuration)).await
    }

    async fn create(&self, spec: &RuntimeSpec) -> Result<()> {
        within(DEED, "making a container", self.0.create(spec)).await
    }

    async fn start(&self, runtime_id: RuntimeId) -> Result<()> {
        within(DEED, "starting a container", self.0.start(runtime_id)).await
    }

    async fn is_ready(&self, runtime_id: RuntimeId) -> Result<bool> {
        within(ANSWER, "asking OpenClaw whether it is ready", self.0.is_ready(runtime_id)).await
    }

    async fn stop(&self, runtime_id: RuntimeId, grace: Duration) -> Result<()> {
        within(grace + DEED, "stopping a container", self.0.stop(runtime_id, grace)).await
    }

    async fn freeze(&self, runtime_id: RuntimeId) -> Result<()> {
        within(DEED, "freezing a container", self.0.freeze(runtime_id)).await
    }

    async fn thaw(&self, runtime_id: RuntimeId) -> Result<()> {
        within(DEED, "thawing a container", self.0.thaw(runtime_id)).await
    }

    async fn update(&self, runtime_id: RuntimeId, limits: &Limits) -> Result<()> {
        within(DEED, "putting a container's limits back", self.0.update(runtime_id, limits)).await
    }

    async fn remove(&self, runtime_id: RuntimeId) -> Result<()> {
        within(DEED, "removing a container", self.0.remove(runtime_id)).await
    }

    async fn stats(&self, runtime_id: RuntimeId) -> Result<Option<RuntimeStats>> {
        within(ANSWER, "measuring a runtime", self.0.stats(runtime_id)).await
    }

    async fn logs(&self, runtime_id: RuntimeId, lines: usize) -> Result<Vec<String>> {
        within(ANSWER, "reading a log", self.0.logs(runtime_id, lines)).await
    }

    async fn output(&self, runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool) -> Result<BoxStream<'static, LogLine>> {
        within(ANSWER, "asking for a log", self.0.output(runtime_id, since, follow)).await
    }

    async fn hold_walls(&self) -> Result<()> {
        within(DEED, "holding the walls", self.0.hold_walls()).await
    }

    async fn lift_walls(&self) -> Result<()> {
        within(DEED, "taking the walls away", self.0.lift_walls()).await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>> {
        within(ANSWER, "listening to the engine", self.0.events()).await
    }
}
