//! The master keys of a running server: the newest, and older ones that something may still be under.
//!
//! The database is under one of them, its **present** key, which everything is sealed with. A newer one becomes that when every server that runs has it
//! as its newest: so nothing is ever sealed that one of them could not open. A server with older keys alone does not start, or says what it misses.

use super::{
    audit::{self, Actor},
    master_key::{self, MasterKey},
};
use crate::{
    Error, Result,
    config::{Config, Data},
    data::{
        self,
        listen::{self, Change},
        master_key::{CHECK, PRESENT},
        setting,
    },
    error::chain,
};
use contract::{Code, Problem};
use std::sync::{Arc, PoisonError, RwLock};
use uuid::Uuid;

/// Master keys that opened something once, by their ids.
pub struct Keyring {
    server_id: Uuid,
    /// Where they are read again; none where they never change.
    source: Option<Data>,
    held: RwLock<Held>,
}

/// What a server has in its hands.
#[derive(Clone, Default)]
struct Held {
    /// Those on the disk, the newest first.
    keys: Vec<Arc<MasterKey>>,
    /// Those that went from the disk, while something is under them.
    gone: Vec<Arc<MasterKey>>,
    /// The id of the one that the database is under; none before the database was asked.
    present: Option<String>,
}

impl Held {
    fn all(&self) -> impl Iterator<Item = &Arc<MasterKey>> {
        self.keys.iter().chain(&self.gone)
    }

    fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.id().to_owned()).collect()
    }
}

impl Keyring {
    /// The keys that the settings lead to. The first one is made where there is none.
    ///
    /// # Errors
    /// As of [`master_key::read_or_make`].
    pub fn load(config: &Config) -> Result<Self> {
        Ok(Self::with(master_key::read_or_make(config)?, Some(config.data.clone())))
    }

    /// These keys and no others, the newest first: for tests.
    #[must_use]
    pub fn of(keys: &[[u8; 32]]) -> Arc<Self> {
        Arc::new(Self::with(keys.iter().map(|bits| MasterKey::new(*bits)).collect(), None))
    }

    fn with(keys: Vec<MasterKey>, source: Option<Data>) -> Self {
        let keys = keys.into_iter().map(Arc::new).collect();
        Self { server_id: Uuid::now_v7(), source, held: RwLock::new(Held { keys, ..Held::default() }) }
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The key that seals: the one that the database is under.
    ///
    /// # Errors
    /// When it is not on this server's disk. Nothing is sealed with it then.
    pub fn present(&self) -> Result<Arc<MasterKey>> {
        let held = self.held();
        let found = match &held.present {
            Some(id) => held.keys.iter().find(|key| key.id() == id),
            None => held.keys.first(),
        };
        found.cloned().ok_or_else(|| missing(held.present.as_deref().unwrap_or("of this installation")))
    }

    /// The key of this id.
    ///
    /// # Errors
    /// When this server does not have it.
    pub fn find(&self, id: &str) -> Result<Arc<MasterKey>> {
        self.held().all().find(|key| key.id() == id).cloned().ok_or_else(|| missing(id))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<MasterKey>> {
        self.held().all().cloned().collect()
    }

    /// A server begins on this database: finds the key that it is under, which is noted on first use, and says which keys it has.
    ///
    /// # Errors
    /// `Conflict` when the database is under a key that is not here.
    pub async fn join(&self, pool: &data::Pool) -> Result<()> {
        let held = self.held();
        let newest = held.keys.first().ok_or_else(|| missing("of this installation"))?;
        let mut tx = data::begin(pool).await?;
        let check = setting::put_if_missing(&mut tx, CHECK, &newest.check()).await?;
        let other = || -> Error {
            Problem::new(Code::Conflict, "The master key is not the one that this database was written under.")
                .remedy(
                    "Put the right master.key back into the data directory, or set CLAWLOOPS_MASTER_KEY. \
                     After a rotation the one before it is needed as well: in master.key.old, or in CLAWLOOPS_MASTER_KEY_OLD.",
                )
                .into()
        };
        let present = held.keys.iter().find(|key| key.check() == check).ok_or_else(other)?;
        setting::put_if_missing(&mut tx, PRESENT, present.id()).await?;
        // Held until this server is known: whoever makes another key the present one sees it, or is seen here.
        let id = setting::hold(&mut tx, PRESENT).await?.unwrap_or_default();
        if held.keys.iter().all(|key| key.id() != id) {
            return Err(other());
        }
        data::master_key::note_runtimes(&mut tx, &id).await?;
        data::master_key::beat(&mut tx, self.server_id, &held.ids()).await?;
        tx.commit().await?;
        self.hold(|held| held.present = Some(id));
        Ok(())
    }

    /// A server ends: nobody waits for it to have a newer key.
    ///
    /// # Errors
    /// When the database fails. After half a minute nobody waits for it anyway.
    pub async fn leave(&self, pool: &data::Pool) -> Result<()> {
        data::master_key::leave(&mut *pool.acquire().await?, self.server_id).await
    }

    /// Reads the keys again, says which ones are here, and takes up what the database is under; makes the newest the present one when every server has
    /// it. Whether a key came, or another one is the present one.
    ///
    /// # Errors
    /// When the database fails: then nothing was changed.
    pub async fn look(&self, pool: &data::Pool) -> Result<bool> {
        let came = self.read_again();
        let held = self.held();
        let mut connection = pool.acquire().await?;
        data::master_key::beat(&mut connection, self.server_id, &held.ids()).await?;
        let noted = setting::get(&mut connection, PRESENT).await?;
        if !held.gone.is_empty() {
            let uses = data::master_key::uses(&mut connection).await?;
            let is_used = |id: &str| noted.as_deref() == Some(id) || uses.iter().any(|what| what.id == id);
            self.hold(|held| held.gone.retain(|key| is_used(key.id())));
        }
        drop(connection);
        let Some(noted) = noted else { return Ok(came) };
        let mut changed = self.take_up(&noted);
        // Never away from a key that is not here: then this server is the one that is behind.
        if let Some(newest) = held.keys.first().filter(|newest| newest.id() != noted)
            && held.keys.iter().any(|key| key.id() == noted)
        {
            changed |= self.make_present(pool, newest).await?;
        }
        Ok(came || changed)
    }

    /// Whether a key is here that was not.
    fn read_again(&self) -> bool {
        let Some(source) = &self.source else { return false };
        let keys = match master_key::read(source) {
            Ok(keys) if !keys.is_empty() => keys,
            // What was read before stays: an operator may be in the middle of something.
            Ok(_) => return false,
            Err(error) => {
                tracing::error!(error = %chain(&error), "the master keys cannot be read again");
                return false;
            }
        };
        let before = self.held();
        let came = keys.iter().any(|key| before.all().all(|known| known.id() != key.id()));
        let went = before.keys.iter().filter(|known| keys.iter().all(|key| key.id() != known.id()));
        let went: Vec<_> = went.cloned().collect();
        for key in &went {
            tracing::warn!(key = key.id(), "a master key went from the disk; what is under it is opened while this server runs");
        }
        self.hold(|held| {
            held.gone.retain(|known| keys.iter().all(|key| key.id() != known.id()));
            held.gone.extend(went);
            held.keys = keys.into_iter().map(Arc::new).collect();
        });
        came
    }

    /// Whether this is another key than before.
    fn take_up(&self, noted: &str) -> bool {
        let before = self.held();
        if before.present.as_deref() == Some(noted) {
            return false;
        }
        if before.all().all(|key| key.id() != noted) {
            tracing::error!(
                key = noted,
                "the database is under a master key that this server does not have; it is looked for again and again"
            );
        }
        self.hold(|held| held.present = Some(noted.to_owned()));
        true
    }

    /// Makes the newest key the one that the database is under, if every server that runs has it as its newest. Whether it was made so.
    async fn make_present(&self, pool: &data::Pool, newest: &MasterKey) -> Result<bool> {
        let mut tx = data::begin(pool).await?;
        let Some(before) = setting::lock(&mut tx, PRESENT).await? else { return Ok(false) };
        if before == newest.id() || self.held().keys.iter().all(|key| key.id() != before) {
            return Ok(false);
        }
        if data::master_key::servers(&mut tx, newest.id()).await?.other > 0 {
            return Ok(false);
        }
        data::master_key::note_runtimes(&mut tx, &before).await?;
        setting::change(&mut tx, PRESENT, newest.id()).await?;
        setting::change(&mut tx, CHECK, &newest.check()).await?;
        audit::record(&mut tx, Actor::ClawLoops, "master_key.rotated", None, newest.id(), &format!("the one before it is {before}"))
            .await?;
        listen::notify(&mut tx, Change::Catalog).await?;
        tx.commit().await?;
        tracing::info!(key = newest.id(), before, "the master key was rotated; what is under the one before it is sealed anew");
        self.hold(|held| held.present = Some(newest.id().to_owned()));
        Ok(true)
    }
}

/// What is said of a key that this server does not have.
fn missing(id: &str) -> Error {
    Problem::new(Code::Unavailable, format!("This server does not have the master key {id}."))
        .remedy("Put it back: as a line of master.key.old in the data directory, or into CLAWLOOPS_MASTER_KEY_OLD.")
        .into()
}
