//! The shapes of the API: what a path asks for, and in whose words.

/// What a call asks for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/responses`.
    Responses,
    /// `/v1/messages`.
    Messages,
    /// `/v1/messages/count_tokens`.
    TokenCount,
    /// `/v1/images/generations`.
    Images,
    /// `/v1/audio/speech`.
    Speech,
    /// `/v1/audio/transcriptions`, whose body is a form.
    Transcription,
}

impl Shape {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::TokenCount,
        Self::Images,
        Self::Speech,
        Self::Transcription,
    ];

    /// The path below `/v1`, here and at LiteLLM.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::TokenCount => "/messages/count_tokens",
            Self::Images => "/images/generations",
            Self::Speech => "/audio/speech",
            Self::Transcription => "/audio/transcriptions",
        }
    }

    /// The members that hold what is asked; one of them must be there.
    #[must_use]
    pub const fn content(self) -> &'static [&'static str] {
        match self {
            Self::Chat | Self::Messages | Self::TokenCount => &["messages"],
            Self::Completions | Self::Images => &["prompt"],
            Self::Embeddings | Self::Speech => &["input"],
            Self::Transcription => &["file"],
            Self::Responses => &["input", "previous_response_id", "conversation", "prompt"],
        }
    }

    /// The members that bound the answer's length, the one to set first; none where no tokens are answered.
    #[must_use]
    pub const fn length(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["max_tokens", "max_completion_tokens"],
            Self::Completions | Self::Messages => &["max_tokens"],
            Self::Responses => &["max_output_tokens"],
            Self::Embeddings | Self::TokenCount | Self::Images | Self::Speech | Self::Transcription => &[],
        }
    }

    /// Whether tokens are answered, which a limit may cut.
    #[must_use]
    pub const fn answers(self) -> bool {
        !self.length().is_empty()
    }

    /// Whether it makes or takes pictures or audio: what it costs no length bounds, and its price may be for other things than tokens.
    #[must_use]
    pub const fn is_media(self) -> bool {
        matches!(self, Self::Images | Self::Speech | Self::Transcription)
    }

    /// Whether whatever speaks OpenAI's API has it, if it has such models at all: others are translated for.
    #[must_use]
    pub const fn is_plain_openai(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Embeddings) || self.is_media()
    }

    /// Whether a stream tells its usage only to who asks for it by `stream_options`.
    #[must_use]
    pub const fn usage_is_asked_for(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// In whose words answers and errors are.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses | Self::Images | Self::Speech | Self::Transcription => {
                Dialect::OpenAi
            }
            Self::Messages | Self::TokenCount => Dialect::Anthropic,
        }
    }
}

/// Whose words an answer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `OpenAI`'s.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}
