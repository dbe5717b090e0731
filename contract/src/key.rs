//! Keys for the model API.

use crate::{
    ids::{KeyId, ModelId, RuntimeId},
    usage::{Limit, SetBy},
};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

/// A key of the model API, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Which.
    pub key_id: KeyId,
    /// The name its owner gave it.
    pub name: String,
    /// The runtime it belongs to; none for a person's own key.
    pub runtime_id: Option<RuntimeId>,
    /// The recognisable part of its newest secret, `cl_live_7d20…`.
    pub hint: String,
    /// The names of the models it may call; none where it may call all that are offered. A runtime's key is held by its profile instead.
    pub models: Option<Vec<String>>,
    /// When it was made.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// When its newest secret was last used, to the minute.
    #[serde(with = "crate::moment::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(with = "crate::moment::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    #[serde(with = "crate::moment::option")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Whether it ended with its time.
    pub expired: bool,
    /// The secrets that were replaced and still work, the one that ends last first.
    pub former: Vec<FormerSecret>,
    /// Its own limits, which hold beside all others.
    pub limits: Vec<KeyLimit>,
}

/// A limit on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimit {
    /// How much of what.
    pub limit: Limit,
    /// Whose it is.
    pub set_by: SetBy,
}

impl KeyView {
    /// Whether it opens anything: neither revoked nor over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.revoked_at.is_none() && !self.expired
    }
}

/// A secret that was replaced by a rotation and still works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// Its recognisable part.
    pub hint: String,
    /// When it was last used, to the minute: who still has it is to get the new one.
    #[serde(with = "crate::moment::option")]
    pub last_used_at: Option<OffsetDateTime>,
    /// When it stops working.
    #[serde(with = "crate::moment")]
    pub ends_at: OffsetDateTime,
}

/// A secret that was just made. It is shown once: only its hash is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// The key.
    pub key: KeyView,
    /// The whole key, to copy now.
    pub secret: String,
}

/// When a key that is made ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnd {
    /// Not by itself.
    Never,
    /// After so many days.
    After(u16),
    /// With this day, in its owner's time zone.
    With(Date),
}

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWish {
    /// Its name.
    pub name: String,
    /// The models it may call; none allows all that are offered.
    pub models: Option<Vec<ModelId>>,
    /// When it ends.
    pub ends: KeyEnd,
    /// Limits of its own.
    pub limits: Vec<Limit>,
}
