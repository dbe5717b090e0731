//! What must hold, each by its name. Those of the first half hold at every moment; those of the second once it is quiet.

use std::fmt;

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// No workspace is removed that was not asked for.
    NoWorkspaceWipedUnasked,
    /// Never two containers for one runtime.
    OneContainer,
    /// No more memory runs than the machine has for runtimes.
    MemoryFits,
    /// No person uses more than the quota.
    QuotaHolds,
    /// Nobody is given a profile that is not offered.
    OfferedProfilesOnly,
    /// Nothing is to run for a person who is disabled.
    NothingRunsForTheDisabled,
    /// One task of a runtime is under way, at most.
    OneTask,
    /// A task that ended stays as it ended.
    TasksEndOnce,
    /// What is well is not ended without a wish.
    TheWellRunOn,
    /// Nothing is put to sleep while it works.
    NothingAsleepAtWork,
    /// Nothing is put to sleep before somebody who is there.
    NothingAsleepBeforeVisitors,
    /// No schedule is slept through.
    NoScheduleMissed,
    /// Whoever stands before one that sleeps wakes it.
    VisitorsWake,
    /// No wish is lost.
    NoWishLost,
    /// A restart of the machine is nobody's failure.
    RestartsAreNoFailures,
    /// Every runtime ends as desired once faults stop.
    EndsAsDesired,
    /// What runs has the key that it was given last.
    KeysAsGiven,
    /// What is scheduled in one that is to run, runs.
    SchedulesRun,
    /// Whoever waits for memory has a place, and nothing else.
    QueuedHaveAPlace,
    /// What sleeps does so as deep as it was agreed.
    SleepsAsAgreed,
    /// What a hand changed is put right.
    HandsArePutRight,
    /// What is put right is said no longer.
    RepairsAreOver,
    /// Of what does not run only the workspace is left.
    NothingLeft,
    /// No memory is held for what does not run.
    NoMemoryForNothing,
    /// A workspace that was to be wiped is gone.
    WipedIsGone,
    /// What runs has its workspace.
    WorkspacesStay,
    /// No container, network or configuration without a row.
    NothingWithoutARow,
    /// No workspace that no row ever had.
    NoWorkspaceWithoutARow,
    /// Every task ends.
    TasksEnd,
}

impl Invariant {
    pub const ALL: [Self; 29] = [
        Self::NoWorkspaceWipedUnasked,
        Self::OneContainer,
        Self::MemoryFits,
        Self::QuotaHolds,
        Self::OfferedProfilesOnly,
        Self::NothingRunsForTheDisabled,
        Self::OneTask,
        Self::TasksEndOnce,
        Self::TheWellRunOn,
        Self::NothingAsleepAtWork,
        Self::NothingAsleepBeforeVisitors,
        Self::NoScheduleMissed,
        Self::VisitorsWake,
        Self::NoWishLost,
        Self::RestartsAreNoFailures,
        Self::EndsAsDesired,
        Self::KeysAsGiven,
        Self::SchedulesRun,
        Self::QueuedHaveAPlace,
        Self::SleepsAsAgreed,
        Self::HandsArePutRight,
        Self::RepairsAreOver,
        Self::NothingLeft,
        Self::NoMemoryForNothing,
        Self::WipedIsGone,
        Self::WorkspacesStay,
        Self::NothingWithoutARow,
        Self::NoWorkspaceWithoutARow,
        Self::TasksEnd,
    ];

    /// It does not hold, as this tells.
    pub fn broken(self, told: impl Into<String>) -> Wrong {
        Wrong { invariant: self, told: told.into() }
    }

    /// Whether one that does not hold may yet come right by waiting.
    pub fn may_come_right(self) -> bool {
        self >= Self::EndsAsDesired
    }
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    pub invariant: Invariant,
    pub told: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.told)
    }
}
