//! SQL of `person`.

use super::Connection;
use crate::Result;
use contract::{PersonId, PersonStatus, PersonView, Role};
use time::OffsetDateTime;

/// A person, as the rules above need them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub person_id: PersonId,
    /// The address they sign in with, as they wrote it.
    pub email: String,
    /// The name shown.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub status: PersonStatus,
    /// IANA name of their time zone.
    pub time_zone: String,
}

/// Adds a person, active. The constraint `person_email_key` says no to an address that is taken, in any case.
pub async fn insert(conn: &mut Connection, person: &Person, password_hash: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "insert into person (person_id, email, name, role, status, password_hash, time_zone, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        person.person_id.0,
        person.email,
        person.name,
        person.role as Role,
        person.status as PersonStatus,
        password_hash,
        person.time_zone,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The person with this address, in any case, and the hash of their password.
pub async fn by_email(conn: &mut Connection, email: &str) -> Result<Option<(Person, String)>> {
    let row = sqlx::query!(
        r#"select person_id as "person_id: PersonId", email, name, role as "role: Role", status as "status: PersonStatus", time_zone, password_hash
           from person where lower(email) = lower($1)"#,
        email,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let person = Person {
            person_id: row.person_id,
            email: row.email,
            name: row.name,
            role: row.role,
            status: row.status,
            time_zone: row.time_zone,
        };
        (person, row.password_hash)
    }))
}

/// The person, locked until the transaction ends.
pub async fn lock(conn: &mut Connection, person: PersonId) -> Result<Person> {
    let person = sqlx::query_as!(
        Person,
        r#"select person_id as "person_id: PersonId", email, name, role as "role: Role", status as "status: PersonStatus", time_zone
           from person where person_id = $1 for no key update"#,
        person.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(person)
}

/// The hash of a person's password.
pub async fn password_hash(conn: &mut Connection, person: PersonId) -> Result<String> {
    Ok(sqlx::query_scalar!("select password_hash from person where person_id = $1", person.0).fetch_one(conn).await?)
}

/// Whether any administrator was ever made.
pub async fn has_administrator(conn: &mut Connection) -> Result<bool> {
    let there = sqlx::query_scalar!(r#"select exists (select from person where role = 'administrator') as "there!""#);
    Ok(there.fetch_one(conn).await?)
}

/// Locks all active administrators until the transaction ends, in one order; who they are.
pub async fn lock_active_administrators(conn: &mut Connection) -> Result<Vec<PersonId>> {
    let ids = sqlx::query_scalar!(
        r#"select person_id as "person_id: PersonId" from person
           where role = 'administrator' and status = 'active' order by person_id for no key update"#,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Opens or closes a person.
pub async fn set_status(conn: &mut Connection, person: PersonId, status: PersonStatus) -> Result<()> {
    sqlx::query!("update person set status = $2 where person_id = $1", person.0, status as PersonStatus).execute(conn).await?;
    Ok(())
}

/// Changes a person's password.
pub async fn set_password_hash(conn: &mut Connection, person: PersonId, password_hash: &str) -> Result<()> {
    sqlx::query!("update person set password_hash = $2 where person_id = $1", person.0, password_hash).execute(conn).await?;
    Ok(())
}

/// Changes a person's name and time zone. False when the database does not know the time zone; nothing is changed then.
pub async fn set_profile(conn: &mut Connection, person: PersonId, name: &str, time_zone: &str) -> Result<bool> {
    let done = sqlx::query!(
        "update person set name = $2, time_zone = $3
         where person_id = $1 and exists (select from pg_timezone_names where name = $3)",
        person.0,
        name,
        time_zone,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a person was seen.
pub async fn touch(conn: &mut Connection, person: PersonId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!("update person set last_seen_at = $2 where person_id = $1", person.0, now).execute(conn).await?;
    Ok(())
}

/// Everyone, by name; sessions counted as open when they end after `now` and were seen after `idle_since`.
pub async fn list(conn: &mut Connection, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<Vec<PersonView>> {
    views(conn, None, now, idle_since).await
}

/// One person, as in [`list`].
pub async fn get(conn: &mut Connection, person: PersonId, now: OffsetDateTime, idle_since: OffsetDateTime) -> Result<PersonView> {
    views(conn, Some(person), now, idle_since).await?.pop().ok_or(crate::Error::Missing)
}

async fn views(
    conn: &mut Connection,
    person: Option<PersonId>,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Result<Vec<PersonView>> {
    let views = sqlx::query_as!(
        PersonView,
        r#"select person_id as "person_id: PersonId", email, name, role as "role: Role", status as "status: PersonStatus", created_at, last_seen_at,
               (select count(*) from session s
                where s.person_id = person.person_id and s.expires_at > $2 and s.last_seen_at > $3) as "sessions!"
           from person
           where $1::uuid is null or person_id = $1
           order by lower(name), person_id"#,
        person.map(|id| id.0),
        now,
        idle_since,
    )
    .fetch_all(conn)
    .await?;
    Ok(views)
}
