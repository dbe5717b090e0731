//! What the pages need served: small traits that the server implements.
//!
//! The server hands them over as `Arc<dyn …>` in one context closure, so that this crate holds no SQL, no Docker and no HTTP client under any
//! feature, and a page can be tested against a fake backend. Every method takes the [`Caller`]; whoever implements it decides what they may see.

use async_trait::async_trait;
use contract::*;
use std::sync::Arc;

/// Signing in and out, invitations, one's own sessions.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Opens a session. `agent` is the browser's own name for itself.
    async fn sign_in(&self, email: &str, password: &str, agent: &str) -> Answer<NewSession>;
    /// Ends the session; the answer is the `Set-Cookie` value that clears the cookie.
    async fn sign_out(&self, caller: &Caller) -> Answer<String>;
    /// What a one-use set-up link is for.
    async fn setup(&self, token: &str) -> Answer<Welcome>;
    /// Uses the set-up link: makes the first administrator and signs them in.
    async fn accept_setup(&self, token: &str, email: &str, name: &str, password: &str, agent: &str) -> Answer<NewSession>;
    /// What an invitation is for.
    async fn invitation(&self, token: &str) -> Answer<Welcome>;
    /// Accepts an invitation: makes the person and signs them in.
    async fn accept_invitation(&self, token: &str, name: &str, password: &str, agent: &str) -> Answer<NewSession>;
    /// The caller's open sessions, the present one first.
    async fn sessions(&self, caller: &Caller) -> Answer<Vec<SessionView>>;
    /// Ends one of the caller's sessions.
    async fn end_session(&self, caller: &Caller, session: SessionId) -> Answer<()>;
    /// Changes the caller's password and ends their other sessions.
    async fn change_password(&self, caller: &Caller, current: &str, new: &str) -> Answer<()>;
    /// Changes the caller's name and time zone (IANA).
    async fn change_profile(&self, caller: &Caller, name: &str, time_zone: &str) -> Answer<()>;
    /// What the caller did and what was done to them, newest first.
    async fn lately(&self, caller: &Caller) -> Answer<Vec<AuditEntry>>;
}

/// One's own runtimes. Another person's is `RuntimeNotFound`.
#[async_trait]
pub trait Runtimes: Send + Sync {
    /// The caller's runtimes, by name.
    async fn list(&self, caller: &Caller) -> Answer<Vec<RuntimeView>>;
    /// One runtime; an administrator may see anyone's.
    async fn get(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView>;
    /// Makes a runtime of a profile and asks for it to run; of the first that is offered where none is named.
    async fn create(&self, caller: &Caller, name: &str, profile: Option<ProfileId>) -> Answer<RuntimeView>;
    /// Asks for it to run. Asked twice is asked once.
    async fn start(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView>;
    /// Asks for it to stop. An administrator may stop anyone's.
    async fn stop(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView>;
    /// Asks for a new container, also when it runs well.
    async fn restart(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView>;
    /// Asks for another profile, or for what its own has become; with `restart` at once, otherwise what can be changed while it runs.
    async fn change_profile(&self, caller: &Caller, runtime: RuntimeId, profile: ProfileId, restart: bool) -> Answer<RuntimeView>;
    /// Asks for it to go; the workspace stays or goes with it.
    async fn delete(&self, caller: &Caller, runtime: RuntimeId, retention: Retention) -> Answer<()>;
    /// Waits no longer for what it finishes before it ends. An administrator may ask that of anyone's.
    async fn hurry(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView>;
    /// Chooses after how many minutes without use it goes to sleep: 0 is never, none is what is usual here.
    async fn choose_sleep(&self, caller: &Caller, runtime: RuntimeId, minutes: Option<i32>) -> Answer<RuntimeView>;
    /// Lets a runtime call models again that was paused since it spent too fast.
    async fn resume_calls(&self, caller: &Caller, runtime: RuntimeId) -> Answer<()>;
    /// Gives it a new key while it runs; the old one works on for so many minutes. An administrator may do that for anyone's.
    async fn rotate_key(&self, caller: &Caller, runtime: RuntimeId, minutes: u16) -> Answer<()>;
    /// What it uses now; none unless it runs.
    async fn stats(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Option<RuntimeStats>>;
    /// The newest lines of its log, or the newest of those that contain `find`.
    async fn logs(&self, caller: &Caller, runtime: RuntimeId, find: Option<&str>) -> Answer<LogView>;
    /// What was asked of it, the newest first, at most 20.
    async fn tasks(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Vec<TaskView>>;
    /// Everyone's runtimes; for administrators.
    async fn everyones(&self, caller: &Caller) -> Answer<Vec<RuntimeView>>;
    /// What everyone's use now, and what is open towards them; those that do not run and have nothing open are left out. For administrators.
    async fn everyones_stats(&self, caller: &Caller) -> Answer<Vec<(RuntimeId, RuntimeUse)>>;
    /// Asks the same of several, at most 500, each by itself: what one is refused keeps none of the others from it. For administrators.
    async fn act(&self, caller: &Caller, act: Act, runtimes: &[RuntimeId]) -> Answer<Vec<Acted>>;
    /// One person's runtimes; for administrators.
    async fn of_person(&self, caller: &Caller, person: PersonId) -> Answer<Vec<RuntimeView>>;
}

/// Runtimes that one person lets another use.
#[async_trait]
pub trait Sharing: Send + Sync {
    /// With whom a runtime of the caller's is shared, by name; an administrator may see anyone's.
    async fn shares(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Vec<ShareView>>;
    /// Lets the person with this address use a runtime of the caller's for so many hours, in place of what they were let before.
    async fn share(&self, caller: &Caller, runtime: RuntimeId, email: &str, access: Access, hours: u16) -> Answer<()>;
    /// Ends a share: its owner, its person or an administrator may.
    async fn end_share(&self, caller: &Caller, share: ShareId) -> Answer<()>;
    /// What others share with the caller now, by name; with `runtime` that one alone.
    async fn shared(&self, caller: &Caller, runtime: Option<RuntimeId>) -> Answer<Vec<SharedView>>;
}

/// Profiles and quotas: what a runtime may be, and what a person may use.
#[async_trait]
pub trait Profiles: Send + Sync {
    /// The profiles that people may choose; the first is the one that new runtimes take.
    async fn offered_profiles(&self, caller: &Caller) -> Answer<Vec<ProfileView>>;
    /// All profiles, withdrawn ones too; for administrators.
    async fn all_profiles(&self, caller: &Caller) -> Answer<Vec<ProfileView>>;
    /// Adds a profile; for administrators.
    async fn add_profile(&self, caller: &Caller, profile: ProfileChange) -> Answer<ProfileView>;
    /// Changes a profile; its runtimes take the new values with their next start. For administrators.
    async fn edit_profile(&self, caller: &Caller, profile: ProfileId, change: ProfileChange) -> Answer<ProfileView>;
    /// Offers a profile or withdraws it; runtimes that have it keep it. For administrators.
    async fn offer_profile(&self, caller: &Caller, profile: ProfileId, offered: bool) -> Answer<()>;
    /// What a person may use and uses; `None` asks for the caller's own, another's is for administrators.
    async fn quota(&self, caller: &Caller, person: Option<PersonId>) -> Answer<QuotaView>;
    /// Sets what one person may use; for administrators.
    async fn set_quota(&self, caller: &Caller, person: PersonId, own: OwnQuota) -> Answer<()>;
}

/// The catalog and one's own keys.
#[async_trait]
pub trait Models: Send + Sync {
    /// The models that the caller may use, the default one first.
    async fn catalog(&self, caller: &Caller) -> Answer<Vec<ModelView>>;
    /// The caller's keys, newest first, those of their runtimes among them.
    async fn keys(&self, caller: &Caller) -> Answer<Vec<KeyView>>;
    /// Makes a key. Its secret is in the answer and nowhere else.
    async fn make_key(&self, caller: &Caller, wish: KeyWish) -> Answer<NewKey>;
    /// Gives a key a new secret; the old one works on for so many hours.
    async fn rotate_key(&self, caller: &Caller, key: KeyId, hours: u16) -> Answer<NewKey>;
    /// Revokes a key with all its secrets; it stops working at once.
    async fn revoke_key(&self, caller: &Caller, key: KeyId) -> Answer<()>;
    /// Sets a limit of the caller's own on one of their keys. What an administrator set holds beside it.
    async fn set_key_limit(&self, caller: &Caller, key: KeyId, limit: Limit) -> Answer<()>;
    /// Removes a limit that the caller set on one of their keys; never an administrator's.
    async fn remove_key_limit(&self, caller: &Caller, key: KeyId, window: Window, unit: Unit) -> Answer<()>;
    /// The address of the model API for outside clients, `http://clawloops.localhost:3000/v1`.
    fn address(&self) -> String;
}

/// What was used and what may be.
#[async_trait]
pub trait Usage: Send + Sync {
    /// Usage over the last `days` days, today among them (1 to 366); the days broken down by `by`, which is one of `whose.breakdowns()`.
    async fn report(&self, caller: &Caller, whose: Whose, days: u16, by: Breakdown) -> Answer<UsageReport>;
    /// The limits that apply to a person; `None` asks for the caller's own, another's is for administrators.
    async fn budgets(&self, caller: &Caller, person: Option<PersonId>) -> Answer<Vec<BudgetView>>;
    /// Every limit; for administrators.
    async fn all_budgets(&self, caller: &Caller) -> Answer<Vec<BudgetView>>;
    /// What a limit may be set for; for administrators.
    async fn subjects(&self, caller: &Caller) -> Answer<Vec<SubjectView>>;
    /// Sets, changes or removes an administrators' limit, or changes or removes one that a key's owner set; for administrators.
    async fn set_budget(&self, caller: &Caller, change: BudgetChange, of: SetBy) -> Answer<()>;
    /// Asks for more of a limit that applies to the caller.
    async fn ask_more(&self, caller: &Caller, wish: NewRequest) -> Answer<()>;
    /// The caller's own requests, the newest ten.
    async fn own_requests(&self, caller: &Caller) -> Answer<Vec<RequestView>>;
    /// Everyone's requests, those without an answer first; for administrators.
    async fn requests(&self, caller: &Caller) -> Answer<Vec<RequestView>>;
    /// How many requests wait for an answer; for administrators.
    async fn waiting_requests(&self, caller: &Caller) -> Answer<i64>;
    /// Answers a request, with a word to the person; for administrators.
    async fn answer_request(&self, caller: &Caller, request: RequestId, answer: MoreAnswer, word: &str) -> Answer<()>;
}

/// What only an administrator may do; anyone else gets `AccessDenied`.
#[async_trait]
pub trait Admin: Send + Sync {
    /// The platform at a glance.
    async fn overview(&self, caller: &Caller) -> Answer<Overview>;
    /// Everyone, by name.
    async fn people(&self, caller: &Caller) -> Answer<Vec<PersonView>>;
    /// One person.
    async fn person(&self, caller: &Caller, person: PersonId) -> Answer<PersonView>;
    /// Opens or closes a person: disabling ends sessions, keys and runtimes at once.
    async fn set_status(&self, caller: &Caller, person: PersonId, status: PersonStatus) -> Answer<()>;
    /// Ends all sessions of a person.
    async fn sign_out_everywhere(&self, caller: &Caller, person: PersonId) -> Answer<()>;
    /// What a person did and what was done to them, newest first.
    async fn history(&self, caller: &Caller, person: PersonId) -> Answer<Vec<AuditEntry>>;
    /// Invitations that were not consumed, newest first.
    async fn invitations(&self, caller: &Caller) -> Answer<Vec<InvitationView>>;
    /// Invites by e-mail address; the link is in the answer and nowhere else.
    async fn invite(&self, caller: &Caller, email: &str, role: Role, hours: u16) -> Answer<NewInvitation>;
    /// Takes an invitation back.
    async fn revoke_invitation(&self, caller: &Caller, invitation: InvitationId) -> Answer<()>;
    /// Makes a new link for an invitation; the old one ends.
    async fn renew_invitation(&self, caller: &Caller, invitation: InvitationId) -> Answer<NewInvitation>;
    /// The audit log, newest first, at most 200 entries, older than `before` where given.
    async fn audit(&self, caller: &Caller, before: Option<AuditEntryId>) -> Answer<Vec<AuditEntry>>;
}

/// Groups of persons; for administrators.
#[async_trait]
pub trait Groups: Send + Sync {
    /// All groups with their members, by name.
    async fn groups(&self, caller: &Caller) -> Answer<Vec<GroupView>>;
    /// Makes a group without members.
    async fn add_group(&self, caller: &Caller, name: &str) -> Answer<()>;
    /// Gives a group another name.
    async fn rename_group(&self, caller: &Caller, group: GroupId, name: &str) -> Answer<()>;
    /// Removes a group; models published to it alone are offered to nobody then.
    async fn remove_group(&self, caller: &Caller, group: GroupId) -> Answer<()>;
    /// Puts the person with this address into a group.
    async fn join_group(&self, caller: &Caller, group: GroupId, email: &str) -> Answer<()>;
    /// Takes a person out of a group.
    async fn leave_group(&self, caller: &Caller, group: GroupId, person: PersonId) -> Answer<()>;
}

/// Providers and the whole catalog; for administrators.
#[async_trait]
pub trait Providers: Send + Sync {
    /// The providers.
    async fn providers(&self, caller: &Caller) -> Answer<Vec<ProviderView>>;
    /// Servers found on this machine that are not used yet.
    async fn offered_providers(&self, caller: &Caller) -> Answer<Vec<OfferedProvider>>;
    /// Adds a provider; its secret is sealed.
    async fn add_provider(&self, caller: &Caller, provider: NewProvider) -> Answer<ProviderView>;
    /// Asks a provider for its models, by its own names: a real call that also tests the address and the secret.
    async fn upstream_models(&self, caller: &Caller, provider: ProviderId) -> Answer<Vec<String>>;
    /// Removes a provider and its models.
    async fn remove_provider(&self, caller: &Caller, provider: ProviderId) -> Answer<()>;
    /// The whole catalog, unpublished and unpriced models too.
    async fn models(&self, caller: &Caller) -> Answer<Vec<ModelView>>;
    /// Adds a provider's model to the catalog.
    async fn add_model(&self, caller: &Caller, provider: ProviderId, change: ModelChange) -> Answer<ModelView>;
    /// Changes a model: name, price, whether it is published, whether it is the default.
    async fn change_model(&self, caller: &Caller, model: ModelId, change: ModelChange) -> Answer<ModelView>;
    /// Takes a model out of the catalog; its usage records stay.
    async fn remove_model(&self, caller: &Caller, model: ModelId) -> Answer<()>;
}

/// All ports at once, as the server hands them over.
#[derive(Clone)]
pub struct Ports {
    /// Accounts.
    pub accounts: Arc<dyn Accounts>,
    /// Runtimes.
    pub runtimes: Arc<dyn Runtimes>,
    /// Profiles.
    pub profiles: Arc<dyn Profiles>,
    /// Models.
    pub models: Arc<dyn Models>,
    /// Usage.
    pub usage: Arc<dyn Usage>,
    /// Admin.
    pub admin: Arc<dyn Admin>,
    /// Groups.
    pub groups: Arc<dyn Groups>,
    /// Providers.
    pub providers: Arc<dyn Providers>,
    /// Sharing.
    pub sharing: Arc<dyn Sharing>,
}
