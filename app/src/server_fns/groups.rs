//! Groups; for administrators.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::request;
use contract::{GroupId, GroupView, PersonId};
use leptos::prelude::*;

/// All groups.
#[server(prefix = "/api/ui", endpoint = "groups")]
pub async fn groups() -> Answered<Vec<GroupView>> {
    Ok(request::ports()?.groups.groups(&request::caller()?).await?)
}

/// Makes a group.
#[server(prefix = "/api/ui", endpoint = "add-group")]
pub async fn add_group(name: String) -> Answered<()> {
    Ok(request::ports()?.groups.add_group(&request::caller()?, &name).await?)
}

/// Gives a group another name.
#[server(prefix = "/api/ui", endpoint = "rename-group")]
pub async fn rename_group(group_id: GroupId, name: String) -> Answered<()> {
    Ok(request::ports()?.groups.rename_group(&request::caller()?, group_id, &name).await?)
}

/// Removes a group.
#[server(prefix = "/api/ui", endpoint = "remove-group")]
pub async fn remove_group(group_id: GroupId) -> Answered<()> {
    Ok(request::ports()?.groups.remove_group(&request::caller()?, group_id).await?)
}

/// Puts a person into a group.
#[server(prefix = "/api/ui", endpoint = "join-group")]
pub async fn join_group(group_id: GroupId, email: String) -> Answered<()> {
    Ok(request::ports()?.groups.join_group(&request::caller()?, group_id, &email).await?)
}

/// Takes a person out of a group.
#[server(prefix = "/api/ui", endpoint = "leave-group")]
pub async fn leave_group(group_id: GroupId, person_id: PersonId) -> Answered<()> {
    Ok(request::ports()?.groups.leave_group(&request::caller()?, group_id, person_id).await?)
}
