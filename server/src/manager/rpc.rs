//! OpenClaw's own word: what it is about to do, and whether it may sleep. Asked over its host-only door, at its container's address, which the gateway
//! closes to browsers.

use crate::runtime::openclaw::PLATFORM_IDENTITY;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use time::OffsetDateTime;

/// An answer takes 16 to 60 ms; on a machine that is busy, seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: a page of schedules is far below.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// Schedules in one answer.
const PAGE: usize = 200;
/// More pages are not read: whoever has so many schedules is about to be due anyway.
const PAGES: usize = 10;
/// OpenClaw wants a client address that is not its proxy's own: one that is nobody's (RFC 5737).
const NOBODY: &str = "192.0.2.1";
/// What OpenClaw does for itself, and catches up on when it missed it: no promise to anybody.
const HOUSEKEEPING: [&str; 3] = ["heartbeat:", "memory-core:", "skill-collection-review:"];

/// OpenClaw does not answer, or not in words that are understood. Nothing is known then, and nothing may be concluded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OpenClaw gave no word: {0}")]
pub struct Mute(pub String);

/// What is scheduled in a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What is due next.
    pub next: Option<Due>,
    /// A schedule that watches something all the time, and so lets it never sleep.
    pub watches: Option<String>,
}

/// A schedule that is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: OffsetDateTime,
    /// The name that its owner gave it.
    pub name: String,
}

/// What OpenClaw is asked to agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To sleep: only when nothing at all is under way, open terminals among it.
    Sleep,
    /// To end: takes nothing new from now on, and finishes what is under way.
    End,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nothing is under way, and nothing new is taken for two minutes.
    Given {
        /// What the agreement is given back by.
        suspension_id: String,
    },
    /// It is at work, in words.
    Busy(String),
}

/// OpenClaw, asked.
#[async_trait]
pub trait Openclaw: Send + Sync {
    /// What is scheduled.
    async fn outlook(&self, address: SocketAddr) -> Result<Outlook, Mute>;
    /// Asks for its agreement. Asked again for the same purpose is asked once, for two more minutes.
    async fn prepare(&self, address: SocketAddr, purpose: Purpose) -> Result<Consent, Mute>;
    /// Gives an agreement back. One that ran out, or was given back already, is success.
    async fn resume(&self, address: SocketAddr, suspension_id: &str) -> Result<(), Mute>;
}

/// The real one: JSON over HTTP.
pub struct AdminRpc {
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    payload: Value,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    jobs: Vec<Job>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    #[serde(default)]
    name: String,
    display_name: Option<String>,
    declaration_key: Option<String>,
    #[serde(default)]
    enabled: bool,
    next_run_at_ms: Option<i64>,
    #[serde(default)]
    schedule_kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "status")]
enum Prepared {
    Ready {
        #[serde(rename = "suspensionId")]
        suspension_id: String,
    },
    Busy {
        #[serde(default)]
        blockers: Vec<Blocker>,
    },
    Draining {
        #[serde(default)]
        blockers: Vec<Blocker>,
    },
}

#[derive(Deserialize)]
struct Blocker {
    #[serde(default)]
    message: String,
}

impl AdminRpc {
    /// Keeps no connection: a runtime is asked a few times an hour.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }

    /// One call. The inner error is OpenClaw's own no.
    async fn call(&self, address: SocketAddr, method: &str, params: Value) -> Result<Result<Value, Refusal>, Mute> {
        let body = json!({ "method": method, "params": params }).to_string();
        let request = http::Request::post(format!("http://{address}/api/v1/admin/rpc"))
            .header("content-type", "application/json")
            .header("x-forwarded-for", NOBODY)
            .header("x-forwarded-host", "clawloops.internal")
            .header("x-forwarded-proto", "http")
            .header("x-forwarded-user", PLATFORM_IDENTITY)
            .body(Full::new(Bytes::from(body)))
            .map_err(mute)?;
        let asked = async {
            let response = self.client.request(request).await.map_err(mute)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.map_err(|error| Mute(error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(PATIENCE, asked).await.map_err(mute)??;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| Mute(format!("{method} was answered with {status}")))?;
        match (answer.ok, answer.error) {
            (true, _) => Ok(Ok(answer.payload)),
            (false, Some(refusal)) => Ok(Err(refusal)),
            (false, None) => Err(Mute(format!("{method} was answered with {status}"))),
        }
    }
}

impl Default for AdminRpc {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Openclaw for AdminRpc {
    async fn outlook(&self, address: SocketAddr) -> Result<Outlook, Mute> {
        let mut jobs = Vec::new();
        for _ in 0..PAGES {
            let params = json!({ "compact": true, "limit": PAGE, "offset": jobs.len() });
            let page: Page = read(self.call(address, "cron.list", params).await?.map_err(refused)?)?;
            let empty = page.jobs.is_empty();
            jobs.extend(page.jobs);
            if !page.has_more || empty {
                return Ok(outlook(&jobs));
            }
        }
        Err(Mute(format!("it has more than {} schedules", jobs.len())))
    }

    async fn prepare(&self, address: SocketAddr, purpose: Purpose) -> Result<Consent, Mute> {
        let params = match purpose {
            Purpose::Sleep => json!({ "requestId": "clawloops-sleep", "terminalPolicy": "preserve" }),
            Purpose::End => json!({ "requestId": "clawloops-end", "terminalPolicy": "terminate", "drain": true }),
        };
        match self.call(address, "gateway.suspend.prepare", params).await? {
            Ok(payload) => Ok(match read(payload)? {
                Prepared::Ready { suspension_id } => Consent::Given { suspension_id },
                Prepared::Busy { blockers } | Prepared::Draining { blockers } => Consent::Busy(told(&blockers)),
            }),
            // Asked too often, or just about another agreement: later.
            Err(refusal) if refusal.code == "UNAVAILABLE" => Ok(Consent::Busy(refusal.message)),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    async fn resume(&self, address: SocketAddr, suspension_id: &str) -> Result<(), Mute> {
        match self.call(address, "gateway.suspend.resume", json!({ "suspensionId": suspension_id })).await? {
            Ok(_) => Ok(()),
            // Another process than the one that agreed, or an agreement that ran out.
            Err(refusal) if refusal.code == "INVALID_REQUEST" => Ok(()),
            Err(refusal) => Err(refused(refusal)),
        }
    }
}

/// A schedule's name is cut after so many characters.
const LONGEST_NAME: usize = 200;

fn outlook(jobs: &[Job]) -> Outlook {
    let promised = |job: &&Job| {
        let ours = job.declaration_key.as_deref().is_none_or(|key| !HOUSEKEEPING.iter().any(|own| key.starts_with(own)));
        job.enabled && ours
    };
    // It is shown and kept: a line of a bounded length, whatever the runtime says.
    let name = |job: &Job| -> String {
        let said = job.display_name.as_deref().unwrap_or(&job.name);
        said.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect()
    };
    let due = |job: &Job| {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(job.next_run_at_ms?) * 1_000_000).ok()?;
        Some(Due { at, name: name(job) })
    };
    Outlook {
        next: jobs.iter().filter(promised).filter_map(due).min_by(|one, other| (one.at, &one.name).cmp(&(other.at, &other.name))),
        watches: jobs.iter().filter(promised).find(|job| matches!(job.schedule_kind.as_str(), "stream" | "on-exit")).map(name),
    }
}

fn told(blockers: &[Blocker]) -> String {
    let words: Vec<&str> = blockers.iter().map(|blocker| blocker.message.as_str()).filter(|words| !words.is_empty()).collect();
    if words.is_empty() { "it is at work".to_owned() } else { words.join(", ") }
}

fn read<T: for<'a> Deserialize<'a>>(payload: Value) -> Result<T, Mute> {
    serde_json::from_value(payload).map_err(mute)
}

fn mute(error: impl std::error::Error + 'static) -> Mute {
    Mute(crate::error::chain(&error))
}

fn refused(refusal: Refusal) -> Mute {
    Mute(format!("{}: {}", refusal.code, refusal.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(jobs: Value) -> Vec<Job> {
        serde_json::from_value(jobs).unwrap()
    }

    #[test]
    fn what_a_person_scheduled_counts_and_housekeeping_does_not() {
        let outlook = super::outlook(&jobs(json!([
            { "name": "later", "enabled": true, "nextRunAtMs": 3_000, "scheduleKind": "cron" },
            { "name": "daily digest", "enabled": true, "nextRunAtMs": 2_000, "scheduleKind": "every" },
            { "name": "off", "enabled": false, "nextRunAtMs": 1_000, "scheduleKind": "cron" },
            { "name": "beat", "enabled": true, "nextRunAtMs": 1_000, "scheduleKind": "every", "declarationKey": "heartbeat:main" },
            { "name": "dream", "enabled": true, "nextRunAtMs": 1_000, "scheduleKind": "cron", "declarationKey": "memory-core:dreaming" },
        ])));
        let at = OffsetDateTime::from_unix_timestamp(2).unwrap();
        assert_eq!(outlook, Outlook { next: Some(Due { at, name: "daily digest".to_owned() }), watches: None });
    }

    #[test]
    fn what_watches_all_the_time_is_named() {
        let watching =
            jobs(json!([{ "name": "x", "displayName": "Build log", "enabled": true, "nextRunAtMs": null, "scheduleKind": "stream" }]));
        assert_eq!(super::outlook(&watching), Outlook { next: None, watches: Some("Build log".to_owned()) });
        assert_eq!(super::outlook(&[]), Outlook::default());
    }

    #[test]
    fn the_words_of_an_agreement_are_understood() {
        let busy: Prepared = serde_json::from_value(json!({
            "status": "busy", "reason": "active-work", "retryAfterMs": 20_000, "activeCount": 1,
            "blockers": [{ "kind": "root-request", "count": 1, "message": "1 active request" }]
        }))
        .unwrap();
        assert!(matches!(busy, Prepared::Busy { blockers } if told(&blockers) == "1 active request"));
        let ready: Prepared = serde_json::from_value(json!({ "status": "ready", "suspensionId": "2c3f", "expiresAtMs": 1 })).unwrap();
        assert!(matches!(ready, Prepared::Ready { suspension_id } if suspension_id == "2c3f"));
        assert_eq!(told(&[]), "it is at work");
    }
}
