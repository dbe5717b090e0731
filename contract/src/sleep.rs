//! Sleep: what becomes of a runtime that nobody uses, and what wakes it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// How deep a runtime sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum SleepDepth {
    /// Its processes stand still, its memory is kept: it wakes in under a second.
    Frozen,
    /// No container, no memory: it wakes in a start.
    Stopped,
}

/// A runtime that sleeps, or is just waking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SleepView {
    /// How deep.
    pub depth: SleepDepth,
    /// When it wakes by itself, in the time zone of whoever asked; none when nothing is scheduled.
    #[serde(with = "crate::moment::option")]
    pub wakes_at: Option<OffsetDateTime>,
    /// For which of its schedules.
    pub wakes_for: Option<String>,
    /// When that schedule is due, a little later, in the time zone of whoever asked.
    #[serde(with = "crate::moment::option")]
    pub due_at: Option<OffsetDateTime>,
}

/// When a runtime goes to sleep, and what its owner may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SleepRule {
    /// What its owner chose, in minutes without use; 0 is never, none is what is usual.
    pub chosen_minutes: Option<i32>,
    /// What its profile says, or else the platform, in minutes; 0 is never.
    pub usual_minutes: i32,
    /// The longest that may be chosen, in minutes; 0 where never may be chosen as well.
    pub most_minutes: i32,
    /// After so many minutes of sleep it also gives its memory back; 0 is never.
    pub stop_after_minutes: i32,
}

impl SleepRule {
    /// The rule of a profile with these times over the platform's own. What a profile says of the first time is also the longest that may be chosen.
    #[must_use]
    pub fn of_profile(house: Self, after_minutes: Option<i32>, stop_after_minutes: Option<i32>) -> Self {
        Self {
            usual_minutes: after_minutes.unwrap_or(house.usual_minutes),
            most_minutes: after_minutes.unwrap_or(house.most_minutes),
            stop_after_minutes: stop_after_minutes.unwrap_or(house.stop_after_minutes),
            ..house
        }
    }

    /// The times that a page offers, in minutes.
    const OFFERED: [i32; 6] = [5, 15, 30, 60, 240, 1440];

    /// The minutes that hold for the runtime; 0 is never. What was chosen under another rule is held within this one.
    #[must_use]
    pub fn minutes(&self) -> i32 {
        match self.chosen_minutes {
            Some(chosen) if self.allows(chosen) => chosen,
            Some(_) => self.most_minutes,
            None => self.usual_minutes,
        }
    }

    /// Whether its owner may choose so many minutes.
    #[must_use]
    pub const fn allows(&self, minutes: i32) -> bool {
        match (self.most_minutes, minutes) {
            (0, 0) => true,
            (0, minutes) => minutes > 0,
            (most, minutes) => minutes > 0 && minutes <= most,
        }
    }

    /// What a page offers: the usual times that are allowed, and never where that is.
    #[must_use]
    pub fn choices(&self) -> Vec<i32> {
        let mut choices: Vec<i32> = Self::OFFERED.into_iter().chain(self.chosen_minutes).filter(|minutes| *minutes > 0).collect();
        choices.retain(|minutes| self.allows(*minutes));
        choices.sort_unstable();
        choices.dedup();
        if self.allows(0) {
            choices.push(0);
        }
        choices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_stays_within_what_the_platform_allows() {
        let rule = SleepRule { chosen_minutes: Some(0), usual_minutes: 30, most_minutes: 60, stop_after_minutes: 480 };
        assert!(!rule.allows(0) && !rule.allows(61) && rule.allows(60) && !rule.allows(-5));
        assert_eq!(rule.minutes(), 60, "never was chosen when it could be");
        assert_eq!(rule.choices(), [5, 15, 30, 60]);
        let free = SleepRule { chosen_minutes: Some(45), most_minutes: 0, ..rule };
        assert_eq!((free.minutes(), free.choices()), (45, vec![5, 15, 30, 45, 60, 240, 1440, 0]));
        assert_eq!(SleepRule { chosen_minutes: None, ..rule }.minutes(), 30);
    }

    #[test]
    fn a_profile_says_more_than_the_house() {
        let house = SleepRule { chosen_minutes: Some(120), usual_minutes: 30, most_minutes: 60, stop_after_minutes: 480 };
        assert_eq!(SleepRule::of_profile(house, None, None), house);
        let longer = SleepRule::of_profile(house, Some(240), Some(0));
        assert_eq!((longer.minutes(), longer.usual_minutes, longer.stop_after_minutes), (120, 240, 0));
        assert!(longer.allows(240) && !longer.allows(241) && !longer.allows(0));
        assert_eq!(SleepRule::of_profile(house, Some(15), None).minutes(), 15, "a choice from before is held within it");
        let never = SleepRule::of_profile(SleepRule { chosen_minutes: None, ..house }, Some(0), None);
        assert_eq!((never.minutes(), never.allows(0), never.allows(5)), (0, true, true));
    }
}
