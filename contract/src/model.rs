//! The catalog and providers.

use crate::{
    ids::{GroupId, ModelId, ProviderId},
    money::Micros,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The price of a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Tokens sent.
    pub input: Micros,
    /// Tokens sent that the provider had cached.
    pub cached_input: Micros,
    /// Tokens answered.
    pub output: Micros,
}

impl Price {
    /// Costs nothing.
    pub const FREE: Self = Self { input: Micros::ZERO, cached_input: Micros::ZERO, output: Micros::ZERO };
}

/// A model of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    /// Which.
    pub model_id: ModelId,
    /// The name that callers use.
    pub name: String,
    /// What it is, in one sentence.
    pub description: String,
    /// Whose it is.
    pub provider_id: ProviderId,
    /// The provider's name.
    pub provider: String,
    /// The provider's own name for it.
    pub upstream: String,
    /// How many tokens fit, in and out together.
    pub context_tokens: i64,
    /// How many tokens it may answer at most.
    pub output_tokens: i64,
    /// Its price; none while nobody set one: then it is refused.
    pub price: Option<Price>,
    /// Whether people are offered it.
    pub published: bool,
    /// The groups that it is published to; none for everyone. Told to administrators.
    pub groups: Option<Vec<GroupId>>,
    /// Whether new runtimes take it.
    pub is_default: bool,
    /// The names of the models that answer where it does not, in this order. Told to administrators.
    pub fallbacks: Vec<String>,
    /// Since it fails, calls are not sent to it. Told to administrators.
    pub unhealthy: Option<Unhealthy>,
}

/// A model whose provider failed so often that it is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// Since when.
    #[serde(with = "crate::moment")]
    pub since: OffsetDateTime,
    /// When the next call is let through, to see whether it is well again.
    #[serde(with = "crate::moment")]
    pub until: OffsetDateTime,
    /// How it failed last, in a few words.
    pub said: String,
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The built-in demo: a fixed answer, no upstream.
    Demo,
    /// The small model server that `make run` starts on this machine.
    Local,
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Google,
    /// Azure OpenAI, by the address of the resource.
    Azure,
    /// Amazon Bedrock, by region, with a Bedrock API key.
    Bedrock,
    /// Mistral.
    Mistral,
    /// OpenRouter.
    OpenRouter,
    /// Ollama, on this machine or another.
    Ollama,
    /// Any server that speaks OpenAI's API (vLLM, llama.cpp, …).
    OpenAiCompatible,
}

impl ProviderKind {
    /// The name on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Demo => "Demo",
            Self::Local => "This machine",
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Google => "Google Gemini",
            Self::Azure => "Azure OpenAI",
            Self::Bedrock => "Amazon Bedrock",
            Self::Mistral => "Mistral",
            Self::OpenRouter => "OpenRouter",
            Self::Ollama => "Ollama",
            Self::OpenAiCompatible => "OpenAI-compatible server",
        }
    }

    /// The kinds that an administrator can add.
    pub const ADDABLE: [Self; 9] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Google,
        Self::Azure,
        Self::Bedrock,
        Self::Mistral,
        Self::OpenRouter,
        Self::Ollama,
        Self::OpenAiCompatible,
    ];

    /// Whether it stands at an address that somebody has to tell.
    #[must_use]
    pub const fn wants_address(self) -> bool {
        matches!(self, Self::Azure | Self::Ollama | Self::OpenAiCompatible)
    }

    /// Whether it wants a key.
    #[must_use]
    pub const fn wants_key(self) -> bool {
        !matches!(self, Self::Demo | Self::Local | Self::Ollama | Self::OpenAiCompatible)
    }

    /// Whether it speaks OpenAI's API itself, so that it can be called without LiteLLM.
    #[must_use]
    pub const fn speaks_openai(self) -> bool {
        !matches!(self, Self::Demo | Self::Local | Self::Anthropic | Self::Bedrock)
    }
}

/// A provider, as an administrator sees it. Its secret is written, never read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Which.
    pub provider_id: ProviderId,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// The name shown.
    pub name: String,
    /// Where it is, where that is not fixed by the kind.
    pub base_url: Option<String>,
    /// The region, of one that has regions.
    pub region: Option<String>,
    /// Whether it is called without LiteLLM where it speaks the caller's API itself.
    pub is_direct: bool,
    /// The last characters of its secret.
    pub secret_hint: Option<String>,
    /// When it was added.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// How many of its models are in the catalog.
    pub models: i64,
}

/// A provider to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewProvider {
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// The name shown.
    pub name: String,
    /// Where it is; needed where [`ProviderKind::wants_address`].
    pub base_url: Option<String>,
    /// Whether that may be a private address: of this machine or its own network.
    pub allows_private: bool,
    /// The region; needed for Bedrock.
    pub region: Option<String>,
    /// Whether to call it without LiteLLM where it speaks the caller's API itself.
    pub is_direct: bool,
    /// Its key, where it wants one. Sealed before it is stored.
    pub secret: Option<String>,
}

/// A model to publish, or a change to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChange {
    /// The name that callers use.
    pub name: String,
    /// The provider's own name for it.
    pub upstream: String,
    /// What it is, in one sentence.
    pub description: String,
    /// How many tokens fit.
    pub context_tokens: i64,
    /// How many tokens it may answer at most.
    pub output_tokens: i64,
    /// Its price; none leaves it refused.
    pub price: Option<Price>,
    /// Whether people are offered it.
    pub published: bool,
    /// The groups that it is published to; none for everyone.
    pub groups: Option<Vec<GroupId>>,
    /// Whether new runtimes take it.
    pub is_default: bool,
    /// The names of at most three models that answer where it does not, in this order.
    pub fallbacks: Vec<String>,
}

/// A server found on this machine that is not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedProvider {
    /// How it would be spoken to.
    pub kind: ProviderKind,
    /// Where it answers.
    pub base_url: String,
    /// Its models, by its own names.
    pub models: Vec<String>,
}
