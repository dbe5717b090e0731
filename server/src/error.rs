//! One error inside the server, turned into a [`Problem`] and into HTTP at the last step.
//!
//! A person gets what happened, why and what to do, with an id; the operator gets the whole chain under the same id, once, where it is handled.

use contract::{Code, Problem};
use std::error::Error as StdError;

/// What can go wrong inside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something to tell the person as it is.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// PostgreSQL failed or does not answer.
    #[error("the database failed")]
    Database(#[source] Box<dyn StdError + Send + Sync>),
    /// A row that the code wanted is not there.
    #[error("not found")]
    Missing,
    /// A unique constraint, by its name, said no.
    #[error("the constraint {0} is violated")]
    Constraint(String),
    /// The container engine failed or does not answer.
    #[error("the container engine failed: {context}")]
    Engine {
        /// What was being done.
        context: String,
        /// What the engine said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// LiteLLM or a provider failed.
    #[error("a model upstream failed: {context}")]
    Upstream {
        /// What was being done.
        context: String,
        /// What it said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A fault of ours, or of the machine.
    #[error("{context}")]
    Internal {
        /// What was being done.
        context: String,
        /// What went wrong.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// A result inside the server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A problem of this kind.
    pub fn problem(code: Code, message: impl Into<String>) -> Self {
        Problem::new(code, message).into()
    }

    /// A fault of ours, with what was being done.
    pub fn internal(context: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal { context: context.into(), source: source.into() }
    }

    /// Turns a violated constraint into something to tell the person.
    #[must_use]
    pub fn on_constraint(self, name: &str, problem: impl FnOnce() -> Problem) -> Self {
        match self {
            Self::Constraint(violated) if violated == name => problem().into(),
            other => other,
        }
    }

    /// Turns a missing row into something to tell the person.
    #[must_use]
    pub fn on_missing(self, problem: impl FnOnce() -> Problem) -> Self {
        match self {
            Self::Missing => problem().into(),
            other => other,
        }
    }

    /// The last step: what the person is told. Logs the chain once, under the id that the person sees.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        let id = uuid::Uuid::now_v7().simple().to_string()[20..].to_owned();
        let mut problem = match &self {
            Self::Problem(problem) => {
                tracing::info!(problem.id = id, code = %problem.code, "{}", problem.message);
                (**problem).clone()
            }
            Self::Database(_) => Problem::new(Code::Unavailable, "The database does not answer. Nothing was changed.")
                .remedy("Try again in a moment. If it lasts, tell your administrator.")
                .retry_after(5),
            Self::Missing => Problem::new(Code::NotFound, "This does not exist, or it is not yours to see."),
            Self::Constraint(_) => Problem::new(Code::Conflict, "This contradicts something that exists already."),
            Self::Engine { .. } => Problem::new(Code::Unavailable, "The container engine does not answer. Your workspace is safe.")
                .remedy("Try again in a moment. If it lasts, tell your administrator.")
                .retry_after(5),
            Self::Upstream { .. } => Problem::new(Code::UpstreamFailed, "The model service does not answer.")
                .remedy("Try again in a moment, or choose another model.")
                .retry_after(5),
            Self::Internal { .. } => Problem::new(Code::Internal, "Something failed on our side.")
                .remedy("Try again. If it lasts, tell your administrator the number below."),
        };
        if !matches!(self, Self::Problem(_)) {
            tracing::error!(problem.id = id, error = %chain(&self), "a request failed");
        }
        problem.id = id;
        problem
    }
}

/// The error and its sources in one line.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        error.into_problem()
    }
}
