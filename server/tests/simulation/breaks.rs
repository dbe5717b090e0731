//! Ways to break the orchestrator on purpose. For each the simulation must see that something is wrong: an invariant that cannot fail proves nothing.

use crate::invariants::Invariant;
use contract::{DesiredState, Phase, SleepDepth};
use server::{
    manager::{ContainerState, SeenContainer},
    orchestrator::{
        decide::{self, Action, Facts},
        rest::Rest,
    },
};

/// One thing that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Nothing is.
    None,
    /// The workspace is wiped whether that was asked or not.
    AlwaysWipes,
    /// The workspace is kept whether that was asked or not.
    NeverWipes,
    /// A stopped runtime's network stays.
    NeverReleases,
    /// An ended container is taken for a running one.
    RestsOnTheDead,
    /// A failure is never noted.
    NeverFails,
    /// A container is made without waiting for its turn.
    SkipsTheQueue,
    /// Stop is heard only once the start is done.
    StopWaits,
    /// The container's name changes with every try.
    NamesByChance,
    /// A wish is written whatever came in between.
    WishesOverwrite,
    /// Older tasks go on beside the new one.
    NothingSuperseded,
    /// A task that ended goes on.
    TasksEndAgain,
    /// Memory that is held is not counted.
    MemoryNotCounted,
    /// A person's runtimes are not counted.
    QuotaNotCounted,
    /// Quotas are asked when a runtime is made, and never again.
    QuotaAskedOnce,
    /// A running runtime gets more memory whether the machine has it or not.
    GrowsWithoutRoom,
    /// A change of profile is taken and changes nothing.
    ForgetsTheProfile,
    /// Limits that a hand changed stay.
    NeverAdjusts,
    /// Walls that a hand weakened stay.
    KeepsWeakWalls,
    /// A runtime that is well is ended for our sake.
    RestartsTheWell,
    /// Nobody asks OpenClaw before it is frozen.
    SleepsUnasked,
    /// What is due wakes nobody.
    SleepsThrough,
    /// A visitor wakes nobody.
    NeverWakes,
    /// Whoever is there is not noticed.
    OverlooksVisitors,
    /// What sleeps keeps its container, however deep it is to sleep.
    SleepsShallow,
    /// What stands still is taken for what runs.
    LeavesFrozen,
    /// What has no row is overlooked.
    NeverTidies,
    /// A second workspace is made beside the first.
    CopiesWorkspaces,
    /// A workspace is gone once its container is made.
    LosesWorkspaces,
    /// Memory stays held when nothing is left of a container.
    KeepsItsMemory,
    /// Profiles that are not offered may be chosen.
    OffersTheWithdrawn,
    /// What a hand did is said for good.
    SaysItForever,
    /// A configuration that a hand edited stays.
    KeepsEdits,
    /// A task never ends.
    TasksNeverEnd,
    /// What its machine ended is taken for what failed.
    CountsRestarts,
    /// What its machine ended waits its turn beside what is left of it.
    QueuesOverTheDead,
    /// A key is rotated at the door, and the runtime is never told.
    ForgetsTheKey,
    /// Whoever was disabled may still let something run.
    HearsTheDisabled,
}

impl Break {
    pub const ALL: [Self; 37] = [
        Self::AlwaysWipes,
        Self::NeverWipes,
        Self::NeverReleases,
        Self::RestsOnTheDead,
        Self::NeverFails,
        Self::SkipsTheQueue,
        Self::StopWaits,
        Self::NamesByChance,
        Self::WishesOverwrite,
        Self::NothingSuperseded,
        Self::TasksEndAgain,
        Self::MemoryNotCounted,
        Self::QuotaNotCounted,
        Self::QuotaAskedOnce,
        Self::GrowsWithoutRoom,
        Self::ForgetsTheProfile,
        Self::NeverAdjusts,
        Self::KeepsWeakWalls,
        Self::RestartsTheWell,
        Self::SleepsUnasked,
        Self::SleepsThrough,
        Self::NeverWakes,
        Self::OverlooksVisitors,
        Self::SleepsShallow,
        Self::LeavesFrozen,
        Self::NeverTidies,
        Self::CopiesWorkspaces,
        Self::LosesWorkspaces,
        Self::KeepsItsMemory,
        Self::OffersTheWithdrawn,
        Self::SaysItForever,
        Self::KeepsEdits,
        Self::TasksNeverEnd,
        Self::CountsRestarts,
        Self::QueuesOverTheDead,
        Self::ForgetsTheKey,
        Self::HearsTheDisabled,
    ];

    /// The invariant that must notice it, and others that may before: what is broken shows in many ways.
    pub fn noticed_by(self) -> (Invariant, &'static [Invariant]) {
        use Invariant::*;
        match self {
            Self::None => (EndsAsDesired, &[]),
            Self::AlwaysWipes => (NoWorkspaceWipedUnasked, &[]),
            Self::NeverWipes => (WipedIsGone, &[]),
            Self::NeverReleases => (NothingLeft, &[]),
            Self::RestsOnTheDead => (EndsAsDesired, &[SchedulesRun, HandsArePutRight]),
            Self::NeverFails => (EndsAsDesired, &[HandsArePutRight, RepairsAreOver]),
            // Nothing is held for what it starts.
            Self::SkipsTheQueue => (MemoryFits, &[EndsAsDesired]),
            Self::StopWaits => (NothingLeft, &[]),
            Self::NamesByChance => (OneContainer, &[]),
            Self::WishesOverwrite => (NoWishLost, &[TasksEnd, OneTask, NoWorkspaceWipedUnasked]),
            Self::NothingSuperseded => (OneTask, &[]),
            Self::TasksEndAgain => (TasksEndOnce, &[]),
            Self::MemoryNotCounted => (MemoryFits, &[]),
            Self::QuotaNotCounted | Self::QuotaAskedOnce => (QuotaHolds, &[]),
            Self::GrowsWithoutRoom => (MemoryFits, &[]),
            Self::ForgetsTheProfile => (NoWishLost, &[]),
            Self::NeverAdjusts => (HandsArePutRight, &[TasksEnd]),
            Self::KeepsWeakWalls | Self::KeepsEdits => (HandsArePutRight, &[RepairsAreOver, KeysAsGiven]),
            Self::RestartsTheWell => (TheWellRunOn, &[EndsAsDesired]),
            // What stands still and was not asked is taken for a hand's work.
            Self::SleepsUnasked => (NothingAsleepAtWork, &[NothingAsleepBeforeVisitors, EndsAsDesired, RepairsAreOver]),
            Self::SleepsThrough => (NoScheduleMissed, &[]),
            Self::NeverWakes => (VisitorsWake, &[]),
            Self::OverlooksVisitors => (NothingAsleepBeforeVisitors, &[VisitorsWake]),
            Self::SleepsShallow => (SleepsAsAgreed, &[NoScheduleMissed]),
            Self::LeavesFrozen => (SchedulesRun, &[EndsAsDesired, RepairsAreOver]),
            Self::NeverTidies => (NothingWithoutARow, &[]),
            Self::CopiesWorkspaces => (NoWorkspaceWithoutARow, &[]),
            Self::LosesWorkspaces => (WorkspacesStay, &[]),
            Self::KeepsItsMemory => (NoMemoryForNothing, &[]),
            Self::OffersTheWithdrawn => (OfferedProfilesOnly, &[]),
            Self::SaysItForever => (RepairsAreOver, &[]),
            Self::TasksNeverEnd => (TasksEnd, &[]),
            Self::CountsRestarts => (RestartsAreNoFailures, &[]),
            Self::QueuesOverTheDead => (QueuedHaveAPlace, &[EndsAsDesired, SchedulesRun, RestartsAreNoFailures]),
            Self::ForgetsTheKey => (KeysAsGiven, &[]),
            Self::HearsTheDisabled => (NothingRunsForTheDisabled, &[]),
        }
    }

    /// The schedule to begin with. Some breaks are mostly noticed by others first: these begin shortly before where their own invariant was seen to notice
    /// them, so that a run does not play thousands of schedules that say nothing new.
    pub fn first_tried(self) -> u64 {
        match self {
            Self::GrowsWithoutRoom => 1500,
            Self::NeverAdjusts => 500,
            Self::KeepsWeakWalls => 3500,
            Self::KeepsEdits => 6100,
            Self::LeavesFrozen => 5300,
            _ => 1,
        }
    }

    /// How a server that is broken in this way decides.
    pub fn decide(self) -> fn(&Facts<'_>) -> Action {
        match self {
            Self::AlwaysWipes => |facts| match decide::next(facts) {
                Action::Finish { .. } => Action::Finish { wipe: true },
                right => right,
            },
            Self::NeverWipes => |facts| match decide::next(facts) {
                Action::Finish { .. } => Action::Finish { wipe: false },
                right => right,
            },
            Self::NeverReleases => |facts| match decide::next(facts) {
                Action::Release if facts.desired == DesiredState::Stopped => Action::Rest(Phase::Stopped),
                right => right,
            },
            Self::RestsOnTheDead => |facts| match facts.container.map(|container| &container.state) {
                Some(ContainerState::Ended { .. }) if facts.desired == DesiredState::Running => Action::Rest(Phase::Ready),
                _ => decide::next(facts),
            },
            Self::NeverFails => |facts| match decide::next(facts) {
                Action::Fail(_) => Action::Wait(time::Duration::seconds(1)),
                right => right,
            },
            Self::SkipsTheQueue => |facts| match decide::next(facts) {
                Action::Queue => decide::next(&Facts { admitted: true, ..facts.clone() }),
                right => right,
            },
            Self::StopWaits => |facts| match facts.desired {
                DesiredState::Stopped if facts.container.is_none() && facts.configured => Action::Wait(time::Duration::seconds(1)),
                _ => decide::next(facts),
            },
            Self::NeverAdjusts => |facts| decide::next(&Facts { adjusted: true, ..facts.clone() }),
            Self::KeepsWeakWalls => |facts| {
                let blind = facts.container.cloned().map(|container| SeenContainer { breaches: Vec::new(), ..container });
                decide::next(&Facts { container: blind.as_ref(), ..facts.clone() })
            },
            Self::RestartsTheWell => |facts| match decide::next(facts) {
                Action::Rest(Phase::Ready) => Action::Stop,
                right => right,
            },
            Self::SleepsUnasked => |facts| match decide::next(facts) {
                Action::Doze(_) => Action::Freeze,
                right => right,
            },
            Self::SleepsThrough => |facts| decide::next(&Facts { rest: Rest { wakes_at: None, ..facts.rest }, ..facts.clone() }),
            Self::SleepsShallow => |facts| match (facts.phase, facts.desired) {
                (Phase::Asleep, DesiredState::Running) if facts.container.is_some() && facts.rest.depth == Some(SleepDepth::Stopped) => {
                    Action::Rest(Phase::Asleep)
                }
                _ => decide::next(facts),
            },
            Self::LeavesFrozen => |facts| match (facts.phase, decide::next(facts)) {
                (Phase::Ready, Action::Thaw) => Action::Rest(Phase::Ready),
                (_, right) => right,
            },
            Self::KeepsEdits => |facts| match decide::next(facts) {
                Action::Configure => decide::next(&Facts { current: true, ..facts.clone() }),
                right => right,
            },
            Self::CountsRestarts => |facts| decide::next(&Facts { restarted: None, ..facts.clone() }),
            Self::QueuesOverTheDead => |facts| match (facts.phase, decide::next(facts)) {
                (Phase::Pending | Phase::Queued, Action::Remove) if facts.desired == DesiredState::Running => Action::Queue,
                (_, right) => right,
            },
            _ => decide::next,
        }
    }
}
