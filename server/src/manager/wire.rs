//! The words between a server and its runtime manager: the engine's own, in JSON, each with its length before it. One connection bears one request.

use crate::{
    Error,
    error::chain,
    runtime::spec::{Limits, RuntimeSpec},
};
use contract::{Problem, RuntimeId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{io, time::Duration};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Both sides are of one version: their words are the engine's, which change with it.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest request, in bytes: a configuration, with room.
pub(super) const LONGEST_REQUEST: usize = 2 * 1024 * 1024;
/// The longest answer, in bytes: a survey of ten thousand runtimes is about half of it.
pub(super) const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// What opens a connection. The request is read after the token is found right.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) version: String,
    pub(super) token: String,
    pub(super) request: Box<RawValue>,
}

/// One method of the engine.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    Health,
    Capacity,
    Workspaces,
    HasImage { image: String },
    Survey,
    Look { runtime_id: RuntimeId },
    Isolate { runtime_id: RuntimeId },
    Release { runtime_id: RuntimeId },
    KeepWorkspace { workspace: String },
    MeasureWorkspace { workspace: String },
    WipeWorkspace { workspace: String },
    Configure { runtime_id: RuntimeId, configuration: String },
    Create { spec: RuntimeSpec },
    Start { runtime_id: RuntimeId },
    IsReady { runtime_id: RuntimeId },
    Stop { runtime_id: RuntimeId, grace: Duration },
    Freeze { runtime_id: RuntimeId },
    Thaw { runtime_id: RuntimeId },
    Update { runtime_id: RuntimeId, limits: Limits },
    Remove { runtime_id: RuntimeId },
    Stats { runtime_id: RuntimeId },
    Logs { runtime_id: RuntimeId, lines: usize },
    Output { runtime_id: RuntimeId, since: Option<OffsetDateTime>, follow: bool },
    HoldWalls,
    LiftWalls,
    Events,
}

/// Why there is no answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// To tell the person as it is.
    Problem(Problem),
    /// The engine failed or does not answer.
    Engine { context: String, cause: String },
    /// The manager failed.
    Internal { context: String, cause: String },
    /// The manager does not speak with whoever asks, or does not understand it.
    Refused(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Problem(problem) => Self::Problem(*problem),
            Error::Engine { context, source } => Self::Engine { context, cause: chain(&*source) },
            Error::Internal { context, source } => Self::Internal { context, cause: chain(&*source) },
            other @ (Error::Database(_) | Error::Missing | Error::Constraint(_) | Error::Upstream { .. }) => {
                Self::Internal { context: "managing runtimes".to_owned(), cause: chain(&other) }
            }
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Problem(problem) => problem.into(),
            Fault::Engine { context, cause } => Self::Engine { context, source: cause.into() },
            Fault::Internal { context, cause } => Self::Internal { context, source: cause.into() },
            // A runtime has no part in it, so no try of one fails: the engine is not there until this is mended.
            Fault::Refused(reason) => Self::Engine { context: "the runtime manager refused this server".to_owned(), source: reason.into() },
        }
    }
}

/// Writes one frame.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(frame).await?;
    stream.flush().await
}

/// Reads one frame of at most `longest` bytes; none when the other side ended before it.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin), longest: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes; {longest} is the most")));
    }
    // Grows with what comes: a length alone takes no memory.
    let mut frame = Vec::new();
    stream.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(frame)) }
}
