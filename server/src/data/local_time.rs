//! Moments in a person's time zone. The database knows the zones and their changes.

use super::Connection;
use crate::Result;
use time::{OffsetDateTime, UtcOffset};

/// The same moments as the clocks of this zone (IANA) show them then, in the same order.
pub async fn of(connection: &mut Connection, moments: &[OffsetDateTime], time_zone: &str) -> Result<Vec<OffsetDateTime>> {
    let minutes = sqlx::query_scalar!(
        r#"select (extract(epoch from (at at time zone $2) - (at at time zone 'UTC')) / 60)::int as "minutes!"
             from unnest($1::timestamptz[]) with ordinality as told(at, place) order by place"#,
        moments,
        time_zone
    );
    let minutes = minutes.fetch_all(connection).await?;
    let local = |(at, minutes): (&OffsetDateTime, i32)| at.to_offset(UtcOffset::from_whole_seconds(minutes * 60).unwrap_or(UtcOffset::UTC));
    Ok(moments.iter().zip(minutes).map(local).collect())
}
