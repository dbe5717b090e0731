//! SQL of `session`.

use super::{Connection, person::Person};
use crate::Result;
use contract::{PersonId, PersonStatus, Role, SessionId, SessionView};
use time::OffsetDateTime;

/// A session with its person. Whether it still holds is judged above.
pub struct Found {
    /// Which.
    pub session_id: SessionId,
    /// Whose.
    pub person: Person,
    /// Whether they may sign in.
    pub status: PersonStatus,
    /// When it was last seen.
    pub last_seen_at: OffsetDateTime,
    /// Its absolute end.
    pub expires_at: OffsetDateTime,
}

/// The session with this token hash.
pub async fn find(conn: &mut Connection, token_hash: &[u8; 32]) -> Result<Option<Found>> {
    let row = sqlx::query!(
        r#"select session_id as "session_id: SessionId", session.last_seen_at, expires_at,
               person_id as "person_id: PersonId", email, name, role as "role: Role", status as "status: PersonStatus", time_zone
           from session join person using (person_id)
           where token_hash = $1"#,
        token_hash.as_slice(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Found {
        session_id: row.session_id,
        status: row.status,
        last_seen_at: row.last_seen_at,
        expires_at: row.expires_at,
        person: Person {
            person_id: row.person_id,
            email: row.email,
            name: row.name,
            role: row.role,
            status: row.status,
            time_zone: row.time_zone,
        },
    }))
}

/// Adds a session that ends at `expires_at` at the latest.
pub async fn insert(
    conn: &mut Connection,
    session: SessionId,
    person: PersonId,
    token_hash: &[u8; 32],
    agent: &str,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into session (session_id, person_id, token_hash, agent, created_at, last_seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $5, $6)",
        session.0,
        person.0,
        token_hash.as_slice(),
        agent,
        now,
        expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a session was seen.
pub async fn touch(conn: &mut Connection, session: SessionId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update session set last_seen_at = $2 where session_id = $1", session.0, now).execute(conn).await?;
    Ok(())
}

/// A person's open sessions, `current` first, then the last seen.
pub async fn of_person(
    conn: &mut Connection,
    person: PersonId,
    current: SessionId,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Vec<SessionView>> {
    let sessions = sqlx::query_as!(
        SessionView,
        r#"select session_id as "session_id: SessionId", agent, created_at, last_seen_at, session_id = $2 as "current!"
           from session
           where person_id = $1 and expires_at > $3 and last_seen_at > $4
           order by session_id = $2 desc, last_seen_at desc"#,
        person.0,
        current.0,
        now,
        idle_since,
    )
    .fetch_all(conn)
    .await?;
    Ok(sessions)
}

/// Deletes one session of a person; whether it was there.
pub async fn delete(conn: &mut Connection, person: PersonId, session: SessionId) -> Result<bool> {
    let done = sqlx::query!("delete from session where session_id = $1 and person_id = $2", session.0, person.0).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes all sessions of a person but, where given, one; which they were.
pub async fn delete_all(conn: &mut Connection, person: PersonId, but: Option<SessionId>) -> Result<Vec<SessionId>> {
    let ended = sqlx::query_scalar!(
        r#"delete from session where person_id = $1 and session_id is distinct from $2
           returning session_id as "session_id: SessionId""#,
        person.0,
        but.map(|id| id.0),
    );
    Ok(ended.fetch_all(conn).await?)
}

/// Deletes the sessions that ended by themselves; which and whose they were. Rows that another one deletes at the same time are left to it.
pub async fn delete_ended(conn: &mut Connection, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<Vec<(SessionId, PersonId)>> {
    let ended = sqlx::query!(
        r#"delete from session where session_id in
               (select session_id from session where expires_at <= $1 or last_seen_at <= $2 for update skip locked)
           returning session_id as "session_id: SessionId", person_id as "person_id: PersonId""#,
        now,
        idle_since,
    )
    .fetch_all(conn)
    .await?;
    Ok(ended.into_iter().map(|row| (row.session_id, row.person_id)).collect())
}
