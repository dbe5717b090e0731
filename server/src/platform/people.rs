//! People: made once, closed and opened by an administrator.

use crate::{
    Error, Result,
    clock::{Clock, new_id},
    data::{
        self, Connection, Pool,
        listen::{Change, notify},
        person::Person,
    },
    platform::{
        audit::{self, Actor},
        fields,
        passwords::Passwords,
        sessions,
    },
};
use async_trait::async_trait;
use contract::{Caller, Code, PersonId, PersonStatus, PersonView, Problem, Role};
use time::OffsetDateTime;

/// What has to stop when a person is closed, within the same transaction: their runtimes. The layer that owns runtimes implements it.
#[async_trait]
pub trait Closing: Send + Sync {
    /// Asks for everything of this person to stop, as of `now`.
    async fn close_person(&self, conn: &mut Connection, person: PersonId, now: OffsetDateTime) -> Result<()>;
}

/// Lets only administrators through.
///
/// # Errors
/// `AccessDenied`.
pub fn administrators_only(caller: &Caller) -> Result<()> {
    if caller.is_administrator() {
        return Ok(());
    }
    Err(Problem::new(Code::AccessDenied, "Only an administrator may do this.").into())
}

fn not_found() -> Problem {
    Problem::new(Code::PersonNotFound, "This person does not exist.")
}

/// Adds an active person. The caller validated the fields.
///
/// # Errors
/// `Conflict`, field `email`, when the address is taken, in any case of letters.
pub async fn add(
    conn: &mut Connection,
    clock: &dyn Clock,
    (email, name): (String, String),
    role: Role,
    password_hash: &str,
) -> Result<Person> {
    let person = Person { person_id: new_id(), email, name, role, status: PersonStatus::Active, time_zone: "UTC".to_owned() };
    data::person::insert(conn, &person, password_hash, clock.now())
        .await
        .map_err(|error| error.on_constraint("person_email_key", taken))?;
    notify(conn, Change::People).await?;
    Ok(person)
}

/// What is said of an address that has an account.
#[must_use]
pub fn taken() -> Problem {
    Problem::new(Code::Conflict, "There is an account with this e-mail address already.").remedy("Sign in instead.").field("email")
}

/// Makes an administrator from the command line.
///
/// # Errors
/// As the fields say; `Conflict` when the address is taken.
pub async fn add_administrator(
    pool: &Pool,
    clock: &dyn Clock,
    passwords: &Passwords,
    (email, name): (&str, &str),
    password: &str,
) -> Result<Person> {
    let (email, name) = (fields::email(email)?, fields::name(name)?);
    fields::password("password", password, &email)?;
    let hash = passwords.hash(password).await?;
    let mut tx = data::begin(pool).await?;
    let person = add(&mut tx, clock, (email, name), Role::Administrator, &hash).await?;
    // There is an administrator now: a set-up link that lies printed somewhere must not make a second one.
    data::setup_link::end_open(&mut tx, clock.now()).await?;
    audit::record(&mut tx, Actor::ClawLoops, "person.made", Some(person.person_id), &person.email, "administrator, by the command line")
        .await?;
    tx.commit().await?;
    Ok(person)
}

/// Everyone, by name.
///
/// # Errors
/// `AccessDenied`.
pub async fn list(pool: &Pool, clock: &dyn Clock, caller: &Caller) -> Result<Vec<PersonView>> {
    administrators_only(caller)?;
    let now = clock.now();
    data::person::list(&mut *pool.acquire().await?, now, now - sessions::IDLE).await
}

/// One person.
///
/// # Errors
/// `AccessDenied`; `PersonNotFound`.
pub async fn get(pool: &Pool, clock: &dyn Clock, caller: &Caller, person: PersonId) -> Result<PersonView> {
    administrators_only(caller)?;
    let now = clock.now();
    let found = data::person::get(&mut *pool.acquire().await?, person, now, now - sessions::IDLE).await;
    found.map_err(|error| error.on_missing(not_found))
}

/// Opens or closes a person. Closing ends their sessions, keys, connections and runtimes in one transaction.
///
/// # Errors
/// `AccessDenied`; `PersonNotFound`; `Conflict` for oneself and for the last active administrator.
pub async fn set_status(
    pool: &Pool,
    clock: &dyn Clock,
    closing: &dyn Closing,
    caller: &Caller,
    person: PersonId,
    status: PersonStatus,
) -> Result<()> {
    administrators_only(caller)?;
    if person == caller.person_id && status == PersonStatus::Disabled {
        return Err(Problem::new(Code::Conflict, "You cannot disable yourself.").remedy("Ask another administrator.").into());
    }
    let mut tx = data::begin(pool).await?;
    // Locked in one order by everyone: two administrators who disable each other at the same time do not leave none.
    let administrators = data::person::lock_active_administrators(&mut tx).await?;
    if !administrators.contains(&caller.person_id) {
        // Closed or demoted since the session check.
        return Err(Problem::new(Code::AccessDenied, "Only an administrator may do this.").into());
    }
    let found = data::person::lock(&mut tx, person).await.map_err(|error| error.on_missing(not_found))?;
    if found.status == status {
        return Ok(());
    }
    if status == PersonStatus::Disabled && administrators == [person] {
        return Err(last_administrator());
    }
    data::person::set_status(&mut tx, person, status).await?;
    let action = match status {
        PersonStatus::Active => "person.enabled",
        PersonStatus::Disabled => {
            sessions::end_all(&mut tx, person, None).await?;
            // Or they would come back by a link that they made for another address of theirs.
            data::invitation::revoke_of(&mut tx, person, clock.now()).await?;
            closing.close_person(&mut tx, person, clock.now()).await?;
            notify(&mut tx, Change::PersonClosed { person_id: person }).await?;
            notify(&mut tx, Change::Keys { person_id: person }).await?;
            "person.disabled"
        }
    };
    audit::record(&mut tx, Actor::Person(caller), action, Some(person), &found.email, "").await?;
    notify(&mut tx, Change::People).await?;
    Ok(tx.commit().await?)
}

fn last_administrator() -> Error {
    Problem::new(Code::Conflict, "This is the last active administrator.").remedy("Make another administrator first.").into()
}

/// Ends all sessions of a person. They may sign in again.
///
/// # Errors
/// `AccessDenied`; `PersonNotFound`.
pub async fn sign_out_everywhere(pool: &Pool, caller: &Caller, person: PersonId) -> Result<()> {
    administrators_only(caller)?;
    let mut tx = data::begin(pool).await?;
    let found = data::person::lock(&mut tx, person).await.map_err(|error| error.on_missing(not_found))?;
    let ended = sessions::end_all(&mut tx, person, None).await?;
    let detail = format!("{ended} sessions");
    audit::record(&mut tx, Actor::Person(caller), "sessions.ended", Some(person), &found.email, &detail).await?;
    notify(&mut tx, Change::People).await?;
    Ok(tx.commit().await?)
}
