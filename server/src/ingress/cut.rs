//! The end of an open connection before its time, and what the browser is told of it.

use contract::{Code, Problem};
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Why a connection is ended. A WebSocket is told by a close code: those from 4000 on are a program's own (RFC 6455, section 7.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The session ended, or its person may not enter any more.
    SignedOut,
    /// The runtime is shared with its person no more, or otherwise than before.
    ShareEnded,
    /// The runtime is not where it was: stopped, deleted, asleep or made anew.
    Stopped,
    /// This server ends; another one, or its next start, takes over.
    Restart,
}

impl Reason {
    /// The close code of a WebSocket.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::SignedOut => 4401,
            Self::ShareEnded => 4403,
            Self::Stopped => 4410,
            // "Service Restart" in IANA's registry of close codes.
            Self::Restart => 1012,
        }
    }

    /// The reason in a close frame: at most 123 bytes.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::SignedOut => "signed out",
            Self::ShareEnded => "not shared any more",
            Self::Stopped => "the runtime was stopped",
            Self::Restart => "the server restarts",
        }
    }

    /// The same for a request that has no answer yet.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::SignedOut => Problem::new(Code::Unauthenticated, "You are signed out of this runtime."),
            Self::ShareEnded => Problem::new(Code::AccessDenied, "This runtime is not shared with you any more."),
            Self::Stopped => Problem::new(Code::Unavailable, "The runtime ended before it answered.").retry_after(2),
            Self::Restart => Problem::new(Code::Unavailable, "ClawLoops is restarting.").retry_after(2),
        }
    }
}

/// Ends something, once, for a reason.
#[derive(Clone, Default)]
pub struct Cut {
    fired: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
}

impl Cut {
    /// Ends it. A second reason changes nothing.
    pub fn fire(&self, reason: Reason) {
        // Said before it is told, so that whoever hears of it finds the reason.
        let _first = self.reason.set(reason);
        self.fired.cancel();
    }

    /// Why it was ended; none while it was not.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// Waits until it is ended.
    pub async fn fired(self) -> Reason {
        self.fired.cancelled().await;
        self.reason().unwrap_or(Reason::SignedOut)
    }
}
