//! SQL of the start queue.

use super::{
    Connection,
    listen::{Change, notify},
};
use crate::Result;
use contract::{PersonId, RuntimeId};
use time::OffsetDateTime;

/// The lock under which turns are given: any number that no other lock of the database uses.
pub(super) const QUEUE: i64 = 0x434c_4158;

/// What a runtime that asks for its turn is told.
pub enum Turn {
    /// It is its turn; its memory is held for it.
    Given,
    /// Not yet: so many are before it.
    Waits(i64),
    /// Another wish came in between.
    Moved,
}

/// Gives a runtime its turn, if it is the first in the queue, its memory fits beside what is held, and fewer than `starts` others boot; whoever is first
/// then is told. One after the other: the lock waits, so that two servers never give the same memory twice.
pub async fn admit(
    connection: &mut Connection,
    runtime_id: RuntimeId,
    generation: i64,
    memory_bytes: i64,
    starts: i64,
    now: OffsetDateTime,
) -> Result<Turn> {
    // Many who wait behind others ask without holding up those whose turn it is.
    if let Some(ahead) = ahead_of(connection, runtime_id, generation).await?.filter(|ahead| *ahead > 0) {
        return Ok(Turn::Waits(ahead));
    }
    sqlx::query!("select pg_advisory_xact_lock($1)", QUEUE).execute(&mut *connection).await?;
    let waiting = sqlx::query!(
        // It has no container. What it held of another size is free: two that want more than they hold never wait for each other.
        "update runtime set queued_at = coalesce(queued_at, $3),
                            admitted_at = case when held_bytes = memory_bytes then admitted_at end,
                            held_bytes = case when held_bytes = memory_bytes then held_bytes else 0 end
          where runtime_id = $1 and generation = $2 and deleted_at is null and desired_state = 'running'",
        runtime_id.0,
        generation,
        now
    );
    if waiting.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(Turn::Moved);
    }
    let Some(ahead) = ahead_of(connection, runtime_id, generation).await? else { return Ok(Turn::Moved) };
    if ahead > 0 {
        return Ok(Turn::Waits(ahead));
    }
    let fits = sqlx::query_scalar!(
        r#"select (select coalesce(sum(held_bytes), 0)::bigint from runtime held
                    where held.admitted_at is not null and held.deleted_at is null and held.runtime_id <> $1)
                  + (select memory_bytes from runtime where runtime_id = $1) <= $2
                  and (select count(*) from runtime boots
                        where boots.admitted_at is not null and boots.deleted_at is null and boots.runtime_id <> $1
                          and boots.phase in ('creating', 'starting', 'waiting')) < $3 as "fits!""#,
        runtime_id.0,
        memory_bytes,
        starts
    );
    if !fits.fetch_one(&mut *connection).await? {
        return Ok(Turn::Waits(0));
    }
    let person_id = sqlx::query_scalar!(
        r#"update runtime
              set admitted_at = $2, held_bytes = memory_bytes, queued_at = null, phase = 'creating', phase_since = case when phase = 'creating' then phase_since else $2 end
            where runtime_id = $1
        returning person_id as "person_id: PersonId""#,
        runtime_id.0,
        now
    );
    let person_id = person_id.fetch_one(&mut *connection).await?;
    notify(connection, Change::Runtime { runtime_id, person_id }).await?;
    let next = sqlx::query!(
        r#"select runtime_id as "runtime_id: RuntimeId", person_id as "person_id: PersonId" from runtime
            where deleted_at is null and queued_at is not null order by queued_at, runtime_id limit 1"#
    );
    if let Some(next) = next.fetch_optional(&mut *connection).await? {
        notify(connection, Change::Runtime { runtime_id: next.runtime_id, person_id: next.person_id }).await?;
    }
    Ok(Turn::Given)
}

/// Nobody who is further behind needs to know how far.
const FAR: i64 = 16;

/// How many are before a runtime that waits, under this wish, [`FAR`] at most. None when it has no place in the queue, or holds memory of another size than it wants.
async fn ahead_of(connection: &mut Connection, runtime_id: RuntimeId, generation: i64) -> Result<Option<i64>> {
    let ahead = sqlx::query_scalar!(
        r#"select (select count(*) from (select from runtime ahead
                                           where ahead.deleted_at is null and ahead.queued_at is not null
                                             and (ahead.queued_at, ahead.runtime_id) < (waits.queued_at, waits.runtime_id)
                                           order by ahead.queued_at, ahead.runtime_id limit $3) counted) as "ahead!"
             from runtime waits
            where runtime_id = $1 and generation = $2 and deleted_at is null and desired_state = 'running'
              and queued_at is not null and held_bytes in (0, memory_bytes)"#,
        runtime_id.0,
        generation,
        FAR
    );
    Ok(ahead.fetch_optional(connection).await?)
}

/// Who waits, and for what.
pub struct Waiting {
    /// Who, in order.
    pub runtime_ids: Vec<RuntimeId>,
    /// Memory that the first of them asks for, in bytes.
    pub wanted: i64,
    /// Memory that is held by those that run or boot, in bytes.
    pub held: i64,
}

/// The queue as it stands.
pub async fn waiting(connection: &mut Connection) -> Result<Waiting> {
    let queue = sqlx::query!(
        r#"select runtime_id as "runtime_id: RuntimeId", memory_bytes from runtime
            where deleted_at is null and queued_at is not null order by queued_at, runtime_id"#
    );
    let queue = queue.fetch_all(&mut *connection).await?;
    let held = sqlx::query_scalar!(
        r#"select coalesce(sum(held_bytes), 0)::bigint as "held!" from runtime where deleted_at is null and admitted_at is not null"#
    );
    Ok(Waiting {
        wanted: queue.first().map_or(0, |first| first.memory_bytes),
        runtime_ids: queue.into_iter().map(|row| row.runtime_id).collect(),
        held: held.fetch_one(connection).await?,
    })
}
