//! The ports over made-up things. Runtimes really start and stop, in memory.

use crate::{
    groups,
    sample::{self, GIB, ago, id},
    sharing, states,
};
use app::ports::{Accounts, Admin, Models, Profiles, Providers, Runtimes};
use async_trait::async_trait;
use contract::*;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::OffsetDateTime;

/// How long a start takes here, in milliseconds.
const START_MS: i64 = 12_000;

pub struct State {
    runtimes: Vec<(RuntimeView, OffsetDateTime)>,
    models: Vec<ModelView>,
    keys: Vec<KeyView>,
    pub limit: i64,
    profiles: Vec<ProfileView>,
    own: OwnQuota,
    pub groups: Vec<GroupView>,
    pub shares: Vec<ShareView>,
}

pub struct Fake(Mutex<State>);

impl Fake {
    pub fn new() -> Self {
        let runtimes = sample::runtimes().into_iter().map(|runtime| (runtime, OffsetDateTime::now_utc())).collect();
        Self(Mutex::new(State {
            runtimes,
            models: sample::models(),
            keys: sample::keys(),
            limit: 20_000_000,
            profiles: sample::profiles(),
            own: OwnQuota::default(),
            groups: groups::samples(),
            shares: sharing::samples(),
        }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runtimes(&self) -> Vec<RuntimeView> {
        let mut state = self.state();
        for (runtime, asked_at) in &mut state.runtimes {
            let progress = sample::progress(*asked_at);
            if runtime.phase == Phase::Waiting && progress.elapsed_ms > START_MS && runtime.name != "tickets" {
                runtime.phase = Phase::Ready;
                runtime.phase_since = OffsetDateTime::now_utc();
            }
            runtime.progress = (runtime.phase == Phase::Waiting).then_some(progress);
        }
        let live = state.runtimes.iter().map(|(runtime, _)| RuntimeView { told_at: ago(0), ..runtime.clone() });
        live.chain(states::all()).collect()
    }

    fn change(&self, caller: &Caller, runtime_id: RuntimeId, phase: Phase) -> Answer<RuntimeView> {
        self.find(caller, runtime_id)?;
        if let Some((runtime, asked_at)) = self.state().runtimes.iter_mut().find(|(runtime, _)| runtime.runtime_id == runtime_id) {
            (runtime.phase, runtime.problem, *asked_at) = (phase, None, OffsetDateTime::now_utc());
            runtime.phase_since = *asked_at;
        }
        self.find(caller, runtime_id)
    }

    fn find(&self, caller: &Caller, runtime_id: RuntimeId) -> Answer<RuntimeView> {
        let found = self.runtimes().into_iter().find(|runtime| runtime.runtime_id == runtime_id);
        found
            .filter(|runtime| runtime.person_id == caller.person_id || caller.is_administrator())
            .ok_or_else(|| Problem::new(Code::RuntimeNotFound, "There is no such runtime, or it is not yours."))
    }
}

fn take(runtime: &mut RuntimeView, profile: Option<&ProfileView>) {
    if let Some(profile) = profile {
        (runtime.profile_id, runtime.profile) = (profile.profile_id, profile.name.clone());
        (runtime.memory_bytes, runtime.cpu_millis) = (profile.memory_bytes, profile.cpu_millis);
        (runtime.workspace_bytes, runtime.more_memory) = (profile.workspace_bytes, None);
    }
}

pub fn only_administrators(caller: &Caller) -> Answer<()> {
    if caller.is_administrator() { Ok(()) } else { Err(Problem::new(Code::AccessDenied, "Only an administrator may do this.")) }
}

fn session(name: &str) -> Answer<NewSession> {
    let caller = sample::caller(name).ok_or_else(|| Problem::new(Code::InvalidCredentials, "The address or the password is wrong."))?;
    Ok(NewSession { set_cookie: format!("preview={name}; Path=/; HttpOnly; SameSite=Lax"), caller })
}

#[async_trait]
impl Accounts for Fake {
    async fn sign_in(&self, email: &str, password: &str, _: &str) -> Answer<NewSession> {
        session(if password == "wrong" { "" } else { email.split('@').next().unwrap_or_default() })
    }
    async fn sign_out(&self, _: &Caller) -> Answer<String> {
        Ok("preview=; Path=/; Max-Age=0".to_owned())
    }
    async fn setup(&self, token: &str) -> Answer<Welcome> {
        if token == "used" {
            return Err(Problem::new(Code::InvitationConsumed, "This link was used already.").remedy("Sign in, or ask for a new link."));
        }
        Ok(Welcome { email: None, role: Role::Administrator, invited_by: None, expires_at: ago(-60) })
    }
    async fn accept_setup(&self, _: &str, _: &str, _: &str, password: &str, _: &str) -> Answer<NewSession> {
        if password.len() < 8 {
            return Err(Problem::new(Code::Invalid, "The password is too short.").remedy("Use at least 12 characters.").field("password"));
        }
        session("mira")
    }
    async fn invitation(&self, token: &str) -> Answer<Welcome> {
        if token == "used" {
            return Err(Problem::new(Code::InvitationExpired, "This invitation is too old.").remedy("Ask for a new one."));
        }
        Ok(Welcome {
            email: Some("new@acme.example".to_owned()),
            role: Role::Person,
            invited_by: Some("Mira Okafor".to_owned()),
            expires_at: ago(-4_000),
        })
    }
    async fn accept_invitation(&self, _: &str, _: &str, _: &str, _: &str) -> Answer<NewSession> {
        session("new")
    }
    async fn sessions(&self, _: &Caller) -> Answer<Vec<SessionView>> {
        let view = |number, agent: &str, minutes, current| SessionView {
            session_id: SessionId(id(number)),
            agent: agent.to_owned(),
            created_at: ago(minutes + 5_000),
            last_seen_at: ago(minutes),
            current,
        };
        Ok(vec![
            view(900, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", 0, true),
            view(901, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1", 1_600, false),
        ])
    }
    async fn end_session(&self, _: &Caller, _: SessionId) -> Answer<()> {
        Ok(())
    }
    async fn change_password(&self, _: &Caller, current: &str, _: &str) -> Answer<()> {
        if current == "wrong" { Err(Problem::new(Code::Invalid, "This is not your present password.").field("current")) } else { Ok(()) }
    }
    async fn change_profile(&self, _: &Caller, _: &str, _: &str) -> Answer<()> {
        Ok(())
    }
    async fn lately(&self, caller: &Caller) -> Answer<Vec<AuditEntry>> {
        Ok(sample::audit().into_iter().filter(|entry| entry.actor == caller.email).collect())
    }
}

#[async_trait]
impl Runtimes for Fake {
    async fn list(&self, caller: &Caller) -> Answer<Vec<RuntimeView>> {
        Ok(self.runtimes().into_iter().filter(|runtime| runtime.person_id == caller.person_id && runtime.phase != Phase::Deleted).collect())
    }
    async fn get(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.find(caller, runtime)
    }
    async fn create(&self, caller: &Caller, name: &str, profile: Option<ProfileId>) -> Answer<RuntimeView> {
        if name.contains(' ') {
            return Err(Problem::new(Code::Invalid, "A name has small letters, digits and dashes only.").field("name"));
        }
        let mut state = self.state();
        let mut runtime = sample::runtime(100 + state.runtimes.len() as u128, 1, name, Phase::Waiting);
        (runtime.person_id, runtime.owner) = (caller.person_id, caller.name.clone());
        take(&mut runtime, state.profiles.iter().find(|found| Some(found.profile_id) == profile));
        state.runtimes.push((runtime.clone(), OffsetDateTime::now_utc()));
        Ok(runtime)
    }
    async fn start(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.change(caller, runtime, Phase::Waiting)
    }
    async fn stop(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.change(caller, runtime, Phase::Stopped)
    }
    async fn restart(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.change(caller, runtime, Phase::Waiting)
    }
    async fn hurry(&self, caller: &Caller, runtime: RuntimeId) -> Answer<RuntimeView> {
        self.change(caller, runtime, Phase::Stopped)
    }
    async fn rotate_key(&self, caller: &Caller, runtime: RuntimeId, _: u16) -> Answer<()> {
        self.find(caller, runtime).map(drop)
    }
    async fn resume_calls(&self, _: &Caller, _: RuntimeId) -> Answer<()> {
        Ok(())
    }
    async fn choose_sleep(&self, caller: &Caller, runtime: RuntimeId, minutes: Option<i32>) -> Answer<RuntimeView> {
        let mut view = self.find(caller, runtime)?;
        view.sleep_rule.chosen_minutes = minutes;
        let mut state = self.state();
        if let Some((kept, _)) = state.runtimes.iter_mut().find(|(kept, _)| kept.runtime_id == runtime) {
            *kept = view.clone();
        }
        Ok(view)
    }
    async fn change_profile(&self, caller: &Caller, runtime: RuntimeId, profile: ProfileId, restart: bool) -> Answer<RuntimeView> {
        let found = self.find(caller, runtime)?;
        let chosen = self.state().profiles.iter().find(|known| known.profile_id == profile).cloned();
        if let Some((runtime, _)) = self.state().runtimes.iter_mut().find(|(known, _)| known.runtime_id == runtime) {
            take(runtime, chosen.as_ref());
        }
        let anew = restart || !matches!(found.phase, Phase::Ready | Phase::Stopped);
        self.change(caller, runtime, if anew { Phase::Waiting } else { found.phase })
    }
    async fn delete(&self, caller: &Caller, runtime: RuntimeId, _: Retention) -> Answer<()> {
        self.find(caller, runtime)?;
        self.state().runtimes.retain(|(view, _)| view.runtime_id != runtime);
        Ok(())
    }
    async fn stats(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Option<RuntimeStats>> {
        let ready = self.find(caller, runtime)?.phase == Phase::Ready;
        Ok(ready.then_some(RuntimeStats { memory_bytes: 1_180_000_000, memory_limit_bytes: 2 * GIB, cpu_percent: 14.2 }))
    }
    async fn logs(&self, caller: &Caller, runtime: RuntimeId, find: Option<&str>) -> Answer<LogView> {
        if self.find(caller, runtime)?.phase == Phase::Stopped {
            return Ok(LogView::default());
        }
        let lines = [
            "gateway: listening on :18789",
            "plugins: 6 loaded (exec, files, web, schedule, memory, canvas)",
            "models: clawloops/claude-sonnet (primary)",
        ];
        let lines = lines.iter().zip(4..).map(|(line, second)| format!("2026-11-22T08:12:{second:02}Z {line}"));
        let find = find.unwrap_or_default();
        Ok(LogView { lines: lines.filter(|line| line.contains(find)).collect(), more: find.is_empty() })
    }
    async fn tasks(&self, caller: &Caller, runtime: RuntimeId) -> Answer<Vec<TaskView>> {
        self.find(caller, runtime)?;
        Ok(sample::tasks(runtime))
    }
    async fn everyones_stats(&self, caller: &Caller) -> Answer<Vec<(RuntimeId, RuntimeUse)>> {
        only_administrators(caller)?;
        let ready = self.runtimes().into_iter().filter(|runtime| runtime.phase == Phase::Ready);
        let used = |of: u32| RuntimeUse {
            stats: Some(RuntimeStats {
                memory_bytes: 700_000_000 + i64::from(of) * 90_000_000,
                memory_limit_bytes: 2 * GIB,
                cpu_percent: f64::from(of) * 7.0,
            }),
            open: OpenConnections { websockets: of, streams: of % 2 },
        };
        Ok(ready.zip(1..).map(|(runtime, of)| (runtime.runtime_id, used(of))).collect())
    }
    async fn act(&self, caller: &Caller, act: Act, runtimes: &[RuntimeId]) -> Answer<Vec<Acted>> {
        only_administrators(caller)?;
        if runtimes.is_empty() {
            return Err(Problem::new(Code::Invalid, "No runtime is selected.").remedy("Select at least one in the list."));
        }
        let phase = if act == Act::Stop { Phase::Stopped } else { Phase::Waiting };
        let acted = |runtime_id| {
            let refused = self.find(caller, runtime_id).is_ok_and(|runtime| runtime.owner == "Per Holm" && act != Act::Stop);
            let problem = refused.then(|| Problem::new(Code::PersonDisabled, "Per Holm is disabled."));
            Acted { runtime_id, problem: problem.or_else(|| self.change(caller, runtime_id, phase).err()) }
        };
        Ok(runtimes.iter().copied().map(acted).collect())
    }
    async fn everyones(&self, caller: &Caller) -> Answer<Vec<RuntimeView>> {
        only_administrators(caller)?;
        Ok(self.runtimes().into_iter().filter(|runtime| runtime.phase != Phase::Deleted).collect())
    }
    async fn of_person(&self, caller: &Caller, person: PersonId) -> Answer<Vec<RuntimeView>> {
        only_administrators(caller)?;
        Ok(self.runtimes().into_iter().filter(|runtime| runtime.person_id == person).collect())
    }
}

#[async_trait]
impl Profiles for Fake {
    async fn offered_profiles(&self, _: &Caller) -> Answer<Vec<ProfileView>> {
        Ok(self.state().profiles.iter().filter(|profile| profile.offered).cloned().collect())
    }
    async fn all_profiles(&self, caller: &Caller) -> Answer<Vec<ProfileView>> {
        only_administrators(caller)?;
        Ok(self.state().profiles.clone())
    }
    async fn add_profile(&self, caller: &Caller, profile: ProfileChange) -> Answer<ProfileView> {
        only_administrators(caller)?;
        let mut state = self.state();
        let view = ProfileView { profile_id: ProfileId(id(810 + state.profiles.len() as u128)), ..defined(profile)? };
        state.profiles.push(view.clone());
        Ok(view)
    }
    async fn edit_profile(&self, caller: &Caller, profile: ProfileId, change: ProfileChange) -> Answer<ProfileView> {
        only_administrators(caller)?;
        let view = ProfileView { profile_id: profile, ..defined(change)? };
        for known in self.state().profiles.iter_mut().filter(|known| known.profile_id == profile) {
            *known = view.clone();
        }
        Ok(view)
    }
    async fn offer_profile(&self, caller: &Caller, profile: ProfileId, offered: bool) -> Answer<()> {
        only_administrators(caller)?;
        for known in self.state().profiles.iter_mut().filter(|known| known.profile_id == profile) {
            known.offered = offered;
        }
        Ok(())
    }
    async fn quota(&self, _: &Caller, _: Option<PersonId>) -> Answer<QuotaView> {
        let everyones = Resources { runtimes: 3, memory_bytes: 8 * GIB, cpu_millis: 8000, workspace_bytes: 50 * GIB };
        let own = self.state().own;
        let used = Resources { runtimes: 2, memory_bytes: 2 * GIB, cpu_millis: 2000, workspace_bytes: 20 * GIB };
        Ok(QuotaView { quota: own.over(everyones), used, own })
    }
    async fn set_quota(&self, caller: &Caller, _: PersonId, own: OwnQuota) -> Answer<()> {
        only_administrators(caller)?;
        self.state().own = own;
        Ok(())
    }
}

fn defined(change: ProfileChange) -> Answer<ProfileView> {
    if change.name.trim().is_empty() {
        return Err(Problem::new(Code::Invalid, "A profile needs a name of at most 60 characters.").field("name"));
    }
    Ok(ProfileView {
        profile_id: ProfileId(id(0)),
        name: change.name,
        description: change.description,
        image: change.image,
        memory_bytes: change.memory_bytes,
        cpu_millis: change.cpu_millis,
        pids: change.pids,
        workspace_bytes: change.workspace_bytes,
        models: change.models,
        gpu: change.gpu,
        oci_runtime: change.oci_runtime,
        sleep_after_minutes: change.sleep_after_minutes,
        sleep_stop_after_minutes: change.sleep_stop_after_minutes,
        position: change.position,
        offered: change.offered,
        runtimes: 0,
    })
}

#[async_trait]
impl Models for Fake {
    async fn catalog(&self, _: &Caller) -> Answer<Vec<ModelView>> {
        Ok(self.state().models.iter().filter(|model| model.published && model.price.is_some()).cloned().collect())
    }
    async fn keys(&self, caller: &Caller) -> Answer<Vec<KeyView>> {
        Ok(if caller.email.starts_with("new@") { Vec::new() } else { self.state().keys.clone() })
    }
    async fn make_key(&self, _: &Caller, wish: KeyWish) -> Answer<NewKey> {
        let mut state = self.state();
        let number = 404 + state.keys.len() as u128;
        let expires_at = match wish.ends {
            KeyEnd::Never => None,
            KeyEnd::After(days) => Some(ago(-1_440 * i64::from(days))),
            KeyEnd::With(day) => Some(day.midnight().assume_utc()),
        };
        let name_of = |id: &ModelId| state.models.iter().find(|model| model.model_id == *id).map(|model| model.name.clone());
        let models = wish.models.map(|ids| ids.iter().filter_map(name_of).collect());
        let key =
            KeyView { key_id: KeyId(id(number)), expires_at, models, ..sample::key(number, &wish.name, "cl_live_5e81c07b2a94…", None) };
        state.keys.insert(0, key.clone());
        Ok(NewKey { key, secret: sample::SECRET.to_owned() })
    }
    async fn rotate_key(&self, _: &Caller, key: KeyId, hours: u16) -> Answer<NewKey> {
        let mut state = self.state();
        let found = state.keys.iter_mut().find(|found| found.key_id == key);
        let found = found.ok_or_else(|| Problem::new(Code::NotFound, "This key does not exist, or it is not yours."))?;
        let former = FormerSecret { hint: found.hint.clone(), last_used_at: found.last_used_at, ends_at: ago(-60 * i64::from(hours)) };
        found.former.insert(0, former);
        (found.hint, found.last_used_at) = ("cl_live_5e81c07b2a94…".to_owned(), None);
        Ok(NewKey { key: found.clone(), secret: sample::SECRET.to_owned() })
    }
    async fn revoke_key(&self, _: &Caller, key: KeyId) -> Answer<()> {
        for found in self.state().keys.iter_mut().filter(|found| found.key_id == key) {
            found.revoked_at = Some(ago(0));
        }
        Ok(())
    }
    async fn set_key_limit(&self, _: &Caller, key: KeyId, limit: Limit) -> Answer<()> {
        for found in self.state().keys.iter_mut().filter(|found| found.key_id == key) {
            found.limits.retain(|one| (one.limit.window, one.limit.unit) != (limit.window, limit.unit) || one.set_by != SetBy::Owner);
            found.limits.push(KeyLimit { limit, set_by: SetBy::Owner });
        }
        Ok(())
    }
    async fn remove_key_limit(&self, _: &Caller, key: KeyId, window: Window, unit: Unit) -> Answer<()> {
        for found in self.state().keys.iter_mut().filter(|found| found.key_id == key) {
            found.limits.retain(|one| (one.limit.window, one.limit.unit) != (window, unit) || one.set_by != SetBy::Owner);
        }
        Ok(())
    }
    fn address(&self) -> String {
        "http://clawloops.localhost:3000/v1".to_owned()
    }
}

#[async_trait]
impl Admin for Fake {
    async fn overview(&self, caller: &Caller) -> Answer<Overview> {
        only_administrators(caller)?;
        Ok(sample::overview())
    }
    async fn people(&self, caller: &Caller) -> Answer<Vec<PersonView>> {
        only_administrators(caller)?;
        Ok(sample::people())
    }
    async fn person(&self, caller: &Caller, person: PersonId) -> Answer<PersonView> {
        only_administrators(caller)?;
        let found = sample::people().into_iter().find(|view| view.person_id == person);
        found.ok_or_else(|| Problem::new(Code::PersonNotFound, "There is no such person."))
    }
    async fn set_status(&self, _: &Caller, _: PersonId, _: PersonStatus) -> Answer<()> {
        Ok(())
    }
    async fn sign_out_everywhere(&self, _: &Caller, _: PersonId) -> Answer<()> {
        Ok(())
    }
    async fn history(&self, _: &Caller, _: PersonId) -> Answer<Vec<AuditEntry>> {
        Ok(sample::audit())
    }
    async fn invitations(&self, caller: &Caller) -> Answer<Vec<InvitationView>> {
        only_administrators(caller)?;
        let view = |number, email: &str, status, minutes| InvitationView {
            invitation_id: InvitationId(id(number)),
            email: email.to_owned(),
            role: Role::Person,
            status,
            invited_by: "Mira Okafor".to_owned(),
            created_at: ago(1_400),
            expires_at: ago(minutes),
        };
        Ok(vec![
            view(700, "noor@acme.example", InvitationStatus::Pending, -2_880),
            view(701, "late@acme.example", InvitationStatus::Expired, 400),
        ])
    }
    async fn invite(&self, caller: &Caller, email: &str, role: Role, hours: u16) -> Answer<NewInvitation> {
        if !email.contains('@') {
            return Err(Problem::new(Code::Invalid, "This is not an e-mail address.").field("email"));
        }
        let invitation = InvitationView {
            invitation_id: InvitationId(id(702)),
            email: email.to_owned(),
            role,
            status: InvitationStatus::Pending,
            invited_by: caller.name.clone(),
            created_at: ago(0),
            expires_at: ago(-60 * i64::from(hours)),
        };
        Ok(NewInvitation {
            invitation,
            link: "http://clawloops.localhost:3000/invitation/8mVh2cJ0vY4nW7sXeR3tL6bDq9aGfK1uZt5kPq81QdE".to_owned(),
        })
    }
    async fn revoke_invitation(&self, _: &Caller, _: InvitationId) -> Answer<()> {
        Ok(())
    }
    async fn renew_invitation(&self, caller: &Caller, _: InvitationId) -> Answer<NewInvitation> {
        self.invite(caller, "noor@acme.example", Role::Person, 72).await
    }
    async fn audit(&self, caller: &Caller, _: Option<AuditEntryId>) -> Answer<Vec<AuditEntry>> {
        only_administrators(caller)?;
        Ok(sample::audit())
    }
}

#[async_trait]
impl Providers for Fake {
    async fn providers(&self, caller: &Caller) -> Answer<Vec<ProviderView>> {
        only_administrators(caller)?;
        Ok(sample::providers())
    }
    async fn offered_providers(&self, caller: &Caller) -> Answer<Vec<OfferedProvider>> {
        only_administrators(caller)?;
        let models = vec!["llama4:8b".to_owned(), "qwen4:14b".to_owned()];
        Ok(vec![OfferedProvider { kind: ProviderKind::Ollama, base_url: "http://127.0.0.1:11434".to_owned(), models }])
    }
    async fn add_provider(&self, caller: &Caller, provider: NewProvider) -> Answer<ProviderView> {
        only_administrators(caller)?;
        if provider.secret.as_deref() == Some("wrong") {
            return Err(Problem::new(Code::UpstreamFailed, "OpenAI refused the key.")
                .remedy("Check that it was copied whole.")
                .field("secret"));
        }
        sample::providers().into_iter().next().ok_or_else(|| Problem::new(Code::Internal, "no provider"))
    }
    async fn upstream_models(&self, _: &Caller, _: ProviderId) -> Answer<Vec<String>> {
        Ok(["claude-haiku-5", "claude-opus-5", "claude-sonnet-5"].map(str::to_owned).to_vec())
    }
    async fn remove_provider(&self, _: &Caller, _: ProviderId) -> Answer<()> {
        Ok(())
    }
    async fn models(&self, caller: &Caller) -> Answer<Vec<ModelView>> {
        only_administrators(caller)?;
        Ok(self.state().models.clone())
    }
    async fn add_model(&self, _: &Caller, provider_id: ProviderId, change: ModelChange) -> Answer<ModelView> {
        let mut state = self.state();
        let number = 250 + state.models.len() as u128;
        let model = changed(ModelId(id(number)), provider_id, change);
        state.models.push(model.clone());
        Ok(model)
    }
    async fn change_model(&self, _: &Caller, model: ModelId, change: ModelChange) -> Answer<ModelView> {
        let mut state = self.state();
        if change.is_default {
            state.models.iter_mut().for_each(|model| model.is_default = false);
        }
        let found = state.models.iter_mut().find(|found| found.model_id == model);
        let found = found.ok_or_else(|| Problem::new(Code::ModelNotFound, "There is no such model."))?;
        *found = ModelView { provider: found.provider.clone(), ..changed(model, found.provider_id, change) };
        Ok(found.clone())
    }
    async fn remove_model(&self, _: &Caller, model: ModelId) -> Answer<()> {
        self.state().models.retain(|found| found.model_id != model);
        Ok(())
    }
}

fn changed(model_id: ModelId, provider_id: ProviderId, change: ModelChange) -> ModelView {
    ModelView {
        model_id,
        name: change.name,
        description: change.description,
        provider_id,
        provider: sample::providers()
            .into_iter()
            .find(|provider| provider.provider_id == provider_id)
            .map(|provider| provider.name)
            .unwrap_or_default(),
        upstream: change.upstream,
        context_tokens: change.context_tokens,
        output_tokens: change.output_tokens,
        price: change.price,
        counted_in: change.counted_in,
        published: change.published,
        groups: change.groups,
        is_default: change.is_default,
        fallbacks: change.fallbacks,
        unhealthy: None,
    }
}
