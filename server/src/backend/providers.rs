//! The app's `providers` port.

use super::Backend;
use crate::model::{catalog, providers};
use app::ports::Providers;
use async_trait::async_trait;
use contract::{Answer, Caller, ModelChange, ModelId, ModelView, NewProvider, OfferedProvider, ProviderId, ProviderView};

#[async_trait]
impl Providers for Backend {
    async fn providers(&self, caller: &Caller) -> Answer<Vec<ProviderView>> {
        Ok(providers::all(&self.models, caller).await?)
    }

    async fn offered_providers(&self, caller: &Caller) -> Answer<Vec<OfferedProvider>> {
        Ok(providers::offered(&self.models, caller).await?)
    }

    async fn add_provider(&self, caller: &Caller, provider: NewProvider) -> Answer<ProviderView> {
        Ok(providers::add(&self.models, caller, provider).await?)
    }

    async fn upstream_models(&self, caller: &Caller, provider: ProviderId) -> Answer<Vec<String>> {
        Ok(providers::upstream_models(&self.models, caller, provider).await?)
    }

    async fn remove_provider(&self, caller: &Caller, provider: ProviderId) -> Answer<()> {
        Ok(providers::remove(&self.models, caller, provider).await?)
    }

    async fn models(&self, caller: &Caller) -> Answer<Vec<ModelView>> {
        Ok(catalog::all(&self.models, caller).await?)
    }

    async fn add_model(&self, caller: &Caller, provider: ProviderId, change: ModelChange) -> Answer<ModelView> {
        Ok(catalog::add(&self.models, caller, provider, change).await?)
    }

    async fn change_model(&self, caller: &Caller, model: ModelId, change: ModelChange) -> Answer<ModelView> {
        Ok(catalog::change(&self.models, caller, model, change).await?)
    }

    async fn remove_model(&self, caller: &Caller, model: ModelId) -> Answer<()> {
        Ok(catalog::remove(&self.models, caller, model).await?)
    }
}
