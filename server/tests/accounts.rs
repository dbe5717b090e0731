//! Getting in and being kept out: set-up link, invitations, passwords, sessions, closing a person.
#![cfg(test)]

use async_trait::async_trait;
use contract::{Caller, Code, InvitationStatus, NewSession, PersonId, PersonStatus, Problem, Role};
use server::{
    Error, Result,
    clock::{Clock, HandClock},
    data::{
        self, Connection, Pool,
        listen::{Change, Changes},
    },
    platform::{
        audit,
        invitations::{self, Guest},
        passwords::Passwords,
        people, sessions,
        setup::{self, Founder},
        sign_in,
        throttle::Throttle,
    },
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use time::{Duration, OffsetDateTime};
use url::Url;

const PASSWORD: &str = "three plain words";

/// A platform without runtimes and models.
struct Platform {
    pool: Pool,
    clock: Arc<HandClock>,
    passwords: Passwords,
    throttle: Throttle,
    public_url: Url,
}

impl Platform {
    fn on(pool: Pool) -> Self {
        Self {
            pool,
            // The database dates some rows itself, so the clock begins today.
            clock: HandClock::at(OffsetDateTime::now_utc()),
            passwords: Passwords::new().unwrap(),
            throttle: Throttle::new(),
            public_url: "http://clawloops.localhost:3000".parse().unwrap(),
        }
    }

    /// With Ada, who administers.
    async fn with_ada(pool: Pool) -> (Self, Caller) {
        let platform = Self::on(pool);
        let token = platform.setup_token().await.unwrap();
        let ada = platform.set_up(&token, "Ada@Example.com").await.unwrap();
        (platform, ada.caller)
    }

    async fn setup_token(&self) -> Option<String> {
        let link = setup::ensure_link(&self.pool, &*self.clock, &self.public_url).await.unwrap()?;
        Some(link.strip_prefix("http://clawloops.localhost:3000/setup/").unwrap().to_owned())
    }

    async fn set_up(&self, token: &str, email: &str) -> Result<NewSession> {
        let founder = Founder { email, name: "Ada", password: PASSWORD, agent: "test" };
        setup::accept(&self.pool, &*self.clock, &self.passwords, token, founder).await
    }

    async fn invite(&self, caller: &Caller, email: &str, role: Role) -> Result<(contract::InvitationView, String)> {
        let made = invitations::invite(&self.pool, &*self.clock, &self.public_url, caller, (email, role), 72).await?;
        Ok((made.invitation, token_of(&made.link)))
    }

    async fn accept(&self, token: &str, password: &str) -> Result<NewSession> {
        let guest = Guest { name: "Grace", password, agent: "test" };
        invitations::accept(&self.pool, &*self.clock, &self.passwords, token, guest).await
    }

    /// A person who was invited and accepted.
    async fn person(&self, by: &Caller, email: &str, role: Role) -> NewSession {
        let (_, token) = self.invite(by, email, role).await.unwrap();
        self.accept(&token, PASSWORD).await.unwrap()
    }

    async fn sign_in(&self, email: &str, password: &str) -> Result<NewSession> {
        sign_in::sign_in(&self.pool, &*self.clock, &self.passwords, &self.throttle, (email, password), "test").await
    }

    async fn whose(&self, session: &NewSession) -> Option<PersonId> {
        let found = sessions::find(&self.pool, &*self.clock, cookie(session)).await.unwrap();
        found.map(|caller| caller.person_id)
    }

    async fn set_status(&self, by: &Caller, person: PersonId, status: PersonStatus) -> Result<()> {
        people::set_status(&self.pool, &*self.clock, &NoRuntimes::default(), by, person, status).await
    }

    async fn actions(&self) -> Vec<String> {
        audit::newest(&self.pool, None).await.unwrap().into_iter().rev().map(|entry| entry.action).collect()
    }
}

fn token_of(link: &str) -> String {
    link.strip_prefix("http://clawloops.localhost:3000/invitation/").unwrap().to_owned()
}

fn cookie(session: &NewSession) -> &str {
    session.set_cookie.strip_prefix("__Host-Http-clawloops_session=").unwrap().split(';').next().unwrap()
}

#[track_caller]
fn problem(result: Result<impl std::fmt::Debug>) -> Problem {
    match result {
        Err(Error::Problem(problem)) => *problem,
        other => panic!("wanted a problem, got {other:?}"),
    }
}

/// Counts whom it was asked to close.
#[derive(Default)]
struct NoRuntimes(AtomicUsize);

#[async_trait]
impl people::Closing for NoRuntimes {
    async fn close_person(&self, _: &mut Connection, _: PersonId, _: OffsetDateTime) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Runtimes that cannot be stopped.
struct BrokenRuntimes;

#[async_trait]
impl people::Closing for BrokenRuntimes {
    async fn close_person(&self, _: &mut Connection, _: PersonId, _: OffsetDateTime) -> Result<()> {
        Err(Error::internal("stopping runtimes", "broken"))
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_setup_link_works_once_and_only_the_newest(pool: Pool) {
    let platform = Platform::on(pool);
    let older = platform.setup_token().await.unwrap();
    let newer = platform.setup_token().await.unwrap();
    let read = async |token: &str| setup::welcome(&platform.pool, &*platform.clock, token).await;

    assert_eq!(problem(read("never-made").await).code, Code::InvitationNotFound);
    assert_eq!(problem(read(&older).await).code, Code::InvitationExpired);
    assert_eq!(read(&newer).await.unwrap().role, Role::Administrator);
    assert_eq!(problem(platform.set_up(&older, "eve@example.com").await).code, Code::InvitationExpired);
    assert_eq!(problem(platform.set_up(&newer, "not an address").await).field.unwrap(), "email");

    let session = platform.set_up(&newer, "ada@example.com").await.unwrap();
    assert_eq!(platform.whose(&session).await, Some(session.caller.person_id));
    assert!(session.caller.is_administrator());

    for token in [&older, &newer] {
        assert_eq!(problem(read(token).await).code, Code::InvitationConsumed);
        assert_eq!(problem(platform.set_up(token, "eve@example.com").await).code, Code::InvitationConsumed);
    }
    assert_eq!(platform.setup_token().await, None, "no link while somebody administers");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_setup_link_gets_too_old(pool: Pool) {
    let platform = Platform::on(pool);
    let token = platform.setup_token().await.unwrap();
    platform.clock.advance(setup::LIFETIME);
    assert_eq!(problem(platform.set_up(&token, "ada@example.com").await).code, Code::InvitationExpired);
    assert!(platform.setup_token().await.is_some());
}

#[sqlx::test(migrations = "../migrations")]
async fn an_administrator_by_the_command_line_closes_the_setup_link(pool: Pool) {
    let platform = Platform::on(pool);
    let token = platform.setup_token().await.unwrap();
    let add = async |password: &str| {
        people::add_administrator(&platform.pool, &*platform.clock, &platform.passwords, ("ada@example.com", "Ada"), password).await
    };
    assert_eq!(problem(add("short").await).field.unwrap(), "password");
    add(PASSWORD).await.unwrap();
    assert_eq!(problem(add(PASSWORD).await).code, Code::Conflict);
    assert_eq!(problem(platform.set_up(&token, "eve@example.com").await).code, Code::InvitationConsumed);
    assert!(platform.sign_in("ada@example.com", PASSWORD).await.unwrap().caller.is_administrator());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_password_and_an_unknown_address_look_the_same_and_case_does_not_count(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let wrong = problem(platform.sign_in("ada@example.com", "three plain wordz").await);
    let unknown = problem(platform.sign_in("nobody@example.com", PASSWORD).await);
    assert_eq!(wrong.code, Code::InvalidCredentials);
    assert_eq!(wrong, unknown);

    for address in ["ADA@EXAMPLE.COM", " ada@example.com "] {
        assert_eq!(platform.sign_in(address, PASSWORD).await.unwrap().caller.person_id, ada.person_id);
    }
    let taken = problem(platform.invite(&ada, "aDa@eXample.com", Role::Person).await);
    assert_eq!((taken.code, taken.field.as_deref()), (Code::Conflict, Some("email")));
}

#[sqlx::test(migrations = "../migrations")]
async fn guessing_is_slowed_down_for_one_account_only(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    platform.person(&ada, "grace@example.com", Role::Person).await;
    let mut codes = Vec::new();
    for _ in 0..11 {
        codes.push(problem(platform.sign_in("ada@example.com", "wrong").await).code);
    }
    assert_eq!(codes.pop(), Some(Code::TooManyRequests));
    assert!(codes.iter().all(|code| *code == Code::InvalidCredentials), "{codes:?}");
    let waits = problem(platform.sign_in("ADA@example.com", PASSWORD).await);
    assert!(waits.retry_after.is_some_and(|seconds| seconds > 0), "even with the right password, whatever the case: {waits:?}");
    platform.sign_in("grace@example.com", PASSWORD).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invitation_works_once_and_its_link_never_signs_in_again(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let (invitation, token) = platform.invite(&ada, "grace@example.com", Role::Person).await.unwrap();
    assert_eq!(invitation.status, InvitationStatus::Pending);
    let welcome = invitations::welcome(&platform.pool, &*platform.clock, &token).await.unwrap();
    assert_eq!((welcome.email.as_deref(), welcome.invited_by.as_deref()), (Some("grace@example.com"), Some("Ada")));
    let id_as_token = platform.accept(&invitation.invitation_id.to_string(), PASSWORD).await;
    assert_eq!(problem(id_as_token).code, Code::InvitationNotFound, "an id is not a token");
    assert_eq!(problem(platform.accept(&token, "Grace@example.com").await).field.unwrap(), "password");

    let grace = platform.accept(&token, PASSWORD).await.unwrap();
    assert_eq!((grace.caller.email.as_str(), grace.caller.role), ("grace@example.com", Role::Person));
    assert_eq!(platform.whose(&grace).await, Some(grace.caller.person_id));

    for password in [PASSWORD, "another long password"] {
        assert_eq!(problem(platform.accept(&token, password).await).code, Code::InvitationConsumed);
    }
    assert_eq!(problem(platform.sign_in("grace@example.com", "another long password").await).code, Code::InvalidCredentials);
    let list = invitations::list(&platform.pool, &*platform.clock, &ada).await.unwrap();
    assert!(list.is_empty(), "{list:?}");
    let revoked = invitations::revoke(&platform.pool, &*platform.clock, &ada, invitation.invitation_id).await;
    assert_eq!(problem(revoked).code, Code::InvitationConsumed);
}

#[sqlx::test(migrations = "../migrations")]
async fn of_many_who_accept_at_once_one_gets_in(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let (_, token) = platform.invite(&ada, "grace@example.com", Role::Person).await.unwrap();
    let tries = futures::future::join_all((0..6).map(|_| platform.accept(&token, PASSWORD))).await;
    let (won, lost): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|lost| problem(lost).code == Code::InvitationConsumed));
    assert_eq!(people::list(&platform.pool, &*platform.clock, &ada).await.unwrap().len(), 2);
}

#[sqlx::test(migrations = "../migrations")]
async fn revoked_expired_and_renewed_invitations(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let (first, token) = platform.invite(&ada, "grace@example.com", Role::Person).await.unwrap();
    let again = problem(platform.invite(&ada, "GRACE@example.com", Role::Person).await);
    assert_eq!((again.code, again.field.as_deref()), (Code::Conflict, Some("email")), "one open invitation an address");

    for _ in 0..2 {
        invitations::revoke(&platform.pool, &*platform.clock, &ada, first.invitation_id).await.unwrap();
    }
    assert_eq!(problem(platform.accept(&token, PASSWORD).await).code, Code::InvitationRevoked);
    let renew = async |id| invitations::renew(&platform.pool, &*platform.clock, &platform.public_url, &ada, id).await;
    assert_eq!(problem(renew(first.invitation_id).await).code, Code::InvitationRevoked);
    assert_eq!(problem(renew(contract::InvitationId(uuid::Uuid::now_v7())).await).code, Code::InvitationNotFound);

    let (second, old) = platform.invite(&ada, "grace@example.com", Role::Person).await.unwrap();
    platform.clock.advance(Duration::hours(72));
    assert_eq!(problem(platform.accept(&old, PASSWORD).await).code, Code::InvitationExpired);
    let renewed = renew(second.invitation_id).await.unwrap();
    assert_eq!(renewed.invitation.status, InvitationStatus::Pending);
    assert_eq!(problem(platform.accept(&old, PASSWORD).await).code, Code::InvitationNotFound, "the old link ended");
    platform.accept(&token_of(&renewed.link), PASSWORD).await.unwrap();

    // One that is too old does not stand in the way of a new one.
    platform.invite(&ada, "linus@example.com", Role::Person).await.unwrap();
    platform.clock.advance(Duration::hours(73));
    platform.invite(&ada, "linus@example.com", Role::Person).await.unwrap();
    for hours in [0, 721] {
        let made =
            invitations::invite(&platform.pool, &*platform.clock, &platform.public_url, &ada, ("x@example.com", Role::Person), hours);
        assert_eq!(problem(made.await).field.unwrap(), "hours");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_session_ends_idle_and_in_any_case(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let idle = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let used = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    assert!(used.set_cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"), "{}", used.set_cookie);

    for _ in 0..5 {
        platform.clock.advance(sessions::IDLE - Duration::hours(24));
        if platform.clock.now() < OffsetDateTime::now_utc() + sessions::ABSOLUTE - Duration::hours(1) {
            assert_eq!(platform.whose(&used).await, Some(ada.person_id));
        }
    }
    assert_eq!(platform.whose(&idle).await, None, "unused for a week");
    assert_eq!(platform.whose(&used).await, None, "used, but thirty days old");
    for forged in ["", "x", &"x".repeat(43), &cookie(&used)[..42]] {
        assert!(sessions::find(&platform.pool, &*platform.clock, forged).await.unwrap().is_none());
    }

    let new = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let open = sessions::of(&platform.pool, &*platform.clock, &new.caller).await.unwrap();
    assert_eq!(open.len(), 1);
    let rows: i64 = sqlx::query_scalar("select count(*) from session").fetch_one(&platform.pool).await.unwrap();
    assert_eq!(rows, 1, "those that ended were cleared away");
}

#[sqlx::test(migrations = "../migrations")]
async fn sessions_are_ended_one_by_one_by_a_new_password_and_by_signing_out(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let here = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let there = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let grace = platform.person(&ada, "grace@example.com", Role::Person).await;

    let open = sessions::of(&platform.pool, &*platform.clock, &here.caller).await.unwrap();
    assert_eq!(open.len(), 3);
    assert!(open[0].current && open[0].session_id == here.caller.session_id);
    let foreign = sessions::end_own(&platform.pool, &here.caller, grace.caller.session_id).await;
    assert_eq!(problem(foreign).code, Code::NotFound);
    sessions::end_own(&platform.pool, &here.caller, there.caller.session_id).await.unwrap();
    assert_eq!(platform.whose(&there).await, None);

    let third = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let change = async |current: &str, new: &str| {
        sign_in::change_password(&platform.pool, &platform.passwords, &platform.throttle, &here.caller, (current, new)).await
    };
    assert_eq!(problem(change("wrong", "four more plain words").await).field.unwrap(), "current");
    assert_eq!(problem(change(PASSWORD, "short").await).field.unwrap(), "new");
    assert_eq!(problem(change(PASSWORD, PASSWORD).await).field.unwrap(), "new");
    change(PASSWORD, "four more plain words").await.unwrap();
    assert_eq!(platform.whose(&here).await, Some(ada.person_id));
    assert_eq!(platform.whose(&third).await, None, "the others ended");
    assert_eq!(problem(platform.sign_in("ada@example.com", PASSWORD).await).code, Code::InvalidCredentials);

    for _ in 0..2 {
        sessions::sign_out(&platform.pool, &here.caller).await.unwrap();
    }
    assert_eq!(platform.whose(&here).await, None);
    assert_eq!(platform.whose(&grace).await, Some(grace.caller.person_id), "somebody else's stays");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_disabled_person_is_out_at_once_and_told_so_only_with_the_right_password(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let grace = platform.person(&ada, "grace@example.com", Role::Person).await;
    let id = grace.caller.person_id;

    let denied = platform.set_status(&grace.caller, ada.person_id, PersonStatus::Disabled).await;
    assert_eq!(problem(denied).code, Code::AccessDenied);
    let unknown = platform.set_status(&ada, PersonId(uuid::Uuid::now_v7()), PersonStatus::Disabled).await;
    assert_eq!(problem(unknown).code, Code::PersonNotFound);

    let changes = Changes::new();
    let mut heard = changes.subscribe();
    let (pool, feed) = (platform.pool.clone(), changes.clone());
    let feeding = tokio::task::spawn(async move { feed.feed(&pool).await });
    assert_eq!(heard.recv().await.unwrap(), Change::Anything, "listening");

    // Whatever fails, all of it is as before.
    let broken = people::set_status(&platform.pool, &*platform.clock, &BrokenRuntimes, &ada, id, PersonStatus::Disabled).await;
    assert!(broken.is_err());
    assert_eq!(platform.whose(&grace).await, Some(id));

    let runtimes = NoRuntimes::default();
    for _ in 0..2 {
        people::set_status(&platform.pool, &*platform.clock, &runtimes, &ada, id, PersonStatus::Disabled).await.unwrap();
    }
    assert_eq!(runtimes.0.load(Ordering::Relaxed), 1, "disabled twice is disabled once");
    assert_eq!(platform.whose(&grace).await, None);
    let ended = Change::SessionEnded { session_id: grace.caller.session_id, person_id: id };
    assert_eq!(heard.recv().await.unwrap(), ended, "told when it was true, and not before");
    assert_eq!(heard.recv().await.unwrap(), Change::PersonClosed { person_id: id });
    feeding.abort();

    assert_eq!(problem(platform.sign_in("grace@example.com", PASSWORD).await).code, Code::PersonDisabled);
    assert_eq!(problem(platform.sign_in("grace@example.com", "wrong").await).code, Code::InvalidCredentials);
    platform.set_status(&ada, id, PersonStatus::Active).await.unwrap();
    assert_eq!(platform.whose(&grace).await, None, "an old session does not come back");
    platform.sign_in("grace@example.com", PASSWORD).await.unwrap();
    let actions = platform.actions().await;
    let disabled = actions.iter().filter(|action| *action == "person.disabled").count();
    assert_eq!(disabled, 1, "{actions:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_disabled_administrator_invited_opens_nothing(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let grace = platform.person(&ada, "grace@example.com", Role::Administrator).await.caller;
    let (_, back_door) = platform.invite(&grace, "grace@elsewhere.example", Role::Administrator).await.unwrap();
    let (_, of_ada) = platform.invite(&ada, "linus@example.com", Role::Person).await.unwrap();
    platform.set_status(&ada, grace.person_id, PersonStatus::Disabled).await.unwrap();
    assert_eq!(problem(platform.accept(&back_door, PASSWORD).await).code, Code::InvitationRevoked);
    let revoked: OffsetDateTime = sqlx::query_scalar("select revoked_at from invitation where invited_by = $1")
        .bind(grace.person_id.0)
        .fetch_one(&platform.pool)
        .await
        .unwrap();
    assert!((revoked - platform.clock.now()).abs() < Duration::milliseconds(1), "by the clock that was given");
    platform.accept(&of_ada, PASSWORD).await.unwrap();
    // And it stays so when they are let in again.
    platform.set_status(&ada, grace.person_id, PersonStatus::Active).await.unwrap();
    assert_eq!(problem(platform.accept(&back_door, PASSWORD).await).code, Code::InvitationRevoked);
}

#[sqlx::test(migrations = "../migrations")]
async fn somebody_always_administers(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let oneself = platform.set_status(&ada, ada.person_id, PersonStatus::Disabled).await;
    assert_eq!(problem(oneself).code, Code::Conflict);
    let grace = platform.person(&ada, "grace@example.com", Role::Administrator).await.caller;

    // Each closes the other at the same time: one of them stays.
    let (one, other) = tokio::join!(
        platform.set_status(&ada, grace.person_id, PersonStatus::Disabled),
        platform.set_status(&grace, ada.person_id, PersonStatus::Disabled),
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    let active: i64 = sqlx::query_scalar("select count(*) from person where status = 'active'").fetch_one(&platform.pool).await.unwrap();
    assert_eq!(active, 1);

    // A session check made before the closing does not help whoever was closed.
    let (closed, left) = if one.is_ok() { (grace, ada) } else { (ada, grace) };
    let late = platform.set_status(&closed, left.person_id, PersonStatus::Disabled).await;
    assert_eq!(problem(late).code, Code::AccessDenied);
}

#[sqlx::test(migrations = "../migrations")]
async fn only_administrators_administer(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let grace = platform.person(&ada, "grace@example.com", Role::Person).await.caller;
    let (pool, clock) = (&platform.pool, &*platform.clock);
    let (invitation, _) = platform.invite(&ada, "linus@example.com", Role::Person).await.unwrap();
    let codes = Mutex::new(Vec::new());
    let note = |problem: Problem| codes.lock().unwrap().push(problem.code);
    note(problem(people::list(pool, clock, &grace).await));
    note(problem(people::get(pool, clock, &grace, grace.person_id).await));
    note(problem(people::sign_out_everywhere(pool, &grace, ada.person_id).await));
    note(problem(invitations::list(pool, clock, &grace).await));
    note(problem(platform.invite(&grace, "eve@example.com", Role::Administrator).await));
    note(problem(invitations::revoke(pool, clock, &grace, invitation.invitation_id).await));
    note(problem(invitations::renew(pool, clock, &platform.public_url, &grace, invitation.invitation_id).await));
    note(problem(server::platform::overview::glance(pool, &grace).await));
    let codes = codes.into_inner().unwrap();
    assert_eq!(codes, vec![Code::AccessDenied; 8]);

    people::sign_out_everywhere(pool, &ada, grace.person_id).await.unwrap();
    assert_eq!(people::get(pool, clock, &ada, grace.person_id).await.unwrap().sessions, 0);
    let overview = server::platform::overview::glance(pool, &ada).await.unwrap();
    assert_eq!((overview.people, overview.invitations, overview.has_provider), (2, 1, false));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_profile_and_the_history_of_a_person(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    sign_in::change_profile(&platform.pool, &ada, " Ada Lovelace ", "Europe/London").await.unwrap();
    for (name, time_zone, field) in [("", "UTC", "name"), ("Ada", "Europe/Atlantis", "time_zone"), ("Ada", "", "time_zone")] {
        let refused = problem(sign_in::change_profile(&platform.pool, &ada, name, time_zone).await);
        assert_eq!(refused.field.as_deref(), Some(field));
    }
    let session = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    assert_eq!((session.caller.name.as_str(), session.caller.time_zone.as_str()), ("Ada Lovelace", "Europe/London"));

    let grace = platform.person(&ada, "grace@example.com", Role::Person).await.caller;
    let own: Vec<String> = audit::of_person(&platform.pool, grace.person_id).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(own, ["session.opened", "invitation.accepted"]);
    assert_eq!(
        platform.actions().await,
        ["person.made", "session.opened", "profile.changed", "session.opened", "invitation.made", "invitation.accepted", "session.opened"]
    );
    let first = audit::newest(&platform.pool, None).await.unwrap();
    let older = audit::newest(&platform.pool, Some(first[2].audit_entry_id)).await.unwrap();
    assert_eq!(older, first[3..]);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_database_holds_no_token_and_no_password(pool: Pool) {
    let (platform, ada) = Platform::with_ada(pool).await;
    let (_, token) = platform.invite(&ada, "grace@example.com", Role::Person).await.unwrap();
    let session = platform.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let mut conn = data::begin(&platform.pool).await.unwrap();
    for table in ["person", "session", "invitation", "setup_link", "audit_entry", "setting"] {
        let query = sqlx::AssertSqlSafe(format!("select coalesce(string_agg({table}::text, ' '), '') from {table}"));
        let text: String = sqlx::query_scalar(query).fetch_one(&mut *conn).await.unwrap();
        for secret in [token.as_str(), cookie(&session), PASSWORD] {
            // Binary columns are shown in hex.
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(secret) && !text.contains(&hex), "{table} holds a secret in the clear");
        }
    }
}
