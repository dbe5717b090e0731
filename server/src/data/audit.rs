//! SQL of `audit_entry`.

use super::Connection;
use crate::{Result, clock::new_id};
use contract::{AuditEntry, AuditEntryId, PersonId};

/// A line to write.
pub struct Entry<'a> {
    /// Who did it; none for the platform itself.
    pub actor_id: Option<PersonId>,
    /// Their address, kept as it was.
    pub actor: &'a str,
    /// What was done, `person.disabled`.
    pub action: &'a str,
    /// Whom it concerns.
    pub person_id: Option<PersonId>,
    /// To whom or what, by name.
    pub subject: &'a str,
    /// More, in words.
    pub detail: &'a str,
}

/// Writes a line, dated by the database.
pub async fn insert(conn: &mut Connection, entry: Entry<'_>) -> Result<()> {
    let id: AuditEntryId = new_id();
    sqlx::query!(
        "insert into audit_entry (audit_entry_id, actor_id, actor, action, person_id, subject, detail)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id.0,
        entry.actor_id.map(|id| id.0),
        entry.actor,
        entry.action,
        entry.person_id.map(|id| id.0),
        entry.subject,
        entry.detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest lines, older than `before` where given. Ids are ordered by time.
pub async fn newest(conn: &mut Connection, before: Option<AuditEntryId>, limit: i64) -> Result<Vec<AuditEntry>> {
    let rows = sqlx::query_as!(
        AuditEntry,
        r#"select audit_entry_id as "audit_entry_id: AuditEntryId", at, actor, action, subject, detail
           from audit_entry
           where $1::uuid is null or audit_entry_id < $1
           order by audit_entry_id desc
           limit $2"#,
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The newest lines that a person wrote or that concern them.
pub async fn of_person(conn: &mut Connection, person: PersonId, limit: i64) -> Result<Vec<AuditEntry>> {
    let rows = sqlx::query_as!(
        AuditEntry,
        r#"select audit_entry_id as "audit_entry_id: AuditEntryId", at, actor, action, subject, detail
           from audit_entry
           where person_id = $1 or actor_id = $1
           order by audit_entry_id desc
           limit $2"#,
        person.0,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
