//! Invitations: one-use links for an address, which an administrator makes, renews and takes back.

use crate::{
    Result,
    clock::{Clock, new_id},
    data::{
        self, Pool,
        invitation::Invitation,
        listen::{Change, notify},
    },
    platform::{
        audit::{self, Actor},
        fields,
        passwords::Passwords,
        people,
        secret::{Token, hash_of},
        sessions, setup,
    },
};
use contract::{Caller, Code, InvitationId, InvitationStatus, InvitationView, NewInvitation, NewSession, Problem, Role, Welcome};
use time::{Duration, OffsetDateTime};
use url::Url;

/// How long a renewed link lives.
pub const RENEWED: Duration = Duration::hours(72);

/// Who accepts an invitation.
pub struct Guest<'a> {
    /// The name shown.
    pub name: &'a str,
    /// The password they chose.
    pub password: &'a str,
    /// Their browser.
    pub agent: &'a str,
}

/// Invites an address. The link is in the answer and nowhere else.
///
/// # Errors
/// `AccessDenied`; `Invalid` with the field; `Conflict` when the address has an account or an open invitation.
pub async fn invite(
    pool: &Pool,
    clock: &dyn Clock,
    public_url: &Url,
    caller: &Caller,
    (email, role): (&str, Role),
    hours: u16,
) -> Result<NewInvitation> {
    people::administrators_only(caller)?;
    let (email, lifetime) = (fields::email(email)?, fields::hours(hours)?);
    let (token, now) = (Token::random()?, clock.now());
    let mut tx = data::begin(pool).await?;
    if data::person::by_email(&mut tx, &email).await?.is_some() {
        return Err(Problem::new(Code::Conflict, "There is a person with this e-mail address already.").field("email").into());
    }
    // One that is too old does not stand in the way of a new one.
    data::invitation::revoke_expired(&mut tx, &email, now).await?;
    let invitation = Invitation {
        invitation_id: new_id(),
        email,
        role,
        invited_by: caller.name.clone(),
        created_at: now,
        expires_at: now + lifetime,
        consumed: false,
        revoked: false,
    };
    data::invitation::insert(&mut tx, &invitation, caller.person_id, &token.hash())
        .await
        .map_err(|error| error.on_constraint("invitation_open_email_key", invited_already))?;
    let detail = format!("as {}", word(role));
    audit::record(&mut tx, Actor::Person(caller), "invitation.made", None, &invitation.email, &detail).await?;
    notify(&mut tx, Change::People).await?;
    tx.commit().await?;
    Ok(NewInvitation { invitation: view(invitation, now), link: setup::link(public_url, "invitation", &token) })
}

/// Invitations that were not consumed, newest first.
///
/// # Errors
/// `AccessDenied`.
pub async fn list(pool: &Pool, clock: &dyn Clock, caller: &Caller) -> Result<Vec<InvitationView>> {
    people::administrators_only(caller)?;
    let now = clock.now();
    let rows = data::invitation::unconsumed(&mut *pool.acquire().await?).await?;
    Ok(rows.into_iter().map(|row| view(row, now)).collect())
}

/// Takes an invitation back. Taken back already is success.
///
/// # Errors
/// `AccessDenied`; `InvitationNotFound`; `InvitationConsumed`.
pub async fn revoke(pool: &Pool, clock: &dyn Clock, caller: &Caller, invitation: InvitationId) -> Result<()> {
    people::administrators_only(caller)?;
    let mut tx = data::begin(pool).await?;
    let found = data::invitation::lock(&mut tx, invitation).await.map_err(|error| error.on_missing(unknown))?;
    if found.consumed {
        return Err(consumed().into());
    }
    if !found.revoked {
        data::invitation::revoke(&mut tx, invitation, clock.now()).await?;
        audit::record(&mut tx, Actor::Person(caller), "invitation.revoked", None, &found.email, "").await?;
        notify(&mut tx, Change::People).await?;
    }
    Ok(tx.commit().await?)
}

/// Makes a new link for an invitation; the old one ends. An expired one lives again.
///
/// # Errors
/// `AccessDenied`; `InvitationNotFound`; `InvitationConsumed`; `InvitationRevoked`.
pub async fn renew(pool: &Pool, clock: &dyn Clock, public_url: &Url, caller: &Caller, invitation: InvitationId) -> Result<NewInvitation> {
    people::administrators_only(caller)?;
    let (token, now) = (Token::random()?, clock.now());
    let mut tx = data::begin(pool).await?;
    let mut found = data::invitation::lock(&mut tx, invitation).await.map_err(|error| error.on_missing(unknown))?;
    if found.consumed {
        return Err(consumed().into());
    }
    if found.revoked {
        return Err(revoked().into());
    }
    found.expires_at = now + RENEWED;
    data::invitation::renew(&mut tx, invitation, &token.hash(), found.expires_at).await?;
    audit::record(&mut tx, Actor::Person(caller), "invitation.renewed", None, &found.email, "").await?;
    notify(&mut tx, Change::People).await?;
    tx.commit().await?;
    Ok(NewInvitation { invitation: view(found, now), link: setup::link(public_url, "invitation", &token) })
}

/// What the holder of an invitation sees.
///
/// # Errors
/// `InvitationNotFound`, `InvitationConsumed`, `InvitationRevoked` or `InvitationExpired`.
pub async fn welcome(pool: &Pool, clock: &dyn Clock, token: &str) -> Result<Welcome> {
    let found = data::invitation::find(&mut *pool.acquire().await?, &hash_of(token)).await?.ok_or_else(unknown)?;
    open_or_why_not(&found, clock.now())?;
    Ok(Welcome { email: Some(found.email), role: found.role, invited_by: Some(found.invited_by), expires_at: found.expires_at })
}

/// Accepts an invitation: makes the person and signs them in. It works once: whoever comes second, with whatever password, gets in nowhere.
///
/// # Errors
/// As [`welcome`]; `Invalid` with the field that will not do; `Conflict` when the address got an account meanwhile.
pub async fn accept(pool: &Pool, clock: &dyn Clock, passwords: &Passwords, token: &str, guest: Guest<'_>) -> Result<NewSession> {
    // Looked at before any work: an invalid link costs no hashing.
    let invited = welcome(pool, clock, token).await?;
    let name = fields::name(guest.name)?;
    fields::password("password", guest.password, invited.email.as_deref().unwrap_or_default())?;
    let hash = passwords.hash(guest.password).await?;

    let mut tx = data::begin(pool).await?;
    // Locked: of two at the same time, the second waits here and then reads that it was consumed.
    let found = data::invitation::lock_by_token(&mut tx, &hash_of(token)).await.map_err(|error| error.on_missing(unknown))?;
    open_or_why_not(&found, clock.now())?;
    let person = people::add(&mut tx, clock, (found.email.clone(), name), found.role, &hash).await?;
    data::invitation::consume(&mut tx, found.invitation_id, person.person_id, clock.now()).await?;
    let detail = format!("invited by {}", found.invited_by);
    audit::record(&mut tx, Actor::ClawLoops, "invitation.accepted", Some(person.person_id), &person.email, &detail).await?;
    let session = sessions::open(&mut tx, clock, &person, guest.agent).await?;
    tx.commit().await?;
    Ok(session)
}

fn status(invitation: &Invitation, now: OffsetDateTime) -> InvitationStatus {
    if invitation.consumed {
        InvitationStatus::Consumed
    } else if invitation.revoked {
        InvitationStatus::Revoked
    } else if now >= invitation.expires_at {
        InvitationStatus::Expired
    } else {
        InvitationStatus::Pending
    }
}

fn open_or_why_not(invitation: &Invitation, now: OffsetDateTime) -> Result<()> {
    match status(invitation, now) {
        InvitationStatus::Pending => Ok(()),
        InvitationStatus::Consumed => Err(consumed().into()),
        InvitationStatus::Revoked => Err(revoked().into()),
        InvitationStatus::Expired => Err(expired().into()),
    }
}

fn view(invitation: Invitation, now: OffsetDateTime) -> InvitationView {
    InvitationView {
        status: status(&invitation, now),
        invitation_id: invitation.invitation_id,
        email: invitation.email,
        role: invitation.role,
        invited_by: invitation.invited_by,
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
    }
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Person => "person",
        Role::Administrator => "administrator",
    }
}

fn invited_already() -> Problem {
    Problem::new(Code::Conflict, "This address has an open invitation.").remedy("Renew that one to get a new link.").field("email")
}

fn unknown() -> Problem {
    Problem::new(Code::InvitationNotFound, "This invitation is not valid.")
        .remedy("Check the link, or ask your administrator for a new one.")
}

fn consumed() -> Problem {
    Problem::new(Code::InvitationConsumed, "This invitation was used already. It works once.")
        .remedy("Sign in with your address and password.")
}

fn revoked() -> Problem {
    Problem::new(Code::InvitationRevoked, "This invitation was taken back.").remedy("Ask your administrator for a new one.")
}

fn expired() -> Problem {
    Problem::new(Code::InvitationExpired, "This invitation is too old.").remedy("Ask your administrator for a new one.")
}
