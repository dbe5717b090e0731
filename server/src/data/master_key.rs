//! SQL of the master keys: which one the database is under, which ones each server has, and what is under which. By ids alone: no key is here.

use super::{Connection, setting};
use crate::Result;
use contract::{Code, Problem};
use uuid::Uuid;

/// The setting that names the master key which the database is under: what is sealed from now on is sealed with it.
pub const PRESENT: &str = "master_key_id";
/// The setting by which that key is known again.
pub const CHECK: &str = "master_key_check";
/// A server that was not seen for so long does not run, in seconds.
const ALIVE: f64 = 30.0;

/// What is under a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The key.
    pub id: String,
    /// Providers whose secret is sealed under it.
    pub secrets: i64,
    /// Runtimes whose model key is derived from it.
    pub runtimes: i64,
}

/// What is under which master key.
pub async fn uses(connection: &mut Connection) -> Result<Vec<Use>> {
    Ok(sqlx::query_as!(
        Use,
        r#"select id as "id!", sum(secrets)::bigint as "secrets!", sum(runtimes)::bigint as "runtimes!"
             from (select secret_key_id as id, 1 as secrets, 0 as runtimes from provider where secret_sealed is not null
                   union all
                   select master_key_id, 0, 1 from runtime where deleted_at is null) what
            where id is not null group by id order by id"#
    )
    .fetch_all(connection)
    .await?)
}

/// Refuses a seal by another key than the database is under. That stays so until the transaction ends.
pub async fn is_present(connection: &mut Connection, id: &str) -> Result<()> {
    match setting::hold(connection, PRESENT).await? {
        Some(present) if present != id => {
            Err(Problem::new(Code::Conflict, "The master key was rotated in this moment. Nothing was stored.")
                .remedy("Try again.")
                .retry_after(5)
                .into())
        }
        _ => Ok(()),
    }
}

/// Notes for runtimes of which it is not noted that their keys are derived from this master key.
pub async fn note_runtimes(connection: &mut Connection, id: &str) -> Result<()> {
    sqlx::query!("update runtime set master_key_id = $1 where master_key_id is null and deleted_at is null", id)
        .execute(connection)
        .await?;
    Ok(())
}

/// A server says which master keys it has on its disk, the newest first.
pub async fn beat(connection: &mut Connection, server_id: Uuid, ids: &[String]) -> Result<()> {
    sqlx::query!(
        "insert into server (server_id, master_key_ids) values ($1, $2)
         on conflict (server_id) do update set master_key_ids = excluded.master_key_ids, seen_at = now()",
        server_id,
        ids
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("delete from server where seen_at < now() - interval '1 day'").execute(connection).await?;
    Ok(())
}

/// A server ends.
pub async fn leave(connection: &mut Connection, server_id: Uuid) -> Result<()> {
    sqlx::query!("delete from server where server_id = $1", server_id).execute(connection).await?;
    Ok(())
}

/// The servers that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servers {
    /// All of them.
    pub running: i64,
    /// Those for which another master key is the newest.
    pub other: i64,
}

/// How many servers run, and for how many of them this is not the newest master key.
pub async fn servers(connection: &mut Connection, newest: &str) -> Result<Servers> {
    Ok(sqlx::query_as!(
        Servers,
        r#"select count(*) as "running!", count(*) filter (where master_key_ids[1] <> $1) as "other!"
             from server where seen_at > now() - make_interval(secs => $2)"#,
        newest,
        ALIVE
    )
    .fetch_one(connection)
    .await?)
}
