//! Keys: who may call which models, until when. A key is found and proven by the hash of its secret, which is all that is stored of it.

use super::{
    Service, catalog,
    key_text::{Fresh, Kind, Sent},
    usage,
};
use crate::{
    Error, Result, clock,
    data::{
        self, Connection,
        listen::Change,
        model_key::{New, NewSecret},
    },
};
use contract::{
    BudgetChange, Caller, Code, FormerSecret, KeyEnd, KeyId, KeyView, KeyWish, Limit, ModelId, NewKey, PersonId, PersonStatus, Problem,
    RuntimeId, SetBy, Subject, Unit, Window,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Own keys that a person may have open at once.
const MOST_KEYS: i64 = 50;
/// The longest that a key with an end lives, in days.
const MOST_DAYS: u16 = 3650;
/// The longest that a secret which was replaced works on.
const LONGEST_OVERLAP: Duration = Duration::days(30);
/// So long it is remembered that a secret was replaced: then it is unknown.
const REMEMBERED: Duration = Duration::days(90);
/// How exactly the last use is noted: a write for each call would cost more than the call.
const USE_NOTED: Duration = Duration::MINUTE;

/// A proven key, good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which.
    pub key_id: KeyId,
    /// By which of its secrets.
    pub secret_id: Uuid,
    /// Who pays.
    pub person_id: PersonId,
    /// From which runtime; none for a person's own key.
    pub runtime_id: Option<RuntimeId>,
}

/// Proves a key. The same answer for an unknown key and a wrong secret; the true reason only to who holds the secret.
///
/// Looked up by the secret's hash: of a secret that was never here nothing is found, in the same time for a public part that is here and one that is
/// not. What is remembered of a good key is told to be forgotten by whatever ends it ([`super::known`]).
pub async fn prove(service: &Service, sent: &Sent<'_>) -> Result<Proven> {
    let (now, secret_hash, stream) = (service.clock.now(), hash_of(sent.secret), service.changes.stream());
    let remembered = service.known.key(stream, &secret_hash);
    let reading = service.known.begin(stream);
    let found = match &remembered {
        Some(_) => remembered.clone(),
        None => data::model_key::find(&mut *service.pool.acquire().await?, &secret_hash).await?,
    };
    let is_sent =
        |key: &data::model_key::Found| key.public_id == sent.public_id && key.runtime_id.is_some() == (sent.kind == Kind::Runtime);
    let Some(mut key) = found.filter(is_sent) else {
        return Err(denied("This key is not known here."));
    };
    if key.revoked {
        return Err(denied("This key was revoked."));
    }
    if key.ends_at.is_some_and(|end| end <= now) {
        return Err(denied("This key was replaced when it was rotated, and the time of its old secret is over."));
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(denied("This key has expired."));
    }
    if !key.person_active {
        return Err(denied("This key's owner is disabled."));
    }
    if !key.runtime_running {
        return Err(denied("This key belongs to a runtime that is stopped."));
    }
    let proven = Proven { key_id: key.key_id, secret_id: key.secret_id, person_id: key.person_id, runtime_id: key.runtime_id };
    let before = now - USE_NOTED;
    if key.last_used_at.is_none_or(|last| last <= before) {
        data::model_key::touch(&mut *service.pool.acquire().await?, key.secret_id, before, now).await?;
        key.last_used_at = Some(now);
        service.known.used(&secret_hash, now);
    }
    if remembered.is_none() {
        service.known.keep_key(reading, secret_hash, key);
    }
    Ok(proven)
}

/// What is stored of a secret. A plain hash is enough: 256 random bits cannot be guessed from it, unlike a password.
fn hash_of(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn denied(message: &str) -> Error {
    Problem::new(Code::Unauthenticated, message).remedy("Make a new key on the page Models & keys.").into()
}

/// The caller's keys, those of their runtimes among them.
pub async fn of(service: &Service, caller: &Caller) -> Result<Vec<KeyView>> {
    let mut connection = service.pool.acquire().await?;
    let rows = data::model_key::of_person(&mut connection, caller.person_id).await?;
    views(&mut connection, rows, service.clock.now()).await
}

/// The keys with their secrets.
async fn views(connection: &mut Connection, rows: Vec<data::model_key::Row>, now: OffsetDateTime) -> Result<Vec<KeyView>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.key_id.0).collect();
    let mut secrets = data::model_key::secrets(connection, &ids, now).await?;
    let limits = data::limit::of_keys(connection, &ids).await?;
    let view = |row: data::model_key::Row| {
        let kind = if row.runtime_id.is_some() { Kind::Runtime } else { Kind::Person };
        let own: Vec<_> = secrets.extract_if(.., |secret| secret.key_id == row.key_id).collect();
        let newest = own.iter().find(|secret| secret.ends_at.is_none());
        let former = own.iter().filter_map(|secret| {
            Some(FormerSecret { hint: kind.hint(&secret.public_id), last_used_at: secret.last_used_at, ends_at: secret.ends_at? })
        });
        KeyView {
            key_id: row.key_id,
            name: row.name,
            runtime_id: row.runtime_id,
            hint: kind.hint(newest.map_or("", |secret| &secret.public_id)),
            models: row.models,
            created_at: row.created_at,
            last_used_at: newest.and_then(|secret| secret.last_used_at),
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            expired: row.expires_at.is_some_and(|end| end <= now),
            former: former.collect(),
            limits: limits.iter().filter(|(key_id, _)| *key_id == row.key_id).map(|(_, limit)| *limit).collect(),
        }
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Makes a person's own key. The whole key is in the answer and nowhere else.
pub async fn make(service: &Service, caller: &Caller, wish: KeyWish) -> Result<NewKey> {
    let name = super::named(&wish.name, "name")?;
    let now = service.clock.now();
    let mut transaction = data::begin(&service.pool).await?;
    if !wish.limits.is_empty() {
        // Before any row is locked that a call looks at, too.
        data::limit::lock(&mut transaction).await?;
    }
    let expires_at = end_of(&mut transaction, caller, wish.ends, now).await?;
    if let Some(models) = &wish.models {
        are_offered(&mut transaction, caller.person_id, models).await?;
    }
    // Locked: whoever is being disabled at this moment gets no key, and keys made at the same time are counted one after another.
    is_active(&mut transaction, caller).await?;
    if data::model_key::open_count(&mut transaction, caller.person_id, now).await? >= MOST_KEYS {
        return Err(Problem::new(Code::QuotaExceeded, format!("You have {MOST_KEYS} open keys, which is the most."))
            .remedy("Revoke one that you no longer use.")
            .into());
    }
    let fresh = Fresh::draw()?;
    let key = New {
        key_id: clock::new_id(),
        person_id: caller.person_id,
        name: &name,
        secret: stored(&fresh),
        models: wish.models.as_deref(),
        created_at: now,
        expires_at,
    };
    data::model_key::add(&mut transaction, &key).await?;
    for limit in wish.limits {
        let change = BudgetChange { subject: Subject::Key(key.key_id), window: limit.window, unit: limit.unit, amount: Some(limit.amount) };
        usage::put(service, &mut transaction, caller, change, SetBy::Owner).await?;
    }
    service.record(&mut transaction, caller, "key.made", Some(caller.person_id), &name, "").await?;
    finish(transaction, caller, key.key_id, fresh.whole, now).await
}

/// Gives one of the caller's keys a new secret. The one before it works on for `overlap`, which may be nothing.
pub async fn rotate(service: &Service, caller: &Caller, key_id: KeyId, overlap: Duration) -> Result<NewKey> {
    if overlap.is_negative() || overlap > LONGEST_OVERLAP {
        return Err(Problem::new(Code::Invalid, "The old secret works on for up to 30 days.").field("hours").into());
    }
    let now = service.clock.now();
    let mut transaction = data::begin(&service.pool).await?;
    is_active(&mut transaction, caller).await?;
    let key = data::model_key::lock(&mut transaction, key_id, caller.person_id).await?.ok_or_else(unknown)?;
    let over = match (key.revoked_at, key.expires_at) {
        (Some(_), _) => Some("This key was revoked, and a new secret would open nothing."),
        (None, Some(end)) if end <= now => Some("This key has expired, and a new secret would open nothing."),
        (None, _) => None,
    };
    if let Some(message) = over {
        return Err(Problem::new(Code::Conflict, message).remedy("Make a new key.").into());
    }
    let fresh = Fresh::draw()?;
    data::model_key::rotate(&mut transaction, key_id, stored(&fresh), now + overlap, now - REMEMBERED, now).await?;
    let detail = if overlap.is_zero() {
        "the old secret ended at once".to_owned()
    } else {
        format!("the old secret works on for {}", told(overlap))
    };
    service.record(&mut transaction, caller, "key.rotated", Some(caller.person_id), &key.name, &detail).await?;
    let made = finish(transaction, caller, key_id, fresh.whole, now).await?;
    service.forget(Change::Keys { person_id: caller.person_id });
    Ok(made)
}

/// Revokes one of the caller's keys with all its secrets: the next call with it is refused.
pub async fn revoke(service: &Service, caller: &Caller, key: KeyId) -> Result<()> {
    let mut transaction = data::begin(&service.pool).await?;
    let name = data::model_key::revoke(&mut transaction, key, caller.person_id, service.clock.now())
        .await
        .map_err(|error| error.on_missing(unknown))?;
    service.record(&mut transaction, caller, "key.revoked", Some(caller.person_id), &name, "").await?;
    data::listen::notify(&mut transaction, Change::Keys { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    // Here at once; other servers hear it in a moment.
    service.forget(Change::Keys { person_id: caller.person_id });
    Ok(())
}

/// Sets a limit of the caller's own on one of their keys, in place of their own one of the same window and unit. An administrator's of that kind holds
/// beside it: the tighter one wins.
pub async fn set_limit(service: &Service, caller: &Caller, key: KeyId, limit: Limit) -> Result<()> {
    change_limit(service, caller, key, limit.window, limit.unit, Some(limit.amount)).await
}

/// Removes a limit that the caller set on one of their keys. An administrator's stays.
pub async fn remove_limit(service: &Service, caller: &Caller, key: KeyId, window: Window, unit: Unit) -> Result<()> {
    change_limit(service, caller, key, window, unit, None).await
}

async fn change_limit(service: &Service, caller: &Caller, key_id: KeyId, window: Window, unit: Unit, amount: Option<i64>) -> Result<()> {
    let change = BudgetChange { subject: Subject::Key(key_id), window, unit, amount };
    let mut transaction = data::begin(&service.pool).await?;
    // Before any row is locked that a call looks at, too.
    data::limit::lock(&mut transaction).await?;
    is_active(&mut transaction, caller).await?;
    let key = data::model_key::lock(&mut transaction, key_id, caller.person_id).await?.ok_or_else(unknown)?;
    if amount.is_some() && key.revoked_at.is_some() {
        return Err(Problem::new(Code::Conflict, "This key was revoked, and there is nothing to limit.").into());
    }
    if amount.is_none() {
        let whose = data::limit::whose(&mut transaction, &change).await?;
        if !whose.contains(&SetBy::Owner) {
            return Err(if whose.is_empty() {
                Problem::new(Code::NotFound, "This limit was removed already.").into()
            } else {
                Problem::new(Code::AccessDenied, "An administrator set this limit.").remedy("Ask your administrator for more.").into()
            });
        }
    }
    usage::put(service, &mut transaction, caller, change, SetBy::Owner).await?;
    data::listen::notify(&mut transaction, Change::Keys { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    Ok(())
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "This key does not exist, or it is not yours.")
}

fn stored(fresh: &Fresh) -> NewSecret<'_> {
    NewSecret { public_id: &fresh.public_id, secret_hash: hash_of(fresh.secret.expose_secret()) }
}

/// The key as its owner sees it, with its new secret.
async fn finish(
    mut transaction: data::Transaction,
    caller: &Caller,
    key_id: KeyId,
    whole: SecretString,
    now: OffsetDateTime,
) -> Result<NewKey> {
    let row = data::model_key::lock(&mut transaction, key_id, caller.person_id).await?.ok_or(Error::Missing)?;
    let key = views(&mut transaction, vec![row], now).await?.pop().ok_or(Error::Missing)?;
    data::listen::notify(&mut transaction, Change::Keys { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    Ok(NewKey { key, secret: whole.expose_secret().to_owned() })
}

async fn is_active(connection: &mut Connection, caller: &Caller) -> Result<()> {
    if data::person::lock(connection, caller.person_id).await?.status == PersonStatus::Active {
        return Ok(());
    }
    Err(Problem::new(Code::PersonDisabled, "Your account is disabled.").remedy("Ask your administrator to enable it again.").into())
}

/// A key is for models that its owner is offered now. What is offered later is not among them.
async fn are_offered(connection: &mut Connection, owner: PersonId, models: &[ModelId]) -> Result<()> {
    let wrong = |message: &str| -> Error { Problem::new(Code::Invalid, message).field("model_ids").into() };
    if models.is_empty() {
        return Err(wrong("Choose at least one model, or allow all."));
    }
    let offered = catalog::offered_to(connection, owner).await?;
    if models.iter().all(|id| offered.iter().any(|model| model.model_id == *id)) {
        return Ok(());
    }
    Err(wrong("One of the models is not offered any more. Choose again."))
}

/// When a key that is made now ends.
async fn end_of(connection: &mut Connection, caller: &Caller, ends: KeyEnd, now: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
    let wrong = |message: String, field: &str| -> Error { Problem::new(Code::Invalid, message).field(field).into() };
    match ends {
        KeyEnd::Never => Ok(None),
        KeyEnd::After(days) if (1..=MOST_DAYS).contains(&days) => Ok(Some(now + Duration::days(days.into()))),
        KeyEnd::After(_) => Err(wrong(format!("A key ends after 1 to {MOST_DAYS} days, or never."), "days")),
        KeyEnd::With(day) => {
            // No time zone is further from UTC than this, so that the day itself is judged where PostgreSQL may not know its year.
            let near = (now.date() - Duration::days(2))..=(now.date() + Duration::days(i64::from(MOST_DAYS) + 2));
            let end = if near.contains(&day) { data::model_key::end_of_day(connection, day, &caller.time_zone).await? } else { now };
            let last = now + Duration::days(MOST_DAYS.into());
            if end <= now || end > last {
                return Err(wrong(format!("A key ends with today or a later day, at most {MOST_DAYS} days from now."), "day"));
            }
            Ok(Some(end))
        }
    }
}

/// `90 minutes`, `1 hour`, `7 days`.
fn told(time: Duration) -> String {
    let minutes = time.whole_minutes();
    let (number, unit) = match minutes {
        minutes if minutes % 1440 == 0 => (minutes / 1440, "day"),
        minutes if minutes % 60 == 0 => (minutes / 60, "hour"),
        minutes => (minutes, "minute"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_told_in_its_largest_whole_unit() {
        let told = [1, 60, 90, 1440, 10_080].map(|minutes| told(Duration::minutes(minutes)));
        assert_eq!(told, ["1 minute", "1 hour", "90 minutes", "1 day", "7 days"]);
    }
}
