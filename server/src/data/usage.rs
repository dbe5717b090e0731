//! SQL of `usage_record`, and of `usage_entry`: all usage, of which old records are totals.

use super::Connection;
use crate::{Result, data::budget::Wanted};
use contract::{Breakdown, CountedIn, Micros, PersonId, Totals, UsageDay, UsageLine};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// Records a call that a limit refused: it cost nothing.
pub async fn record_refusal(connection: &mut Connection, wanted: &Wanted) -> Result<()> {
    sqlx::query!(
        "insert into usage_record (usage_record_id, at, person_id, runtime_id, key_id, model, route, input_price, cached_input_price,
                                   output_price, outcome)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'refused')",
        wanted.id,
        wanted.at,
        wanted.person_id.0,
        wanted.runtime_id.map(|id| id.0),
        wanted.key_id.0,
        wanted.model,
        wanted.route,
        wanted.input_price,
        wanted.cached_input_price,
        wanted.output_price
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which records: from a day on, in a time zone, of one person or of everyone.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Whose; none is everyone's.
    pub person_id: Option<PersonId>,
    /// The first day.
    pub from: Date,
    /// IANA name.
    pub time_zone: &'a str,
}

/// Today in a time zone.
pub async fn today(connection: &mut Connection, now: OffsetDateTime, time_zone: &str) -> Result<Date> {
    let day =
        sqlx::query_scalar!(r#"select ($1::timestamptz at time zone $2)::date as "day!""#, now, time_zone).fetch_one(connection).await?;
    Ok(day)
}

/// A line of a break-down, with what tells it apart from others of its name.
pub struct Line {
    /// Its id; a model's name.
    pub key: String,
    /// What is shown.
    pub line: UsageLine,
}

/// Gives a query what a break-down is: what joins usage to its lines, and the key, the name and the person of a line.
macro_rules! broken_down {
    ($by:expr, $query:ident, $($rest:expr),+) => {
        match $by {
            Breakdown::Model => $query!("", "model", "model", "null::uuid", $($rest),+),
            Breakdown::Person => $query!("join person using (person_id)", "person_id::text", "person.name", "person_id", $($rest),+),
            // As persons are in groups now: one of two counts in both.
            Breakdown::Group => $query!(
                "join person_group_member using (person_id) join person_group using (group_id)",
                "group_id::text",
                "person_group.name",
                "null::uuid",
                $($rest),+
            ),
            Breakdown::Runtime => $query!(
                "join person using (person_id) join runtime on runtime.runtime_id = usage_entry.runtime_id",
                "runtime.runtime_id::text",
                "case when $1::uuid is null then runtime.name || ', ' || person.name else runtime.name end",
                "null::uuid",
                $($rest),+
            ),
            Breakdown::Key => $query!(
                "join model_key on model_key.key_id = usage_entry.key_id and model_key.runtime_id is null",
                "model_key.key_id::text",
                "model_key.name",
                "null::uuid",
                $($rest),+
            ),
        }
    };
}

macro_rules! query_lines {
    ($join:literal, $key:literal, $name:literal, $person:literal, $scope:expr, $connection:expr) => {
        sqlx::query!(
            "select "
                + $key
                + r#" as "key!", "#
                + $name
                + r#" as "name!", "#
                + $person
                + r#" as "person_id?",
                  coalesce(sum(calls) filter (where outcome <> 'refused'), 0)::bigint as "calls!",
                  coalesce(sum(calls) filter (where outcome = 'refused'), 0)::bigint as "refused!",
                  coalesce(sum(input_tokens) filter (where counted_in is null), 0)::bigint as "input!",
                  coalesce(sum(output_tokens) filter (where counted_in is null), 0)::bigint as "output!", sum(cost)::bigint as "cost!",
                  case when count(counted_in) = count(*) and min(counted_in) = max(counted_in) then min(counted_in) end as "counted_in?: CountedIn",
                  sum(input_tokens)::bigint as "pieces!"
           from usage_entry left join counted_model on counted_model.name = model "#
                + $join
                + r#"
           where ($1::uuid is null or usage_entry.person_id = $1) and at >= $2::date::timestamp at time zone $3
           group by 1, 2, 3 order by sum(cost) desc, sum(input_tokens + output_tokens) desc, 2, 1"#,
            $scope.person_id.map(|id| id.0),
            $scope.from,
            $scope.time_zone
        )
        .map(|row| Line {
            key: row.key,
            line: UsageLine {
                name: row.name,
                person_id: row.person_id.map(PersonId),
                totals: Totals {
                    calls: row.calls,
                    refused: row.refused,
                    input_tokens: row.input,
                    output_tokens: row.output,
                    cost: Micros(row.cost),
                },
                pieces: row.counted_in.map(|counted_in| (counted_in, row.pieces)),
            },
        })
        .fetch_all($connection)
        .await
    };
}

/// The lines of a break-down, the most expensive first.
pub async fn lines(connection: &mut Connection, scope: Scope<'_>, by: Breakdown) -> Result<Vec<Line>> {
    Ok(broken_down!(by, query_lines, scope, connection)?)
}

macro_rules! query_days {
    ($join:literal, $key:literal, $name:literal, $person:literal, $scope:expr, $leaders:expr, $connection:expr) => {
        sqlx::query!(
            r#"select (at at time zone $3)::date as "day!", array_position($4::text[], "#
                + $key
                + r#") - 1 as "line?",
                  coalesce(sum(calls) filter (where outcome <> 'refused'), 0)::bigint as "calls!",
                  coalesce(sum(calls) filter (where outcome = 'refused'), 0)::bigint as "refused!",
                  coalesce(sum(input_tokens) filter (where counted_in is null), 0)::bigint as "input!",
                  coalesce(sum(output_tokens) filter (where counted_in is null), 0)::bigint as "output!", sum(cost)::bigint as "cost!"
           from usage_entry left join counted_model on counted_model.name = model "#
                + $join
                + r#"
           where ($1::uuid is null or usage_entry.person_id = $1) and at >= $2::date::timestamp at time zone $3
           group by 1, 2 order by 1, 2"#,
            $scope.person_id.map(|id| id.0),
            $scope.from,
            $scope.time_zone,
            $leaders
        )
        .map(|row| UsageDay {
            day: row.day,
            line: row.line.and_then(|line| u8::try_from(line).ok()),
            totals: Totals {
                calls: row.calls,
                refused: row.refused,
                input_tokens: row.input,
                output_tokens: row.output,
                cost: Micros(row.cost),
            },
        })
        .fetch_all($connection)
        .await
    };
}

/// The days of a break-down, in order: apart for the lines with these keys, at the place of each, and together for all others.
pub async fn days(connection: &mut Connection, scope: Scope<'_>, by: Breakdown, leaders: &[String]) -> Result<Vec<UsageDay>> {
    Ok(broken_down!(by, query_days, scope, leaders, connection)?)
}

/// One record as it is exported. There is no prompt in it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Record {
    /// Which.
    pub id: Uuid,
    /// When the call came.
    #[serde(with = "contract::moment")]
    pub at: OffsetDateTime,
    /// The person's name.
    pub person: String,
    /// Their address.
    pub email: String,
    /// The runtime's name, where one called.
    pub runtime: Option<String>,
    /// The key's name.
    pub key: Option<String>,
    /// The model's name.
    pub model: String,
    /// The provider's name.
    pub route: String,
    /// Tokens sent, cached ones included.
    pub input_tokens: i64,
    /// Those of them that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens answered.
    pub output_tokens: i64,
    /// What these counts are of, and the prices for a million of.
    pub counted_in: CountedIn,
    /// Micro-units a million tokens sent.
    pub input_price_micros: i64,
    /// The same for cached ones.
    pub cached_input_price_micros: i64,
    /// The same for tokens answered.
    pub output_price_micros: i64,
    /// What it cost, in micro-units.
    pub cost_micros: i64,
    /// How long it took, in milliseconds.
    pub latency_ms: i64,
    /// Until the first answered byte.
    pub first_token_ms: Option<i64>,
    /// How it ended.
    pub outcome: String,
    /// Whether the counts are ours and not the upstream's.
    pub estimated: bool,
}

/// The place of a record among all: they are read in this order.
pub type Mark = (OffsetDateTime, Uuid);

/// The next records after a place, oldest first.
pub async fn records(connection: &mut Connection, scope: Scope<'_>, after: Option<Mark>, most: usize) -> Result<Vec<Record>> {
    Ok(sqlx::query_as!(
        Record,
        r#"select usage_record_id as id, at, person.name as person, email, runtime.name as "runtime?", model_key.name as "key?", model, route,
                  input_tokens, cached_input_tokens, output_tokens, coalesce(counted_model.counted_in, 'tokens') as "counted_in!: CountedIn",
                  input_price as input_price_micros,
                  cached_input_price as cached_input_price_micros, output_price as output_price_micros, cost as cost_micros, latency_ms,
                  first_token_ms, outcome, estimated
           from usage_record join person using (person_id)
           left join runtime on runtime.runtime_id = usage_record.runtime_id
           left join model_key on model_key.key_id = usage_record.key_id
           left join counted_model on counted_model.name = model
           where ($1::uuid is null or usage_record.person_id = $1) and at >= $2::date::timestamp at time zone $3
             and ($4::timestamptz is null or (at, usage_record_id) > ($4, $5::uuid))
           order by at, usage_record_id limit $6"#,
        scope.person_id.map(|id| id.0),
        scope.from,
        scope.time_zone,
        after.map(|after| after.0),
        after.map(|after| after.1),
        i64::try_from(most).unwrap_or(i64::MAX)
    )
    .fetch_all(connection)
    .await?)
}
