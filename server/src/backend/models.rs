//! The app's `models` port.

use super::Backend;
use crate::model::{catalog, keys};
use app::ports::Models;
use async_trait::async_trait;
use contract::{Answer, Caller, KeyId, KeyView, KeyWish, Limit, ModelView, NewKey, Unit, Window};

#[async_trait]
impl Models for Backend {
    async fn catalog(&self, caller: &Caller) -> Answer<Vec<ModelView>> {
        Ok(catalog::for_caller(&self.models, caller).await?)
    }

    async fn keys(&self, caller: &Caller) -> Answer<Vec<KeyView>> {
        Ok(keys::of(&self.models, caller).await?)
    }

    async fn make_key(&self, caller: &Caller, wish: KeyWish) -> Answer<NewKey> {
        Ok(keys::make(&self.models, caller, wish).await?)
    }

    async fn rotate_key(&self, caller: &Caller, key: KeyId, hours: u16) -> Answer<NewKey> {
        Ok(keys::rotate(&self.models, caller, key, time::Duration::hours(hours.into())).await?)
    }

    async fn revoke_key(&self, caller: &Caller, key: KeyId) -> Answer<()> {
        Ok(keys::revoke(&self.models, caller, key).await?)
    }

    async fn set_key_limit(&self, caller: &Caller, key: KeyId, limit: Limit) -> Answer<()> {
        Ok(keys::set_limit(&self.models, caller, key, limit).await?)
    }

    async fn remove_key_limit(&self, caller: &Caller, key: KeyId, window: Window, unit: Unit) -> Answer<()> {
        Ok(keys::remove_limit(&self.models, caller, key, window, unit).await?)
    }

    fn address(&self) -> String {
        format!("{}/v1", self.config.entry.public_url.as_str().trim_end_matches('/'))
    }
}
