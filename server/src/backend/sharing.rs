//! The app's `sharing` port.

use super::Backend;
use crate::{data::share::Shared, platform::shares};
use app::ports::Sharing;
use async_trait::async_trait;
use contract::{Access, Answer, Caller, RuntimeId, ShareId, ShareView, SharedView};

#[async_trait]
impl Sharing for Backend {
    async fn shares(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Vec<ShareView>> {
        Ok(shares::of_runtime(&self.pool, self.clock.as_ref(), caller, runtime).await?)
    }

    async fn share(&self, caller: &Caller, runtime: RuntimeId, email: &str, access: Access, hours: u16) -> Answer<()> {
        Ok(shares::share(&self.pool, self.clock.as_ref(), caller, runtime, email, access, hours).await?)
    }

    async fn end_share(&self, caller: &Caller, share: ShareId) -> Answer<()> {
        Ok(shares::end(&self.pool, self.clock.as_ref(), caller, share).await?)
    }

    async fn shared(&self, caller: &Caller, runtime: Option<RuntimeId>) -> Answer<Vec<SharedView>> {
        let found = shares::with_caller(&self.pool, self.clock.as_ref(), caller, runtime).await?;
        Ok(found.into_iter().map(|shared| self.shared_view(shared)).collect())
    }
}

impl Backend {
    fn shared_view(&self, shared: Shared) -> SharedView {
        let Shared { share_id, runtime_id, name, host_label, owner, phase, access, ends_at } = shared;
        SharedView { share_id, runtime_id, name, owner, origin: self.orchestrator.origin(&host_label), phase, access, ends_at }
    }
}
