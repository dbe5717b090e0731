//! The app's `Admin` port.

use super::Backend;
use crate::{
    Result,
    data::Connection,
    doctor, model, orchestrator,
    platform::{audit, invitations, overview, people},
};
use app::ports::Admin;
use async_trait::async_trait;
use contract::{
    Answer, AuditEntry, AuditEntryId, Caller, InvitationId, InvitationView, NewInvitation, Overview, PersonId, PersonStatus, PersonView,
    Role,
};
use time::OffsetDateTime;

/// Closes a person's runtimes for the platform, which does not know runtimes.
struct Runtimes;

#[async_trait]
impl people::Closing for Runtimes {
    async fn close_person(&self, conn: &mut Connection, person: PersonId, now: OffsetDateTime) -> Result<()> {
        orchestrator::commands::close_person(conn, person, now).await
    }
}

#[async_trait]
impl Admin for Backend {
    async fn overview(&self, caller: &Caller) -> Answer<Overview> {
        let mut overview = overview::glance(&self.pool, caller).await?;
        overview.memory_host_bytes = doctor::machine::memory().total;
        let engine = self.orchestrator.engine();
        let litellm = model::litellm::health(&self.models).await;
        overview.parts = doctor::examine(&self.config, Some(&self.pool), &**engine, litellm).await;
        Ok(overview)
    }

    async fn people(&self, caller: &Caller) -> Answer<Vec<PersonView>> {
        Ok(people::list(&self.pool, &*self.clock, caller).await?)
    }

    async fn person(&self, caller: &Caller, person: PersonId) -> Answer<PersonView> {
        Ok(people::get(&self.pool, &*self.clock, caller, person).await?)
    }

    async fn set_status(&self, caller: &Caller, person: PersonId, status: PersonStatus) -> Answer<()> {
        Ok(people::set_status(&self.pool, &*self.clock, &Runtimes, caller, person, status).await?)
    }

    async fn sign_out_everywhere(&self, caller: &Caller, person: PersonId) -> Answer<()> {
        Ok(people::sign_out_everywhere(&self.pool, caller, person).await?)
    }

    async fn history(&self, caller: &Caller, person: PersonId) -> Answer<Vec<AuditEntry>> {
        people::get(&self.pool, &*self.clock, caller, person).await?;
        Ok(audit::of_person(&self.pool, person).await?)
    }

    async fn invitations(&self, caller: &Caller) -> Answer<Vec<InvitationView>> {
        Ok(invitations::list(&self.pool, &*self.clock, caller).await?)
    }

    async fn invite(&self, caller: &Caller, email: &str, role: Role, hours: u16) -> Answer<NewInvitation> {
        let public_url = &self.config.entry.public_url;
        Ok(invitations::invite(&self.pool, &*self.clock, public_url, caller, (email, role), hours).await?)
    }

    async fn revoke_invitation(&self, caller: &Caller, invitation: InvitationId) -> Answer<()> {
        Ok(invitations::revoke(&self.pool, &*self.clock, caller, invitation).await?)
    }

    async fn renew_invitation(&self, caller: &Caller, invitation: InvitationId) -> Answer<NewInvitation> {
        Ok(invitations::renew(&self.pool, &*self.clock, &self.config.entry.public_url, caller, invitation).await?)
    }

    async fn audit(&self, caller: &Caller, before: Option<AuditEntryId>) -> Answer<Vec<AuditEntry>> {
        people::administrators_only(caller)?;
        Ok(audit::newest(&self.pool, before).await?)
    }
}
