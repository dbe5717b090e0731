//! The audit log: who did what to whom. Written in the transaction of the deed, so that neither stands without the other.

use crate::{Result, data};
use contract::{AuditEntry, AuditEntryId, Caller, PersonId};

/// Who did it.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// A signed-in person.
    Person(&'a Caller),
    /// Nobody signed in: the command line, a link, the platform itself.
    ClawLoops,
}

/// Notes a deed. `person_id` is whom it concerns, so that they see it too; `subject` names whom or what.
///
/// # Errors
/// When the database fails.
pub async fn record(
    conn: &mut data::Connection,
    actor: Actor<'_>,
    action: &str,
    person_id: Option<PersonId>,
    subject: &str,
    detail: &str,
) -> Result<()> {
    let (actor_id, actor) = match actor {
        Actor::Person(caller) => (Some(caller.person_id), caller.email.as_str()),
        Actor::ClawLoops => (None, "ClawLoops"),
    };
    data::audit::insert(conn, data::audit::Entry { actor_id, actor, action, person_id, subject, detail }).await
}

/// How many entries a page has.
const PAGE: i64 = 200;

/// The newest entries, older than `before` where given.
///
/// # Errors
/// When the database fails.
pub async fn newest(pool: &data::Pool, before: Option<AuditEntryId>) -> Result<Vec<AuditEntry>> {
    data::audit::newest(&mut *pool.acquire().await?, before, PAGE).await
}

/// What a person did and what was done to them, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_person(pool: &data::Pool, person: PersonId) -> Result<Vec<AuditEntry>> {
    data::audit::of_person(&mut *pool.acquire().await?, person, PAGE).await
}
