//! What a person is told when something does not work.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// The kinds of problem. The text form is part of the API and never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {$(
            $(#[$doc])*
            #[serde(rename = $text)]
            $name,
        )*}

        impl Code {
            /// The text form, as in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }

            /// The HTTP status (RFC 9110) that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {$(Self::$name => $status,)*}
            }
        }
    };
}

codes! {
    /// No valid session or token came with the request.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// The address or the password is wrong; which of the two is not said.
    InvalidCredentials = "INVALID_CREDENTIALS", 401;
    /// Signed in, but not allowed.
    AccessDenied = "ACCESS_DENIED", 403;
    /// The person was disabled (said only after the right password).
    PersonDisabled = "USER_DISABLED", 403;
    /// The request came from another site.
    CrossSite = "CROSS_SITE", 403;
    /// No such thing, or not yours to know of.
    NotFound = "NOT_FOUND", 404;
    /// No such person.
    PersonNotFound = "USER_NOT_FOUND", 404;
    /// No such runtime, or another person's.
    RuntimeNotFound = "RUNTIME_NOT_FOUND", 404;
    /// No such group.
    GroupNotFound = "GROUP_NOT_FOUND", 404;
    /// No such profile, or not offered any more.
    ProfileNotFound = "PROFILE_NOT_FOUND", 404;
    /// No such model, or not offered to this person.
    ModelNotFound = "MODEL_NOT_FOUND", 404;
    /// No such invitation.
    InvitationNotFound = "INVITATION_NOT_FOUND", 404;
    /// The invitation or set-up link was used already.
    InvitationConsumed = "INVITATION_ALREADY_CONSUMED", 409;
    /// An administrator took the invitation back.
    InvitationRevoked = "INVITATION_REVOKED", 409;
    /// The invitation or set-up link is too old.
    InvitationExpired = "INVITATION_EXPIRED", 410;
    /// What is asked contradicts the present state.
    Conflict = "CONFLICT", 409;
    /// The runtime is not in a state for this.
    RuntimeConflict = "RUNTIME_ACTION_CONFLICT", 409;
    /// A field of the request is missing or wrong.
    Invalid = "INVALID_REQUEST", 422;
    /// What came is no request, or could be understood in two ways.
    Malformed = "MALFORMED_REQUEST", 400;
    /// The request did not arrive in time.
    RequestTimedOut = "REQUEST_TIMED_OUT", 408;
    /// The request is larger than allowed.
    TooLarge = "REQUEST_TOO_LARGE", 413;
    /// The headers of the request are larger, or more, than allowed.
    HeadersTooLarge = "HEADERS_TOO_LARGE", 431;
    /// A limit on money or tokens is spent.
    BudgetSpent = "BUDGET_SPENT", 429;
    /// A quota on runtimes is full.
    QuotaExceeded = "QUOTA_EXCEEDED", 422;
    /// Too many tries in too short a time.
    TooManyRequests = "TOO_MANY_REQUESTS", 429;
    /// The runtime needed more memory than its profile gives.
    OutOfMemory = "RUNTIME_OUT_OF_MEMORY", 502;
    /// The runtime could not be started, or ended by itself.
    RuntimeStartFailed = "RUNTIME_START_FAILED", 502;
    /// The runtime was started, and is not ready in the time that it has for it.
    RuntimeNotReady = "RUNTIME_NOT_READY", 502;
    /// The runtime ends again and again, soon after it was ready.
    RuntimeFlapping = "RUNTIME_FLAPPING", 502;
    /// The runtime was ended with its machine or its engine, and starts again by itself.
    RuntimeInterrupted = "RUNTIME_INTERRUPTED", 502;
    /// The runtime was to end, did not within its time, and was ended.
    RuntimeKilled = "RUNTIME_KILLED", 502;
    /// The runtime runs and answers slowly, or not at all.
    RuntimeSlow = "RUNTIME_SLOW", 503;
    /// What the runtime answered is no answer, or could be understood in two ways.
    RuntimeAnswerBroken = "RUNTIME_ANSWER_BROKEN", 502;
    /// The runtime did not begin to answer in time.
    RuntimeTimedOut = "RUNTIME_TIMED_OUT", 504;
    /// A model's provider, or LiteLLM, failed.
    UpstreamFailed = "UPSTREAM_FAILED", 502;
    /// A part of the platform (Docker, PostgreSQL, LiteLLM) does not answer.
    Unavailable = "SERVICE_UNAVAILABLE", 503;
    /// A fault of ours.
    Internal = "INTERNAL_ERROR", 500;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened, why, and what to do: for people. The cause for operators stays in the log, under the same `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// What happened and why, in one or two sentences.
    pub message: String,
    /// What to do about it, where there is something to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The form field that is wrong, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Ties the page to the log line; empty until it is logged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Seconds until a new try makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem of this kind with its message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None, field: None, id: String::new(), retry_after: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names the form field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when a new try makes sense, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}
