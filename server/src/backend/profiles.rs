//! The app's `Profiles` port.

use super::Backend;
use crate::platform::{profiles, quotas};
use app::ports::Profiles;
use async_trait::async_trait;
use contract::{Answer, Caller, OwnQuota, PersonId, ProfileChange, ProfileId, ProfileView, QuotaView};

#[async_trait]
impl Profiles for Backend {
    async fn offered_profiles(&self, _: &Caller) -> Answer<Vec<ProfileView>> {
        Ok(profiles::offered(&self.pool).await?)
    }

    async fn all_profiles(&self, caller: &Caller) -> Answer<Vec<ProfileView>> {
        Ok(profiles::all(&self.pool, caller).await?)
    }

    async fn add_profile(&self, caller: &Caller, profile: ProfileChange) -> Answer<ProfileView> {
        Ok(profiles::add(&self.pool, caller, profile).await?)
    }

    async fn edit_profile(&self, caller: &Caller, profile: ProfileId, change: ProfileChange) -> Answer<ProfileView> {
        Ok(profiles::change(&self.pool, caller, profile, change).await?)
    }

    async fn offer_profile(&self, caller: &Caller, profile: ProfileId, offered: bool) -> Answer<()> {
        Ok(profiles::offer(&self.pool, caller, profile, offered).await?)
    }

    async fn quota(&self, caller: &Caller, person: Option<PersonId>) -> Answer<QuotaView> {
        let person = person.unwrap_or(caller.person_id);
        Ok(quotas::view(&self.pool, self.config.runtimes.quota(), caller, person).await?)
    }

    async fn set_quota(&self, caller: &Caller, person: PersonId, own: OwnQuota) -> Answer<()> {
        Ok(quotas::set(&self.pool, caller, person, &own).await?)
    }
}
