//! Signing in and out, invitations, one's own sessions.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{request, routes};
use contract::{AuditEntry, Caller, SessionId, SessionView, Welcome};
use leptos::prelude::*;

/// Who is signed in, if anybody.
#[server(prefix = "/api/ui", endpoint = "me")]
pub async fn me() -> Answered<Option<Caller>> {
    Ok(request::signed_in())
}

/// Opens a session and goes on to `to`.
#[server(prefix = "/api/ui", endpoint = "sign-in")]
pub async fn sign_in(email: String, password: String, to: Option<String>) -> Answered<()> {
    let session = request::ports()?.accounts.sign_in(&email, &password, &request::agent()).await?;
    request::set_cookie(&session.set_cookie);
    request::redirect(routes::after_sign_in(to.as_deref()));
    Ok(())
}

/// Ends the present session.
#[server(prefix = "/api/ui", endpoint = "sign-out")]
pub async fn sign_out() -> Answered<()> {
    let cookie = request::ports()?.accounts.sign_out(&request::caller()?).await?;
    request::set_cookie(&cookie);
    request::redirect(routes::SIGN_IN);
    Ok(())
}

/// What a set-up link is for.
#[server(prefix = "/api/ui", endpoint = "setup")]
pub async fn setup(token: String) -> Answered<Welcome> {
    Ok(request::ports()?.accounts.setup(&token).await?)
}

/// Makes the first administrator.
#[server(prefix = "/api/ui", endpoint = "accept-setup")]
pub async fn accept_setup(token: String, email: String, name: String, password: String) -> Answered<()> {
    let session = request::ports()?.accounts.accept_setup(&token, &email, &name, &password, &request::agent()).await?;
    request::set_cookie(&session.set_cookie);
    request::redirect(routes::ADMIN);
    Ok(())
}

/// What an invitation is for.
#[server(prefix = "/api/ui", endpoint = "invitation")]
pub async fn invitation(token: String) -> Answered<Welcome> {
    Ok(request::ports()?.accounts.invitation(&token).await?)
}

/// Accepts an invitation.
#[server(prefix = "/api/ui", endpoint = "accept-invitation")]
pub async fn accept_invitation(token: String, name: String, password: String) -> Answered<()> {
    let session = request::ports()?.accounts.accept_invitation(&token, &name, &password, &request::agent()).await?;
    request::set_cookie(&session.set_cookie);
    request::redirect(routes::HOME);
    Ok(())
}

/// The caller's open sessions.
#[server(prefix = "/api/ui", endpoint = "sessions")]
pub async fn sessions() -> Answered<Vec<SessionView>> {
    Ok(request::ports()?.accounts.sessions(&request::caller()?).await?)
}

/// Ends one of the caller's sessions.
#[server(prefix = "/api/ui", endpoint = "end-session")]
pub async fn end_session(session_id: SessionId) -> Answered<()> {
    Ok(request::ports()?.accounts.end_session(&request::caller()?, session_id).await?)
}

/// Ends all of the caller's sessions but this one.
#[server(prefix = "/api/ui", endpoint = "end-other-sessions")]
pub async fn end_other_sessions() -> Answered<()> {
    let (accounts, caller) = (request::ports()?.accounts, request::caller()?);
    for session in accounts.sessions(&caller).await?.into_iter().filter(|session| !session.current) {
        accounts.end_session(&caller, session.session_id).await?;
    }
    Ok(())
}

/// Changes the caller's password.
#[server(prefix = "/api/ui", endpoint = "change-password")]
pub async fn change_password(current: String, new: String) -> Answered<()> {
    Ok(request::ports()?.accounts.change_password(&request::caller()?, &current, &new).await?)
}

/// Changes the caller's name and time zone; the answer is who they are now.
#[server(prefix = "/api/ui", endpoint = "change-profile")]
pub async fn change_profile(name: String, time_zone: String) -> Answered<Caller> {
    let caller = request::caller()?;
    request::ports()?.accounts.change_profile(&caller, &name, &time_zone).await?;
    Ok(Caller { name: name.trim().to_owned(), time_zone: time_zone.trim().to_owned(), ..caller })
}

/// What happened to the caller lately.
#[server(prefix = "/api/ui", endpoint = "lately")]
pub async fn lately() -> Answered<Vec<AuditEntry>> {
    Ok(request::ports()?.accounts.lately(&request::caller()?).await?)
}
