//! Sessions: a random token in a cookie, its hash in the database, an idle and an absolute end.

use crate::{
    Result,
    clock::{Clock, new_id},
    data::{
        self, Connection, Pool,
        listen::{Change, notify},
        person::Person,
    },
    platform::{
        audit::{self, Actor},
        fields,
        secret::{Token, hash_of},
    },
};
use contract::{Caller, Code, NewSession, PersonId, PersonStatus, Problem, SessionId, SessionView};
use time::Duration;

/// The cookie's name. With `__Host-` the browser itself holds it to this host, to `Secure` and to the whole path; where it knows `__Host-Http-`, it takes it
/// from a header alone, so that no script of another port of the host can plant it.
pub const COOKIE: &str = "__Host-Http-clawloops_session";
/// What it was called before. Read where no runtime shares the dashboard's host, until such sessions have ended by themselves.
pub const COOKIE_BEFORE: &str = "__Host-clawloops_session";
/// Unused for so long, a session ends.
pub const IDLE: Duration = Duration::days(7);
/// So long after signing in, a session ends in any case.
pub const ABSOLUTE: Duration = Duration::days(30);
/// How exactly "last seen" is kept: a write at most this often, not on every request.
const SEEN: Duration = Duration::minutes(1);

/// Who is behind a cookie's token: none when it is unknown, too old, or the person was disabled.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &Pool, clock: &dyn Clock, token: &str) -> Result<Option<Caller>> {
    // Ours are 43 characters; whatever else came is not worth a query.
    if token.len() != 43 {
        return Ok(None);
    }
    let now = clock.now();
    let mut conn = pool.acquire().await?;
    let Some(found) = data::session::find(&mut conn, &hash_of(token)).await? else { return Ok(None) };
    if found.status != PersonStatus::Active || now >= found.expires_at || now - found.last_seen_at >= IDLE {
        return Ok(None);
    }
    if now - found.last_seen_at >= SEEN {
        data::session::touch(&mut conn, found.session_id, now).await?;
        data::person::touch(&mut conn, found.person.person_id, now).await?;
    }
    Ok(Some(caller(&found.person, found.session_id)))
}

/// Opens a session within the transaction of whatever let the person in, and clears away those that ended by themselves.
///
/// # Errors
/// When the database fails.
pub async fn open(conn: &mut Connection, clock: &dyn Clock, person: &Person, agent: &str) -> Result<NewSession> {
    let now = clock.now();
    for (session_id, person_id) in data::session::delete_ended(conn, now, now - IDLE).await? {
        notify(conn, Change::SessionEnded { session_id, person_id }).await?;
    }
    let token = Token::random()?;
    let session_id: SessionId = new_id();
    data::session::insert(conn, session_id, person.person_id, &token.hash(), &fields::agent(agent), now, now + ABSOLUTE).await?;
    data::person::touch(conn, person.person_id, now).await?;
    let caller = caller(person, session_id);
    audit::record(conn, Actor::Person(&caller), "session.opened", Some(person.person_id), &person.email, "").await?;
    let set_cookie = format!("{COOKIE}={}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax", token.as_str(), ABSOLUTE.whole_seconds());
    Ok(NewSession { set_cookie, caller })
}

/// The `Set-Cookie` value that clears the cookie.
#[must_use]
pub fn clearing_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
}

/// Ends one session of a person: its connections close when the transaction commits. Ended already is success.
///
/// # Errors
/// When the database fails.
pub async fn end(conn: &mut Connection, person_id: PersonId, session_id: SessionId) -> Result<bool> {
    let was_open = data::session::delete(conn, person_id, session_id).await?;
    if was_open {
        notify(conn, Change::SessionEnded { session_id, person_id }).await?;
    }
    Ok(was_open)
}

/// Ends all sessions of a person but, where given, one. How many ended.
///
/// # Errors
/// When the database fails.
pub async fn end_all(conn: &mut Connection, person_id: PersonId, but: Option<SessionId>) -> Result<usize> {
    let ended = data::session::delete_all(conn, person_id, but).await?;
    for session_id in &ended {
        notify(conn, Change::SessionEnded { session_id: *session_id, person_id }).await?;
    }
    Ok(ended.len())
}

/// Signs the caller out.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(pool: &Pool, caller: &Caller) -> Result<()> {
    let mut tx = data::begin(pool).await?;
    if end(&mut tx, caller.person_id, caller.session_id).await? {
        audit::record(&mut tx, Actor::Person(caller), "session.ended", Some(caller.person_id), &caller.email, "signed out").await?;
    }
    Ok(tx.commit().await?)
}

/// Ends one of the caller's own sessions.
///
/// # Errors
/// `NotFound` when it is not theirs or ended already.
pub async fn end_own(pool: &Pool, caller: &Caller, session: SessionId) -> Result<()> {
    let mut tx = data::begin(pool).await?;
    if !end(&mut tx, caller.person_id, session).await? {
        return Err(Problem::new(Code::NotFound, "This session ended already.").into());
    }
    audit::record(&mut tx, Actor::Person(caller), "session.ended", Some(caller.person_id), &caller.email, "by its owner").await?;
    Ok(tx.commit().await?)
}

/// The caller's open sessions, the present one first.
///
/// # Errors
/// When the database fails.
pub async fn of(pool: &Pool, clock: &dyn Clock, caller: &Caller) -> Result<Vec<SessionView>> {
    let now = clock.now();
    data::session::of_person(&mut *pool.acquire().await?, caller.person_id, caller.session_id, now, now - IDLE).await
}

fn caller(person: &Person, session_id: SessionId) -> Caller {
    Caller {
        person_id: person.person_id,
        session_id,
        email: person.email.clone(),
        name: person.name.clone(),
        role: person.role,
        time_zone: person.time_zone.clone(),
    }
}
