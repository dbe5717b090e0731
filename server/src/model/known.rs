//! What is known of keys and of the models that they may call: asked on every call, so kept in memory for a second at most.
//!
//! Believed only while changes are heard ([`crate::data::listen::Changes::stream`]), which empty it. An answer whose reading began before the last emptying
//! is never kept: emptying and keeping happen under one lock, which counts how often it was emptied.

use super::{Service, keys::Proven};
use crate::{
    Result,
    data::{self, listen::Change, model::Callable, model_key::Found},
};
use contract::{KeyId, PersonId, RuntimeId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// So many of each are kept at most; more, and all are forgotten.
const KEPT: usize = 10_000;

/// What was read lately.
#[derive(Default)]
pub struct Known(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// By the hash of the secret.
    keys: HashMap<[u8; 32], Entry<Found>>,
    /// By the key that asks, and by name.
    models: HashMap<KeyId, HashMap<String, Entry<Arc<Callable>>>>,
    /// How often something was forgotten.
    forgotten: u64,
}

struct Entry<T> {
    read: Instant,
    stream: u64,
    person_id: PersonId,
    runtime_id: Option<RuntimeId>,
    value: T,
}

impl<T> Entry<T> {
    fn is_fresh(&self, stream: Option<u64>) -> bool {
        stream == Some(self.stream) && self.read.elapsed() < BELIEVED
    }

    fn is_of(&self, person: Option<PersonId>, runtime: Option<RuntimeId>) -> bool {
        person == Some(self.person_id) || runtime.is_some() && runtime == self.runtime_id
    }
}

/// Taken before the database is read. Only what was read since something was last forgotten is kept.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    forgotten: u64,
    began: Instant,
    stream: Option<u64>,
}

impl Known {
    /// Forgets what this change makes untrue, and whatever is being read now.
    pub fn forget(&self, change: Change) {
        let mut kept = self.lock();
        match change {
            Change::Keys { person_id } | Change::PersonClosed { person_id } => kept.forget_of(Some(person_id), None),
            Change::Runtime { runtime_id, .. } => kept.forget_of(None, Some(runtime_id)),
            Change::Catalog => kept.models.clear(),
            Change::Anything => {
                kept.keys.clear();
                kept.models.clear();
            }
            Change::SessionEnded { .. } | Change::Usage { .. } | Change::Limits | Change::People => return,
        }
        kept.forgotten += 1;
    }

    /// To be called before the database is read.
    pub fn begin(&self, stream: Option<u64>) -> Reading {
        Reading { forgotten: self.lock().forgotten, began: Instant::now(), stream }
    }

    /// A key that is remembered.
    pub fn key(&self, stream: Option<u64>, secret_hash: &[u8; 32]) -> Option<Found> {
        self.lock().keys.get(secret_hash).filter(|entry| entry.is_fresh(stream)).map(|entry| entry.value.clone())
    }

    /// Remembers a key that is good.
    pub fn keep_key(&self, reading: Reading, secret_hash: [u8; 32], key: Found) {
        let mut kept = self.lock();
        let Some(stream) = kept.may_keep(reading) else { return };
        if kept.keys.len() >= KEPT {
            kept.keys.clear();
        }
        let entry = Entry { read: reading.began, stream, person_id: key.person_id, runtime_id: key.runtime_id, value: key };
        kept.keys.insert(secret_hash, entry);
    }

    /// Remembers that the use of a key was noted.
    pub fn used(&self, secret_hash: &[u8; 32], at: OffsetDateTime) {
        if let Some(entry) = self.lock().keys.get_mut(secret_hash) {
            entry.value.last_used_at = Some(at);
        }
    }

    fn model(&self, stream: Option<u64>, key_id: KeyId, name: &str) -> Option<Arc<Callable>> {
        let kept = self.lock();
        kept.models.get(&key_id)?.get(name).filter(|entry| entry.is_fresh(stream)).map(|entry| Arc::clone(&entry.value))
    }

    fn keep_model(&self, reading: Reading, key: &Proven, model: &Arc<Callable>) {
        let mut kept = self.lock();
        let Some(stream) = kept.may_keep(reading) else { return };
        if kept.models.len() >= KEPT {
            kept.models.clear();
        }
        let entry = Entry { read: reading.began, stream, person_id: key.person_id, runtime_id: key.runtime_id, value: Arc::clone(model) };
        kept.models.entry(key.key_id).or_default().insert(model.name.clone(), entry);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// By which stream this is believed; none where it may be untrue already.
    fn may_keep(&self, reading: Reading) -> Option<u64> {
        reading.stream.filter(|_| reading.forgotten == self.forgotten)
    }

    fn forget_of(&mut self, person: Option<PersonId>, runtime: Option<RuntimeId>) {
        self.keys.retain(|_, entry| !entry.is_of(person, runtime));
        for models in self.models.values_mut() {
            models.retain(|_, entry| !entry.is_of(person, runtime));
        }
        self.models.retain(|_, models| !models.is_empty());
    }
}

/// The model of this name as this key's calls find it: published to its person, and what keeps it from them.
pub async fn model(service: &Service, name: &str, key: &Proven) -> Result<Option<Arc<Callable>>> {
    let stream = service.changes.stream();
    if let Some(model) = service.known.model(stream, key.key_id, name) {
        return Ok(Some(model));
    }
    let reading = service.known.begin(stream);
    let mut connection = service.pool.acquire().await?;
    let found = data::model::find_published(&mut connection, name, key.key_id, key.runtime_id).await?.map(Arc::new);
    // What is refused is read anew each time: whoever puts it right sees so at once.
    if let Some(model) = found.as_ref().filter(|model| model.kept_out.is_none() && model.price.is_some()) {
        service.known.keep_model(reading, key, model);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    fn key(person_id: PersonId, runtime_id: Option<RuntimeId>) -> Found {
        Found {
            key_id: new_id(),
            secret_id: new_id(),
            public_id: String::new(),
            person_id,
            runtime_id,
            last_used_at: None,
            ends_at: None,
            expires_at: None,
            revoked: false,
            person_active: true,
            runtime_running: true,
        }
    }

    #[test]
    fn what_was_read_before_a_change_is_not_believed_after_it() {
        let (known, secret, person_id) = (Known::default(), [1; 32], new_id());
        let before = known.begin(Some(1));
        known.forget(Change::Keys { person_id: new_id() });
        known.keep_key(before, secret, key(person_id, None));
        assert!(known.key(Some(1), &secret).is_none(), "the key may have been revoked since it was read");

        known.keep_key(known.begin(Some(1)), secret, key(person_id, None));
        assert!(known.key(Some(1), &secret).is_some());
        known.forget(Change::Usage { person_id });
        assert!(known.key(Some(1), &secret).is_some(), "what was used makes no key untrue");
        known.forget(Change::Keys { person_id });
        assert!(known.key(Some(1), &secret).is_none());
    }

    #[test]
    fn nothing_is_believed_while_changes_are_not_heard() {
        let (known, secret, runtime_id) = (Known::default(), [1; 32], new_id());
        known.keep_key(known.begin(None), secret, key(new_id(), None));
        assert!(known.key(None, &secret).is_none());
        known.keep_key(known.begin(Some(1)), secret, key(new_id(), Some(runtime_id)));
        for stream in [None, Some(2)] {
            assert!(known.key(stream, &secret).is_none(), "a change may have gone unheard between two connections");
        }
        known.forget(Change::Runtime { runtime_id: new_id(), person_id: new_id() });
        assert!(known.key(Some(1), &secret).is_some());
        known.forget(Change::Runtime { runtime_id, person_id: new_id() });
        assert!(known.key(Some(1), &secret).is_none());
    }
}
