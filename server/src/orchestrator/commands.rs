//! The wish: one transaction each. The engine is not touched; the reconciler hears of it when the transaction commits.

use super::{
    Orchestrator,
    decide::{StartDisposition, start_disposition},
};
use crate::{
    Error, Result, clock, data,
    data::{Connection, runtime::Row},
    manager::names::Names,
    platform::audit::{self, Actor},
};
use contract::{Caller, Code, DesiredState, PersonId, PersonStatus, Phase, Problem, Retention, RuntimeId};
use time::OffsetDateTime;

/// The longest name that still makes one label of a host name, with room for what tells it apart.
const NAME_LENGTH: usize = 40;
/// How many host names are tried for one name.
const LABELS: u32 = 1000;

/// Asks all of a person's runtimes to stop, in the caller's transaction.
pub async fn close_person(connection: &mut Connection, person_id: PersonId, now: OffsetDateTime) -> Result<()> {
    data::runtime::stop_all_of(connection, person_id, now).await.map(drop)
}

/// What the page may know of a runtime that is not there, or not the caller's.
#[must_use]
pub fn not_found() -> Problem {
    Problem::new(Code::RuntimeNotFound, "This runtime does not exist.").remedy("Look at the list of your runtimes.")
}

impl Orchestrator {
    /// Makes a runtime and wishes it to run. A workspace that an earlier runtime of the same name left behind is found again.
    pub async fn create(&self, caller: &Caller, name: &str) -> Result<RuntimeId> {
        let name = name.trim();
        check_name(name)?;
        let mut transaction = data::begin(&self.pool).await?;
        still_active(&mut transaction, caller).await?;
        let limits = &self.config.runtimes;
        if data::runtime::count_holding(&mut transaction, caller.person_id).await? >= limits.runtimes_per_person {
            return Err(Problem::new(
                Code::QuotaExceeded,
                format!("You have {} runtimes already, as many as you may.", limits.runtimes_per_person),
            )
            .remedy("Delete one that you no longer need, or ask your administrator for more.")
            .into());
        }
        let runtime_id: RuntimeId = clock::new_id();
        let kept = data::runtime::kept_volume(&mut transaction, caller.person_id, name).await?;
        let volume = kept.unwrap_or_else(|| Names::new(&limits.instance).workspace(runtime_id));
        let host_label = free_label(&mut transaction, name).await?;
        let new = data::runtime::NewRuntime {
            runtime_id,
            person_id: caller.person_id,
            name,
            host_label: &host_label,
            memory_bytes: limits.runtime_memory_mib * 1024 * 1024,
            cpu_millis: limits.runtime_cpu_millis,
            pids: limits.runtime_pids,
            image: &limits.runtime_image,
            volume: &volume,
        };
        data::runtime::insert(&mut transaction, &new, self.clock.now()).await.map_err(taken)?;
        audit::record(&mut transaction, Actor::Person(caller), "runtime.created", Some(caller.person_id), name, "").await?;
        transaction.commit().await?;
        Ok(runtime_id)
    }

    /// Wishes it to run. Asked twice is asked once.
    pub async fn start(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        let mut transaction = data::begin(&self.pool).await?;
        still_active(&mut transaction, caller).await?;
        let row = hold(&mut transaction, caller, runtime_id, Reach::Own).await?;
        match start_disposition(row.desired_state, row.phase) {
            StartDisposition::AlreadyStarted => return Ok(()),
            StartDisposition::Leaving => return Err(leaving()),
            StartDisposition::Start => {}
        }
        let wish = data::runtime::Wish { desired_state: DesiredState::Running, retention: None, renew: true, phase: Phase::Pending };
        data::runtime::wish(&mut transaction, runtime_id, &wish, self.clock.now()).await?;
        note(&mut transaction, caller, &row, "runtime.started").await?;
        Ok(transaction.commit().await?)
    }

    /// Wishes it to stop. An administrator may stop anyone's.
    pub async fn stop(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        let mut transaction = data::begin(&self.pool).await?;
        let row = hold(&mut transaction, caller, runtime_id, Reach::Administrator).await?;
        match row.desired_state {
            DesiredState::Deleted => return Err(leaving()),
            DesiredState::Stopped => return Ok(()),
            DesiredState::Running => {}
        }
        let wish = data::runtime::Wish { desired_state: DesiredState::Stopped, retention: None, renew: false, phase: Phase::Stopping };
        data::runtime::wish(&mut transaction, runtime_id, &wish, self.clock.now()).await?;
        note(&mut transaction, caller, &row, "runtime.stopped").await?;
        Ok(transaction.commit().await?)
    }

    /// Wishes a new container, also when the present one runs well.
    pub async fn restart(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        let mut transaction = data::begin(&self.pool).await?;
        still_active(&mut transaction, caller).await?;
        let row = hold(&mut transaction, caller, runtime_id, Reach::Own).await?;
        if row.desired_state == DesiredState::Deleted {
            return Err(leaving());
        }
        let wish = data::runtime::Wish { desired_state: DesiredState::Running, retention: None, renew: true, phase: Phase::Pending };
        data::runtime::wish(&mut transaction, runtime_id, &wish, self.clock.now()).await?;
        note(&mut transaction, caller, &row, "runtime.restarted").await?;
        Ok(transaction.commit().await?)
    }

    /// Wishes it gone. Asked again, a workspace that was to be kept may still be wiped, never the other way round.
    pub async fn delete(&self, caller: &Caller, runtime_id: RuntimeId, retention: Retention) -> Result<()> {
        let mut transaction = data::begin(&self.pool).await?;
        let row = hold(&mut transaction, caller, runtime_id, Reach::Own).await?;
        if row.desired_state == DesiredState::Deleted && (row.retention == Some(retention) || retention == Retention::PreserveWorkspace) {
            return Ok(());
        }
        let wish =
            data::runtime::Wish { desired_state: DesiredState::Deleted, retention: Some(retention), renew: false, phase: Phase::Deleting };
        data::runtime::wish(&mut transaction, runtime_id, &wish, self.clock.now()).await?;
        let action = match retention {
            Retention::PreserveWorkspace => "runtime.deleted",
            Retention::WipeWorkspace => "runtime.wiped",
        };
        note(&mut transaction, caller, &row, action).await?;
        Ok(transaction.commit().await?)
    }

    /// One runtime that the caller may see: their own, or anyone's for an administrator.
    pub async fn find(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<Row> {
        let row = data::runtime::get(&mut *self.pool.acquire().await?, runtime_id).await?;
        row.filter(|row| row.person_id == caller.person_id || caller.is_administrator()).ok_or_else(|| not_found().into())
    }
}

/// Whose runtimes a wish may concern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Own,
    Administrator,
}

async fn hold(connection: &mut Connection, caller: &Caller, runtime_id: RuntimeId, reach: Reach) -> Result<Row> {
    let row = data::runtime::hold(connection, runtime_id).await?.ok_or_else(not_found)?;
    if row.person_id == caller.person_id || (reach == Reach::Administrator && caller.is_administrator()) {
        return Ok(row);
    }
    // An administrator sees it in a list, so it is no secret that it exists.
    if caller.is_administrator() {
        return Err(Error::problem(Code::AccessDenied, "Only its owner may do this. You may stop it."));
    }
    Err(not_found().into())
}

/// Whoever was disabled since the session check starts nothing: their runtimes were asked to stop in the transaction that this one waits for.
async fn still_active(connection: &mut Connection, caller: &Caller) -> Result<()> {
    match data::person::lock(connection, caller.person_id).await?.status {
        PersonStatus::Active => Ok(()),
        PersonStatus::Disabled => Err(Error::problem(Code::PersonDisabled, "You were disabled by an administrator.")),
    }
}

async fn note(connection: &mut Connection, caller: &Caller, row: &Row, action: &str) -> Result<()> {
    let detail = if row.person_id == caller.person_id { String::new() } else { format!("of {}", row.person_email) };
    audit::record(connection, Actor::Person(caller), action, Some(row.person_id), &row.name, &detail).await
}

fn leaving() -> Error {
    Problem::new(Code::RuntimeConflict, "This runtime is being deleted.").remedy("Make a new one when it is gone.").into()
}

fn taken(error: Error) -> Error {
    error
        .on_constraint("runtime_person_name_key", || {
            Problem::new(Code::Conflict, "You have a runtime of this name already, or one that is still being deleted.")
                .remedy("Choose another name.")
                .field("name")
        })
        .on_constraint("runtime_host_label_key", || {
            Problem::new(Code::Conflict, "Somebody took this name in the same moment.").remedy("Try again.").field("name")
        })
}

fn check_name(name: &str) -> Result<()> {
    let problem = |message: &str| Err(Problem::new(Code::Invalid, message).field("name").into());
    if name.is_empty() {
        return problem("A runtime needs a name.");
    }
    if name.chars().count() > NAME_LENGTH {
        return problem("The name is longer than 40 characters.");
    }
    if name.chars().any(char::is_control) {
        return problem("The name contains characters that cannot be shown.");
    }
    Ok(())
}

/// The first label of a host name, from a name: letters, digits and single hyphens.
fn slug(name: &str) -> String {
    let mut label = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            label.push(character.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { "runtime".to_owned() } else { label.to_owned() }
}

async fn free_label(connection: &mut Connection, name: &str) -> Result<String> {
    let base = slug(name);
    for number in 1..LABELS {
        let label = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        if !data::runtime::is_label_taken(connection, &label).await? {
            return Ok(label);
        }
    }
    Err(Problem::new(Code::Conflict, "Too many runtimes have this name.").remedy("Choose another name.").field("name").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_label_of_a_host_name() {
        assert_eq!(slug("Main"), "main");
        assert_eq!(slug("  Ada's  2nd – Claw!"), "ada-s-2nd-claw");
        assert_eq!(slug("東京"), "runtime");
        assert_eq!(slug("-x-"), "x");
    }

    #[test]
    fn a_name_is_neither_empty_nor_endless() {
        assert!(check_name("").is_err());
        assert!(check_name(&"x".repeat(41)).is_err());
        assert!(check_name("a\nb").is_err());
        assert!(check_name(&"ü".repeat(40)).is_ok());
    }
}
