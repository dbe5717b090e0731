//! Groups of persons, as administrators make them. Models are published to them.

use super::{
    audit::{self, Actor},
    people::administrators_only,
};
use crate::{
    Error, Result, clock,
    data::{
        self, Pool,
        listen::{Change, notify},
    },
};
use contract::{Caller, Code, GroupId, GroupView, PersonId, Problem};

/// All groups with their members, by name.
///
/// # Errors
/// `AccessDenied`, or when the database fails.
pub async fn all(pool: &Pool, caller: &Caller) -> Result<Vec<GroupView>> {
    administrators_only(caller)?;
    data::group::all(&mut *pool.acquire().await?).await
}

/// Makes a group without members.
///
/// # Errors
/// `AccessDenied`; `Invalid` or `Conflict`, field `name`.
pub async fn add(pool: &Pool, caller: &Caller, name: &str) -> Result<()> {
    administrators_only(caller)?;
    let name = checked(name)?;
    let group_id: GroupId = clock::new_id();
    let mut transaction = data::begin(pool).await?;
    data::group::add(&mut transaction, group_id, &name).await.map_err(|error| taken(error, &name))?;
    finish(transaction, caller, "group.added", None, &name, "").await
}

/// Gives a group another name.
///
/// # Errors
/// `AccessDenied`; `GroupNotFound`; `Invalid` or `Conflict`, field `name`.
pub async fn rename(pool: &Pool, caller: &Caller, group: GroupId, name: &str) -> Result<()> {
    administrators_only(caller)?;
    let name = checked(name)?;
    let mut transaction = data::begin(pool).await?;
    let before = locked(&mut transaction, group).await?;
    data::group::rename(&mut transaction, group, &name).await.map_err(|error| taken(error, &name))?;
    finish(transaction, caller, "group.renamed", None, &name, &format!("was {before}")).await
}

/// Removes a group. Its members stay; models that were published to it alone are offered to nobody then.
///
/// # Errors
/// `AccessDenied`; `GroupNotFound`.
pub async fn remove(pool: &Pool, caller: &Caller, group: GroupId) -> Result<()> {
    administrators_only(caller)?;
    let mut transaction = data::begin(pool).await?;
    let name = locked(&mut transaction, group).await?;
    data::group::remove(&mut transaction, group).await?;
    finish(transaction, caller, "group.removed", None, &name, "").await
}

/// Puts the person with this address into a group. Who is in it already stays.
///
/// # Errors
/// `AccessDenied`; `GroupNotFound`; `PersonNotFound`, field `email`.
pub async fn put(pool: &Pool, caller: &Caller, group: GroupId, email: &str) -> Result<()> {
    administrators_only(caller)?;
    let mut transaction = data::begin(pool).await?;
    let name = locked(&mut transaction, group).await?;
    let found = data::person::by_email(&mut transaction, email.trim()).await?;
    let (person, _) = found.ok_or_else(|| Problem::new(Code::PersonNotFound, "Nobody has this e-mail address.").field("email"))?;
    if !data::group::put(&mut transaction, group, person.person_id).await? {
        return Ok(());
    }
    finish(transaction, caller, "group.joined", Some(person.person_id), &person.email, &name).await
}

/// Takes a person out of a group. Who is not in it stays out.
///
/// # Errors
/// `AccessDenied`; `GroupNotFound`; `PersonNotFound`.
pub async fn take(pool: &Pool, caller: &Caller, group: GroupId, person: PersonId) -> Result<()> {
    administrators_only(caller)?;
    let mut transaction = data::begin(pool).await?;
    let name = locked(&mut transaction, group).await?;
    let unknown = || Problem::new(Code::PersonNotFound, "This person does not exist.");
    let found = data::person::lock(&mut transaction, person).await.map_err(|error| error.on_missing(unknown))?;
    if !data::group::take(&mut transaction, group, person).await? {
        return Ok(());
    }
    finish(transaction, caller, "group.left", Some(person), &found.email, &name).await
}

async fn locked(transaction: &mut data::Transaction, group: GroupId) -> Result<String> {
    let unknown = || Problem::new(Code::GroupNotFound, "This group does not exist any more.");
    data::group::lock(transaction, group).await.map_err(|error| error.on_missing(unknown))
}

async fn finish(
    mut transaction: data::Transaction,
    caller: &Caller,
    action: &str,
    person: Option<PersonId>,
    subject: &str,
    detail: &str,
) -> Result<()> {
    audit::record(&mut transaction, Actor::Person(caller), action, person, subject, detail).await?;
    // Who may call which model, and with it what runtimes are configured with.
    notify(&mut transaction, Change::Catalog).await?;
    Ok(transaction.commit().await?)
}

fn taken(error: Error, name: &str) -> Error {
    error.on_constraint("person_group_name_key", || {
        Problem::new(Code::Conflict, format!("There is a group named {name} already.")).remedy("Choose another name.").field("name")
    })
}

fn checked(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(Problem::new(Code::Invalid, "A group needs a name of at most 60 characters, on one line.").field("name").into());
    }
    Ok(name.to_owned())
}
