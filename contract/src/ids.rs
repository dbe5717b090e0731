//! Identifiers: one newtype a noun, so that a runtime's id cannot be passed where a person's is wanted.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A person of the team, administrators among them.
    PersonId;
    /// Persons who share models and limits.
    GroupId;
    /// A signed-in browser.
    SessionId;
    /// An invitation by e-mail address. Not its token: the token is never stored.
    InvitationId;
    /// One person's OpenClaw: its container, network, volume and host name.
    RuntimeId;
    /// One person's leave to use another's runtime.
    ShareId;
    /// What a runtime may be and use, as an administrator defined it.
    ProfileId;
    /// A wish that is being followed until it ends.
    TaskId;
    /// A source of models: a company's API, or a server of one's own.
    ProviderId;
    /// An entry of the catalog.
    ModelId;
    /// A key for the model API.
    KeyId;
    /// A limit on money or tokens within a window.
    BudgetId;
    /// A person's wish for more of a limit.
    RequestId;
    /// One metered model call.
    UsageRecordId;
    /// One line of the audit log.
    AuditEntryId;
}
