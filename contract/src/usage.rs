//! What was used, and what may be.

use crate::{
    ids::{BudgetId, GroupId, KeyId, ModelId, PersonId, RuntimeId},
    model::CountedIn,
    money::Micros,
};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Add, str::FromStr};
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

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            refused: self.refused + other.refused,
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cost: self.cost + other.cost,
        }
    }
}

/// What usage is broken down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breakdown {
    /// Models.
    #[default]
    Model,
    /// Persons; only of everyone's usage.
    Person,
    /// Groups, as their persons are in them now; only of everyone's usage.
    Group,
    /// Runtimes: what keys of people's own called is not among it.
    Runtime,
    /// Keys of one's own: what runtimes called is not among it. Not of everyone's usage.
    Key,
}

impl Breakdown {
    /// What everyone's usage is broken down by.
    pub const OF_EVERYONE: [Self; 4] = [Self::Model, Self::Person, Self::Group, Self::Runtime];
    /// What a person's usage is broken down by.
    pub const OF_ONE: [Self; 3] = [Self::Model, Self::Runtime, Self::Key];

    /// As an address says it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Person => "person",
            Self::Group => "group",
            Self::Runtime => "runtime",
            Self::Key => "key",
        }
    }
}

impl Whose {
    /// What such usage is broken down by.
    #[must_use]
    pub const fn breakdowns(self) -> &'static [Breakdown] {
        match self {
            Self::Everyone => &Breakdown::OF_EVERYONE,
            Self::Mine | Self::Person(_) => &Breakdown::OF_ONE,
        }
    }
}

/// One line of a break-down on one day, in the caller's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageDay {
    /// The day.
    #[serde(with = "crate::moment::day")]
    pub day: Date,
    /// The place among the lines of [`UsageReport::by`]; none is all together that come after [`UsageReport::LEADERS`].
    pub line: Option<u8>,
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
    /// How many of what, where all of it is counted in the same and that is not tokens.
    pub pieces: Option<(CountedIn, i64)>,
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
    /// What the days are broken down by.
    pub by: Breakdown,
    /// By day and line of that; days without usage are left out.
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

impl UsageReport {
    /// How many lines are told apart day by day, the most expensive ones.
    pub const LEADERS: usize = 5;

    /// The lines of a break-down.
    #[must_use]
    pub fn lines(&self, by: Breakdown) -> &[UsageLine] {
        match by {
            Breakdown::Model => &self.by_model,
            Breakdown::Person => &self.by_person,
            Breakdown::Group => &self.by_group,
            Breakdown::Runtime => &self.by_runtime,
            Breakdown::Key => &self.by_key,
        }
    }

    /// The same, to be filled.
    pub fn lines_mut(&mut self, by: Breakdown) -> &mut Vec<UsageLine> {
        match by {
            Breakdown::Model => &mut self.by_model,
            Breakdown::Person => &mut self.by_person,
            Breakdown::Group => &mut self.by_group,
            Breakdown::Runtime => &mut self.by_runtime,
            Breakdown::Key => &mut self.by_key,
        }
    }
}

/// The time within which a limit counts, in the time zone of the person whose it is (UTC where several share it): a changed one counts from the end of
/// the present window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first of the month.
    Month,
    /// From the beginning, for good. The only one of [`Unit::Concurrency`], which counts what is now.
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
    /// Calls that were let through.
    Requests,
    /// Calls at once.
    Concurrency,
}

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Each person for themselves, unless a limit of the same window and unit is set for them.
    Everyone,
    /// A person: all their runtimes and keys together.
    Person(PersonId),
    /// All members of a group together.
    Group(GroupId),
    /// A runtime.
    Runtime(RuntimeId),
    /// A person's own key.
    Key(KeyId),
    /// All calls of a model together, whoever makes them.
    Model(ModelId),
}

impl fmt::Display for Subject {
    /// As a form sends it: `everyone`, `person:<id>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Person(id) => write!(f, "person:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Runtime(id) => write!(f, "runtime:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Model(id) => write!(f, "model:{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once(':').unwrap_or((text, ""));
        Ok(match kind {
            "everyone" => Self::Everyone,
            "person" => Self::Person(id.parse()?),
            "group" => Self::Group(id.parse()?),
            "runtime" => Self::Runtime(id.parse()?),
            "key" => Self::Key(id.parse()?),
            "model" => Self::Model(id.parse()?),
            // No kind of ours, and no id: the error of an empty one.
            _ => Self::Person("".parse()?),
        })
    }
}

/// Whose a limit is. A key may have one of each for the same window and unit; both hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum SetBy {
    /// An administrator's.
    #[default]
    Administrator,
    /// Of the owner of the key that it is for, who may change and remove it.
    Owner,
}

/// What a limit may be for, with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectView {
    /// Which.
    pub subject: Subject,
    /// Its name, with its owner's where it has one; empty for everyone.
    pub name: String,
}

/// A limit and how much of it is gone. `settled + reserved ≤ amount` holds always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetView {
    /// Which.
    pub budget_id: BudgetId,
    /// What it is for.
    pub subject: Subject,
    /// That one's name; empty for everyone.
    pub name: String,
    /// Whose it is.
    pub set_by: SetBy,
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much there is, in `unit`s, with what was granted once.
    pub amount: i64,
    /// How much of that was granted for the present window only.
    pub extra: i64,
    /// Used and counted. In the list of all limits, everyone's tells of the person who used most.
    pub settled: i64,
    /// Held by calls in progress.
    pub reserved: i64,
    /// When the window ends; none for `Total`.
    #[serde(with = "crate::moment::option")]
    pub resets_at: Option<OffsetDateTime>,
}

impl BudgetView {
    /// How much of it is gone, in percent, at most 100.
    #[must_use]
    pub fn percent(&self) -> i64 {
        if self.amount <= 0 { 100 } else { ((self.settled + self.reserved).saturating_mul(100) / self.amount).clamp(0, 100) }
    }
}

/// A limit to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetChange {
    /// For what.
    pub subject: Subject,
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much, in `unit`s; none removes the limit.
    pub amount: Option<i64>,
}

/// How much of what, in which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The window.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much, in `unit`s.
    pub amount: i64,
}
