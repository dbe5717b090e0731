//! What was used, and what may be.

use crate::{
    ids::{BudgetId, PersonId},
    money::Micros,
};
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

/// Whose usage is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The caller's own.
    Mine,
    /// One person's; for administrators.
    Person(PersonId),
    /// Everyone's; for administrators.
    Everyone,
}

/// Counts and cost, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Calls that reached a model.
    pub calls: i64,
    /// Calls refused by a limit.
    pub refused: i64,
    /// Tokens sent, cached ones included.
    pub input_tokens: i64,
    /// Tokens answered.
    pub output_tokens: i64,
    /// What they cost.
    pub cost: Micros,
}

/// One model on one day, in the caller's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// The day.
    #[serde(with = "crate::moment::day")]
    pub day: Date,
    /// The model's name.
    pub model: String,
    /// What was used.
    pub totals: Totals,
}

/// One line of a break-down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    /// What the line is about, by its name.
    pub name: String,
    /// Who, where the break-down is by person.
    pub person_id: Option<PersonId>,
    /// What was used.
    pub totals: Totals,
}

/// Usage over some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// The first day.
    #[serde(with = "crate::moment::day")]
    pub from: Date,
    /// The last day: today.
    #[serde(with = "crate::moment::day")]
    pub to: Date,
    /// All of it.
    pub totals: Totals,
    /// By day and model; days without usage are left out.
    pub by_day: Vec<UsageDay>,
    /// By model, the most expensive first.
    pub by_model: Vec<UsageLine>,
    /// By person, the most expensive first; empty unless everyone was asked for.
    pub by_person: Vec<UsageLine>,
    /// By group, as its persons are in it now; empty unless everyone was asked for.
    pub by_group: Vec<UsageLine>,
    /// By runtime, the most expensive first.
    pub by_runtime: Vec<UsageLine>,
    /// By one's own key, the most expensive first; empty where everyone was asked for.
    pub by_key: Vec<UsageLine>,
}

/// The time within which a limit counts, in the person's time zone: a changed one counts from the end of the present window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From midnight.
    Day,
    /// From the first of the month.
    Month,
    /// From the beginning, for good.
    Total,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Micro-units of a US dollar.
    Money,
    /// Tokens, sent and answered together.
    Tokens,
}

/// A limit and how much of it is gone. `settled + reserved ≤ amount` holds always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// Which.
    pub budget_id: BudgetId,
    /// Whether it was set for this person; otherwise it is everyone's default.
    pub personal: bool,
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much there is, in `unit`s.
    pub amount: i64,
    /// Used and counted.
    pub settled: i64,
    /// Held by calls in progress.
    pub reserved: i64,
    /// When the window ends; none for `Total`.
    #[serde(with = "crate::moment::option")]
    pub resets_at: Option<OffsetDateTime>,
}

/// A limit to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetChange {
    /// For whom; none sets everyone's default.
    pub person_id: Option<PersonId>,
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much, in `unit`s; none removes the limit.
    pub amount: Option<i64>,
}
