//! SQL of `budget`, `budget_usage` and `reservation`.

use super::Connection;
use crate::Result;
use contract::{BudgetChange, BudgetId, BudgetView, KeyId, PersonId, RuntimeId, Unit, Window};
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
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Held.
    Granted {
        /// How long an answer may be.
        output_tokens: i64,
        /// Whether any limit applies: then the length must be enforced upstream.
        limited: bool,
    },
    /// Nothing is held.
    Refused(Spent),
}

/// A limit that refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Its window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much there is.
    pub amount: i64,
    /// When it begins anew; never for `Total`.
    pub until: Option<OffsetDateTime>,
    /// The person's time zone, to tell the time in.
    pub time_zone: String,
}

/// Holds the worst case of a call against every limit that applies, in one round trip. `forced` holds without judging.
pub async fn reserve(connection: &mut Connection, wanted: &Wanted, forced: bool) -> Result<Reserved> {
    let row = sqlx::query!(
        r#"select granted, limited, refused_window as "refused_window: Window", refused_unit as "refused_unit: Unit",
                  refused_amount, refused_until, time_zone
           from reserve_model_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"#,
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
        forced
    )
    .fetch_one(connection)
    .await?;
    Ok(match (row.granted, row.refused_window, row.refused_unit) {
        (None, Some(window), Some(unit)) => Reserved::Refused(Spent {
            window,
            unit,
            amount: row.refused_amount.unwrap_or_default(),
            until: row.refused_until,
            time_zone: row.time_zone.unwrap_or_default(),
        }),
        (granted, ..) => Reserved::Granted { output_tokens: granted.unwrap_or_default(), limited: row.limited.unwrap_or_default() },
    })
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
    sqlx::query!("update reservation set lease_until = $2 where reservation_id = any($1)", ids, lease_until).execute(connection).await?;
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

/// The limits that apply to a person, with how much of each is gone.
pub async fn applying(connection: &mut Connection, person_id: PersonId, now: OffsetDateTime) -> Result<Vec<BudgetView>> {
    let rows = sqlx::query!(
        r#"with present as (
               select time_window, window_start, window_end
               from person cross join (values ('day'), ('month'), ('total')) kind (time_window)
               cross join lateral budget_window(person_id, time_window, $2) where person_id = $1
           ), applying as (
               select distinct on (time_window, unit) budget.*
               from budget where person_id = $1 or person_id is null
               order by time_window, unit, person_id nulls last
           )
           select budget_id as "budget_id!", applying.person_id, applying.time_window as "window!: Window", applying.unit as "unit!: Unit",
                  amount as "amount!", nullif(present.window_end, 'infinity') as resets_at,
                  coalesce(budget_usage.settled, used.settled) as "settled!", coalesce(budget_usage.reserved, used.reserved) as "reserved!"
           from applying join present on present.time_window = applying.time_window
           left join budget_usage on budget_usage.person_id = $1 and budget_usage.time_window = applying.time_window
               and budget_usage.unit = applying.unit and budget_usage.window_start = present.window_start
           -- A window that no call began yet.
           left join lateral used_within($1, present.window_start, present.window_end) used
               on budget_usage.person_id is null and used.unit = applying.unit
           order by applying.unit, array_position(array['day', 'month', 'total'], applying.time_window)"#,
        person_id.0,
        now
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| BudgetView {
            budget_id: BudgetId(row.budget_id),
            personal: row.person_id.is_some(),
            window: row.window,
            unit: row.unit,
            amount: row.amount,
            settled: row.settled,
            reserved: row.reserved,
            resets_at: row.resets_at,
        })
        .collect())
}

/// Sets, changes or removes a limit.
pub async fn put(connection: &mut Connection, id: BudgetId, change: &BudgetChange, now: OffsetDateTime) -> Result<()> {
    let person_id = change.person_id.map(|id| id.0);
    match change.amount {
        Some(amount) => {
            sqlx::query!(
                "insert into budget (budget_id, person_id, time_window, unit, amount, created_at, updated_at)
                 values ($1, $2, $3, $4, $5, $6, $6)
                 on conflict on constraint budget_scope_key do update set amount = excluded.amount, updated_at = excluded.updated_at",
                id.0,
                person_id,
                change.window as Window,
                change.unit as Unit,
                amount,
                now
            )
            .execute(connection)
            .await?;
        }
        None => {
            sqlx::query!(
                "delete from budget where person_id is not distinct from $1 and time_window = $2 and unit = $3",
                person_id,
                change.window as Window,
                change.unit as Unit
            )
            .execute(connection)
            .await?;
        }
    }
    Ok(())
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

/// A person's address, for the audit log. [`crate::Error::Missing`] when there is no such person.
pub async fn address_of(connection: &mut Connection, person_id: PersonId) -> Result<String> {
    Ok(sqlx::query_scalar!("select email from person where person_id = $1", person_id.0).fetch_one(connection).await?)
}
