//! What was used and what may be.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request};
use contract::{Breakdown, BudgetView, MoreAnswer, PersonId, RequestId, RequestView, SetBy, SubjectView, Unit, UsageReport, Window};
#[cfg(feature = "ssr")]
use contract::{BudgetChange, Whose};
use leptos::prelude::*;

/// The caller's own usage over the last days.
#[server(prefix = "/api/ui", endpoint = "my-usage")]
pub async fn my_usage(days: u16, by: Breakdown) -> Answered<UsageReport> {
    Ok(request::ports()?.usage.report(&request::caller()?, Whose::Mine, days, by).await?)
}

/// Everyone's usage over the last days.
#[server(prefix = "/api/ui", endpoint = "everyones-usage")]
pub async fn everyones_usage(days: u16, by: Breakdown) -> Answered<UsageReport> {
    Ok(request::ports()?.usage.report(&request::caller()?, Whose::Everyone, days, by).await?)
}

/// One person's usage over the last days.
#[server(prefix = "/api/ui", endpoint = "usage-of-person")]
pub async fn usage_of(person_id: PersonId, days: u16) -> Answered<UsageReport> {
    Ok(request::ports()?.usage.report(&request::caller()?, Whose::Person(person_id), days, Breakdown::default()).await?)
}

/// The limits that apply to the caller.
#[server(prefix = "/api/ui", endpoint = "my-limits")]
pub async fn my_limits() -> Answered<Vec<BudgetView>> {
    Ok(request::ports()?.usage.budgets(&request::caller()?, None).await?)
}

/// The limits that apply to a person.
#[server(prefix = "/api/ui", endpoint = "limits-of-person")]
pub async fn limits_of(person_id: PersonId) -> Answered<Vec<BudgetView>> {
    Ok(request::ports()?.usage.budgets(&request::caller()?, Some(person_id)).await?)
}

/// Every limit.
#[server(prefix = "/api/ui", endpoint = "all-limits")]
pub async fn all_limits() -> Answered<Vec<BudgetView>> {
    Ok(request::ports()?.usage.all_budgets(&request::caller()?).await?)
}

/// What a limit may be set for.
#[server(prefix = "/api/ui", endpoint = "limit-subjects")]
pub async fn limit_subjects() -> Answered<Vec<SubjectView>> {
    Ok(request::ports()?.usage.subjects(&request::caller()?).await?)
}

/// Sets, changes or (with no amount) removes a limit. `subject` is `everyone`, or a kind and an id: `person:…`. `set_by` says whose is meant, an
/// administrator's where it is left out.
#[server(prefix = "/api/ui", endpoint = "set-limit")]
pub async fn set_limit(
    subject: String,
    window: Window,
    unit: Unit,
    amount: Option<String>,
    #[server(default)] set_by: SetBy,
) -> Answered<()> {
    let subject = parse::subject(&subject)?;
    let limit = parse::limit(amount.as_deref().unwrap_or_default(), unit, window)?;
    let window = limit.map_or(window, |limit| limit.window);
    let change = BudgetChange { subject, window, unit, amount: limit.map(|limit| limit.amount) };
    Ok(request::ports()?.usage.set_budget(&request::caller()?, change, set_by).await?)
}

/// Asks for more of a limit. `limit` is its id and its unit, `<id>:money`.
#[server(prefix = "/api/ui", endpoint = "ask-more")]
pub async fn ask_more(limit: String, amount: String, reason: String) -> Answered<()> {
    let wish = parse::more(&limit, &amount, reason)?;
    Ok(request::ports()?.usage.ask_more(&request::caller()?, wish).await?)
}

/// The caller's own requests for more.
#[server(prefix = "/api/ui", endpoint = "my-requests")]
pub async fn my_requests() -> Answered<Vec<RequestView>> {
    Ok(request::ports()?.usage.own_requests(&request::caller()?).await?)
}

/// Everyone's requests for more.
#[server(prefix = "/api/ui", endpoint = "all-requests")]
pub async fn all_requests() -> Answered<Vec<RequestView>> {
    Ok(request::ports()?.usage.requests(&request::caller()?).await?)
}

/// How many requests wait for an answer.
#[server(prefix = "/api/ui", endpoint = "waiting-requests")]
pub async fn waiting_requests() -> Answered<i64> {
    Ok(request::ports()?.usage.waiting_requests(&request::caller()?).await?)
}

/// Answers a request.
#[server(prefix = "/api/ui", endpoint = "answer-request")]
pub async fn answer_request(request_id: RequestId, answer: MoreAnswer, #[server(default)] word: String) -> Answered<()> {
    Ok(request::ports()?.usage.answer_request(&request::caller()?, request_id, answer, &word).await?)
}
