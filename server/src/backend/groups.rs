//! The app's `groups` port.

use super::Backend;
use crate::platform::groups;
use app::ports::Groups;
use async_trait::async_trait;
use contract::{Answer, Caller, GroupId, GroupView, PersonId};

#[async_trait]
impl Groups for Backend {
    async fn groups(&self, caller: &Caller) -> Answer<Vec<GroupView>> {
        Ok(groups::all(&self.pool, caller).await?)
    }

    async fn add_group(&self, caller: &Caller, name: &str) -> Answer<()> {
        Ok(groups::add(&self.pool, caller, name).await?)
    }

    async fn rename_group(&self, caller: &Caller, group: GroupId, name: &str) -> Answer<()> {
        Ok(groups::rename(&self.pool, caller, group, name).await?)
    }

    async fn remove_group(&self, caller: &Caller, group: GroupId) -> Answer<()> {
        Ok(groups::remove(&self.pool, caller, group).await?)
    }

    async fn join_group(&self, caller: &Caller, group: GroupId, email: &str) -> Answer<()> {
        Ok(groups::put(&self.pool, caller, group, email).await?)
    }

    async fn leave_group(&self, caller: &Caller, group: GroupId, person: PersonId) -> Answer<()> {
        Ok(groups::take(&self.pool, caller, group, person).await?)
    }
}
