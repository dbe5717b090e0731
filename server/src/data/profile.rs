//! SQL of `profile` and `profile_model`.

use super::Connection;
use crate::Result;
use contract::{ModelId, ProfileChange, ProfileId, ProfileView};
use uuid::Uuid;

macro_rules! profiles {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query!(
            r#"select profile_id, name, description, image, memory_bytes, cpu_millis, pids, workspace_bytes, gpu, oci_runtime,
                      sleep_after_minutes, sleep_stop_after_minutes, position, offered,
                      case when all_models then null
                           else array(select model_id from profile_model where profile_model.profile_id = profile.profile_id order by model_id)
                      end as "models?",
                      (select count(*) from runtime where runtime.profile_id = profile.profile_id and deleted_at is null) as "runtimes!"
                 from profile "# + $tail
            $(, $argument)*
        )
        .map(|row| ProfileView {
            profile_id: row.profile_id.into(),
            name: row.name,
            description: row.description,
            image: row.image,
            memory_bytes: row.memory_bytes,
            cpu_millis: row.cpu_millis,
            pids: row.pids,
            workspace_bytes: row.workspace_bytes,
            models: row.models.map(|ids| ids.into_iter().map(ModelId).collect()),
            gpu: row.gpu,
            oci_runtime: row.oci_runtime,
            sleep_after_minutes: row.sleep_after_minutes,
            sleep_stop_after_minutes: row.sleep_stop_after_minutes,
            position: row.position,
            offered: row.offered,
            runtimes: row.runtimes,
        })
    };
}

/// All profiles, by place and name. The first that is offered is the one that new runtimes take.
pub async fn all(connection: &mut Connection) -> Result<Vec<ProfileView>> {
    Ok(profiles!("order by position, lower(name)").fetch_all(connection).await?)
}

/// One profile.
pub async fn get(connection: &mut Connection, profile_id: ProfileId) -> Result<Option<ProfileView>> {
    Ok(profiles!("where profile_id = $1", profile_id.0).fetch_optional(connection).await?)
}

/// The lock under which profiles are changed. Any number that no other lock of the database uses.
const CHANGING: i64 = 0x434c_4159;

/// Profiles are changed one change after another, until the transaction ends: those that are offered are counted.
pub async fn lock(connection: &mut Connection) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", CHANGING).execute(connection).await?;
    Ok(())
}

/// Adds a profile. Violates `profile_name_key` where its name is taken.
pub async fn add(connection: &mut Connection, profile_id: ProfileId, profile: &ProfileChange) -> Result<()> {
    sqlx::query!(
        "insert into profile (profile_id, name, description, image, memory_bytes, cpu_millis, pids, workspace_bytes, all_models, gpu, oci_runtime,
                              position, offered, sleep_after_minutes, sleep_stop_after_minutes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        profile_id.0,
        profile.name,
        profile.description,
        profile.image,
        profile.memory_bytes,
        profile.cpu_millis,
        profile.pids,
        profile.workspace_bytes,
        profile.models.is_none(),
        profile.gpu,
        profile.oci_runtime,
        profile.position,
        profile.offered,
        profile.sleep_after_minutes,
        profile.sleep_stop_after_minutes
    )
    .execute(&mut *connection)
    .await?;
    set_models(connection, profile_id, profile.models.as_deref()).await
}

/// Changes a profile, which follows the settings no more. [`crate::Error::Missing`] when it is not there.
pub async fn change(connection: &mut Connection, profile_id: ProfileId, profile: &ProfileChange) -> Result<()> {
    sqlx::query_scalar!(
        "update profile
            set name = $2, description = $3, image = $4, memory_bytes = $5, cpu_millis = $6, pids = $7, workspace_bytes = $8, all_models = $9,
                gpu = $10, oci_runtime = $11, position = $12, offered = $13, sleep_after_minutes = $14, sleep_stop_after_minutes = $15, follows_settings = false
          where profile_id = $1 returning profile_id",
        profile_id.0,
        profile.name,
        profile.description,
        profile.image,
        profile.memory_bytes,
        profile.cpu_millis,
        profile.pids,
        profile.workspace_bytes,
        profile.models.is_none(),
        profile.gpu,
        profile.oci_runtime,
        profile.position,
        profile.offered,
        profile.sleep_after_minutes,
        profile.sleep_stop_after_minutes
    )
    .fetch_one(&mut *connection)
    .await?;
    set_models(connection, profile_id, profile.models.as_deref()).await
}

/// Offers a profile, or withdraws it. [`crate::Error::Missing`] when it is not there.
pub async fn offer(connection: &mut Connection, profile_id: ProfileId, offered: bool) -> Result<()> {
    sqlx::query_scalar!("update profile set offered = $2 where profile_id = $1 returning profile_id", profile_id.0, offered)
        .fetch_one(connection)
        .await?;
    Ok(())
}

async fn set_models(connection: &mut Connection, profile_id: ProfileId, models: Option<&[ModelId]>) -> Result<()> {
    let ids: Vec<Uuid> = models.unwrap_or_default().iter().map(|id| id.0).collect();
    sqlx::query!("delete from profile_model where profile_id = $1", profile_id.0).execute(&mut *connection).await?;
    // One that left the catalog meanwhile is left out.
    sqlx::query!(
        "insert into profile_model (profile_id, model_id) select $1, model_id from model where model_id = any($2)",
        profile_id.0,
        &ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the profile that no administrator changed yet the values of the settings.
pub async fn follow_settings(connection: &mut Connection, memory_bytes: i64, cpu_millis: i64, pids: i64) -> Result<()> {
    sqlx::query!("update profile set memory_bytes = $1, cpu_millis = $2, pids = $3 where follows_settings", memory_bytes, cpu_millis, pids)
        .execute(connection)
        .await?;
    Ok(())
}
