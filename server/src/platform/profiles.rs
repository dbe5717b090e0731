//! Profiles: what a runtime may be and use, as administrators define it.

use super::{
    audit::{self, Actor},
    people::administrators_only,
    quotas::{cores, size},
};
use crate::{
    Error, Result, clock,
    config::Config,
    data::{self, Connection, Pool, given::Given, listen::Change},
};
use contract::{Caller, Code, Problem, ProfileChange, ProfileId, ProfileView};

const MIB: i64 = 1 << 20;
/// A year.
const MOST_MINUTES: i32 = 525_600;

/// The profiles that people may choose; the first is the one that new runtimes take.
///
/// # Errors
/// When the database fails.
pub async fn offered(pool: &Pool) -> Result<Vec<ProfileView>> {
    let mut profiles = data::profile::all(&mut *pool.acquire().await?).await?;
    profiles.retain(|profile| profile.offered);
    Ok(profiles)
}

/// All profiles, withdrawn ones too.
///
/// # Errors
/// `AccessDenied`, or when the database fails.
pub async fn all(pool: &Pool, caller: &Caller) -> Result<Vec<ProfileView>> {
    administrators_only(caller)?;
    data::profile::all(&mut *pool.acquire().await?).await
}

/// The profile that a new runtime or a change takes: the one that is named, or the first that is offered.
///
/// # Errors
/// `ProfileNotFound` where there is none such, `Conflict` where it was withdrawn.
pub fn choose(profiles: Vec<ProfileView>, wanted: Option<ProfileId>) -> Result<ProfileView> {
    let found = match wanted {
        Some(profile_id) => profiles.into_iter().find(|profile| profile.profile_id == profile_id),
        None => profiles.into_iter().find(|profile| profile.offered),
    };
    let found = found.ok_or_else(|| {
        Problem::new(Code::ProfileNotFound, "This profile does not exist.")
            .remedy("Choose one of those that are offered.")
            .field("profile_id")
    })?;
    if !found.offered {
        return Err(Problem::new(Code::Conflict, format!("The profile {} is not offered any more.", found.name))
            .remedy("Choose another one, or ask your administrator.")
            .field("profile_id")
            .into());
    }
    Ok(found)
}

/// What a profile gives a runtime.
#[must_use]
pub fn gives(profile: &ProfileView, image: &str) -> Given {
    Given {
        memory_bytes: profile.memory_bytes,
        cpu_millis: profile.cpu_millis,
        pids: profile.pids,
        workspace_bytes: profile.workspace_bytes,
        image: profile.image.clone().unwrap_or_else(|| image.to_owned()),
        gpu: profile.gpu,
        oci_runtime: profile.oci_runtime.clone(),
    }
}

/// Adds a profile.
///
/// # Errors
/// `AccessDenied`; `Invalid` or `Conflict` with the field that is wrong.
pub async fn add(pool: &Pool, caller: &Caller, change: ProfileChange) -> Result<ProfileView> {
    administrators_only(caller)?;
    let change = checked(change)?;
    let profile_id: ProfileId = clock::new_id();
    let mut transaction = data::begin(pool).await?;
    data::profile::add(&mut transaction, profile_id, &change).await.map_err(|error| taken(error, &change.name))?;
    finish(transaction, caller, profile_id, "profile.added").await
}

/// Changes a profile. Its runtimes take the new values with their next start.
///
/// # Errors
/// As [`add`]; `Conflict` when nothing would be offered any more.
pub async fn change(pool: &Pool, caller: &Caller, profile_id: ProfileId, change: ProfileChange) -> Result<ProfileView> {
    administrators_only(caller)?;
    let change = checked(change)?;
    let mut transaction = data::begin(pool).await?;
    data::profile::lock(&mut transaction).await?;
    data::profile::change(&mut transaction, profile_id, &change).await.map_err(|error| taken(error.on_missing(unknown), &change.name))?;
    something_is_offered(&mut transaction).await?;
    finish(transaction, caller, profile_id, "profile.changed").await
}

/// Offers a profile to people, or withdraws it. Runtimes that have it keep it.
///
/// # Errors
/// `AccessDenied`, `ProfileNotFound`; `Conflict` when nothing would be offered any more.
pub async fn offer(pool: &Pool, caller: &Caller, profile_id: ProfileId, offered: bool) -> Result<()> {
    administrators_only(caller)?;
    let mut transaction = data::begin(pool).await?;
    data::profile::lock(&mut transaction).await?;
    data::profile::offer(&mut transaction, profile_id, offered).await.map_err(|error| error.on_missing(unknown))?;
    something_is_offered(&mut transaction).await?;
    finish(transaction, caller, profile_id, if offered { "profile.offered" } else { "profile.withdrawn" }).await.map(drop)
}

/// Gives the first profile what the settings say, as long as no administrator changed it.
///
/// # Errors
/// When the database fails.
pub async fn follow_settings(pool: &Pool, config: &Config) -> Result<()> {
    let limits = &config.runtimes;
    let memory_bytes = limits.runtime_memory_mib.saturating_mul(MIB);
    data::profile::follow_settings(&mut *pool.acquire().await?, memory_bytes, limits.runtime_cpu_millis, limits.runtime_pids).await
}

async fn something_is_offered(connection: &mut Connection) -> Result<()> {
    if data::profile::all(connection).await?.iter().any(|profile| profile.offered) {
        return Ok(());
    }
    Err(Problem::new(Code::Conflict, "This is the last profile that is offered, and a new runtime needs one.")
        .remedy("Offer another one first.")
        .field("offered")
        .into())
}

async fn finish(mut transaction: data::Transaction, caller: &Caller, profile_id: ProfileId, action: &str) -> Result<ProfileView> {
    let profile = data::profile::get(&mut transaction, profile_id).await?.ok_or(Error::Missing)?;
    let detail = format!("{}, {}, {} of disk", size(profile.memory_bytes), cores(profile.cpu_millis), size(profile.workspace_bytes));
    audit::record(&mut transaction, Actor::Person(caller), action, None, &profile.name, &detail).await?;
    // Its models are part of what its runtimes are configured with.
    data::listen::notify(&mut transaction, Change::Catalog).await?;
    transaction.commit().await?;
    Ok(profile)
}

fn unknown() -> Problem {
    Problem::new(Code::ProfileNotFound, "This profile does not exist.")
}

fn taken(error: Error, name: &str) -> Error {
    error.on_constraint("profile_name_key", || {
        Problem::new(Code::Conflict, format!("There is a profile named {name} already.")).remedy("Choose another name.").field("name")
    })
}

/// What an administrator typed, trimmed and within bounds.
fn checked(mut change: ProfileChange) -> Result<ProfileChange> {
    let wrong = |message: &str, field: &str| -> Error { Problem::new(Code::Invalid, message).field(field).into() };
    for text in [&mut change.name, &mut change.description] {
        *text = text.trim().to_owned();
    }
    let shown = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    if change.name.is_empty() || !shown(&change.name, 60) {
        return Err(wrong("A profile needs a name of at most 60 characters.", "name"));
    }
    if !shown(&change.description, 300) {
        return Err(wrong("A description has at most 300 characters, on one line.", "description"));
    }
    let graphic = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if change.image.as_deref().is_some_and(|image| !graphic(image, 300) || image.starts_with('-')) {
        return Err(wrong("An image is named as the engine knows it, without spaces: registry/name:tag, best with its digest.", "image"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if change.oci_runtime.as_deref().is_some_and(|name| !(1..=64).contains(&name.len()) || !name.bytes().all(plain)) {
        return Err(wrong("An OCI runtime is named as the engine knows it, as runsc or kata-runtime.", "oci_runtime"));
    }
    let bounds: [(&str, i64, std::ops::RangeInclusive<i64>, &str); 5] = [
        ("memory", change.memory_bytes, 256 * MIB..=4 << 40, "Memory is from 256 MiB to 4 TiB. OpenClaw needs 2 GiB."),
        ("cpu", change.cpu_millis, 100..=1_024_000, "Processor time is from a tenth of a core to 1024 cores."),
        ("pids", change.pids, 32..=1_000_000, "Processes are from 32 to a million."),
        ("disk", change.workspace_bytes, 64 * MIB..=1 << 50, "Disk is from 64 MiB to 1024 TiB."),
        ("position", change.position, 0..=10_000, "The place in the list is a number from 0 to 10000."),
    ];
    for (field, value, bounds, message) in bounds {
        if !bounds.contains(&value) {
            return Err(wrong(message, field));
        }
    }
    for (field, minutes) in [("sleep_after", change.sleep_after_minutes), ("sleep_stop_after", change.sleep_stop_after_minutes)] {
        if minutes.is_some_and(|minutes| !(0..=MOST_MINUTES).contains(&minutes)) {
            return Err(wrong("Sleep is after up to a year, or never.", field));
        }
    }
    if change.models.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("Choose at least one model, or allow all.", "models"));
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ProfileChange {
        ProfileChange {
            name: " Large ".to_owned(),
            description: String::new(),
            image: None,
            memory_bytes: 4 << 30,
            cpu_millis: 4000,
            pids: 512,
            workspace_bytes: 20 << 30,
            models: None,
            gpu: false,
            oci_runtime: Some("runsc".to_owned()),
            sleep_after_minutes: Some(0),
            sleep_stop_after_minutes: Some(MOST_MINUTES),
            position: 1,
            offered: true,
        }
    }

    #[test]
    fn what_cannot_be_a_profile_is_refused_with_its_field() {
        assert_eq!(checked(good()).unwrap().name, "Large");
        type Spoil = fn(&mut ProfileChange);
        let cases: [(&str, Spoil); 15] = [
            ("name", |change| change.name = "  ".to_owned()),
            ("name", |change| change.name = "a\nb".to_owned()),
            ("name", |change| change.name = "x".repeat(61)),
            ("description", |change| change.description = "x".repeat(301)),
            ("image", |change| change.image = Some("two words".to_owned())),
            ("image", |change| change.image = Some("--privileged".to_owned())),
            ("oci_runtime", |change| change.oci_runtime = Some("run/../sc".to_owned())),
            ("memory", |change| change.memory_bytes = 0),
            ("memory", |change| change.memory_bytes = i64::MAX),
            ("cpu", |change| change.cpu_millis = -1),
            ("pids", |change| change.pids = 0),
            ("disk", |change| change.workspace_bytes = 1),
            ("sleep_after", |change| change.sleep_after_minutes = Some(-1)),
            ("sleep_stop_after", |change| change.sleep_stop_after_minutes = Some(MOST_MINUTES + 1)),
            ("models", |change| change.models = Some(Vec::new())),
        ];
        for (field, spoil) in cases {
            let mut spoiled = good();
            spoil(&mut spoiled);
            let Err(Error::Problem(problem)) = checked(spoiled) else { panic!("{field}") };
            assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some(field)));
        }
    }
}
