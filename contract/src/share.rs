//! Runtimes that one person lets another use.

use crate::{
    ids::{RuntimeId, ShareId},
    runtime::Phase,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a person may do in somebody else's runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Sees conversations as they happen, and changes nothing.
    Watch,
    /// All that its owner may do inside: write, run tools, read its files, change its settings. Not start, stop or delete it.
    Full,
}

impl Access {
    /// The words on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Watch => "Watch",
            Self::Full => "Use fully",
        }
    }
}

/// For how many hours a runtime may be shared at once: thirty days.
pub const LONGEST_SHARE_HOURS: u16 = 30 * 24;

/// Somebody who may use a runtime, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareView {
    /// Which.
    pub share_id: ShareId,
    /// Their name.
    pub person: String,
    /// Their address.
    pub email: String,
    /// What they may do.
    pub access: Access,
    /// Until when.
    #[serde(with = "crate::moment")]
    pub ends_at: OffsetDateTime,
}

/// Somebody else's runtime, as the person sees it whom it is shared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedView {
    /// Which share.
    pub share_id: ShareId,
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// `http://name.clawloops.localhost:3000`.
    pub origin: String,
    /// Where it stands.
    pub phase: Phase,
    /// What the person may do.
    pub access: Access,
    /// Until when.
    #[serde(with = "crate::moment")]
    pub ends_at: OffsetDateTime,
}
