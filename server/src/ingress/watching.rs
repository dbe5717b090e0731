//! The WebSocket of somebody who only watches.
//!
//! OpenClaw grants a watcher the scope that reads (`x-openclaw-scopes`, [`super::headers`]). That scope also has methods that act under the owner's
//! name: they ask a model, forget a GitHub account, put off a mention. So what a watcher says is read here message by message, and only methods that
//! are known to change nothing pass; all else is answered here, and never reaches the runtime. What the runtime says passes whole.

use super::cut::Reason;
use contract::{Code, Problem};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use std::{io, pin::pin, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// What a watcher may ask OpenClaw for (its `core-descriptors`, 2026.9.6): what its page needs to show conversations, all of it read-only. Closed by
/// default: a method that a newer OpenClaw adds is refused until it stands here. Files, logs and the configuration are left out on purpose: to watch is
/// to see the conversations.
const READS: &[&str] = &[
    "agent.identity.get",
    "agents.list",
    "artifacts.download",
    "artifacts.get",
    "artifacts.list",
    "assistant.media.get",
    "chat.history",
    "chat.message.get",
    "chat.metadata",
    "chat.startup",
    "commands.list",
    "gateway.identity.get",
    "health",
    "models.list",
    "progressCard.get",
    "session.members.list",
    "session.suggestions.list",
    "sessions.branches.list",
    "sessions.companion.state",
    "sessions.describe",
    "sessions.get",
    "sessions.groups.list",
    "sessions.list",
    "sessions.messages.subscribe",
    "sessions.messages.unsubscribe",
    "sessions.observer.visibility",
    "sessions.preview",
    "sessions.resolve",
    "sessions.subscribe",
    "status",
    "taskSuggestions.list",
    "tasks.get",
    "tasks.list",
    "themes.get",
    "themes.list",
    "tools.catalog",
    "tools.effective",
    "users.prefs.get",
    "users.self",
];
/// The handshake of OpenClaw's protocol.
const CONNECT: &str = "connect";
/// A watcher asks for little: bytes of one message, at most.
const MOST: usize = 256 * 1024;
/// Bytes of one message of the runtime, at most: a history with pictures.
const MOST_BACK: usize = 64 * 1024 * 1024;
/// One side is gone, or was told to go: the goodbye may take this long.
const CLOSING: Duration = Duration::from_secs(1);

/// Said to a watcher who asks for more.
pub fn refusal() -> Problem {
    Problem::new(Code::AccessDenied, "This runtime is shared with you to watch: you cannot change anything in it.")
        .remedy("Ask its owner to let you use it fully.")
}

/// A request of OpenClaw's protocol, as far as it is judged here.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    id: serde_json::Value,
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a serde_json::value::RawValue>,
}

/// What is done with a watcher's message.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Passes,
    /// Answered with this, in the runtime's place.
    Refused(String),
    /// No request of the protocol: nothing that could be answered.
    Senseless,
}

fn judge(text: &str) -> Judged {
    let Ok(request) = serde_json::from_str::<Request<'_>>(text) else { return Judged::Senseless };
    if request.kind != "req" || !(request.id.is_string() || request.id.is_number()) {
        return Judged::Senseless;
    }
    let passes = if request.method == CONNECT { is_operator(request.params) } else { READS.contains(&request.method.as_ref()) };
    if passes {
        return Judged::Passes;
    }
    let error = serde_json::json!({ "code": "FORBIDDEN", "message": refusal().message });
    Judged::Refused(serde_json::json!({ "type": "res", "id": request.id, "ok": false, "error": error }).to_string())
}

/// Whether the handshake is one of a person's page, and not of a node, which would be given work.
fn is_operator(params: Option<&serde_json::value::RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Params {
        role: Option<String>,
    }
    let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok());
    params.is_some_and(|params| params.role.is_none_or(|role| role == "operator"))
}

/// Carries a watcher's connection until one side ends it, or `cut` says why it is to end. No extension is in force: none was passed on in the handshake.
///
/// # Errors
/// When one of the two breaks off.
pub async fn carry<B, R>(browser: B, runtime: R, cut: impl Future<Output = Reason>) -> io::Result<()>
where
    B: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let bounded = |most| WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
    let mut browser = WebSocketStream::from_raw_socket(browser, Role::Server, Some(bounded(MOST))).await;
    let mut runtime = WebSocketStream::from_raw_socket(runtime, Role::Client, Some(bounded(MOST_BACK))).await;
    let mut cut = pin!(cut);
    let goodbye = loop {
        tokio::select! {
            biased;
            reason = &mut cut => break Some(CloseFrame { code: reason.code().into(), reason: reason.text().into() }),
            said = browser.next() => match said {
                Some(Ok(Message::Text(text))) => match judge(text.as_str()) {
                    Judged::Passes => runtime.send(Message::Text(text)).await.map_err(broken)?,
                    Judged::Refused(answer) => browser.send(Message::text(answer)).await.map_err(broken)?,
                    Judged::Senseless => break Some(CloseFrame { code: 1008.into(), reason: "only requests of OpenClaw's page".into() }),
                },
                Some(Ok(Message::Binary(_))) => break Some(CloseFrame { code: 1003.into(), reason: "only text".into() }),
                // Answered by the library, here and there: each connection is kept alive by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    drop(tokio::time::timeout(CLOSING, runtime.close(frame)).await);
                    break None;
                }
                Some(Err(error)) => return ended(error),
                None => break None,
            },
            said = runtime.next() => match said {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => browser.send(message).await.map_err(broken)?,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => break frame,
                Some(Err(error)) => return ended(error),
                None => break None,
            },
        }
    };
    let closing = async {
        browser.close(goodbye).await?;
        // The browser's own goodbye is read, so that closing the socket does not reset it.
        while let Some(Ok(_)) = browser.next().await {}
        Ok::<_, Error>(())
    };
    tokio::time::timeout(CLOSING, closing).await.map_or(Ok(()), |closed| closed.or_else(ended))
}

/// A connection that is over is no failure.
fn ended(error: Error) -> io::Result<()> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ok(()),
        error => Err(broken(error)),
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(method: &str) -> String {
        format!(r#"{{"type":"req","id":"7","method":"{method}","params":{{}}}}"#)
    }

    #[test]
    fn what_reads_passes_and_what_acts_is_answered_here() {
        for reads in ["connect", "chat.history", "sessions.subscribe"] {
            assert_eq!(judge(&asking(reads)), Judged::Passes, "{reads}");
        }
        for acts in [
            "chat.send",
            "sessions.companion.ask",
            "config.get",
            "device.scopes.requestUpgrade",
            "users.github.disconnect",
            "Chat.History",
            "",
        ] {
            let Judged::Refused(answer) = judge(&asking(acts)) else { panic!("{acts} passes") };
            let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((&answer["id"], &answer["ok"], &answer["error"]["code"]), (&"7".into(), &false.into(), &"FORBIDDEN".into()));
        }
    }

    #[test]
    fn nothing_hides_behind_a_second_reading() {
        // Which of two a parser takes is its own choice: neither may be taken.
        assert_eq!(judge(r#"{"type":"req","id":"1","method":"health","method":"chat.send"}"#), Judged::Senseless);
        assert_eq!(judge(r#"{"type":"req","type":"req","id":"1","method":"health"}"#), Judged::Senseless);
        for senseless in ["", "[]", "null", r#"{"type":"res","id":"1","method":"health"}"#, r#"{"type":"req","method":"health"}"#] {
            assert_eq!(judge(senseless), Judged::Senseless, "{senseless}");
        }
        // The same method in other letters is the same method.
        assert!(matches!(judge(r#"{"type":"req","id":"1","method":"chat.s\u0065nd"}"#), Judged::Refused(_)));
    }

    #[test]
    fn a_watcher_is_no_node() {
        let connect = |params: &str| judge(&format!(r#"{{"type":"req","id":1,"method":"connect","params":{params}}}"#));
        assert_eq!(connect(r#"{"role":"operator","scopes":["operator.admin"]}"#), Judged::Passes);
        assert_eq!(connect("{}"), Judged::Passes);
        for refused in [r#"{"role":"node"}"#, r#"{"role":["operator"]}"#, r#"{"role":"operator","role":"node"}"#, "null"] {
            assert!(matches!(connect(refused), Judged::Refused(_)), "{refused}");
        }
    }
}
