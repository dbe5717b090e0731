//! SQL of `person_group` and `person_group_member`.

use super::Connection;
use crate::Result;
use contract::{GroupId, GroupMember, GroupView, PersonId};

/// All groups with their members, by name.
pub async fn all(connection: &mut Connection) -> Result<Vec<GroupView>> {
    let groups = sqlx::query!(
        r#"select group_id, name, (select count(*) from model_group where model_group.group_id = person_group.group_id) as "models!"
           from person_group order by lower(name)"#
    );
    let mut groups: Vec<GroupView> = groups
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .map(|row| GroupView { group_id: row.group_id.into(), name: row.name, members: Vec::new(), models: row.models })
        .collect();
    let members = sqlx::query!(
        "select group_id, person_id, name, email from person_group_member join person using (person_id) order by lower(name), email"
    );
    for row in members.fetch_all(connection).await? {
        if let Some(group) = groups.iter_mut().find(|group| group.group_id.0 == row.group_id) {
            group.members.push(GroupMember { person_id: row.person_id.into(), name: row.name, email: row.email });
        }
    }
    Ok(groups)
}

/// Adds a group. Violates `person_group_name_key` where its name is taken.
pub async fn add(connection: &mut Connection, id: GroupId, name: &str) -> Result<()> {
    sqlx::query!("insert into person_group (group_id, name) values ($1, $2)", id.0, name).execute(connection).await?;
    Ok(())
}

/// Locks a group until the transaction ends and answers its name. [`crate::Error::Missing`] when it is not there.
pub async fn lock(connection: &mut Connection, id: GroupId) -> Result<String> {
    Ok(sqlx::query_scalar!("select name from person_group where group_id = $1 for update", id.0).fetch_one(connection).await?)
}

/// Gives a group another name.
pub async fn rename(connection: &mut Connection, id: GroupId, name: &str) -> Result<()> {
    sqlx::query!("update person_group set name = $2 where group_id = $1", id.0, name).execute(connection).await?;
    Ok(())
}

/// Removes a group. What was published to it alone is for nobody then.
pub async fn remove(connection: &mut Connection, id: GroupId) -> Result<()> {
    sqlx::query!("delete from person_group where group_id = $1", id.0).execute(connection).await?;
    Ok(())
}

/// Puts a person into a group. False when they are in it already.
pub async fn put(connection: &mut Connection, id: GroupId, person_id: PersonId) -> Result<bool> {
    let put =
        sqlx::query!("insert into person_group_member (group_id, person_id) values ($1, $2) on conflict do nothing", id.0, person_id.0);
    Ok(put.execute(connection).await?.rows_affected() == 1)
}

/// Takes a person out of a group. False when they are not in it.
pub async fn take(connection: &mut Connection, id: GroupId, person_id: PersonId) -> Result<bool> {
    let taken = sqlx::query!("delete from person_group_member where group_id = $1 and person_id = $2", id.0, person_id.0);
    Ok(taken.execute(connection).await?.rows_affected() == 1)
}
