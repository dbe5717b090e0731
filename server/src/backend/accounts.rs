//! The app's `Accounts` port.

use super::Backend;
use crate::platform::{audit, invitations, sessions, setup, sign_in};
use app::ports::Accounts;
use async_trait::async_trait;
use contract::{Answer, AuditEntry, Caller, NewSession, SessionId, SessionView, Welcome};

#[async_trait]
impl Accounts for Backend {
    async fn sign_in(&self, email: &str, password: &str, agent: &str) -> Answer<NewSession> {
        let session = sign_in::sign_in(&self.pool, &*self.clock, &self.passwords, &self.throttle, (email, password), agent);
        Ok(session.await?)
    }

    async fn sign_out(&self, caller: &Caller) -> Answer<String> {
        sessions::sign_out(&self.pool, caller).await?;
        Ok(sessions::clearing_cookie())
    }

    async fn setup(&self, token: &str) -> Answer<Welcome> {
        Ok(setup::welcome(&self.pool, &*self.clock, token).await?)
    }

    async fn accept_setup(&self, token: &str, email: &str, name: &str, password: &str, agent: &str) -> Answer<NewSession> {
        let founder = setup::Founder { email, name, password, agent };
        Ok(setup::accept(&self.pool, &*self.clock, &self.passwords, token, founder).await?)
    }

    async fn invitation(&self, token: &str) -> Answer<Welcome> {
        Ok(invitations::welcome(&self.pool, &*self.clock, token).await?)
    }

    async fn accept_invitation(&self, token: &str, name: &str, password: &str, agent: &str) -> Answer<NewSession> {
        let guest = invitations::Guest { name, password, agent };
        Ok(invitations::accept(&self.pool, &*self.clock, &self.passwords, token, guest).await?)
    }

    async fn sessions(&self, caller: &Caller) -> Answer<Vec<SessionView>> {
        Ok(sessions::of(&self.pool, &*self.clock, caller).await?)
    }

    async fn end_session(&self, caller: &Caller, session: SessionId) -> Answer<()> {
        Ok(sessions::end_own(&self.pool, caller, session).await?)
    }

    async fn change_password(&self, caller: &Caller, current: &str, new: &str) -> Answer<()> {
        Ok(sign_in::change_password(&self.pool, &self.passwords, &self.throttle, caller, (current, new)).await?)
    }

    async fn change_profile(&self, caller: &Caller, name: &str, time_zone: &str) -> Answer<()> {
        Ok(sign_in::change_profile(&self.pool, caller, name, time_zone).await?)
    }

    async fn lately(&self, caller: &Caller) -> Answer<Vec<AuditEntry>> {
        Ok(audit::of_person(&self.pool, caller.person_id).await?)
    }
}
