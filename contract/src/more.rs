//! Requests for more of a limit.

use crate::{
    ids::{BudgetId, PersonId, RequestId},
    usage::{Subject, Unit, Window},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A wish for more of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Which limit.
    pub budget_id: BudgetId,
    /// How much it should be, in its unit.
    pub amount: i64,
    /// Why.
    pub reason: String,
}

/// An administrator's answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum MoreAnswer {
    /// Granted until the present window ends.
    Once,
    /// Granted from now on.
    ForGood,
    /// Not granted.
    Declined,
}

/// A request as the pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestView {
    /// Which.
    pub request_id: RequestId,
    /// Who asked.
    pub person_id: PersonId,
    /// Their name.
    pub person: String,
    /// What the limit is for.
    pub subject: Subject,
    /// That one's name; empty for everyone.
    pub name: String,
    /// The limit's window.
    pub window: Window,
    /// Its unit.
    pub unit: Unit,
    /// How much it is now, without what was granted once.
    pub present: i64,
    /// How much it should be.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// When it was asked.
    #[serde(with = "crate::moment")]
    pub asked_at: OffsetDateTime,
    /// The answer; none while it waits for one.
    pub answer: Option<MoreAnswer>,
    /// What was said with it.
    pub word: String,
    /// Who answered.
    pub answered_by: Option<String>,
    /// When.
    #[serde(with = "crate::moment::option")]
    pub answered_at: Option<OffsetDateTime>,
}
