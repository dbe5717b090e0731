//! What the orchestrator remembers: wishes, what was seen, who leads. PostgreSQL holds it; the simulation holds it in memory, so that millions of
//! schedules can be played with every answer late, lost or refused.
//!
//! Each method is one transaction. Whatever it writes of what was seen, it writes only while the wish (the generation) is the one it was seen under.

pub mod postgres;

use super::decide::drift::Drift;
use crate::{
    Result,
    data::container::Memory,
    data::runtime::{Noted, Row},
    data::sleep::Nap,
    data::transition_history::{Lesson, Transition},
    manager::epoch::Restarted,
    orchestrator::ports::Ports,
    platform::audit::Actor,
};
use async_trait::async_trait;
use contract::{
    Caller, DesiredState, ModelView, Phase, Problem, ProfileId, ProfileView, Resources, Retention, RuntimeId, StartStep, TaskId, TaskKind,
};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// A runtime to be made.
pub struct Creation<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// The task it becomes.
    pub task_id: TaskId,
    /// Its name, trimmed and checked.
    pub name: &'a str,
    /// The workspace's name, where none was kept of an earlier runtime of this name.
    pub volume: &'a str,
    /// Its profile; none takes the first that is offered.
    pub profile_id: Option<ProfileId>,
    /// Where it gets a port of its own from, where runtimes have ports.
    pub ports: Option<&'a Ports>,
    /// What the settings say of all runtimes.
    pub house: House<'a>,
}

/// What the settings say of all runtimes.
#[derive(Clone, Copy)]
pub struct House<'a> {
    /// The image of a profile that names none.
    pub image: &'a str,
    /// What a person may use, where nothing was set for the person.
    pub quota: Resources,
}

/// What a runtime takes of a profile with a wish. Whatever it takes is asked of its person's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Nothing: it keeps what it has.
    Nothing,
    /// All that the profile gives now. Where another profile is named, it must be one that is offered.
    All(ProfileId),
    /// What can be changed while it runs, and the rest with its next start. Memory grows where this machine has room for it and nobody waits.
    Live(ProfileId, Option<Room>),
}

/// A wish for a runtime that is there.
pub struct Wish<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The runtime as it was when this was decided.
    pub row: &'a Row,
    /// The task it becomes.
    pub task_id: TaskId,
    /// What was pressed.
    pub kind: TaskKind,
    /// What is asked for.
    pub desired_state: DesiredState,
    /// What becomes of the workspace, with `Deleted`.
    pub retention: Option<Retention>,
    /// Whether a new container is wanted.
    pub renew: bool,
    /// What the page shows until the reconciler looks.
    pub phase: Phase,
    /// Until when running turns may finish before the present container ends; the past where nothing is waited for.
    pub drain_until: OffsetDateTime,
    /// What it takes of which profile.
    pub take: Take,
    /// What the settings say of all runtimes.
    pub house: House<'a>,
}

/// Whether a wish was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands.
    Done,
    /// Another wish came in between: look again.
    Moved,
}

/// What this machine has for runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Memory for all containers together, in bytes.
    pub memory_bytes: i64,
    /// How many may boot at once.
    pub starts: i64,
    /// How many of those share a core, at least one: each boots so much more slowly.
    pub starts_a_core: i32,
}

/// What the queue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its turn; its memory is held for it until its container is gone.
    Admitted,
    /// Not yet.
    Queued {
        /// How many are before it.
        ahead: i64,
    },
    /// Never: it wants more than there is.
    TooLarge,
    /// Another wish came in between.
    Moved,
}

/// A key of a runtime, as far as it is stored.
pub struct RuntimeKey<'a> {
    /// Its public part.
    pub public_id: &'a str,
    /// SHA-256 of its secret part.
    pub secret_hash: [u8; 32],
}

/// The proof that this server is the one that reconciles.
#[async_trait]
pub trait Lead: Send {
    /// Whether it still is. Whoever asks bounds how long it waits.
    async fn holds(&mut self) -> bool;
    /// Gives the lead up.
    async fn yield_up(self: Box<Self>) -> Result<()>;
}

/// The memory of the orchestrator.
#[async_trait]
pub trait Store: Send + Sync {
    /// Takes the lead, if no other server has it.
    async fn take_lead(&self) -> Result<Option<Box<dyn Lead>>>;
    /// One runtime that is not gone.
    async fn get(&self, runtime_id: RuntimeId) -> Result<Option<Row>>;
    /// The runtime behind a host name.
    async fn by_host_label(&self, host_label: &str) -> Result<Option<Row>>;
    /// The runtime at a port.
    async fn by_port(&self, port: u16) -> Result<Option<Row>>;
    /// All runtimes that are not gone, in no order.
    async fn all(&self) -> Result<Vec<Row>>;
    /// Those of these runtimes that are not gone, in no order.
    async fn some(&self, runtime_ids: &[RuntimeId]) -> Result<Vec<Row>>;
    /// The models that people may use, the default one first.
    async fn offered(&self) -> Result<Vec<ModelView>>;
    /// All profiles.
    async fn profiles(&self) -> Result<Vec<ProfileView>>;
    /// What such transitions of an image taught.
    async fn lesson(&self, transition: Transition, image: &str) -> Result<Lesson>;
    /// Writes a new runtime, wished to run, with its task. A workspace that an earlier runtime of the same name left behind is found again.
    ///
    /// # Errors
    /// A problem for people when the name or the quota says no, or the caller was disabled.
    async fn create(&self, creation: &Creation<'_>, now: OffsetDateTime) -> Result<()>;
    /// Writes a wish with its task, if no other came in between. What was under way is superseded.
    ///
    /// # Errors
    /// A problem for people when the caller was disabled and wants something to run, when a quota says no, or a profile is not offered.
    async fn wish(&self, wish: &Wish<'_>, now: OffsetDateTime) -> Result<Written>;
    /// Gives the runtime its turn: first come, first served, and never more memory than there is.
    async fn admit(&self, row: &Row, room: Room, now: OffsetDateTime) -> Result<Admission>;
    /// Writes what was seen. A task of this wish goes on or ends with it; where nothing is left of the container, its memory is given back. What ended
    /// with it teaches how long such a transition takes.
    async fn note(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()>;
    /// Writes what a look found beside the wish. What was changed by hand has its line in the audit log when it is first found.
    async fn compare(&self, row: &Row, drift: &Drift, now: OffsetDateTime) -> Result<()>;
    /// Remembers this of its container, whatever is wished of it by now.
    async fn remember(&self, row: &Row, memory: Memory<'_>) -> Result<()>;
    /// As [`Store::note`], of one that was ended by a restart of what it runs on, with its line in the audit log. `Moved` where nothing was written, since another
    /// wish came in between.
    async fn interrupt(&self, row: &Row, noted: &Noted<'_>, restarted: Restarted, now: OffsetDateTime) -> Result<Written>;
    /// As [`Store::note`], at the beginning of a step of a start.
    async fn begin_step(&self, row: &Row, step: StartStep, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()>;
    /// As [`Store::note`], at the end of a start.
    async fn end_start(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()>;
    /// Somebody is at these runtimes: those that sleep are woken.
    async fn visit(&self, runtime_ids: &[RuntimeId], now: OffsetDateTime) -> Result<()>;
    /// Falls asleep, or deeper, if nobody was there and nothing was wished since the row was read. Whether it did.
    async fn fall_asleep(&self, row: &Row, nap: &Nap, now: OffsetDateTime) -> Result<bool>;
    /// It was seen to stand still: the agreement was used, and whoever thaws it now is not us.
    async fn froze(&self, row: &Row) -> Result<()>;
    /// It is to sleep without a container, and is woken at `wakes_at` for what it has to do.
    async fn sink(&self, row: &Row, wakes_at: Option<OffsetDateTime>) -> Result<()>;
    /// It is not asked before this whether it may sleep.
    async fn stay_awake(&self, row: &Row, until: OffsetDateTime) -> Result<()>;
    /// Its owner chooses when it goes to sleep, in minutes without use; none is what is usual.
    async fn choose_sleep(&self, caller: &Caller, row: &Row, minutes: Option<i32>) -> Result<()>;
    /// What finishes its work is waited for no longer.
    async fn hurry(&self, caller: &Caller, row: &Row, now: OffsetDateTime) -> Result<()>;
    /// The runtime is gone, if that is still wished.
    async fn finish(&self, row: &Row, now: OffsetDateTime) -> Result<()>;
    /// Makes this the key of the runtime, if the row is still what it was: the keys of earlier containers end. Given again it stays what it is.
    async fn give_key(&self, row: &Row, key: &RuntimeKey<'_>, now: OffsetDateTime) -> Result<Written>;
    /// Makes this the key of the runtime that runs with it, where it was removed or revoked, with a line in the audit log. Whether it was.
    async fn keep_key(&self, row: &Row, key: &RuntimeKey<'_>, now: OffsetDateTime) -> Result<bool>;
    /// Those of these runtimes whose key is the one beside them: [`Store::keep_key`] would find nothing to do.
    async fn with_keys(&self, keys: &[(RuntimeId, RuntimeKey<'_>)]) -> Result<BTreeSet<RuntimeId>>;
    /// Makes this the key of the runtime's present container, derived from this master key, if the row is still what it was and it is to run. Those before
    /// it end at `ends_at`. Of one that is not to run the platform itself notes the master key alone: its next start makes a key.
    async fn rotate_key(
        &self,
        by: Actor<'_>,
        row: &Row,
        key: &RuntimeKey<'_>,
        master_key_id: &str,
        ends_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Written>;
    /// Some of the runtimes whose keys are derived from another master key than this one.
    async fn under_another_master_key(&self, master_key_id: &str) -> Result<Vec<Row>>;
    /// Says this of every runtime that is on its way; `None` takes it back.
    async fn say_of_moving(&self, problem: Option<&Problem>) -> Result<()>;
    /// The workspace that was measured longest ago, where that was before this moment and it may have changed since.
    async fn stalest_workspace(&self, before: OffsetDateTime) -> Result<Option<String>>;
    /// Notes what a workspace holds, in bytes; none where it cannot be measured.
    async fn measured(&self, workspace: &str, bytes: Option<i64>, now: OffsetDateTime) -> Result<()>;
    /// The workspaces that were asked to be wiped with their runtimes, and whose runtimes are gone.
    async fn wiped_workspaces(&self, present: &BTreeSet<String>) -> Result<BTreeSet<String>>;
}
