//! SQL of `reservation` and of what it counts in `budget_tally`.

use super::{Connection, limit};
use crate::Result;
use contract::{BudgetId, KeyId, PersonId, RuntimeId, SetBy, Subject, Unit, Window};
use time::OffsetDateTime;
use uuid::Uuid;

/// A call that wants to be sent, with its worst case.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Names the reservation and, later, the usage record.
    pub id: Uuid,
    /// Who pays.
    pub person_id: PersonId,
    /// From which runtime.
    pub runtime_id: Option<RuntimeId>,
    /// With which key.
    pub key_id: KeyId,
    /// The model's name.
    pub model: String,
    /// Through which provider.
    pub route: String,
    /// When it came.
    pub at: OffsetDateTime,
    /// Until when its server answers for it.
    pub lease_until: OffsetDateTime,
    /// Tokens sent, at most.
    pub input_tokens: i64,
    /// Tokens of one answer, at most.
    pub output_tokens: i64,
    /// Fewer are no answer.
    pub least_output_tokens: i64,
    /// How many answers are asked for; at least one.
    pub answers: i64,
    /// Micro-units a million tokens sent.
    pub input_price: i64,
    /// The same for cached ones.
    pub cached_input_price: i64,
    /// The same for tokens answered.
    pub output_price: i64,
    /// Whether its answer can tell that most of a limit is gone.
    pub tells: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Held.
    Granted {
        /// How long an answer may be.
        output_tokens: i64,
        /// Whether a limit on money or tokens applies: then the length must be enforced upstream.
        limited: bool,
        /// A limit that is nearly used up, to be told in the answer; once a window.
        warning: Option<Box<Spent>>,
    },
    /// Nothing is held.
    Refused(Spent),
}

/// A limit that refused, or that most is gone of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which.
    pub budget_id: BudgetId,
    /// What it is for.
    pub subject: Subject,
    /// That one's name; empty for everyone.
    pub name: String,
    /// Whose it is.
    pub set_by: SetBy,
    /// Its window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much there is.
    pub amount: i64,
    /// How much of it is gone, in percent: 100 of one that refused.
    pub percent: i32,
    /// When it begins anew; never for `Total`.
    pub until: Option<OffsetDateTime>,
    /// The person's time zone, to tell the time in.
    pub time_zone: String,
}

/// Holds the worst case of a call against every limit that applies, in one round trip. `forced` holds without judging.
pub async fn reserve(connection: &mut Connection, wanted: &Wanted, forced: bool) -> Result<Reserved> {
    loop {
        let row = sqlx::query!(
            r#"select granted, limited as "limited!", told, told_percent as "percent!", told_amount, told_until, time_zone
               from reserve_model_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"#,
            wanted.id,
            wanted.person_id.0,
            wanted.runtime_id.map(|id| id.0),
            wanted.key_id.0,
            wanted.model,
            wanted.route,
            wanted.at,
            wanted.lease_until,
            wanted.input_tokens,
            wanted.output_tokens,
            wanted.least_output_tokens,
            wanted.answers,
            wanted.input_price,
            wanted.cached_input_price,
            wanted.output_price,
            forced,
            wanted.tells
        )
        .fetch_one(&mut *connection)
        .await?;
        let limit = match row.told {
            Some(id) => limit::find(connection, id.into()).await?.map(|limit| (id, limit)),
            None => None,
        };
        let spent = limit.map(|(id, limit)| Spent {
            budget_id: id.into(),
            subject: limit.subject,
            name: limit.name,
            set_by: limit.set_by,
            window: limit.window,
            unit: limit.unit,
            amount: row.told_amount.unwrap_or_default(),
            percent: row.percent,
            until: row.told_until,
            time_zone: row.time_zone.unwrap_or_default(),
        });
        match (row.granted, spent) {
            (Some(output_tokens), warning) => {
                return Ok(Reserved::Granted { output_tokens, limited: row.limited, warning: warning.map(Box::new) });
            }
            (None, Some(spent)) => return Ok(Reserved::Refused(spent)),
            // The limit that refused was removed in this moment: judged anew without it.
            (None, None) => {}
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Done,
    /// The caller went.
    HungUp,
    /// The upstream failed.
    Failed,
    /// A limit refused it.
    Refused,
    /// Its server died.
    Lost,
}

/// What a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Tokens sent, cached ones included.
    pub input_tokens: i64,
    /// Those of them that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens answered.
    pub output_tokens: i64,
    /// How long it took, in milliseconds.
    pub latency_ms: i64,
    /// Until the first answered byte.
    pub first_token_ms: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the counts are ours and not the upstream's.
    pub estimated: bool,
}

/// Gives back what a call held and counts what it used, with its record. False when the database knows nothing of the call.
pub async fn settle(connection: &mut Connection, id: Uuid, used: &Used) -> Result<bool> {
    let known = sqlx::query_scalar!(
        "select settle_model_call($1, $2, $3, $4, $5, $6, $7, $8)",
        id,
        used.input_tokens,
        used.cached_input_tokens,
        used.output_tokens,
        used.latency_ms,
        used.first_token_ms,
        used.outcome as Outcome,
        used.estimated
    )
    .fetch_one(connection)
    .await?;
    Ok(known.unwrap_or_default())
}

/// Answers for these calls until `lease_until`.
pub async fn renew(connection: &mut Connection, ids: &[Uuid], lease_until: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update reservation set lease_until = $2
         where reservation_id in (select reservation_id from reservation where reservation_id = any($1) order by reservation_id for no key update)",
        ids,
        lease_until
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A reservation that nobody answers for any more.
pub struct Orphan {
    /// Which.
    pub id: Uuid,
    /// Whose.
    pub person_id: PersonId,
    /// What it held.
    pub input_tokens: i64,
    /// What it held.
    pub output_tokens: i64,
}

/// Reservations whose lease ended.
pub async fn orphans(connection: &mut Connection, now: OffsetDateTime) -> Result<Vec<Orphan>> {
    let rows = sqlx::query!(
        "select reservation_id, person_id, input_tokens, output_tokens from reservation where lease_until < $1 order by lease_until limit 500",
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Orphan {
            id: row.reservation_id,
            person_id: row.person_id.into(),
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
        })
        .collect())
}

/// A point in time as a person reads it, in their own time zone: `Monday, 23 November 2026 at 00:00 (Europe/Berlin)`.
pub async fn told(connection: &mut Connection, at: OffsetDateTime, time_zone: &str) -> Result<String> {
    Ok(sqlx::query_scalar!(
        r#"select to_char($1::timestamptz at time zone $2, 'FMDay, FMDD FMMonth YYYY "at" HH24:MI') || ' (' || $2 || ')' as "told!""#,
        at,
        time_zone
    )
    .fetch_one(connection)
    .await?)
}

/// Addresses of administrators who can raise a limit, the first ones first.
pub async fn whom_to_ask(connection: &mut Connection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!("select email from person where role = 'administrator' and status = 'active' order by created_at limit 2")
        .fetch_all(connection)
        .await?)
}
