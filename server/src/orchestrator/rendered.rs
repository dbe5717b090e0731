//! What the configuration of a runtime is to say. It is made anew only where something that it follows from changed, or another text stands there: to make ten
//! thousand of them would be most of what a pass costs.

use super::Orchestrator;
use crate::{Result, data::runtime::Row, platform::master_key::MasterKey, runtime::openclaw, runtime::token};
use contract::{ModelView, RuntimeId};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// The models that people may use, the default one first.
pub(super) struct Offer {
    models: Vec<ModelView>,
    print: u64,
}

/// The texts that were found to be right, by a fingerprint of each with all that it follows from.
#[derive(Default)]
pub(super) struct Rendered {
    /// Another one in every process: nobody outside can make a text that has the print of another.
    random: RandomState,
    right: Mutex<HashMap<RuntimeId, u64>>,
}

/// All that a configuration follows from, beside the settings, which stay as they are while the server runs.
#[derive(Hash)]
struct Source<'a> {
    runtime_id: RuntimeId,
    revision: i64,
    key_number: i64,
    master_key_id: &'a str,
    person_email: &'a str,
    host_label: &'a str,
    port: Option<i32>,
    gateway: IpAddr,
    /// The models that its profile allows; none allows all that are offered.
    models: Option<&'a [Uuid]>,
    /// The print of what is offered.
    offer: u64,
}

impl Rendered {
    fn right(&self) -> MutexGuard<'_, HashMap<RuntimeId, u64>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, models: Vec<ModelView>) -> Offer {
        let print = self.random.hash_one(format!("{models:?}"));
        Offer { models, print }
    }

    /// Forgets those that are gone.
    pub(super) fn keep(&self, present: &HashSet<RuntimeId>) {
        self.right().retain(|runtime_id, _| present.contains(runtime_id));
    }
}

impl Orchestrator {
    /// The models that people may use now.
    pub(super) async fn offer(&self) -> Result<Offer> {
        Ok(self.rendered.offer(self.store.offered().await?))
    }

    /// What the runtime's configuration should say with those of the models on offer that its profile allows: borrowed where that is what stands there.
    ///
    /// # Errors
    /// When the master key that its model key comes from is not here.
    pub(super) fn configuration<'a>(&self, row: &Row, gateway: IpAddr, offer: &Offer, stands: Option<&'a str>) -> Result<Cow<'a, str>> {
        let root = self.root_of(row)?;
        let source = Source {
            runtime_id: row.runtime_id,
            revision: row.revision,
            key_number: row.key_number,
            master_key_id: root.id(),
            person_email: &row.person_email,
            host_label: &row.host_label,
            port: row.port,
            gateway,
            models: row.models.as_deref(),
            offer: offer.print,
        };
        let Some(stands) = stands else { return Ok(Cow::Owned(self.render(&root, &source, offer))) };
        let print = self.rendered.random.hash_one((&source, stands));
        if self.rendered.right().get(&row.runtime_id) == Some(&print) {
            return Ok(Cow::Borrowed(stands));
        }
        let text = self.render(&root, &source, offer);
        if text != stands {
            return Ok(Cow::Owned(text));
        }
        self.rendered.right().insert(row.runtime_id, print);
        Ok(Cow::Borrowed(stands))
    }

    fn render(&self, root: &MasterKey, source: &Source<'_>, offer: &Offer) -> String {
        let allowed: Vec<ModelView>;
        let models = match source.models {
            Some(ids) => {
                allowed = offer.models.iter().filter(|model| ids.contains(&model.model_id.0)).cloned().collect();
                &allowed
            }
            None => &offer.models,
        };
        let key = token::derive(root.runtimes(), source.runtime_id, source.revision, source.key_number);
        openclaw::render(&openclaw::Setting {
            person: source.person_email,
            origin: &self.origin(source.host_label, source.port),
            gateway: source.gateway,
            internal_port: self.config.entry.internal_port,
            models,
            key: &key.whole,
        })
    }

    /// The key of the runtime's present container, after it was rotated `number` times. An error when the master key that it comes from is not here.
    pub(super) fn key_of(&self, row: &Row, number: i64) -> Result<token::RuntimeKey> {
        Ok(token::derive(self.root_of(row)?.runtimes(), row.runtime_id, row.revision, number))
    }

    /// The master key that the runtime's keys are derived from.
    fn root_of(&self, row: &Row) -> Result<Arc<MasterKey>> {
        match &row.master_key_id {
            Some(id) => self.keys.find(id),
            None => self.keys.present(),
        }
    }
}
