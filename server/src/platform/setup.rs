//! The first administrator: a one-use link, printed while nobody administers.

use crate::{
    Result,
    clock::Clock,
    data::{self, Pool},
    platform::{
        audit::{self, Actor},
        fields,
        passwords::Passwords,
        people,
        secret::{Token, hash_of},
        sessions,
    },
};
use contract::{Code, NewSession, Problem, Role, Welcome};
use time::Duration;
use url::Url;

/// How long a set-up link lives.
pub const LIFETIME: Duration = Duration::hours(24);

/// Who is to become the first administrator.
pub struct Founder<'a> {
    /// The address they will sign in with.
    pub email: &'a str,
    /// The name shown.
    pub name: &'a str,
    /// The password they chose.
    pub password: &'a str,
    /// Their browser.
    pub agent: &'a str,
}

/// A new one-use set-up link while no administrator exists, none otherwise. Earlier links end.
///
/// # Errors
/// When the database fails.
pub async fn ensure_link(pool: &Pool, clock: &dyn Clock, public_url: &Url) -> Result<Option<String>> {
    let now = clock.now();
    let mut tx = data::begin(pool).await?;
    if data::person::has_administrator(&mut tx).await? {
        return Ok(None);
    }
    let token = Token::random()?;
    data::setup_link::end_open(&mut tx, now).await?;
    data::setup_link::insert(&mut tx, &token.hash(), now, now + LIFETIME).await?;
    tx.commit().await?;
    Ok(Some(link(public_url, "setup", &token)))
}

/// A link with a token in its path, `{public_url}/{place}/{token}`.
#[must_use]
pub fn link(public_url: &Url, place: &str, token: &Token) -> String {
    format!("{}/{place}/{}", public_url.as_str().trim_end_matches('/'), token.as_str())
}

/// What the holder of a set-up link sees.
///
/// # Errors
/// `InvitationNotFound`, `InvitationConsumed` or `InvitationExpired`.
pub async fn welcome(pool: &Pool, clock: &dyn Clock, token: &str) -> Result<Welcome> {
    let mut conn = pool.acquire().await?;
    let link = data::setup_link::find(&mut conn, &hash_of(token)).await?.ok_or_else(unknown)?;
    if link.used || data::person::has_administrator(&mut conn).await? {
        return Err(used().into());
    }
    if clock.now() >= link.expires_at {
        return Err(expired().into());
    }
    Ok(Welcome { email: None, role: Role::Administrator, invited_by: None, expires_at: link.expires_at })
}

/// Uses the link: makes the first administrator and signs them in. Of two at the same time, one wins.
///
/// # Errors
/// As [`welcome`]; `Invalid` with the field that will not do.
pub async fn accept(pool: &Pool, clock: &dyn Clock, passwords: &Passwords, token: &str, founder: Founder<'_>) -> Result<NewSession> {
    // Looked at before any work: an invalid link costs no hashing.
    welcome(pool, clock, token).await?;
    let (email, name) = (fields::email(founder.email)?, fields::name(founder.name)?);
    fields::password("password", founder.password, &email)?;
    let hash = passwords.hash(founder.password).await?;

    let mut tx = data::begin(pool).await?;
    if !data::setup_link::consume(&mut tx, &hash_of(token), clock.now()).await? || data::person::has_administrator(&mut tx).await? {
        return Err(used().into());
    }
    let person = people::add(&mut tx, clock, (email, name), Role::Administrator, &hash).await?;
    audit::record(&mut tx, Actor::ClawLoops, "person.made", Some(person.person_id), &person.email, "administrator, by the set-up link")
        .await?;
    let session = sessions::open(&mut tx, clock, &person, founder.agent).await?;
    tx.commit().await?;
    Ok(session)
}

fn unknown() -> Problem {
    Problem::new(Code::InvitationNotFound, "This set-up link is not valid.").remedy(AGAIN)
}

fn used() -> Problem {
    Problem::new(Code::InvitationConsumed, "This ClawLoops is set up already. A set-up link works once.")
        .remedy("Sign in, or ask an administrator for an invitation.")
}

fn expired() -> Problem {
    Problem::new(Code::InvitationExpired, "This set-up link is too old, or a newer one was printed.").remedy(AGAIN)
}

const AGAIN: &str = "Use the newest link that ClawLoops printed. Starting ClawLoops again prints a new one.";
