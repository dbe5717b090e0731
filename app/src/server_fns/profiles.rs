//! Profiles and quotas.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request};
use contract::{PersonId, ProfileId, ProfileView, QuotaView};
use leptos::prelude::*;

/// The profiles that people may choose.
#[server(prefix = "/api/ui", endpoint = "offered-profiles")]
pub async fn offered_profiles() -> Answered<Vec<ProfileView>> {
    Ok(request::ports()?.profiles.offered_profiles(&request::caller()?).await?)
}

/// All profiles.
#[server(prefix = "/api/ui", endpoint = "all-profiles")]
pub async fn all_profiles() -> Answered<Vec<ProfileView>> {
    Ok(request::ports()?.profiles.all_profiles(&request::caller()?).await?)
}

/// What a profile's form holds, as typed.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ProfileForm {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Memory, `4` or `1.5` GiB, or with a unit, `512 MiB`.
    pub memory: String,
    /// Cores, `2` or `0.5`.
    pub cpu: String,
    /// Processes.
    pub pids: String,
    /// Disk, as memory.
    pub disk: String,
    /// The image; empty takes the installation's.
    #[serde(default)]
    pub image: String,
    /// The OCI runtime; empty takes the engine's default.
    #[serde(default)]
    pub oci_runtime: String,
    /// After how many minutes without use its runtimes are frozen: `never`, or empty for what the settings say.
    #[serde(default)]
    pub sleep_after: String,
    /// After how many minutes of sleep they give their memory back as well, likewise.
    #[serde(default)]
    pub sleep_stop_after: String,
    /// Its place in the list.
    #[serde(default)]
    pub position: String,
    /// `all`, or `chosen` for those in `model`.
    #[serde(default)]
    pub models: String,
    /// The chosen models' ids.
    #[serde(default)]
    pub model: Vec<String>,
    /// Present when its runtimes get GPUs.
    #[serde(default)]
    pub gpu: Option<String>,
    /// Present when people may choose it.
    #[serde(default)]
    pub offered: Option<String>,
}

/// Adds a profile.
#[server(prefix = "/api/ui", endpoint = "add-profile")]
pub async fn add_profile(profile: ProfileForm) -> Answered<()> {
    request::ports()?.profiles.add_profile(&request::caller()?, parse::profile(&profile)?).await?;
    Ok(())
}

/// Changes a profile.
#[server(prefix = "/api/ui", endpoint = "edit-profile")]
pub async fn edit_profile(profile_id: ProfileId, profile: ProfileForm) -> Answered<()> {
    request::ports()?.profiles.edit_profile(&request::caller()?, profile_id, parse::profile(&profile)?).await?;
    Ok(())
}

/// Offers a profile to people, or withdraws it.
#[server(prefix = "/api/ui", endpoint = "offer-profile")]
pub async fn offer_profile(profile_id: ProfileId, offered: bool) -> Answered<()> {
    Ok(request::ports()?.profiles.offer_profile(&request::caller()?, profile_id, offered).await?)
}

/// What the caller may use and uses.
#[server(prefix = "/api/ui", endpoint = "my-quota")]
pub async fn my_quota() -> Answered<QuotaView> {
    Ok(request::ports()?.profiles.quota(&request::caller()?, None).await?)
}

/// What a person may use and uses.
#[server(prefix = "/api/ui", endpoint = "quota-of-person")]
pub async fn quota_of(person_id: PersonId) -> Answered<QuotaView> {
    Ok(request::ports()?.profiles.quota(&request::caller()?, Some(person_id)).await?)
}

/// Sets what a person may use; what is left empty is everyone's.
#[server(prefix = "/api/ui", endpoint = "set-quota")]
pub async fn set_quota(person_id: PersonId, runtimes: String, memory: String, cpu: String, disk: String) -> Answered<()> {
    let own = parse::quota(&runtimes, &memory, &cpu, &disk)?;
    Ok(request::ports()?.profiles.set_quota(&request::caller()?, person_id, own).await?)
}
