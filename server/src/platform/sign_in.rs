//! Signing in with address and password, and changing what one signs in with.

use crate::{
    Error, Result,
    clock::Clock,
    data::{self, Pool},
    platform::{
        audit::{self, Actor},
        fields,
        passwords::Passwords,
        sessions,
        throttle::Throttle,
    },
};
use contract::{Caller, Code, NewSession, PersonStatus, Problem};

/// Opens a session for whoever knows the password. A wrong address and a wrong password look the same and take as long.
///
/// # Errors
/// `InvalidCredentials`; `PersonDisabled`, said only after the right password; `TooManyRequests`.
pub async fn sign_in(
    pool: &Pool,
    clock: &dyn Clock,
    passwords: &Passwords,
    throttle: &Throttle,
    (email, password): (&str, &str),
    agent: &str,
) -> Result<NewSession> {
    throttle.account(email)?;
    let email = email.trim();
    // The connection goes back before the hashing: a flood of sign-ins must not hold the whole pool.
    let known = data::person::by_email(&mut *pool.acquire().await?, email).await?;
    // No password is longer, so the work is the same whatever was sent.
    let password: String = password.chars().take(fields::PASSWORD_MAX + 1).collect();
    let right = match &known {
        Some((_, hash)) => passwords.verify(&password, hash).await?,
        None => passwords.verify_nobody(&password).await?,
    };
    let Some((person, hash)) = known.filter(|_| right) else { return Err(wrong()) };

    let mut tx = data::begin(pool).await?;
    // Locked and read again: whoever was disabled, or changed the password, while the hash was computed does not slip in.
    let person = data::person::lock(&mut tx, person.person_id).await?;
    if data::person::password_hash(&mut tx, person.person_id).await? != hash {
        return Err(wrong());
    }
    if person.status == PersonStatus::Disabled {
        return Err(Problem::new(Code::PersonDisabled, "Your account is disabled.")
            .remedy("Ask your administrator to enable it again.")
            .into());
    }
    let session = sessions::open(&mut tx, clock, &person, agent).await?;
    tx.commit().await?;
    Ok(session)
}

fn wrong() -> Error {
    Problem::new(Code::InvalidCredentials, "The e-mail address or the password is wrong.")
        .remedy("Check both and try again. An administrator can invite you anew if you lost your password.")
        .into()
}

/// Changes the caller's password and ends their other sessions, so that a stolen one does not outlive it.
///
/// # Errors
/// `Invalid` when the current password is wrong (field `current`) or the new one will not do (field `new`).
pub async fn change_password(
    pool: &Pool,
    passwords: &Passwords,
    throttle: &Throttle,
    caller: &Caller,
    (current, new): (&str, &str),
) -> Result<()> {
    // A stolen session must not become a way to try passwords.
    throttle.account(&caller.email)?;
    let hash = data::person::password_hash(&mut *pool.acquire().await?, caller.person_id).await?;
    if !passwords.verify(current, &hash).await? {
        return Err(Problem::new(Code::Invalid, "The current password is wrong.").field("current").into());
    }
    fields::password("new", new, &caller.email)?;
    if current == new {
        return Err(Problem::new(Code::Invalid, "The new password is the same as the current one.").field("new").into());
    }
    let hashed = passwords.hash(new).await?;
    let mut tx = data::begin(pool).await?;
    data::person::lock(&mut tx, caller.person_id).await?;
    data::person::set_password_hash(&mut tx, caller.person_id, &hashed).await?;
    let ended = sessions::end_all(&mut tx, caller.person_id, Some(caller.session_id)).await?;
    let detail = format!("{ended} other sessions ended");
    audit::record(&mut tx, Actor::Person(caller), "password.changed", Some(caller.person_id), &caller.email, &detail).await?;
    Ok(tx.commit().await?)
}

/// Changes the caller's name and time zone.
///
/// # Errors
/// `Invalid`, fields `name` or `time_zone`.
pub async fn change_profile(pool: &Pool, caller: &Caller, name: &str, time_zone: &str) -> Result<()> {
    let (name, time_zone) = (fields::name(name)?, fields::time_zone(time_zone)?);
    let mut tx = data::begin(pool).await?;
    if !data::person::set_profile(&mut tx, caller.person_id, &name, &time_zone).await? {
        return Err(fields::unknown_time_zone());
    }
    let detail = format!("{name}, {time_zone}");
    audit::record(&mut tx, Actor::Person(caller), "profile.changed", Some(caller.person_id), &caller.email, &detail).await?;
    Ok(tx.commit().await?)
}
