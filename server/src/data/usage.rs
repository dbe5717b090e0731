//! SQL of `usage_record`.

use super::Connection;
use crate::{Result, data::budget::Wanted};
use contract::{Micros, PersonId, Totals, UsageDay, UsageLine};
use time::Date;

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
pub async fn today(connection: &mut Connection, now: time::OffsetDateTime, time_zone: &str) -> Result<Date> {
    let day =
        sqlx::query_scalar!(r#"select ($1::timestamptz at time zone $2)::date as "day!""#, now, time_zone).fetch_one(connection).await?;
    Ok(day)
}

/// By day and model, in order.
pub async fn by_day(connection: &mut Connection, scope: Scope<'_>) -> Result<Vec<UsageDay>> {
    let rows = sqlx::query!(
        r#"select (at at time zone $3)::date as "day!", model,
                  count(*) filter (where outcome <> 'refused') as "calls!", count(*) filter (where outcome = 'refused') as "refused!",
                  sum(input_tokens)::bigint as "input!", sum(output_tokens)::bigint as "output!", sum(cost)::bigint as "cost!"
           from usage_record
           where ($1::uuid is null or person_id = $1) and at >= $2::date::timestamp at time zone $3
           group by 1, 2 order by 1, 2"#,
        scope.person_id.map(|id| id.0),
        scope.from,
        scope.time_zone
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UsageDay {
            day: row.day,
            model: row.model,
            totals: Totals {
                calls: row.calls,
                refused: row.refused,
                input_tokens: row.input,
                output_tokens: row.output,
                cost: Micros(row.cost),
            },
        })
        .collect())
}

/// By person, the most expensive first.
pub async fn by_person(connection: &mut Connection, scope: Scope<'_>) -> Result<Vec<UsageLine>> {
    let rows = sqlx::query!(
        r#"select person_id, person.name,
                  count(*) filter (where outcome <> 'refused') as "calls!", count(*) filter (where outcome = 'refused') as "refused!",
                  sum(input_tokens)::bigint as "input!", sum(output_tokens)::bigint as "output!", sum(cost)::bigint as "cost!"
           from usage_record join person using (person_id)
           where ($1::uuid is null or person_id = $1) and at >= $2::date::timestamp at time zone $3
           group by 1, 2 order by 7 desc, 5 desc, 2"#,
        scope.person_id.map(|id| id.0),
        scope.from,
        scope.time_zone
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UsageLine {
            name: row.name,
            person_id: Some(row.person_id.into()),
            totals: Totals {
                calls: row.calls,
                refused: row.refused,
                input_tokens: row.input,
                output_tokens: row.output,
                cost: Micros(row.cost),
            },
        })
        .collect())
}
