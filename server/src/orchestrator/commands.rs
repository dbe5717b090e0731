//! The wish: one transaction each. The engine is not touched; the reconciler hears of it when the transaction commits.

use super::{
    Orchestrator,
    decide::{StartDisposition, start_disposition},
    profile,
    store::{Creation, House, Take, Wish, Written},
};
use crate::{
    Error, Result, clock, data,
    data::{Connection, runtime::Row},
    manager::names::Names,
    platform::{audit::Actor, profiles},
};
use contract::{Act, Caller, Code, DesiredState, PersonId, Phase, Problem, ProfileId, Retention, RuntimeId, TaskKind};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// The longest name that still makes one label of a host name, with room for what tells it apart.
const NAME_LENGTH: usize = 40;
/// The longest that a key which was rotated works on.
pub(super) const LONGEST_OVERLAP: time::Duration = time::Duration::DAY;
/// How many are asked at once, at most.
const MOST_AT_ONCE: usize = 500;

/// Asks all of a person's runtimes to stop, in the caller's transaction.
pub async fn close_person(connection: &mut Connection, person_id: PersonId, now: OffsetDateTime) -> Result<()> {
    data::runtime::stop_all_of(connection, person_id, now).await.map(drop)
}

/// What the page may know of a runtime that is not there, or not the caller's.
#[must_use]
pub fn not_found() -> Problem {
    Problem::new(Code::RuntimeNotFound, "This runtime does not exist.").remedy("Look at the list of your runtimes.")
}

impl Orchestrator {
    /// Makes a runtime of a profile, the first that is offered where none is named, and wishes it to run. A workspace that an earlier runtime of the same
    /// name left behind is found again.
    pub async fn create(&self, caller: &Caller, name: &str, profile_id: Option<ProfileId>) -> Result<RuntimeId> {
        let name = name.trim();
        check_name(name)?;
        let runtime_id: RuntimeId = clock::new_id();
        let creation = Creation {
            caller,
            runtime_id,
            task_id: clock::new_id(),
            name,
            volume: &Names::new(&self.config.runtimes.instance).workspace(runtime_id),
            profile_id,
            ports: self.ports().map(|ports| &**ports),
            house: self.house(),
        };
        self.store.create(&creation, self.clock.now()).await?;
        Ok(runtime_id)
    }

    /// Wishes it to run. Asked twice is asked once. An administrator may start, stop and restart anyone's.
    pub async fn start(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        self.ask(caller, runtime_id, Asked::Start).await
    }

    /// Wishes it to stop.
    pub async fn stop(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        self.ask(caller, runtime_id, Asked::Stop).await
    }

    /// Wishes a new container, also when the present one runs well.
    pub async fn restart(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        self.ask(caller, runtime_id, Asked::Restart).await
    }

    /// Wishes it gone. Asked again, a workspace that was to be kept may still be wiped, never the other way round.
    pub async fn delete(&self, caller: &Caller, runtime_id: RuntimeId, retention: Retention) -> Result<()> {
        self.ask(caller, runtime_id, Asked::Delete(retention)).await
    }

    /// Asks the same of several runtimes, one after the other, and answers for each: one that is refused keeps none of the others from it.
    ///
    /// # Errors
    /// `AccessDenied` to whoever is no administrator; `Invalid` for none or too many.
    pub async fn ask_many(&self, caller: &Caller, act: Act, runtime_ids: &[RuntimeId]) -> Result<Vec<(RuntimeId, Result<()>)>> {
        if !caller.is_administrator() {
            return Err(Error::problem(Code::AccessDenied, "Only an administrator may act on other people's runtimes."));
        }
        let runtime_ids: BTreeSet<RuntimeId> = runtime_ids.iter().copied().collect();
        if runtime_ids.is_empty() {
            return Err(Problem::new(Code::Invalid, "No runtime is selected.").remedy("Select at least one in the list.").into());
        }
        if runtime_ids.len() > MOST_AT_ONCE {
            return Err(Error::problem(Code::Invalid, format!("More than {MOST_AT_ONCE} runtimes are selected.")));
        }
        let mut answers = Vec::new();
        for runtime_id in runtime_ids {
            let answer = match act {
                Act::Start => self.start(caller, runtime_id).await,
                Act::Stop => self.stop(caller, runtime_id).await,
                Act::Restart => self.restart(caller, runtime_id).await,
            };
            answers.push((runtime_id, answer));
        }
        Ok(answers)
    }

    /// Waits no longer for what it finishes before it ends: for whoever may stop it.
    pub async fn hurry(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<()> {
        let row = self.store.get(runtime_id).await?.ok_or_else(not_found)?;
        may(caller, &row, Asked::Stop)?;
        if row.phase != Phase::Draining {
            return Ok(());
        }
        self.store.hurry(caller, &row, self.clock.now()).await
    }

    /// Chooses after how many minutes without use it goes to sleep: 0 is never, none is what is usual.
    pub async fn choose_sleep(&self, caller: &Caller, runtime_id: RuntimeId, minutes: Option<i32>) -> Result<()> {
        let row = self.store.get(runtime_id).await?.ok_or_else(not_found)?;
        may(caller, &row, Asked::Restart)?;
        let rule = self.sleep_rule(&row);
        if minutes.is_some_and(|minutes| !rule.allows(minutes)) {
            let most = rule.most_minutes;
            let allowed = if most == 0 { "a number of minutes, or never".to_owned() } else { format!("1 to {most} minutes") };
            return Err(Problem::new(Code::Invalid, format!("This runtime goes to sleep after {allowed} without use."))
                .remedy("Choose one of the times that are offered.")
                .field("minutes")
                .into());
        }
        self.store.choose_sleep(caller, &row, minutes).await
    }

    /// Wishes another profile, or what its own profile has become. What can change while it runs does; the rest comes with its next start, which is now
    /// when `restart` says so. What is on its way, or broke, starts anew with it.
    pub async fn change_profile(&self, caller: &Caller, runtime_id: RuntimeId, profile_id: ProfileId, restart: bool) -> Result<()> {
        self.ask(caller, runtime_id, Asked::ChangeProfile(profile_id, restart)).await
    }

    /// Gives it a new key while it runs: for whoever may restart it. The old one works on for `overlap`, so that nothing fails until OpenClaw has read the
    /// new one; without any, a call that it makes in that moment is refused.
    pub async fn rotate_key(&self, caller: &Caller, runtime_id: RuntimeId, overlap: time::Duration) -> Result<()> {
        if overlap.is_negative() || overlap > LONGEST_OVERLAP {
            return Err(Problem::new(Code::Invalid, "The old key of a runtime works on for up to a day.").field("minutes").into());
        }
        loop {
            let row = self.store.get(runtime_id).await?.ok_or_else(not_found)?;
            may(caller, &row, Asked::Restart)?;
            if row.desired_state != DesiredState::Running {
                return Err(Problem::new(Code::RuntimeConflict, "This runtime is stopped, and its key opens nothing.")
                    .remedy("It gets a new one with its next start.")
                    .into());
            }
            if self.give_next_key(Actor::Person(caller), &row, overlap).await? == Written::Done {
                return Ok(());
            }
        }
    }

    /// What the settings say of all runtimes.
    fn house(&self) -> House<'_> {
        House { image: &self.config.runtimes.runtime_image, quota: self.config.runtimes.quota() }
    }

    /// Decides on what is there and writes the wish, until no other came in between.
    async fn ask(&self, caller: &Caller, runtime_id: RuntimeId, asked: Asked) -> Result<()> {
        loop {
            let row = self.store.get(runtime_id).await?.ok_or_else(not_found)?;
            may(caller, &row, asked)?;
            if let Asked::ChangeProfile(profile_id, false) = asked
                && self.has_all_of(&row, profile_id).await?
            {
                return Ok(());
            }
            let Some((kind, desired_state, renew, phase)) = wish_of(&row, asked)? else { return Ok(()) };
            let retention = match asked {
                Asked::Delete(retention) => Some(retention),
                Asked::Start | Asked::Stop | Asked::Restart | Asked::ChangeProfile(..) => None,
            };
            let take = match asked {
                Asked::Start | Asked::Restart if renew => Take::All(row.profile_id),
                // Where the engine does not say how large the machine is, memory waits for the next start.
                Asked::ChangeProfile(profile_id, _) if phase == Phase::Ready => Take::Live(profile_id, self.room().await.ok()),
                Asked::ChangeProfile(profile_id, _) => Take::All(profile_id),
                // One that only sleeps is what it was.
                Asked::Start | Asked::Restart | Asked::Stop | Asked::Delete(_) => Take::Nothing,
            };
            let (now, house) = (self.clock.now(), self.house());
            let drain_until = self.drain_until(&row, asked, now);
            let wish = Wish {
                caller,
                row: &row,
                task_id: clock::new_id(),
                kind,
                desired_state,
                retention,
                renew,
                phase,
                drain_until,
                take,
                house,
            };
            match self.store.wish(&wish, now).await? {
                Written::Done => return Ok(()),
                Written::Moved => {}
            }
        }
    }

    /// What is at work may finish before it is stopped or made anew. What goes for good, or was asked before, has no longer for that.
    fn drain_until(&self, row: &Row, asked: Asked, now: OffsetDateTime) -> OffsetDateTime {
        match (asked, row.phase, row.drain_until) {
            (Asked::Delete(_), _, _) => now,
            // Asked before: that bound stands, whatever is asked on top of it. One that is over does no harm.
            (_, Phase::Draining | Phase::Stopping | Phase::Pending, Some(until)) => until,
            (Asked::ChangeProfile(_, false), _, _) => now,
            (Asked::Start | Asked::Stop | Asked::Restart | Asked::ChangeProfile(_, true), Phase::Ready, _) => {
                now + time::Duration::seconds(self.config.runtimes.drain_seconds)
            }
            (Asked::Start | Asked::Stop | Asked::Restart | Asked::ChangeProfile(_, true), _, _) => now,
        }
    }

    /// Whether a runtime has this profile and all that it gives: then there is nothing to change.
    async fn has_all_of(&self, row: &Row, profile_id: ProfileId) -> Result<bool> {
        if row.profile_id != profile_id || row.desired_state == DesiredState::Deleted {
            return Ok(false);
        }
        let profile = self.store.profiles().await?.into_iter().find(|profile| profile.profile_id == profile_id);
        Ok(profile.is_some_and(|profile| profile::brings(row, &profiles::gives(&profile, self.house().image)).is_none()))
    }

    /// One runtime that the caller may see: their own, or anyone's for an administrator.
    pub async fn find(&self, caller: &Caller, runtime_id: RuntimeId) -> Result<Row> {
        let row = self.store.get(runtime_id).await?;
        row.filter(|row| may_see(caller, row)).ok_or_else(|| not_found().into())
    }
}

/// One's own runtimes, and for an administrator anyone's: also those that are gone.
#[must_use]
pub fn may_see(caller: &Caller, row: &Row) -> bool {
    row.person_id == caller.person_id || caller.is_administrator()
}

/// What a person asks of a runtime that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Start,
    Stop,
    Restart,
    Delete(Retention),
    /// Which, and whether it is to be started anew with it at once.
    ChangeProfile(ProfileId, bool),
}

/// One's own runtimes, and for an administrator anyone's, but for deleting them: what a person has made is theirs to give away.
fn may(caller: &Caller, row: &Row, asked: Asked) -> Result<()> {
    if row.person_id == caller.person_id {
        return Ok(());
    }
    if !caller.is_administrator() {
        return Err(not_found().into());
    }
    match asked {
        Asked::Start | Asked::Stop | Asked::Restart | Asked::ChangeProfile(..) => Ok(()),
        // An administrator sees it in a list, so it is no secret that it exists.
        Asked::Delete(_) => Err(Error::problem(Code::AccessDenied, "Only its owner may delete it. You may stop it.")),
    }
}

/// The wish that this runtime is asked for; none when it is as asked already, or about to be.
fn wish_of(row: &Row, asked: Asked) -> Result<Option<(TaskKind, DesiredState, bool, Phase)>> {
    let leaves = row.desired_state == DesiredState::Deleted;
    match asked {
        Asked::Start => match start_disposition(row.desired_state, row.phase) {
            StartDisposition::AlreadyStarted => Ok(None),
            StartDisposition::Leaving => Err(leaving()),
            StartDisposition::Wake => Ok(Some((TaskKind::Start, DesiredState::Running, false, Phase::Waking))),
            StartDisposition::Start => Ok(Some((TaskKind::Start, DesiredState::Running, true, Phase::Pending))),
        },
        Asked::Stop | Asked::Restart | Asked::ChangeProfile(..) if leaves => Err(leaving()),
        Asked::Stop if row.desired_state == DesiredState::Stopped => Ok(None),
        Asked::Stop => Ok(Some((TaskKind::Stop, DesiredState::Stopped, false, Phase::Stopping))),
        Asked::Restart => Ok(Some((TaskKind::Restart, DesiredState::Running, true, Phase::Pending))),
        Asked::ChangeProfile(_, restart) => Ok(Some(match (row.desired_state, row.phase) {
            (DesiredState::Stopped, phase) if !restart => (TaskKind::ChangeProfile, DesiredState::Stopped, false, phase),
            (DesiredState::Running, Phase::Ready) if !restart => (TaskKind::ChangeProfile, DesiredState::Running, false, Phase::Ready),
            _ => (TaskKind::ChangeProfile, DesiredState::Running, true, Phase::Pending),
        })),
        Asked::Delete(retention) if leaves && (row.retention == Some(retention) || retention == Retention::PreserveWorkspace) => Ok(None),
        Asked::Delete(_) => Ok(Some((TaskKind::Delete, DesiredState::Deleted, false, Phase::Deleting))),
    }
}

fn leaving() -> Error {
    Problem::new(Code::RuntimeConflict, "This runtime is being deleted.").remedy("Make a new one when it is gone.").into()
}

fn check_name(name: &str) -> Result<()> {
    let problem = |message: &str| Err(Problem::new(Code::Invalid, message).field("name").into());
    if name.is_empty() {
        return problem("A runtime needs a name.");
    }
    if name.chars().count() > NAME_LENGTH {
        return problem("The name is longer than 40 characters.");
    }
    if name.chars().any(char::is_control) {
        return problem("The name contains characters that cannot be shown.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_empty_nor_endless() {
        assert!(check_name("").is_err());
        assert!(check_name(&"x".repeat(41)).is_err());
        assert!(check_name("a\nb").is_err());
        assert!(check_name(&"ü".repeat(40)).is_ok());
    }
}
