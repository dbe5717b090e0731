//! Requests for more of a limit: a person asks with a reason, an administrator grants it once or for good, or declines.

use super::{Service, administrator, usage};
use crate::{
    Result, clock,
    data::{self, listen::Change},
};
use contract::{BudgetChange, Caller, Code, MoreAnswer, NewRequest, Problem, RequestId, RequestView, SetBy, Subject};

/// How many requests a page shows.
const MOST: i64 = 100;
/// The longest reason or word, in characters.
const LONGEST: usize = 500;

/// Asks for more of a limit that applies to the caller.
pub async fn ask(service: &Service, caller: &Caller, wish: NewRequest) -> Result<()> {
    let reason = wish.reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST {
        return Err(Problem::new(Code::Invalid, format!("Say why, in 1 to {LONGEST} characters.")).field("reason").into());
    }
    let limits = usage::budgets(service, caller, None).await?;
    let Some(limit) = limits.iter().find(|limit| limit.budget_id == wish.budget_id) else {
        return Err(Problem::new(Code::NotFound, "This limit does not concern you any more.").field("limit").into());
    };
    if limit.set_by == SetBy::Owner {
        return Err(Problem::new(Code::Conflict, "You set this limit yourself.")
            .remedy("Change it on the page Models & keys.")
            .field("limit")
            .into());
    }
    if wish.amount <= limit.amount {
        return Err(Problem::new(Code::Invalid, "Ask for more than there is.").field("amount").into());
    }
    let change = BudgetChange { subject: limit.subject, window: limit.window, unit: limit.unit, amount: Some(wish.amount) };
    usage::is_sound(&change)?;
    let mut transaction = data::begin(&service.pool).await?;
    data::request::add(&mut transaction, clock::new_id(), wish.budget_id, caller.person_id, wish.amount, reason, service.clock.now())
        .await
        .map_err(|error| {
            error.on_constraint("budget_request_open_key", || {
                Problem::new(Code::Conflict, "You have asked for more of this limit already, and it waits for an answer.")
            })
        })?;
    let detail = usage::said(limit.window, limit.unit, Some(wish.amount));
    service.record(&mut transaction, caller, "limit.more_asked", Some(caller.person_id), &caller.email, &detail).await?;
    data::listen::notify(&mut transaction, Change::Usage { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    Ok(())
}

/// The caller's own requests.
pub async fn own(service: &Service, caller: &Caller) -> Result<Vec<RequestView>> {
    data::request::newest(&mut *service.pool.acquire().await?, Some(caller.person_id), 10).await
}

/// Everyone's requests; for administrators.
pub async fn all(service: &Service, caller: &Caller) -> Result<Vec<RequestView>> {
    administrator(caller)?;
    data::request::newest(&mut *service.pool.acquire().await?, None, MOST).await
}

/// How many requests wait for an answer; for administrators.
pub async fn waiting(service: &Service, caller: &Caller) -> Result<i64> {
    administrator(caller)?;
    data::request::waiting(&mut *service.pool.acquire().await?).await
}

/// Answers a request. What is granted holds from the next call on. Of everyone's limit, only the person who asked gets more.
pub async fn answer(service: &Service, caller: &Caller, id: RequestId, answer: MoreAnswer, word: &str) -> Result<()> {
    administrator(caller)?;
    let (word, now) = (word.trim(), service.clock.now());
    if word.chars().count() > LONGEST {
        return Err(Problem::new(Code::Invalid, format!("A word has at most {LONGEST} characters.")).field("word").into());
    }
    let mut transaction = data::begin(&service.pool).await?;
    data::limit::lock(&mut transaction).await?;
    let Some(open) = data::request::answer(&mut transaction, id, answer, word, &caller.name, now).await? else {
        return Err(Problem::new(Code::Conflict, "This request was answered already, or its limit is gone.").into());
    };
    let limit = data::limit::find(&mut transaction, open.budget_id).await?.ok_or(crate::Error::Missing)?;
    match answer {
        MoreAnswer::Once => data::request::grant_once(&mut transaction, &open, now).await?,
        MoreAnswer::ForGood => {
            let subject = if limit.subject == Subject::Everyone { Subject::Person(open.person_id) } else { limit.subject };
            let change = BudgetChange { subject, window: limit.window, unit: limit.unit, amount: Some(open.amount) };
            usage::put(service, &mut transaction, caller, change, SetBy::Administrator).await?;
        }
        MoreAnswer::Declined => {}
    }
    let action = match answer {
        MoreAnswer::Once => "limit.granted_once",
        MoreAnswer::ForGood => "limit.granted",
        MoreAnswer::Declined => "limit.declined",
    };
    let who = data::limit::name_of(&mut transaction, Subject::Person(open.person_id)).await?.unwrap_or_default();
    let detail = usage::said(limit.window, limit.unit, Some(open.amount));
    service.record(&mut transaction, caller, action, Some(open.person_id), &who, &detail).await?;
    data::listen::notify(&mut transaction, Change::Usage { person_id: open.person_id }).await?;
    transaction.commit().await?;
    Ok(())
}
