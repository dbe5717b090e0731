//! People, sessions and invitations.

use crate::ids::{InvitationId, PersonId, RuntimeId, SessionId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a person may do on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Works with runtimes and keys of their own.
    Person,
    /// Also invites, sets limits, adds providers, sees usage and the audit log.
    Administrator,
}

/// Whether a person may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum PersonStatus {
    /// May sign in.
    Active,
    /// Closed: no pages, no runtime, no keys.
    Disabled,
}

/// The person behind a request, as the session check found them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who.
    pub person_id: PersonId,
    /// Through which session.
    pub session_id: SessionId,
    /// The address they sign in with.
    pub email: String,
    /// The name shown.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// IANA name of their time zone, `UTC` until they choose.
    pub time_zone: String,
}

impl Caller {
    /// Whether they may administer.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Administrator
    }
}

/// A session that was just opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The whole value of the `Set-Cookie` header.
    pub set_cookie: String,
    /// Who is signed in now.
    pub caller: Caller,
}

/// A person, as an administrator sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonView {
    /// Who.
    pub person_id: PersonId,
    /// The address they sign in with.
    pub email: String,
    /// The name shown.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub status: PersonStatus,
    /// Since when they are here.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// When they were last seen.
    #[serde(with = "crate::moment::option")]
    pub last_seen_at: Option<OffsetDateTime>,
    /// How many sessions are open.
    pub sessions: i64,
}

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// Waits for the person.
    Pending,
    /// Was accepted.
    Consumed,
    /// Was taken back.
    Revoked,
    /// Is too old.
    Expired,
}

/// An invitation, as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationView {
    /// Which.
    pub invitation_id: InvitationId,
    /// For whom.
    pub email: String,
    /// What they will be.
    pub role: Role,
    /// Where it stands.
    pub status: InvitationStatus,
    /// Who invited.
    pub invited_by: String,
    /// When it was made.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// When it ends.
    #[serde(with = "crate::moment")]
    pub expires_at: OffsetDateTime,
}

/// An invitation that was just made, with its link. The link is shown once: only a hash of its token is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvitation {
    /// The invitation.
    pub invitation: InvitationView,
    /// The one-use link.
    pub link: String,
}

/// What the holder of an invitation or set-up link sees before accepting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The address that was invited; none for the set-up link, which lets the first administrator choose.
    pub email: Option<String>,
    /// What they will be.
    pub role: Role,
    /// Who invited, where somebody did.
    pub invited_by: Option<String>,
    /// When the link ends.
    #[serde(with = "crate::moment")]
    pub expires_at: OffsetDateTime,
}

/// A signed-in browser, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Which.
    pub session_id: SessionId,
    /// The browser, as it named itself.
    pub agent: String,
    /// When it signed in.
    #[serde(with = "crate::moment")]
    pub created_at: OffsetDateTime,
    /// When it was last seen.
    #[serde(with = "crate::moment")]
    pub last_seen_at: OffsetDateTime,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A ticket's way into a runtime's own host: where the browser is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// The one-use address on the runtime's host.
    pub location: String,
}
