//! How a spent limit is said.
//!
//! A person's own key gets 429 in the API's shape. A runtime gets an answer that can be read: OpenClaw switches a provider off for
//! minutes on 402, 403 or a billing 429, and shows the text of none of them.

use super::{answer::Fault, readable};
use crate::{
    Result, data,
    data::{budget::Spent, model::KeptOut},
    model::{Service, shape::Shape, words},
};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use contract::{CountedIn, SetBy, Subject, Unit, Window};
use time::OffsetDateTime;
use uuid::Uuid;

const REFUSAL: HeaderName = HeaderName::from_static("x-clawloops-refusal");

/// Why a call is not sent.
pub enum Refusal {
    /// A limit is spent.
    Budget(Spent),
    /// The model is not offered.
    UnknownModel(String),
    /// The runtime's profile, or the person's own key, does not allow the model.
    KeptOut {
        /// The model's name.
        model: String,
        /// What does not allow it.
        by: KeptOut,
    },
    /// The model has no price.
    Unpriced(String),
    /// The model has a price, and none for what is asked.
    OtherPrice {
        /// The model's name.
        model: String,
        /// What its price is for.
        counted_in: CountedIn,
    },
}

/// Who asks, and how they want to be answered.
pub struct Asker {
    /// Whether a runtime asks.
    pub runtime: bool,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The shape of the answer.
    pub shape: Shape,
    /// Names the call.
    pub id: Uuid,
}

impl Refusal {
    const fn mark(&self) -> &'static str {
        match self {
            Self::Budget(_) => "budget",
            Self::KeptOut { by: KeptOut::Pause(_), .. } => "pause",
            Self::UnknownModel(_) | Self::KeptOut { .. } | Self::Unpriced(_) | Self::OtherPrice { .. } => "model",
        }
    }

    /// What to say, and whom to ask.
    async fn text(&self, service: &Service) -> Result<String> {
        let mut connection = service.pool.acquire().await?;
        let whom = match data::budget::whom_to_ask(&mut connection).await?.as_slice() {
            [] => "an administrator".to_owned(),
            [only] => format!("your administrator ({only})"),
            [first, ..] => format!("an administrator (for example {first})"),
        };
        Ok(match self {
            Self::Budget(spent) => {
                let limit = limit_words(spent);
                let (raise, more) = way_on(spent, &whom);
                match (spent.unit, spent.until) {
                    (Unit::Concurrency, _) => {
                        format!("{limit} is reached. It goes on as soon as one of them has ended. If that is too few, {raise}.")
                    }
                    (_, Some(until)) if (until - service.clock.now()) <= time::Duration::HOUR => {
                        let seconds = (until - service.clock.now()).whole_seconds().max(1);
                        let wait = if seconds < 120 { format!("{seconds} seconds") } else { format!("{} minutes", (seconds + 59) / 60) };
                        format!(
                            "{limit} is used up, or what is left is too little for this message. It begins anew in {wait}. To go on before \
                             that, {more}."
                        )
                    }
                    (_, Some(until)) => {
                        let at = data::budget::told(&mut connection, until, &spent.time_zone).await?;
                        format!(
                            "{limit} is used up, or what is left is too little for this message. It begins anew on {at}. To go on before \
                             that, {more}."
                        )
                    }
                    (_, None) => {
                        format!("{limit} is used up, or what is left is too little for this message. It does not return by itself: {more}.")
                    }
                }
            }
            Self::UnknownModel(name) => {
                format!("The model `{}` is not offered here any more. Choose another model, or ask {whom} to publish it.", plain(name))
            }
            Self::KeptOut { model, by: KeptOut::Profile(profile) } => format!(
                "The model `{}` is not part of this runtime's profile, {}. Choose another model, change the profile, or ask {whom}.",
                plain(model),
                plain(profile)
            ),
            Self::KeptOut { model, by: KeptOut::Key(key) } => format!(
                "The key {} was not made for the model `{}`. GET /v1/models lists those that it may call; for others make a key on the page Models \
                 & keys.",
                plain(key),
                plain(model)
            ),
            Self::KeptOut { by: KeptOut::Pause(reason), .. } => format!(
                "The model calls of this runtime are paused: {reason}, which looks like a loop. Nothing is spent until somebody presses Resume on \
                 this runtime's page: you, or {whom}."
            ),
            Self::OtherPrice { model, counted_in } => {
                let (only, other) = match counted_in {
                    CountedIn::Tokens => ("tokens", "what is asked"),
                    CountedIn::Images => ("pictures", "/v1/images/generations"),
                    CountedIn::Seconds => ("seconds of audio", "/v1/audio/transcriptions"),
                    CountedIn::Characters => ("characters to be spoken", "/v1/audio/speech"),
                };
                format!(
                    "The model `{}` has a price for {only} alone, and is called at {other}. Choose another model here, or ask {whom} to price it \
                     otherwise.",
                    plain(model)
                )
            }
            Self::Unpriced(name) => {
                format!(
                    "The model `{}` has no price yet, so it is not used. Choose another model, or ask {whom} to set a price (zero is free).",
                    plain(name)
                )
            }
        })
    }

    /// The answer for whoever asks.
    pub async fn answer(self, service: &Service, asker: &Asker) -> Response {
        let text = match self.text(service).await {
            Ok(text) => text,
            Err(error) => return Fault::from_error(error).into_response(),
        };
        let now = service.clock.now();
        let readable = asker.runtime.then(|| readable::answer(&text, asker.shape, asker.stream, asker.id, now)).flatten();
        let mut response = readable.unwrap_or_else(|| self.fault(text, now).into_response());
        response.headers_mut().insert(REFUSAL, HeaderValue::from_static(self.mark()));
        response
    }

    fn fault(&self, text: String, now: OffsetDateTime) -> Fault {
        match self {
            Self::Budget(spent) => {
                let seconds = spent.until.map(|until| u64::try_from((until - now).whole_seconds()).unwrap_or(0).max(1));
                // What returns within a minute is a rate, and clients wait for it by themselves.
                let (code, seconds) = match (spent.unit, spent.window) {
                    (Unit::Concurrency, _) => ("rate_limit_exceeded", Some(1)),
                    (_, Window::Minute) => ("rate_limit_exceeded", seconds),
                    (_, Window::Hour | Window::Day | Window::Week | Window::Month | Window::Total) => ("insufficient_quota", seconds),
                };
                let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, code, code, text);
                let fault = if code == "insufficient_quota" { fault.lasts() } else { fault };
                match seconds {
                    Some(seconds) => fault.retry_after(seconds),
                    None => fault,
                }
            }
            Self::UnknownModel(name) => Fault::unknown_model(name),
            Self::KeptOut { by, .. } => {
                let code = match by {
                    KeptOut::Profile(_) => "model_not_in_profile",
                    KeptOut::Key(_) => "model_not_in_key",
                    KeptOut::Pause(_) => "runtime_paused",
                };
                Fault::new(StatusCode::FORBIDDEN, "invalid_request_error", code, text).param(Some("model"))
            }
            Self::Unpriced(_) | Self::OtherPrice { .. } => {
                Fault::new(StatusCode::FORBIDDEN, "invalid_request_error", "model_not_priced", text).param(Some("model"))
            }
        }
    }
}

/// What raises a limit, and what else gets more of it. One's own is changed by oneself: nobody else can.
fn way_on(spent: &Spent, whom: &str) -> (String, String) {
    match spent.set_by {
        SetBy::Owner => ("change it on the page Models & keys".to_owned(), "change it on the page Models & keys".to_owned()),
        SetBy::Administrator => (format!("ask {whom} to raise it"), format!("ask {whom} to raise it, or ask for more on the page Usage")),
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control() && *letter != '`').take(80).collect()
}

/// That most of a limit is gone, as a sentence before a chat's answer. None where the database does not say when it returns.
pub async fn note(service: &Service, spent: &Spent) -> Option<String> {
    let returns = match spent.until {
        Some(until) => {
            let told = async { data::budget::told(&mut *service.pool.acquire().await?, until, &spent.time_zone).await };
            format!("It begins anew on {}.", told.await.ok()?)
        }
        None => "It does not return by itself.".to_owned(),
    };
    let limit = limit_words(spent);
    let limit = limit.strip_prefix("Your").map_or_else(|| limit.replacen("The", "the", 1), |rest| format!("your{rest}"));
    Some(format!("*{} % of {limit} is used. {returns} You can ask for more on the page Usage.*\n\n", spent.percent))
}

/// Whose limit of what: `Your limit of $20.00 a day`, `The limit of 60 calls a minute for the group Research`.
pub fn limit_words(spent: &Spent) -> String {
    let limit = words::limit(spent.amount, spent.unit, spent.window);
    let name = plain(&spent.name);
    match spent.subject {
        Subject::Everyone | Subject::Person(_) => format!("Your limit of {limit}"),
        Subject::Group(_) => format!("The limit of {limit} that all members of the group {name} share"),
        Subject::Runtime(_) => format!("The limit of {limit} of the runtime {name}"),
        Subject::Key(_) => {
            let whose = if spent.set_by == SetBy::Owner { "that you set for" } else { "of" };
            format!("The limit of {limit} {whose} the key {name}")
        }
        Subject::Model(_) => format!("The limit of {limit} that all who use the model {name} share"),
    }
}
