//! Quotas: what all runtimes of a person may use together. Judged in the transaction that takes, with the person held.

use super::{
    audit::{self, Actor},
    people::administrators_only,
};
use crate::{
    Result,
    data::{self, Connection, Pool, listen::Change},
};
use contract::{Caller, Code, OwnQuota, PersonId, Problem, QuotaView, Resources};

/// The most of anything that an administrator can type: a slip of the finger is not a quota.
const MOST_RUNTIMES: i64 = 10_000;
const MOST_BYTES: i64 = 1 << 50;
const MOST_CPU_MILLIS: i64 = 10_000_000;

/// What a wish takes, beside what its person's other runtimes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// What the others use.
    pub others: Resources,
    /// What this one counted for until now.
    pub had: Resources,
    /// What it counts for from now on.
    pub wants: Resources,
    /// Whether it is to be started.
    pub starts: bool,
    /// What its workspace held when it was last measured, in bytes.
    pub measured: Option<i64>,
    /// What its workspace may grow to, in bytes.
    pub workspace_bytes: i64,
}

/// Whether a wish fits. What takes no more than before is never refused, with one exception: over its disk nothing is started.
///
/// # Errors
/// `QuotaExceeded`: what ran out, how much of it there is, and what to do.
pub fn judge(quota: &Resources, taking: &Taking) -> Result<()> {
    let Taking { others, had, wants, starts, measured, workspace_bytes } = taking;
    let over = |had: i64, wants: i64, others: i64, quota: i64| wants > had && others.saturating_add(wants) > quota;
    if over(had.runtimes, wants.runtimes, others.runtimes, quota.runtimes) {
        return refused(
            format!("You have {} already, as many as you may.", runtimes(others.runtimes)),
            "Delete one that you no longer need, or ask your administrator for more.",
        );
    }
    if over(had.memory_bytes, wants.memory_bytes, others.memory_bytes, quota.memory_bytes) {
        return refused(
            format!(
                "You may use {} of memory at once. Your other runtimes use {}, and this one wants {}.",
                size(quota.memory_bytes),
                size(others.memory_bytes),
                size(wants.memory_bytes)
            ),
            "Stop another one (it counts until it has ended), choose a smaller profile, or ask your administrator for more.",
        );
    }
    if over(had.cpu_millis, wants.cpu_millis, others.cpu_millis, quota.cpu_millis) {
        return refused(
            format!(
                "You may use {} at once. Your other runtimes use {}, and this one wants {}.",
                cores(quota.cpu_millis),
                cores(others.cpu_millis),
                cores(wants.cpu_millis)
            ),
            "Stop another one (it counts until it has ended), choose a smaller profile, or ask your administrator for more.",
        );
    }
    let disk = others.workspace_bytes.saturating_add(wants.workspace_bytes);
    if disk > quota.workspace_bytes && (*starts || wants.workspace_bytes > had.workspace_bytes) {
        return refused(
            format!(
                "Your workspaces may take {} of disk. The others take {}, and this one {}.",
                size(quota.workspace_bytes),
                size(others.workspace_bytes),
                size(wants.workspace_bytes)
            ),
            "Delete a runtime with its workspace, choose a profile with less disk, or ask your administrator for more.",
        );
    }
    match measured {
        Some(held) if *starts && held > workspace_bytes => refused(
            format!("Its workspace holds {}, and its profile gives it {} of disk.", size(*held), size(*workspace_bytes)),
            "Choose a profile with more disk, or ask your administrator for one.",
        ),
        Some(_) | None => Ok(()),
    }
}

fn refused(message: String, remedy: &str) -> Result<()> {
    Err(Problem::new(Code::QuotaExceeded, message).remedy(remedy).into())
}

fn runtimes(number: i64) -> String {
    if number == 1 { "1 runtime".to_owned() } else { format!("{number} runtimes") }
}

/// Bytes as people read them: `2 GiB`, `1.5 GiB`, `640 MiB`.
#[must_use]
pub fn size(bytes: i64) -> String {
    let mib = bytes.max(0) >> 20;
    match (mib / 1024, mib % 1024 * 10 / 1024) {
        (0, _) => format!("{mib} MiB"),
        (gib, 0) => format!("{gib} GiB"),
        (gib, tenth) => format!("{gib}.{tenth} GiB"),
    }
}

/// Processor time as people read it: `1 core`, `0.5 cores`.
#[must_use]
pub fn cores(millis: i64) -> String {
    match (millis / 1000, millis % 1000 / 100) {
        (1, 0) => "1 core".to_owned(),
        (whole, 0) => format!("{whole} cores"),
        (whole, tenth) => format!("{whole}.{tenth} cores"),
    }
}

/// What a person may use and uses; another's is for administrators.
///
/// # Errors
/// `AccessDenied`, or when the database fails.
pub async fn view(pool: &Pool, everyones: Resources, caller: &Caller, person_id: PersonId) -> Result<QuotaView> {
    if person_id != caller.person_id {
        administrators_only(caller)?;
    }
    of(&mut *pool.acquire().await?, everyones, person_id).await
}

/// The same, for whoever is allowed to ask.
///
/// # Errors
/// When the database fails.
pub async fn of(connection: &mut Connection, everyones: Resources, person_id: PersonId) -> Result<QuotaView> {
    let own = data::quota::own(connection, person_id).await?;
    let used = data::quota::used(connection, person_id, None, None).await?;
    Ok(QuotaView { quota: own.over(everyones), used, own })
}

/// Sets what one person may use; what is none is everyone's.
///
/// # Errors
/// `AccessDenied`, `Invalid` with the field, `PersonNotFound`.
pub async fn set(pool: &Pool, caller: &Caller, person_id: PersonId, own: &OwnQuota) -> Result<()> {
    administrators_only(caller)?;
    for (field, value, most) in [
        ("runtimes", own.runtimes, MOST_RUNTIMES),
        ("memory", own.memory_bytes, MOST_BYTES),
        ("cpu", own.cpu_millis, MOST_CPU_MILLIS),
        ("disk", own.workspace_bytes, MOST_BYTES),
    ] {
        if value.is_some_and(|value| !(0..=most).contains(&value)) {
            return Err(Problem::new(Code::Invalid, "This is not an amount that a person can be given.").field(field).into());
        }
    }
    let mut transaction = data::begin(pool).await?;
    // Held as in the judging of a wish: one that is under way is judged by the old values or by the new ones.
    let person = data::person::lock(&mut transaction, person_id)
        .await
        .map_err(|error| error.on_missing(|| Problem::new(Code::PersonNotFound, "This person does not exist.")))?;
    data::quota::set_own(&mut transaction, person_id, own).await?;
    audit::record(&mut transaction, Actor::Person(caller), "quota.set", Some(person_id), &person.name, &told(own)).await?;
    data::listen::notify(&mut transaction, Change::Usage { person_id }).await?;
    Ok(transaction.commit().await?)
}

fn told(own: &OwnQuota) -> String {
    let parts = [
        own.runtimes.map(runtimes),
        own.memory_bytes.map(|bytes| format!("{} of memory", size(bytes))),
        own.cpu_millis.map(cores),
        own.workspace_bytes.map(|bytes| format!("{} of disk", size(bytes))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "as everyone".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const GIB: i64 = 1 << 30;
    const QUOTA: Resources = Resources { runtimes: 2, memory_bytes: 4 * GIB, cpu_millis: 3000, workspace_bytes: 20 * GIB };

    fn taking(others: (i64, i64, i64, i64), wants: (i64, i64, i64, i64)) -> Taking {
        let made = |(runtimes, memory, cpu_millis, disk)| Resources {
            runtimes,
            memory_bytes: memory * GIB,
            cpu_millis,
            workspace_bytes: disk * GIB,
        };
        Taking { others: made(others), wants: made(wants), starts: true, workspace_bytes: 10 * GIB, ..Taking::default() }
    }

    fn refusal(taking: &Taking) -> Option<String> {
        match judge(&QUOTA, taking) {
            Ok(()) => None,
            Err(Error::Problem(problem)) => {
                assert!(problem.code == Code::QuotaExceeded && problem.remedy.is_some());
                Some(problem.message)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_says_what_ran_out_and_how_much() {
        assert_eq!(refusal(&taking((1, 2, 1000, 10), (1, 2, 2000, 10))), None, "to the brim");
        let cases = [
            ((2, 0, 0, 0), (1, 1, 1, 1), "You have 2 runtimes already, as many as you may."),
            ((1, 3, 0, 0), (1, 2, 1, 1), "You may use 4 GiB of memory at once. Your other runtimes use 3 GiB, and this one wants 2 GiB."),
            (
                (1, 1, 2500, 0),
                (1, 2, 1000, 1),
                "You may use 3 cores at once. Your other runtimes use 2.5 cores, and this one wants 1 core.",
            ),
            ((1, 1, 1, 15), (1, 2, 1, 10), "Your workspaces may take 20 GiB of disk. The others take 15 GiB, and this one 10 GiB."),
        ];
        for (others, wants, said) in cases {
            assert_eq!(refusal(&taking(others, wants)).as_deref(), Some(said));
        }
    }

    #[test]
    fn what_takes_no_more_than_before_goes_on_but_not_over_its_disk() {
        let mut lowered = taking((5, 40, 9000, 1), (1, 2, 1000, 10));
        lowered.had = lowered.wants;
        assert_eq!(refusal(&lowered), None, "a restart after the quota was lowered");
        lowered.wants.memory_bytes += 1;
        assert!(refusal(&lowered).is_some());
        let mut full = taking((0, 0, 0, 15), (1, 2, 1000, 10));
        full.had = full.wants;
        assert!(refusal(&full).is_some(), "a start over the disk");
        full.starts = false;
        assert_eq!(refusal(&full), None);
        let mut grown = taking((0, 0, 0, 0), (1, 2, 1000, 12));
        grown.measured = Some(12 * GIB);
        assert_eq!(refusal(&grown).as_deref(), Some("Its workspace holds 12 GiB, and its profile gives it 10 GiB of disk."));
    }

    #[test]
    fn sizes_are_said_as_people_read_them() {
        for (bytes, said) in [(2 * GIB, "2 GiB"), (GIB + GIB / 2, "1.5 GiB"), (640 << 20, "640 MiB"), (0, "0 MiB"), (-1, "0 MiB")] {
            assert_eq!(size(bytes), said);
        }
        for (millis, said) in [(1000, "1 core"), (500, "0.5 cores"), (2000, "2 cores"), (1500, "1.5 cores")] {
            assert_eq!(cores(millis), said);
        }
    }
}
