//! Usage as a file: one's own at `GET /usage.csv` and `/usage.json`, everyone's for administrators below `/admin`. `?days=` says how far back,
//! `?by=day` asks for totals of days in place of records.

use super::{Entry, faults};
use crate::model::{
    export::{By, Format},
    usage,
};
use axum::{
    body::Body,
    extract::{Extension, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use contract::{Caller, Code, Problem, Whose};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde::Deserialize;
use std::sync::Arc;

/// What the address says.
#[derive(Deserialize)]
pub struct Asked {
    days: Option<u16>,
    #[serde(default)]
    by: By,
}

/// The file.
pub async fn usage(
    State(entry): State<Arc<Entry>>,
    Extension(caller): Extension<Option<Caller>>,
    asked: Result<Query<Asked>, QueryRejection>,
    (method, uri): (Method, Uri),
    request_headers: HeaderMap,
) -> Response {
    let whose = if uri.path().starts_with("/admin/") { Whose::Everyone } else { Whose::Mine };
    let (format, kind, name) = if uri.path().ends_with(".csv") {
        (Format::Csv, "text/csv; charset=utf-8; header=present", "attachment; filename=\"usage.csv\"")
    } else {
        (Format::Json, "application/json", "attachment; filename=\"usage.json\"")
    };
    let found = match (caller, asked) {
        (Some(caller), Ok(Query(asked))) => {
            let span = (whose, asked.days.unwrap_or(30));
            usage::export(&entry.pool, entry.clock.now(), &caller, span, (asked.by, format)).await.map_err(Problem::from)
        }
        (None, _) => Err(Problem::new(Code::Unauthenticated, "You are signed out.")),
        (_, Err(_)) => Err(Problem::new(Code::Invalid, "“days” is a number, and “by” is call or day.").field("days")),
    };
    match found {
        Ok(file) => {
            let mut response = Body::from_stream(file).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(problem) if faults::wants_page(&method, &request_headers) => faults::as_page(&problem, Some(("/usage", "Your usage"))),
        Err(problem) => faults::as_json(&problem),
    }
}
