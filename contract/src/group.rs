//! Groups: persons who share models and limits.

use crate::{GroupId, PersonId};
use serde::{Deserialize, Serialize};

/// A person of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// Who.
    pub person_id: PersonId,
    /// Their name.
    pub name: String,
    /// Their address.
    pub email: String,
}

/// A group, as an administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Which.
    pub group_id: GroupId,
    /// Its name.
    pub name: String,
    /// Who is in it, by name.
    pub members: Vec<GroupMember>,
    /// How many models are published to it.
    pub models: i64,
}
