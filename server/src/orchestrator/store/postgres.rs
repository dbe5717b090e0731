//! The orchestrator's memory in PostgreSQL.

use super::{Admission, Creation, Lead, Room, RuntimeKey, Store, Take, Wish, Written};
use crate::{
    Error, Result, data,
    data::{
        Connection, Pool,
        container::Memory,
        given::Given,
        model_key::{NewSecret, OfRuntime},
        queue::Turn,
        runtime::{Noted, Row},
        sleep::Nap,
        task::NewTask,
        transition_history::{Lesson, Transition},
    },
    manager::epoch::Restarted,
    model::catalog,
    orchestrator::{decide::drift::Drift, ports::Ports, profile},
    platform::{
        audit::{self, Actor},
        profiles, quotas,
    },
};
use async_trait::async_trait;
use contract::{
    Caller, Code, DesiredState, ModelView, PersonStatus, Phase, Problem, ProfileId, ProfileView, Retention, RuntimeId, StartStep, TaskKind,
    TaskStatus,
};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// How long ended tasks are kept: who wants to know more reads the audit log.
const TASKS_KEPT: time::Duration = time::Duration::days(90);

/// How many host names are tried for one name.
const LABELS: u32 = 1000;

/// The store of a server.
pub struct Postgres(Pool);

impl Postgres {
    /// Over this pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self(pool)
    }
}

#[async_trait]
impl Store for Postgres {
    async fn take_lead(&self) -> Result<Option<Box<dyn Lead>>> {
        Ok(data::lead::take(&self.0).await?.map(|lead| Box::new(lead) as Box<dyn Lead>))
    }

    async fn get(&self, runtime_id: RuntimeId) -> Result<Option<Row>> {
        data::runtime::get(&mut *self.0.acquire().await?, runtime_id).await
    }

    async fn by_host_label(&self, host_label: &str) -> Result<Option<Row>> {
        data::runtime::by_host_label(&mut *self.0.acquire().await?, host_label).await
    }

    async fn by_port(&self, port: u16) -> Result<Option<Row>> {
        data::runtime::by_port(&mut *self.0.acquire().await?, port).await
    }

    async fn all(&self) -> Result<Vec<Row>> {
        data::runtime::in_no_order(&mut *self.0.acquire().await?).await
    }

    async fn some(&self, runtime_ids: &[RuntimeId]) -> Result<Vec<Row>> {
        data::runtime::some(&mut *self.0.acquire().await?, runtime_ids).await
    }

    async fn offered(&self) -> Result<Vec<ModelView>> {
        catalog::offered_for_chat(&mut *self.0.acquire().await?).await
    }

    async fn profiles(&self) -> Result<Vec<ProfileView>> {
        data::profile::all(&mut *self.0.acquire().await?).await
    }

    async fn lesson(&self, transition: Transition, image: &str) -> Result<Lesson> {
        data::transition_history::lesson(&mut *self.0.acquire().await?, transition, image).await
    }

    async fn create(&self, creation: &Creation<'_>, now: OffsetDateTime) -> Result<()> {
        let (person_id, house) = (creation.caller.person_id, creation.house);
        let mut transaction = data::begin(&self.0).await?;
        // Holds the person: what is made or started at the same time is judged one after the other.
        still_active(&mut transaction, creation.caller).await?;
        let chosen = profiles::choose(data::profile::all(&mut transaction).await?, creation.profile_id)?;
        let given = profiles::gives(&chosen, house.image);
        let kept = data::runtime::kept_volume(&mut transaction, person_id, creation.name).await?;
        let others = data::quota::used(&mut transaction, person_id, None, kept.as_deref()).await?;
        let measured = match &kept {
            Some(volume) => data::quota::measured(&mut transaction, volume).await?,
            None => None,
        };
        let quota = data::quota::own(&mut transaction, person_id).await?.over(house.quota);
        let mut taking = profile::taking(None, &given, true, others, measured);
        if kept.is_some() {
            // It takes its disk already, and only who has a runtime of its name can look into it or wipe it.
            let fits = measured.is_none_or(|held| held <= given.workspace_bytes);
            (taking.had.workspace_bytes, taking.starts) = (taking.wants.workspace_bytes, !fits);
        }
        quotas::judge(&quota, &taking)?;
        let host_label = free_label(&mut transaction, creation.name).await?;
        let volume = kept.as_deref().unwrap_or(creation.volume);
        let new = data::runtime::NewRuntime {
            runtime_id: creation.runtime_id,
            person_id,
            name: creation.name,
            host_label: &host_label,
            profile_id: chosen.profile_id,
            given: &given,
            volume,
        };
        data::runtime::insert(&mut transaction, &new, now).await.map_err(taken)?;
        if let Some(ports) = creation.ports {
            give_port(&mut transaction, creation.runtime_id, ports).await?;
        }
        data::quota::keep_workspace(&mut transaction, person_id, volume).await?;
        let task =
            NewTask { task_id: creation.task_id, runtime_id: creation.runtime_id, person_id: Some(person_id), kind: TaskKind::Create };
        data::task::accept(&mut transaction, &task, now).await?;
        data::task::forget(&mut transaction, now - TASKS_KEPT).await?;
        audit::record(&mut transaction, Actor::Person(creation.caller), "runtime.created", Some(person_id), creation.name, &chosen.name)
            .await?;
        Ok(transaction.commit().await?)
    }

    async fn wish(&self, wish: &Wish<'_>, now: OffsetDateTime) -> Result<Written> {
        let (row, caller) = (wish.row, wish.caller);
        let mut transaction = data::begin(&self.0).await?;
        if wish.desired_state == DesiredState::Running {
            owner_and_caller_active(&mut transaction, row, caller).await?;
        }
        let taken = take(&mut transaction, wish).await?;
        let asked = data::runtime::Wish {
            desired_state: wish.desired_state,
            retention: wish.retention,
            renew: wish.renew,
            phase: wish.phase,
            drain_until: wish.drain_until,
        };
        if !data::runtime::wish(&mut transaction, row.runtime_id, row.generation, &asked, now).await? {
            return Ok(Written::Moved);
        }
        if let Some((profile, given)) = &taken {
            data::given::give(&mut transaction, row.runtime_id, profile.profile_id, given).await?;
        }
        let task = NewTask { task_id: wish.task_id, runtime_id: row.runtime_id, person_id: Some(caller.person_id), kind: wish.kind };
        data::task::accept(&mut transaction, &task, now).await?;
        data::task::forget(&mut transaction, now - TASKS_KEPT).await?;
        let detail = match &taken {
            Some((profile, _)) if profile.profile_id != row.profile_id => format!("{} → {}", row.profile, profile.name),
            _ if row.person_id != caller.person_id => format!("of {}", row.person_email),
            _ => String::new(),
        };
        audit::record(&mut transaction, Actor::Person(caller), deed(wish), Some(row.person_id), &row.name, &detail).await?;
        transaction.commit().await?;
        Ok(Written::Done)
    }

    async fn admit(&self, row: &Row, room: Room, now: OffsetDateTime) -> Result<Admission> {
        if row.memory_bytes > room.memory_bytes {
            return Ok(Admission::TooLarge);
        }
        let mut transaction = data::begin(&self.0).await?;
        let turn = data::queue::admit(&mut transaction, row.runtime_id, row.generation, room.memory_bytes, room.starts, now).await?;
        transaction.commit().await?;
        Ok(match turn {
            Turn::Given => Admission::Admitted,
            Turn::Waits(ahead) => Admission::Queued { ahead },
            Turn::Moved => Admission::Moved,
        })
    }

    async fn note(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        note(&mut transaction, row, noted, now).await?;
        Ok(transaction.commit().await?)
    }

    async fn compare(&self, row: &Row, drift: &Drift, _now: OffsetDateTime) -> Result<()> {
        let (changed, restart_brings) = (drift.changed.as_deref(), drift.restart_brings.as_deref());
        let mut transaction = data::begin(&self.0).await?;
        let before = data::runtime::compare(&mut transaction, row.runtime_id, row.generation, changed, restart_brings).await?;
        if let Some(what) = changed
            && before.is_some_and(|before| before.as_deref() != Some(what))
        {
            audit::record(&mut transaction, Actor::ClawLoops, "runtime.repaired", Some(row.person_id), &row.name, what).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn remember(&self, row: &Row, memory: Memory<'_>) -> Result<()> {
        data::container::remember(&mut *self.0.acquire().await?, row, memory).await
    }

    async fn interrupt(&self, row: &Row, noted: &Noted<'_>, restarted: Restarted, now: OffsetDateTime) -> Result<Written> {
        let detail = match restarted {
            Restarted::Machine => "this machine was restarted",
            Restarted::Engine => "the container engine was restarted",
        };
        let mut transaction = data::begin(&self.0).await?;
        if !note(&mut transaction, row, noted, now).await? {
            return Ok(Written::Moved);
        }
        audit::record(&mut transaction, Actor::ClawLoops, "runtime.interrupted", Some(row.person_id), &row.name, detail).await?;
        transaction.commit().await?;
        Ok(Written::Done)
    }

    async fn begin_step(&self, row: &Row, step: StartStep, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        data::runtime::begin_step(&mut transaction, row.runtime_id, row.generation, step, now).await?;
        note(&mut transaction, row, noted, now).await?;
        Ok(transaction.commit().await?)
    }

    async fn end_start(&self, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        let began = data::runtime::end_start(&mut transaction, row.runtime_id, now).await?;
        // Only a start that went well the first time teaches how long one takes.
        if let Some(began) = began.filter(|_| row.attempts == 0) {
            data::transition_history::insert(&mut transaction, Transition::Start, &row.image, began, now).await?;
        }
        note(&mut transaction, row, noted, now).await?;
        Ok(transaction.commit().await?)
    }

    async fn visit(&self, runtime_ids: &[RuntimeId], now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        data::sleep::visit(&mut transaction, runtime_ids, now).await?;
        Ok(transaction.commit().await?)
    }

    async fn fall_asleep(&self, row: &Row, nap: &Nap, now: OffsetDateTime) -> Result<bool> {
        let mut transaction = data::begin(&self.0).await?;
        let asleep = data::sleep::fall_asleep(&mut transaction, row, nap, now).await?;
        transaction.commit().await?;
        Ok(asleep)
    }

    async fn froze(&self, row: &Row) -> Result<()> {
        data::sleep::froze(&mut *self.0.acquire().await?, row).await
    }

    async fn sink(&self, row: &Row, wakes_at: Option<OffsetDateTime>) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        data::sleep::sink(&mut transaction, row, wakes_at).await?;
        Ok(transaction.commit().await?)
    }

    async fn stay_awake(&self, row: &Row, until: OffsetDateTime) -> Result<()> {
        data::sleep::stay_awake(&mut *self.0.acquire().await?, row, until).await
    }

    async fn choose_sleep(&self, caller: &Caller, row: &Row, minutes: Option<i32>) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        data::sleep::choose(&mut transaction, row, minutes).await?;
        let chosen = match minutes {
            None => "as usual".to_owned(),
            Some(0) => "never".to_owned(),
            Some(minutes) => format!("after {minutes} minutes"),
        };
        audit::record(&mut transaction, Actor::Person(caller), "runtime.sleep_chosen", Some(row.person_id), &row.name, &chosen).await?;
        Ok(transaction.commit().await?)
    }

    async fn hurry(&self, caller: &Caller, row: &Row, now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        if data::sleep::hurry(&mut transaction, row, now).await? {
            audit::record(&mut transaction, Actor::Person(caller), "runtime.hurried", Some(row.person_id), &row.name, "").await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn finish(&self, row: &Row, now: OffsetDateTime) -> Result<()> {
        let mut transaction = data::begin(&self.0).await?;
        data::quota::measure_again(&mut transaction, row.runtime_id).await?;
        if data::runtime::finish(&mut transaction, row.runtime_id, row.generation, now).await? {
            learn(&mut transaction, row, Phase::Deleted, now).await?;
        }
        data::quota::forget_workspace(&mut transaction, row.runtime_id).await?;
        data::task::advance(&mut transaction, row.runtime_id, row.generation, TaskStatus::Succeeded, "", now).await?;
        Ok(transaction.commit().await?)
    }

    async fn give_key(&self, row: &Row, key: &RuntimeKey<'_>, now: OffsetDateTime) -> Result<Written> {
        let mut transaction = data::begin(&self.0).await?;
        if !data::runtime::hold_key(&mut transaction, row).await? {
            return Ok(Written::Moved);
        }
        put_key(&mut transaction, row, key, now, now).await?;
        transaction.commit().await?;
        Ok(Written::Done)
    }

    async fn rotate_key(
        &self,
        by: Actor<'_>,
        row: &Row,
        key: &RuntimeKey<'_>,
        master_key_id: &str,
        ends_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<Written> {
        let mut transaction = data::begin(&self.0).await?;
        if let Actor::Person(caller) = by {
            owner_and_caller_active(&mut transaction, row, caller).await?;
        }
        let wish = match data::runtime::count_key(&mut transaction, row, master_key_id).await? {
            Some(DesiredState::Running) => DesiredState::Running,
            Some(wish) if matches!(by, Actor::ClawLoops) => wish,
            _ => return Ok(Written::Moved),
        };
        if wish == DesiredState::Running {
            put_key(&mut transaction, row, key, ends_at, now).await?;
            let detail = match (ends_at - now).whole_minutes() {
                0 => "the old one ended at once".to_owned(),
                minutes => format!("the old one works on for {minutes} min"),
            };
            audit::record(&mut transaction, by, "runtime.key_rotated", Some(row.person_id), &row.name, &detail).await?;
        }
        transaction.commit().await?;
        Ok(Written::Done)
    }

    async fn keep_key(&self, row: &Row, key: &RuntimeKey<'_>, now: OffsetDateTime) -> Result<bool> {
        let mut connection = self.0.acquire().await?;
        if data::model_key::is_runtime_secret(&mut connection, row.runtime_id, secret(key)).await? {
            return Ok(false);
        }
        drop(connection);
        let mut transaction = data::begin(&self.0).await?;
        // Another wish, or a rotation, brings another key, and ends this one.
        if !data::runtime::hold_key(&mut transaction, row).await?
            || !data::container::is_under(&mut transaction, row.runtime_id, row.generation).await?
        {
            return Ok(false);
        }
        data::model_key::forget_runtime_secret(&mut transaction, row.runtime_id, key.public_id).await?;
        put_key(&mut transaction, row, key, now, now).await?;
        let what = "its model key was removed or revoked";
        audit::record(&mut transaction, Actor::ClawLoops, "runtime.repaired", Some(row.person_id), &row.name, what).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn with_keys(&self, keys: &[(RuntimeId, RuntimeKey<'_>)]) -> Result<BTreeSet<RuntimeId>> {
        let secrets: Vec<_> = keys.iter().map(|(runtime_id, key)| (*runtime_id, secret(key))).collect();
        Ok(data::model_key::with_secrets(&mut *self.0.acquire().await?, &secrets).await?.into_iter().collect())
    }

    async fn under_another_master_key(&self, master_key_id: &str) -> Result<Vec<Row>> {
        data::runtime::under_another_master_key(&mut *self.0.acquire().await?, master_key_id).await
    }

    async fn say_of_moving(&self, problem: Option<&Problem>) -> Result<()> {
        data::runtime::say_of_moving(&mut *self.0.acquire().await?, problem).await
    }

    async fn stalest_workspace(&self, before: OffsetDateTime) -> Result<Option<String>> {
        data::quota::stalest(&mut *self.0.acquire().await?, before).await
    }

    async fn measured(&self, workspace: &str, bytes: Option<i64>, now: OffsetDateTime) -> Result<()> {
        data::quota::measure(&mut *self.0.acquire().await?, workspace, bytes, now).await
    }

    async fn wiped_workspaces(&self, present: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let present: Vec<String> = present.iter().cloned().collect();
        Ok(data::runtime::wiped_volumes(&mut *self.0.acquire().await?, &present).await?.into_iter().collect())
    }
}

#[async_trait]
impl Lead for data::lead::Lead {
    async fn holds(&mut self) -> bool {
        Self::holds(self).await
    }

    async fn yield_up(self: Box<Self>) -> Result<()> {
        (*self).yield_up().await
    }
}

/// Whether it was new.
async fn note(connection: &mut Connection, row: &Row, noted: &Noted<'_>, now: OffsetDateTime) -> Result<bool> {
    let written = data::runtime::note(connection, row.runtime_id, row.generation, noted, now).await?;
    if written {
        learn(connection, row, noted.phase, now).await?;
    }
    let message = noted.problem.map_or("", |problem| problem.message.as_str());
    data::task::advance(connection, row.runtime_id, row.generation, noted.task_status(), message, now).await?;
    Ok(written)
}

/// Notes how long what ends with this phase took. To end what was never begun takes no time, and teaches nothing.
async fn learn(connection: &mut Connection, row: &Row, phase: Phase, now: OffsetDateTime) -> Result<()> {
    match Transition::ended_by(row.phase, phase).filter(|_| row.admitted_at.is_some()) {
        Some(transition) => data::transition_history::insert(connection, transition, &row.image, row.phase_since, now).await,
        None => Ok(()),
    }
}

async fn put_key(connection: &mut Connection, row: &Row, key: &RuntimeKey<'_>, ends_at: OffsetDateTime, now: OffsetDateTime) -> Result<()> {
    let runtime = OfRuntime { person_id: row.person_id, runtime_id: row.runtime_id, name: &row.name };
    data::model_key::put_runtime_secret(connection, runtime, secret(key), ends_at, now).await?;
    data::listen::notify(connection, data::listen::Change::Keys { person_id: row.person_id }).await
}

fn secret<'a>(key: &RuntimeKey<'a>) -> NewSecret<'a> {
    NewSecret { public_id: key.public_id, secret_hash: key.secret_hash }
}

/// What a wish takes of its profile, once the quota has let it: judged with the person held, so that nothing is added meanwhile.
async fn take(connection: &mut Connection, wish: &Wish<'_>) -> Result<Option<(ProfileView, Given)>> {
    let (row, house) = (wish.row, wish.house);
    let (profile_id, live) = match wish.take {
        Take::Nothing => return Ok(None),
        Take::All(profile_id) => (profile_id, None),
        Take::Live(profile_id, room) => (profile_id, Some(room)),
    };
    data::person::lock(connection, row.person_id).await?;
    let chosen = chosen(connection, row, profile_id).await?;
    let mut given = profiles::gives(&chosen, house.image);
    let others = data::quota::used(connection, row.person_id, Some(row.runtime_id), Some(&row.volume)).await?;
    let measured = data::quota::measured(connection, &row.volume).await?;
    let quota = data::quota::own(connection, row.person_id).await?.over(house.quota);
    let runs = wish.desired_state == DesiredState::Running;
    let taking = profile::taking(Some(row), &given, runs, others, measured);
    quotas::judge(&quota, &quotas::Taking { starts: wish.renew, ..taking })?;
    if let Some(room) = live {
        let grows = match room.filter(|_| given.memory_bytes > row.memory_bytes) {
            Some(room) => data::given::hold_more(connection, row.runtime_id, given.memory_bytes, room.memory_bytes).await?,
            None => false,
        };
        given = profile::live(row, given, grows);
    }
    Ok(Some((chosen, given)))
}

/// A profile that the runtime has stays its own when it is withdrawn; another one must be offered.
async fn chosen(connection: &mut Connection, row: &Row, profile_id: ProfileId) -> Result<ProfileView> {
    if profile_id == row.profile_id {
        return data::profile::get(connection, profile_id).await?.ok_or(Error::Missing);
    }
    profiles::choose(data::profile::all(connection).await?, Some(profile_id))
}

/// Whoever was disabled since the session check starts nothing: their runtimes were asked to stop in the transaction that this one waits for.
async fn still_active(connection: &mut Connection, caller: &Caller) -> Result<()> {
    match data::person::lock(connection, caller.person_id).await?.status {
        PersonStatus::Active => Ok(()),
        PersonStatus::Disabled => Err(Error::problem(Code::PersonDisabled, "You were disabled by an administrator.")),
    }
}

/// The same for whoever starts another person's runtime, and for that person. Locked in one order, so that no two wait for each other.
async fn owner_and_caller_active(connection: &mut Connection, row: &Row, caller: &Caller) -> Result<()> {
    if row.person_id < caller.person_id {
        owner_active(connection, row).await?;
        still_active(connection, caller).await
    } else {
        still_active(connection, caller).await?;
        owner_active(connection, row).await
    }
}

async fn owner_active(connection: &mut Connection, row: &Row) -> Result<()> {
    match data::person::lock(connection, row.person_id).await?.status {
        PersonStatus::Active => Ok(()),
        PersonStatus::Disabled => {
            Err(Problem::new(Code::PersonDisabled, format!("{} is disabled.", row.owner)).remedy("Enable its owner first.").into())
        }
    }
}

/// The name of a wish in the audit log.
fn deed(wish: &Wish<'_>) -> &'static str {
    match (wish.kind, wish.retention) {
        (TaskKind::Create, _) => "runtime.created",
        (TaskKind::Start, _) => "runtime.started",
        (TaskKind::Stop, _) => "runtime.stopped",
        (TaskKind::Restart, _) => "runtime.restarted",
        (TaskKind::Delete, Some(Retention::WipeWorkspace)) => "runtime.wiped",
        (TaskKind::Delete, Some(Retention::PreserveWorkspace) | None) => "runtime.deleted",
        (TaskKind::ChangeProfile, _) => "runtime.profile_changed",
    }
}

fn taken(error: Error) -> Error {
    error
        .on_constraint("runtime_person_name_key", || {
            Problem::new(Code::Conflict, "You have a runtime of this name already, or one that is still being deleted.")
                .remedy("Choose another name.")
                .field("name")
        })
        .on_constraint("runtime_host_label_key", || {
            Problem::new(Code::Conflict, "Somebody took this name in the same moment.").remedy("Try again.").field("name")
        })
}

/// The first label of a host name, from a name: letters, digits and single hyphens.
fn slug(name: &str) -> String {
    let mut label = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            label.push(character.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { "runtime".to_owned() } else { label.to_owned() }
}

async fn free_label(connection: &mut Connection, name: &str) -> Result<String> {
    let base = slug(name);
    for number in 1..LABELS {
        let label = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        if !data::address::is_label_taken(connection, &label).await? {
            return Ok(label);
        }
    }
    Err(Problem::new(Code::Conflict, "Too many runtimes have this name.").remedy("Choose another name.").field("name").into())
}

async fn give_port(connection: &mut Connection, runtime_id: RuntimeId, ports: &Ports) -> Result<()> {
    if data::address::give_port(connection, runtime_id, ports.range(), &ports.busy()).await?.is_some() {
        return Ok(());
    }
    Err(ports.used_up().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_label_of_a_host_name() {
        assert_eq!(slug("Main"), "main");
        assert_eq!(slug("  Ada's  2nd – Claw!"), "ada-s-2nd-claw");
        assert_eq!(slug("東京"), "runtime");
        assert_eq!(slug("-x-"), "x");
    }
}
