//! Keys: `cl_live_…` of people, `cl_rt_…` of runtimes. The public part finds the row, the secret part proves it, and only its hash is stored.

use super::Service;
use crate::{
    Error, Result, clock,
    data::{self, listen::Change, model_key::New},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use contract::{Caller, Code, KeyId, KeyView, NewKey, PersonId, PersonStatus, Problem, RuntimeId};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::Duration;

const LIVE: &str = "cl_live_";
const RUNTIME: &str = "cl_rt_";
/// Own keys that a person may have open at once.
const MOST_KEYS: i64 = 50;

/// Whose key a text claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's own.
    Person,
    /// A runtime's.
    Runtime,
}

/// A key as it was sent: not proven yet.
#[derive(PartialEq, Eq)]
pub struct Sent<'a> {
    /// Whose it claims to be.
    pub kind: Kind,
    /// Finds the row.
    pub public_id: &'a str,
    secret: &'a str,
}

/// Takes a key apart. None when it cannot be one of ours.
#[must_use]
pub fn parse(text: &str) -> Option<Sent<'_>> {
    let (kind, rest) = match (text.strip_prefix(LIVE), text.strip_prefix(RUNTIME)) {
        (Some(rest), _) => (Kind::Person, rest),
        (None, Some(rest)) => (Kind::Runtime, rest),
        (None, None) => return None,
    };
    let (public_id, secret) = rest.split_once('_')?;
    let plain = |part: &str, most: usize| {
        (8..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    (plain(public_id, 64) && plain(secret, 128)).then_some(Sent { kind, public_id, secret })
}

/// A proven key, good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which.
    pub key_id: KeyId,
    /// Who pays.
    pub person_id: PersonId,
    /// From which runtime; none for a person's own key.
    pub runtime_id: Option<RuntimeId>,
}

/// Proves a key. The same answer for an unknown key and a wrong secret; the true reason only to who holds the secret.
///
/// Reads the row each time: a revocation holds for the next call, with nothing in between to be told.
pub async fn prove(service: &Service, sent: &Sent<'_>) -> Result<Proven> {
    let now = service.clock.now();
    let mut connection = service.pool.acquire().await?;
    let found = data::model_key::find(&mut connection, sent.public_id).await?;
    let hash: [u8; 32] = Sha256::digest(sent.secret.as_bytes()).into();
    let stored = found.as_ref().map_or(&[0; 32][..], |key| &key.secret_hash);
    let same = bool::from(stored.ct_eq(&hash));
    let Some(key) = found.filter(|key| same && key.runtime_id.is_some() == (sent.kind == Kind::Runtime)) else {
        return Err(denied("This key is not known here."));
    };
    if key.revoked {
        return Err(denied("This key was revoked."));
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
    if key.last_used_at.is_none_or(|last| now - last >= Duration::MINUTE) {
        data::model_key::touch(&mut connection, key.key_id, now).await?;
    }
    Ok(Proven { key_id: key.key_id, person_id: key.person_id, runtime_id: key.runtime_id })
}

fn denied(message: &str) -> Error {
    Problem::new(Code::Unauthenticated, message).remedy("Make a new key on the page Models & keys.").into()
}

/// The caller's keys, those of their runtimes among them.
pub async fn of(service: &Service, caller: &Caller) -> Result<Vec<KeyView>> {
    data::model_key::of_person(&mut *service.pool.acquire().await?, caller.person_id).await
}

/// Makes a person's own key. The whole key is in the answer and nowhere else.
pub async fn make(service: &Service, caller: &Caller, name: &str, days: Option<u16>) -> Result<NewKey> {
    let name = super::named(name, "name")?;
    if days.is_some_and(|days| !(1..=3650).contains(&days)) {
        return Err(Problem::new(Code::Invalid, "A key ends after 1 to 3650 days, or never.").field("days").into());
    }
    let now = service.clock.now();
    let public_id: String = random::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
    let key = New {
        key_id: clock::new_id(),
        person_id: caller.person_id,
        name: &name,
        public_id: &public_id,
        secret_hash: Sha256::digest(secret.as_bytes()).into(),
        created_at: now,
        expires_at: days.map(|days| now + Duration::days(days.into())),
    };
    let mut transaction = data::begin(&service.pool).await?;
    // Locked: whoever is being disabled at this moment gets no key, and keys made at the same time are counted one after another.
    if data::person::lock(&mut transaction, caller.person_id).await?.status != PersonStatus::Active {
        return Err(Problem::new(Code::PersonDisabled, "Your account is disabled.")
            .remedy("Ask your administrator to enable it again.")
            .into());
    }
    if data::model_key::open_count(&mut transaction, caller.person_id, now).await? >= MOST_KEYS {
        return Err(Problem::new(Code::QuotaExceeded, format!("You have {MOST_KEYS} open keys, which is the most."))
            .remedy("Revoke one that you no longer use.")
            .into());
    }
    data::model_key::add(&mut transaction, &key).await?;
    service.record(&mut transaction, caller, "key.made", Some(caller.person_id), &name, "").await?;
    data::listen::notify(&mut transaction, Change::Keys { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    Ok(NewKey {
        key: KeyView {
            key_id: key.key_id,
            name: name.clone(),
            runtime_id: None,
            hint: format!("{LIVE}{public_id}…"),
            created_at: now,
            last_used_at: None,
            expires_at: key.expires_at,
            revoked_at: None,
        },
        secret: format!("{LIVE}{public_id}_{secret}"),
    })
}

/// Revokes one of the caller's keys: the next call with it is refused.
pub async fn revoke(service: &Service, caller: &Caller, key: KeyId) -> Result<()> {
    let mut transaction = data::begin(&service.pool).await?;
    let name = data::model_key::revoke(&mut transaction, key, caller.person_id, service.clock.now())
        .await
        .map_err(|error| error.on_missing(|| Problem::new(Code::NotFound, "This key does not exist, or it is not yours.")))?;
    service.record(&mut transaction, caller, "key.revoked", Some(caller.person_id), &name, "").await?;
    data::listen::notify(&mut transaction, Change::Keys { person_id: caller.person_id }).await?;
    transaction.commit().await?;
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("taking random bytes for a key", error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart_and_anything_else_is_no_key() {
        let sent = parse("cl_live_0123456789ab_abc-def_ghi").unwrap();
        assert!(sent.kind == Kind::Person && sent.public_id == "0123456789ab" && sent.secret == "abc-def_ghi");
        assert!(parse("cl_rt_0123456789ab_abcdefgh").unwrap().kind == Kind::Runtime);
        for text in [
            "",
            "cl_live_",
            "cl_live__",
            "cl_live_a_b",
            "sk-123",
            "cl_live_0123456789ab",
            "cl_live_0123456789ab_abc def ghi",
            "cl_xx_0123456789ab_abcdefgh",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
