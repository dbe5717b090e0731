//! SQL of `budget_request`.

use super::Connection;
use crate::Result;
use contract::{BudgetId, MoreAnswer, PersonId, RequestId, RequestView, Unit, Window};
use time::OffsetDateTime;

/// Asks for more. Violates `budget_request_open_key` where that is asked already.
pub async fn add(
    connection: &mut Connection,
    id: RequestId,
    budget_id: BudgetId,
    person_id: PersonId,
    amount: i64,
    reason: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into budget_request (request_id, budget_id, person_id, amount, reason, asked_at) values ($1, $2, $3, $4, $5, $6)",
        id.0,
        budget_id.0,
        person_id.0,
        amount,
        reason,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest requests, one person's or everyone's, those without an answer first.
pub async fn newest(connection: &mut Connection, person_id: Option<PersonId>, most: i64) -> Result<Vec<RequestView>> {
    let rows = sqlx::query!(
        r#"select request_id, r.person_id, person.name as person, b.subject as "subject!", b.subject_id, budget_subject_name(b, false) as "name!",
                  b.time_window as "window: Window", b.unit as "unit: Unit", b.amount as present, r.amount, reason, asked_at,
                  answer as "answer: MoreAnswer", word, answered_by, answered_at
           from budget_request r join budget b using (budget_id) join person on person.person_id = r.person_id
           where $1::uuid is null or r.person_id = $1
           order by answer is not null, coalesce(answered_at, asked_at) desc limit $2"#,
        person_id.map(|id| id.0),
        most
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RequestView {
            request_id: row.request_id.into(),
            person_id: row.person_id.into(),
            person: row.person,
            subject: super::limit::subject(&row.subject, row.subject_id),
            name: row.name,
            window: row.window,
            unit: row.unit,
            present: row.present,
            amount: row.amount,
            reason: row.reason,
            asked_at: row.asked_at,
            answer: row.answer,
            word: row.word,
            answered_by: row.answered_by,
            answered_at: row.answered_at,
        })
        .collect())
}

/// How many wait for an answer.
pub async fn waiting(connection: &mut Connection) -> Result<i64> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "count!" from budget_request where answer is null"#).fetch_one(connection).await?)
}

/// A request that waits for an answer.
pub struct Open {
    /// For more of which limit.
    pub budget_id: BudgetId,
    /// Whose.
    pub person_id: PersonId,
    /// How much the limit should be.
    pub amount: i64,
}

/// Answers a request. None where it is not there or answered already.
pub async fn answer(
    connection: &mut Connection,
    id: RequestId,
    answer: MoreAnswer,
    word: &str,
    by: &str,
    now: OffsetDateTime,
) -> Result<Option<Open>> {
    let open = sqlx::query_as!(
        Open,
        r#"update budget_request set answer = $2, word = $3, answered_by = $4, answered_at = $5
           where request_id = $1 and answer is null
           returning budget_id as "budget_id: BudgetId", person_id as "person_id: PersonId", amount"#,
        id.0,
        answer as MoreAnswer,
        word,
        by,
        now
    );
    Ok(open.fetch_optional(connection).await?)
}

/// Lets a limit be so much until its present window ends; within [`super::limit::lock`].
pub async fn grant_once(connection: &mut Connection, open: &Open, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("select grant_budget_once($1, $2, $3, $4)", open.budget_id.0, open.person_id.0, open.amount, now)
        .execute(connection)
        .await?;
    Ok(())
}
