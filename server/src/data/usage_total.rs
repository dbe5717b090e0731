//! SQL of `usage_total`: what old usage records were folded into, and totals of days over both.

use super::{Connection, usage::Scope};
use crate::Result;
use contract::CountedIn;
use time::{Date, OffsetDateTime};

/// Folds the oldest records from before then into totals, `most` of them at once; answers how many. Whatever is added up over `usage_entry` stays the same.
///
/// One statement, so that a record is either there or in its total, whoever is killed when. Several servers may fold at once: each takes other records, and
/// they add to totals in one order, so that none waits for the other in a circle.
pub async fn fold(connection: &mut Connection, before: OffsetDateTime, most: i64) -> Result<i64> {
    let folded = sqlx::query_scalar!(
        r#"with old as (
               select usage_record_id from usage_record where at < $1 order by at limit $2 for update skip locked
           ), gone as (
               delete from usage_record using old where usage_record.usage_record_id = old.usage_record_id returning usage_record.*
           ), added as (
               insert into usage_total (at, person_id, runtime_id, key_id, model, route, outcome, calls, input_tokens, cached_input_tokens,
                                        output_tokens, cost)
               select date_bin('15 minutes', at, 'epoch'), person_id, runtime_id, key_id, model, route, outcome, sum(calls), sum(input_tokens),
                      sum(cached_input_tokens), sum(output_tokens), sum(cost)
               from gone group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
               on conflict on constraint usage_total_key do update
               set calls = usage_total.calls + excluded.calls, input_tokens = usage_total.input_tokens + excluded.input_tokens,
                   cached_input_tokens = usage_total.cached_input_tokens + excluded.cached_input_tokens,
                   output_tokens = usage_total.output_tokens + excluded.output_tokens, cost = usage_total.cost + excluded.cost
           )
           select count(*) as "folded!" from gone"#,
        before,
        most
    );
    Ok(folded.fetch_one(connection).await?)
}

/// What was used on a day in one way, as it is exported.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DayTotal {
    /// The day, in the zone that was asked for.
    #[serde(with = "contract::moment::day")]
    pub day: Date,
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
    /// How the calls ended.
    pub outcome: String,
    /// How many there were.
    pub calls: i64,
    /// Tokens sent, cached ones included.
    pub input_tokens: i64,
    /// Those of them that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens answered.
    pub output_tokens: i64,
    /// What these counts are of.
    pub counted_in: CountedIn,
    /// What they cost, in micro-units.
    pub cost_micros: i64,
}

/// The first day of the scope that something was used on.
pub async fn first_day(connection: &mut Connection, scope: Scope<'_>) -> Result<Option<Date>> {
    Ok(sqlx::query_scalar!(
        "select (min(at) at time zone $3)::date from usage_entry
         where ($1::uuid is null or person_id = $1) and at >= $2::date::timestamp at time zone $3",
        scope.person_id.map(|id| id.0),
        scope.from,
        scope.time_zone
    )
    .fetch_one(connection)
    .await?)
}

/// What was used on the first day of the scope.
pub async fn of_day(connection: &mut Connection, scope: Scope<'_>) -> Result<Vec<DayTotal>> {
    Ok(sqlx::query_as!(
        DayTotal,
        r#"select $2::date as "day!", person.name as person, email, runtime.name as "runtime?", model_key.name as "key?", model as "model!",
                  route as "route!", outcome as "outcome!", sum(calls)::bigint as "calls!", sum(input_tokens)::bigint as "input_tokens!",
                  sum(cached_input_tokens)::bigint as "cached_input_tokens!", sum(output_tokens)::bigint as "output_tokens!",
                  coalesce(counted_in, 'tokens') as "counted_in!: CountedIn", sum(cost)::bigint as "cost_micros!"
           from usage_entry join person using (person_id)
           left join runtime on runtime.runtime_id = usage_entry.runtime_id
           left join model_key on model_key.key_id = usage_entry.key_id
           left join counted_model on counted_model.name = model
           where ($1::uuid is null or usage_entry.person_id = $1)
             and at >= $2::date::timestamp at time zone $3 and at < ($2::date + 1)::timestamp at time zone $3
           group by usage_entry.person_id, usage_entry.runtime_id, usage_entry.key_id, person.name, email, runtime.name, model_key.name, model,
                    route, outcome, counted_in
           order by person.name, usage_entry.person_id, model, route, outcome, usage_entry.runtime_id, usage_entry.key_id"#,
        scope.person_id.map(|id| id.0),
        scope.from,
        scope.time_zone
    )
    .fetch_all(connection)
    .await?)
}
