//! Sharing: a person lets another use a runtime of theirs, to watch or fully, for a time.
//!
//! A share opens the runtime's own host and nothing else: its page with start, stop, log and delete stays with the owner and the administrators. Each
//! change is told as one of the runtime to both persons, so that every server forgets who may enter and looks at what is open ([`crate::ingress`]).

use super::audit::{self, Actor};
use crate::{
    Result,
    clock::{self, Clock},
    data::{
        self, Pool,
        listen::{Change, notify},
        share::{Share, Shared},
    },
};
use contract::{Access, Caller, Code, LONGEST_SHARE_HOURS, PersonId, PersonStatus, Problem, RuntimeId, ShareId, ShareView};
use time::Duration;

/// With whom a runtime is shared: for its owner, and for administrators.
///
/// # Errors
/// `RuntimeNotFound`, or when the database fails.
pub async fn of_runtime(pool: &Pool, clock: &dyn Clock, caller: &Caller, runtime_id: RuntimeId) -> Result<Vec<ShareView>> {
    let mut connection = pool.acquire().await?;
    let owner = data::share::owner(&mut connection, runtime_id).await?;
    if !owner.is_some_and(|owner| owner == caller.person_id || caller.is_administrator()) {
        return Err(no_runtime().into());
    }
    data::share::of_runtime(&mut connection, runtime_id, clock.now()).await
}

/// What others share with the caller now; with `runtime_id` that one alone.
///
/// # Errors
/// When the database fails.
pub async fn with_caller(pool: &Pool, clock: &dyn Clock, caller: &Caller, runtime_id: Option<RuntimeId>) -> Result<Vec<Shared>> {
    data::share::with_person(&mut *pool.acquire().await?, caller.person_id, runtime_id, clock.now()).await
}

/// Lets the person with this address use a runtime of the caller's for so many hours, in place of what they were let before.
///
/// # Errors
/// `RuntimeNotFound` for one that is not the caller's own, administrators among them; `PersonNotFound` or `Invalid`, field `email`; `Invalid`, field
/// `hours`.
pub async fn share(
    pool: &Pool,
    clock: &dyn Clock,
    caller: &Caller,
    runtime_id: RuntimeId,
    email: &str,
    access: Access,
    hours: u16,
) -> Result<()> {
    if !(1..=LONGEST_SHARE_HOURS).contains(&hours) {
        return Err(Problem::new(Code::Invalid, "A runtime is shared for 1 hour to 30 days.").field("hours").into());
    }
    let now = clock.now();
    let mut transaction = data::begin(pool).await?;
    let runtime = data::share::lock_runtime(&mut transaction, runtime_id).await?;
    // An administrator sees everyone's runtimes, but gives nobody's away.
    let runtime = runtime.filter(|runtime| runtime.person_id == caller.person_id).ok_or_else(no_runtime)?;
    let found = data::person::by_email(&mut transaction, email.trim()).await?.map(|(person, _)| person);
    let person = found
        .filter(|person| person.status == PersonStatus::Active)
        .ok_or_else(|| Problem::new(Code::PersonNotFound, "Nobody here has this e-mail address.").field("email"))?;
    if person.person_id == caller.person_id {
        return Err(Problem::new(Code::Invalid, "It is yours already.").field("email").into());
    }
    data::share::put(&mut transaction, clock::new_id(), runtime_id, person.person_id, access, now, now + Duration::hours(hours.into()))
        .await?;
    let subject = format!("{} with {}", runtime.name, person.email);
    let detail = format!(
        "{}, for {hours} h",
        match access {
            Access::Watch => "to watch",
            Access::Full => "to use fully",
        }
    );
    audit::record(&mut transaction, Actor::Person(caller), "runtime.shared", Some(person.person_id), &subject, &detail).await?;
    tell(&mut transaction, runtime_id, [caller.person_id, person.person_id]).await?;
    Ok(transaction.commit().await?)
}

/// Ends a share: the owner takes it back, the person gives it up, or an administrator ends it.
///
/// # Errors
/// `NotFound` where it ended, or is not the caller's to end.
pub async fn end(pool: &Pool, clock: &dyn Clock, caller: &Caller, share_id: ShareId) -> Result<()> {
    let now = clock.now();
    let mut transaction = data::begin(pool).await?;
    let share = data::share::lock(&mut transaction, share_id, now).await?;
    let share = share.filter(|share| may_end(caller, share)).ok_or_else(|| Problem::new(Code::NotFound, "It is not shared any more."))?;
    data::share::revoke(&mut transaction, share_id, now).await?;
    let subject = format!("{} with {}", share.runtime, share.email);
    let whom = if share.person_id == caller.person_id { share.owner_id } else { share.person_id };
    audit::record(&mut transaction, Actor::Person(caller), "runtime.share_ended", Some(whom), &subject, "").await?;
    tell(&mut transaction, share.runtime_id, [share.owner_id, share.person_id]).await?;
    Ok(transaction.commit().await?)
}

fn may_end(caller: &Caller, share: &Share) -> bool {
    caller.is_administrator() || [share.owner_id, share.person_id].contains(&caller.person_id)
}

/// Both persons' pages look anew, and every server looks at what is open towards the runtime.
async fn tell(transaction: &mut data::Transaction, runtime_id: RuntimeId, persons: [PersonId; 2]) -> Result<()> {
    for person_id in persons {
        notify(transaction, Change::Runtime { runtime_id, person_id }).await?;
    }
    Ok(())
}

fn no_runtime() -> Problem {
    Problem::new(Code::RuntimeNotFound, "There is no such runtime among yours.")
}
