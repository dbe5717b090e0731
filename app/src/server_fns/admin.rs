//! What only an administrator may do.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::request;
use contract::{AuditEntry, AuditEntryId, InvitationId, InvitationView, NewInvitation, Overview, PersonId, PersonStatus, PersonView, Role};
use leptos::prelude::*;

/// The platform at a glance.
#[server(name = AskOverview, prefix = "/api/ui", endpoint = "overview")]
pub async fn overview() -> Answered<Overview> {
    Ok(request::ports()?.admin.overview(&request::caller()?).await?)
}

/// Everyone.
#[server(prefix = "/api/ui", endpoint = "people")]
pub async fn people() -> Answered<Vec<PersonView>> {
    Ok(request::ports()?.admin.people(&request::caller()?).await?)
}

/// One person.
#[server(prefix = "/api/ui", endpoint = "person")]
pub async fn person(person_id: PersonId) -> Answered<PersonView> {
    Ok(request::ports()?.admin.person(&request::caller()?, person_id).await?)
}

/// Opens or closes a person.
#[server(prefix = "/api/ui", endpoint = "set-status")]
pub async fn set_status(person_id: PersonId, status: PersonStatus) -> Answered<()> {
    Ok(request::ports()?.admin.set_status(&request::caller()?, person_id, status).await?)
}

/// Ends all sessions of a person.
#[server(prefix = "/api/ui", endpoint = "sign-out-everywhere")]
pub async fn sign_out_everywhere(person_id: PersonId) -> Answered<()> {
    Ok(request::ports()?.admin.sign_out_everywhere(&request::caller()?, person_id).await?)
}

/// What a person did and what was done to them.
#[server(prefix = "/api/ui", endpoint = "history")]
pub async fn history(person_id: PersonId) -> Answered<Vec<AuditEntry>> {
    Ok(request::ports()?.admin.history(&request::caller()?, person_id).await?)
}

/// Invitations that were not consumed.
#[server(prefix = "/api/ui", endpoint = "invitations")]
pub async fn invitations() -> Answered<Vec<InvitationView>> {
    Ok(request::ports()?.admin.invitations(&request::caller()?).await?)
}

/// Invites a person; the link is in the answer and nowhere else.
#[server(prefix = "/api/ui", endpoint = "invite")]
pub async fn invite(email: String, role: Role, hours: u16) -> Answered<NewInvitation> {
    let invitation = request::ports()?.admin.invite(&request::caller()?, &email, role, hours).await?;
    request::keep_shown(&invitation.link);
    Ok(invitation)
}

/// Takes an invitation back.
#[server(prefix = "/api/ui", endpoint = "revoke-invitation")]
pub async fn revoke_invitation(invitation_id: InvitationId) -> Answered<()> {
    Ok(request::ports()?.admin.revoke_invitation(&request::caller()?, invitation_id).await?)
}

/// Makes a new link for an invitation.
#[server(prefix = "/api/ui", endpoint = "renew-invitation")]
pub async fn renew_invitation(invitation_id: InvitationId) -> Answered<NewInvitation> {
    let invitation = request::ports()?.admin.renew_invitation(&request::caller()?, invitation_id).await?;
    request::keep_shown(&invitation.link);
    Ok(invitation)
}

/// The audit log, older than `before` where given.
#[server(prefix = "/api/ui", endpoint = "audit")]
pub async fn audit(before: Option<AuditEntryId>) -> Answered<Vec<AuditEntry>> {
    Ok(request::ports()?.admin.audit(&request::caller()?, before).await?)
}
