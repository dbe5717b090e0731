//! The catalog and providers.

use crate::{
    ids::{GroupId, ModelId, ProviderId},
    money::Micros,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What the calls of a model are counted in, and what its price is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum CountedIn {
    /// Tokens, sent and answered.
    #[default]
    Tokens,
    /// Pictures made.
    Images,
    /// Seconds of audio sent.
    Seconds,
    /// Characters to be spoken.
    Characters,
}

impl CountedIn {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Tokens, Self::Images, Self::Seconds, Self::Characters];
    /// What pictures and audio may be counted in beside tokens.
    pub const PIECES: [Self; 3] = [Self::Images, Self::Seconds, Self::Characters];

    /// The word in forms and in the database.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Images => "images",
            Self::Seconds => "seconds",
            Self::Characters => "characters",
        }
    }

    /// So many of them have the price that people read and type: a million tokens, an image, a minute, a million characters.
    #[must_use]
    pub const fn priced(self) -> i64 {
        match self {
            Self::Tokens | Self::Characters => 1_000_000,
            Self::Images => 1,
            Self::Seconds => 60,
        }
    }

    /// Those in words.
    #[must_use]
    pub const fn priced_words(self) -> &'static str {
        match self {
            Self::Tokens => "a million tokens",
            Self::Images => "an image",
            Self::Seconds => "a minute",
            Self::Characters => "a million characters",
        }
    }

    /// The price of a million, where this is that of [`Self::priced`]; rounded up, at most [`i64::MAX`].
    #[must_use]
    pub fn of_million(self, price: Micros) -> Micros {
        let whole = i128::from(price.0) * 1_000_000;
        let each = i128::from(self.priced());
        Micros(i64::try_from((whole + each - 1).div_euclid(each)).unwrap_or(i64::MAX))
    }

    /// The price of [`Self::priced`], where this is that of a million.
    #[must_use]
    pub fn of_priced(self, million: Micros) -> Micros {
        Micros(i64::try_from(i128::from(million.0) * i128::from(self.priced()) / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// The price of a million tokens, or of a million of what else a model is counted in: then the first is the price, and the others are as that and zero.
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

    /// One price for each of what a model is counted in, where this is that of [`CountedIn::priced`].
    #[must_use]
    pub fn each(counted_in: CountedIn, price: Micros) -> Self {
        let million = counted_in.of_million(price);
        Self { input: million, cached_input: million, output: Micros::ZERO }
    }
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
    /// What its calls are counted in, and its price is for.
    pub counted_in: CountedIn,
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
    /// What its calls are counted in, and its price is for.
    pub counted_in: CountedIn,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_shown_as_it_was_typed() {
        for counted_in in CountedIn::ALL {
            for price in [0, 1, 7, 40_000, 6_000, 15_000_000] {
                let million = counted_in.of_million(Micros(price));
                assert_eq!(counted_in.of_priced(million), Micros(price), "{counted_in:?}");
                assert!(i128::from(million.0) * i128::from(counted_in.priced()) >= i128::from(price) * 1_000_000, "nothing is given away");
            }
        }
        assert_eq!(CountedIn::Seconds.of_million(Micros(6_000)), Micros(100_000_000));
        assert_eq!(CountedIn::Images.of_million(Micros(i64::MAX)), Micros(i64::MAX));
    }
}
