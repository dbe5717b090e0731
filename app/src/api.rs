//! The error of every server function: a [`Problem`], whole, on both sides of the wire.

use contract::{Code, Problem};
use leptos::{
    prelude::{FromServerFnError, ServerFnErrorErr},
    server_fn::codec::JsonEncoding,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a server function answers when it cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError(pub Problem);

/// What a server function answers.
pub type Answered<T> = Result<T, ApiError>;

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let problem = match error {
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) => {
                Problem::new(Code::Unavailable, "The server does not answer.").remedy("Check the connection, then try again.")
            }
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => {
                Problem::new(Code::Invalid, "The form was sent with a field missing or not readable.")
                    .remedy("Reload the page and try again.")
            }
            ServerFnErrorErr::UnsupportedRequestMethod(_) => Problem::new(Code::Invalid, "This address takes forms only."),
            ServerFnErrorErr::Registration(_)
            | ServerFnErrorErr::MiddlewareError(_)
            | ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::Serialization(_)
            | ServerFnErrorErr::ServerError(_) => Problem::new(Code::Internal, "The server gave an answer that this page cannot read.")
                .remedy("Reload the page. If it stays, tell your administrator."),
        };
        #[cfg(feature = "ssr")]
        crate::request::set_answer_status(problem.code.status());
        Self(problem)
    }
}

#[cfg(feature = "ssr")]
impl From<Problem> for ApiError {
    /// Also sets the answer's status where a script asked; a plain form is redirected instead and reads the problem from the address.
    fn from(problem: Problem) -> Self {
        crate::request::set_answer_status(problem.code.status());
        Self(problem)
    }
}
