//! SQL of where runtimes are found by browsers: the labels of their host names, and their ports where they have no names of their own.

use super::{
    Connection,
    listen::{Change, notify},
};
use crate::{Result, config::ports::Ports};
use contract::{PersonId, RuntimeId};

/// Ports are given away one after the other: whoever holds this sees what the one before took.
const LOCK: i64 = 0x636c_706f_7274;

/// Gives this runtime a port of the range that nobody has and that is not `busy`: one that its person never had where there is one, and the one that was
/// free for longest. None when all are given away.
pub async fn give_port(connection: &mut Connection, runtime_id: RuntimeId, ports: Ports, busy: &[u16]) -> Result<Option<u16>> {
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).execute(&mut *connection).await?;
    let busy: Vec<i32> = busy.iter().map(|port| i32::from(*port)).collect();
    let given = sqlx::query!(
        r#"update runtime set port =
             (select number from generate_series($2::int, $3::int) number
                left join lateral (select max(deleted_at) as until, bool_or(past.person_id = runtime.person_id) as was_theirs
                                     from runtime past where past.port = number and past.deleted_at is not null) past on true
               where not exists (select from runtime other where other.port = number and other.deleted_at is null)
                 and number <> all($4)
               order by coalesce(was_theirs, false), until nulls first, number
               limit 1)
            where runtime_id = $1
        returning port, person_id as "person_id: PersonId""#,
        runtime_id.0,
        i32::from(*ports.all().start()),
        i32::from(*ports.all().end()),
        &busy
    )
    .fetch_one(&mut *connection)
    .await?;
    notify(connection, Change::Runtime { runtime_id, person_id: given.person_id }).await?;
    Ok(given.port.and_then(|port| u16::try_from(port).ok()))
}

/// The runtimes that are there and have no port of the range, the oldest first.
pub async fn without_port(connection: &mut Connection, ports: Ports) -> Result<Vec<RuntimeId>> {
    Ok(sqlx::query_scalar!(
        r#"select runtime_id as "runtime_id: RuntimeId" from runtime
            where deleted_at is null and (port is null or port not between $1 and $2) order by created_at, runtime_id"#,
        i32::from(*ports.all().start()),
        i32::from(*ports.all().end())
    )
    .fetch_all(connection)
    .await?)
}

/// All ports of the range that are given away, in order.
pub async fn given_ports(connection: &mut Connection, ports: Ports) -> Result<Vec<u16>> {
    let given = sqlx::query_scalar!(
        r#"select port as "port!" from runtime where deleted_at is null and port between $1 and $2 order by port"#,
        i32::from(*ports.all().start()),
        i32::from(*ports.all().end())
    );
    Ok(given.fetch_all(connection).await?.into_iter().filter_map(|port| u16::try_from(port).ok()).collect())
}

/// Whether a host name is taken.
pub async fn is_label_taken(connection: &mut Connection, host_label: &str) -> Result<bool> {
    let taken =
        sqlx::query_scalar!(r#"select exists (select from runtime where host_label = $1 and deleted_at is null) as "taken!""#, host_label);
    Ok(taken.fetch_one(connection).await?)
}
