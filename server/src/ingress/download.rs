//! What is downloaded: `GET /runtimes/{id}/log`, the whole kept log of a runtime as one text.

use super::{Entry, faults};
use crate::{Result, orchestrator::Orchestrator};
use async_trait::async_trait;
use axum::{
    body::{Body, Bytes},
    extract::{Extension, Path, State},
    response::{IntoResponse, Response},
};
use contract::{Caller, Code, Problem, RuntimeId};
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderValue, Method, header};
use std::{io, sync::Arc};

/// Keeps logs. The orchestrator does.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The whole log of a runtime that the caller may see, and the name of the runtime's host.
    async fn whole_log(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<(String, BoxStream<'static, io::Result<Bytes>>)>;
}

#[async_trait]
impl Logs for Orchestrator {
    async fn whole_log(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<(String, BoxStream<'static, io::Result<Bytes>>)> {
        Self::whole_log(self, caller, runtime_id).await
    }
}

/// The log as a file.
pub async fn log(
    State(entry): State<Arc<Entry>>,
    Extension(caller): Extension<Option<Caller>>,
    Path(runtime_id): Path<String>,
    method: Method,
    request_headers: HeaderMap,
) -> Response {
    let found = match (caller, runtime_id.parse::<RuntimeId>()) {
        (Some(caller), Ok(runtime_id)) => entry.logs.whole_log(&caller, runtime_id).await.map_err(Problem::from),
        (None, _) => Err(Problem::new(Code::Unauthenticated, "You are signed out.")),
        (_, Err(_)) => Err(Problem::new(Code::RuntimeNotFound, "This runtime does not exist.")),
    };
    match found {
        Ok((name, log)) => {
            let mut response = Body::from_stream(log).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            // A label of a host name: nothing in it needs to be escaped.
            if let Ok(file) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.log.txt\"")) {
                headers.insert(header::CONTENT_DISPOSITION, file);
            }
            response
        }
        Err(problem) if faults::wants_page(&method, &request_headers) => faults::as_page(&problem, Some(("/runtimes", "Your runtimes"))),
        Err(problem) => faults::as_json(&problem),
    }
}
