//! Ports of layers that are not there yet: each answers that it is not.

use app::ports::*;
use async_trait::async_trait;
use contract::*;

/// Stands where a port will be.
pub struct Unbuilt;

fn not_yet<T>() -> Answer<T> {
    Err(Problem::new(Code::Unavailable, "This part is not there yet."))
}

#[async_trait]
impl Runtimes for Unbuilt {
    async fn list(&self, _caller: &Caller) -> Answer<Vec<RuntimeView>> {
        not_yet()
    }
    async fn get(&self, _caller: &Caller, _runtime: RuntimeId) -> Answer<RuntimeView> {
        not_yet()
    }
    async fn create(&self, _caller: &Caller, _name: &str) -> Answer<RuntimeView> {
        not_yet()
    }
    async fn start(&self, _caller: &Caller, _runtime: RuntimeId) -> Answer<RuntimeView> {
        not_yet()
    }
    async fn stop(&self, _caller: &Caller, _runtime: RuntimeId) -> Answer<RuntimeView> {
        not_yet()
    }
    async fn restart(&self, _caller: &Caller, _runtime: RuntimeId) -> Answer<RuntimeView> {
        not_yet()
    }
    async fn delete(&self, _caller: &Caller, _runtime: RuntimeId, _retention: Retention) -> Answer<()> {
        not_yet()
    }
    async fn stats(&self, _caller: &Caller, _runtime: RuntimeId) -> Answer<Option<RuntimeStats>> {
        not_yet()
    }
    async fn logs(&self, _caller: &Caller, _runtime: RuntimeId, _lines: usize) -> Answer<Vec<String>> {
        not_yet()
    }
    async fn everyones(&self, _caller: &Caller) -> Answer<Vec<RuntimeView>> {
        not_yet()
    }
    async fn of_person(&self, _caller: &Caller, _person: PersonId) -> Answer<Vec<RuntimeView>> {
        not_yet()
    }
}

#[async_trait]
impl Models for Unbuilt {
    async fn catalog(&self, _caller: &Caller) -> Answer<Vec<ModelView>> {
        not_yet()
    }
    async fn keys(&self, _caller: &Caller) -> Answer<Vec<KeyView>> {
        not_yet()
    }
    async fn make_key(&self, _caller: &Caller, _name: &str, _days: Option<u16>) -> Answer<NewKey> {
        not_yet()
    }
    async fn revoke_key(&self, _caller: &Caller, _key: KeyId) -> Answer<()> {
        not_yet()
    }
    fn address(&self) -> String {
        String::new()
    }
}

#[async_trait]
impl Usage for Unbuilt {
    async fn report(&self, _caller: &Caller, _whose: Whose, _days: u16) -> Answer<UsageReport> {
        not_yet()
    }
    async fn budgets(&self, _caller: &Caller, _person: Option<PersonId>) -> Answer<Vec<BudgetView>> {
        not_yet()
    }
    async fn set_budget(&self, _caller: &Caller, _change: BudgetChange) -> Answer<()> {
        not_yet()
    }
}

#[async_trait]
impl Providers for Unbuilt {
    async fn providers(&self, _caller: &Caller) -> Answer<Vec<ProviderView>> {
        not_yet()
    }
    async fn offered_providers(&self, _caller: &Caller) -> Answer<Vec<OfferedProvider>> {
        not_yet()
    }
    async fn add_provider(&self, _caller: &Caller, _provider: NewProvider) -> Answer<ProviderView> {
        not_yet()
    }
    async fn upstream_models(&self, _caller: &Caller, _provider: ProviderId) -> Answer<Vec<String>> {
        not_yet()
    }
    async fn remove_provider(&self, _caller: &Caller, _provider: ProviderId) -> Answer<()> {
        not_yet()
    }
    async fn models(&self, _caller: &Caller) -> Answer<Vec<ModelView>> {
        not_yet()
    }
    async fn add_model(&self, _caller: &Caller, _provider: ProviderId, _change: ModelChange) -> Answer<ModelView> {
        not_yet()
    }
    async fn change_model(&self, _caller: &Caller, _model: ModelId, _change: ModelChange) -> Answer<ModelView> {
        not_yet()
    }
    async fn remove_model(&self, _caller: &Caller, _model: ModelId) -> Answer<()> {
        not_yet()
    }
}
