//! Providers and the whole catalog; for administrators.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request};
#[cfg(feature = "ssr")]
use contract::{Code, ModelChange, NewProvider, Problem};
use contract::{CountedIn, ModelId, ModelView, OfferedProvider, ProviderId, ProviderKind, ProviderView};
use leptos::prelude::*;

/// The providers.
#[server(prefix = "/api/ui", endpoint = "providers")]
pub async fn providers() -> Answered<Vec<ProviderView>> {
    Ok(request::ports()?.providers.providers(&request::caller()?).await?)
}

/// Servers found on this machine that are not used yet.
#[server(prefix = "/api/ui", endpoint = "offered-providers")]
pub async fn offered_providers() -> Answered<Vec<OfferedProvider>> {
    Ok(request::ports()?.providers.offered_providers(&request::caller()?).await?)
}

/// Adds a provider. `private` is there when its address may be in a private network, `direct` when it is to be called without LiteLLM.
#[server(prefix = "/api/ui", endpoint = "add-provider")]
pub async fn add_provider(
    kind: ProviderKind,
    name: String,
    base_url: Option<String>,
    private: Option<String>,
    region: Option<String>,
    direct: Option<String>,
    secret: Option<String>,
) -> Answered<()> {
    let provider = NewProvider {
        kind,
        name: parse::name_or(&name, kind.label()),
        base_url: parse::some(base_url),
        allows_private: private.is_some(),
        region: parse::some(region),
        is_direct: direct.is_some(),
        secret: parse::some(secret),
    };
    request::ports()?.providers.add_provider(&request::caller()?, provider).await?;
    Ok(())
}

/// Asks a provider for its models.
#[server(prefix = "/api/ui", endpoint = "upstream-models")]
pub async fn upstream_models(provider_id: ProviderId) -> Answered<Vec<String>> {
    Ok(request::ports()?.providers.upstream_models(&request::caller()?, provider_id).await?)
}

/// Removes a provider and its models.
#[server(prefix = "/api/ui", endpoint = "remove-provider")]
pub async fn remove_provider(provider_id: ProviderId) -> Answered<()> {
    Ok(request::ports()?.providers.remove_provider(&request::caller()?, provider_id).await?)
}

/// The whole catalog.
#[server(prefix = "/api/ui", endpoint = "all-models")]
pub async fn all_models() -> Answered<Vec<ModelView>> {
    Ok(request::ports()?.providers.models(&request::caller()?).await?)
}

/// What a model's form holds, as typed.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ModelForm {
    /// The name that callers use.
    pub name: String,
    /// The provider's own name for it.
    pub upstream: String,
    /// What it is, in one sentence.
    #[serde(default)]
    pub description: String,
    /// How many tokens fit.
    pub context_tokens: String,
    /// How many tokens it may answer.
    pub output_tokens: String,
    /// `free`, `priced` by tokens, `pieces` for those in `counted_in`, or `none` to leave it refused.
    pub pricing: String,
    /// Dollars for a million tokens sent.
    #[serde(default)]
    pub input: String,
    /// Dollars for a million tokens sent that the provider had cached; empty means as `input`.
    #[serde(default)]
    pub cached_input: String,
    /// Dollars for a million tokens answered.
    #[serde(default)]
    pub output: String,
    /// Dollars for an image, a minute of audio or a million characters,
    #[serde(default)]
    pub each: String,
    /// and for which of these.
    #[serde(default)]
    pub counted_in: CountedIn,
    /// Present when people are offered it.
    #[serde(default)]
    pub published: Option<String>,
    /// `everyone`, or `chosen` for those in `group`.
    #[serde(default)]
    pub groups: String,
    /// The chosen groups' ids.
    #[serde(default)]
    pub group: Vec<String>,
    /// Present when new runtimes take it.
    #[serde(default)]
    pub is_default: Option<String>,
    /// The names of the models that answer in its place, with commas between.
    #[serde(default)]
    pub fallbacks: String,
}

/// Adds a provider's model to the catalog.
#[server(prefix = "/api/ui", endpoint = "add-model")]
pub async fn add_model(provider_id: ProviderId, model: ModelForm) -> Answered<()> {
    request::ports()?.providers.add_model(&request::caller()?, provider_id, parse::model(&model)?).await?;
    Ok(())
}

/// Changes a model.
#[server(prefix = "/api/ui", endpoint = "change-model")]
pub async fn change_model(model_id: ModelId, model: ModelForm) -> Answered<()> {
    request::ports()?.providers.change_model(&request::caller()?, model_id, parse::model(&model)?).await?;
    Ok(())
}

/// Offers a model to people, or takes it off the offer.
#[server(prefix = "/api/ui", endpoint = "publish-model")]
pub async fn publish_model(model_id: ModelId, published: bool) -> Answered<()> {
    let change = ModelChange { published, ..present(model_id).await? };
    request::ports()?.providers.change_model(&request::caller()?, model_id, change).await?;
    Ok(())
}

/// Makes a model the one that new runtimes take.
#[server(prefix = "/api/ui", endpoint = "default-model")]
pub async fn default_model(model_id: ModelId) -> Answered<()> {
    let change = ModelChange { is_default: true, published: true, ..present(model_id).await? };
    request::ports()?.providers.change_model(&request::caller()?, model_id, change).await?;
    Ok(())
}

/// Takes a model out of the catalog.
#[server(prefix = "/api/ui", endpoint = "remove-model")]
pub async fn remove_model(model_id: ModelId) -> Answered<()> {
    Ok(request::ports()?.providers.remove_model(&request::caller()?, model_id).await?)
}

/// A model as it is now, as a change that changes nothing.
#[cfg(feature = "ssr")]
async fn present(model_id: ModelId) -> Answered<ModelChange> {
    let models = request::ports()?.providers.models(&request::caller()?).await?;
    let model = models.into_iter().find(|model| model.model_id == model_id);
    let model = model.ok_or_else(|| Problem::new(Code::ModelNotFound, "This model is not in the catalog any more."))?;
    Ok(ModelChange {
        name: model.name,
        upstream: model.upstream,
        description: model.description,
        context_tokens: model.context_tokens,
        output_tokens: model.output_tokens,
        price: model.price,
        counted_in: model.counted_in,
        published: model.published,
        groups: model.groups,
        is_default: model.is_default,
        fallbacks: model.fallbacks,
    })
}
