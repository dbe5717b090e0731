//! SQL of `provider`.

use super::Connection;
use crate::Result;
use contract::{ProviderId, ProviderKind, ProviderView};
use time::OffsetDateTime;

/// A provider with its sealed secret.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub provider_id: ProviderId,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// The name shown.
    pub name: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// Whether that may be in a private network.
    pub allows_private: bool,
    /// The region, of one that has regions.
    pub region: Option<String>,
    /// Whether it is called without LiteLLM.
    pub is_direct: bool,
    /// Its secret, sealed.
    pub secret_sealed: Option<Vec<u8>>,
    /// With which key.
    pub secret_key_id: Option<String>,
    /// The last characters of the secret.
    pub secret_hint: Option<String>,
    /// When it was added.
    pub created_at: OffsetDateTime,
}

/// All providers, in the order of their making.
pub async fn all(connection: &mut Connection) -> Result<Vec<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select provider_id as "provider_id: ProviderId", kind as "kind: ProviderKind", name, base_url, allows_private, region,
                  is_direct, secret_sealed, secret_key_id, secret_hint, created_at
           from provider order by created_at, lower(name)"#
    )
    .fetch_all(connection)
    .await?)
}

/// One provider. [`crate::Error::Missing`] when it is not there.
pub async fn get(connection: &mut Connection, id: ProviderId) -> Result<Row> {
    Ok(sqlx::query_as!(
        Row,
        r#"select provider_id as "provider_id: ProviderId", kind as "kind: ProviderKind", name, base_url, allows_private, region,
                  is_direct, secret_sealed, secret_key_id, secret_hint, created_at
           from provider where provider_id = $1"#,
        id.0
    )
    .fetch_one(connection)
    .await?)
}

/// All providers as an administrator sees them.
pub async fn views(connection: &mut Connection) -> Result<Vec<ProviderView>> {
    Ok(sqlx::query_as!(
        ProviderView,
        r#"select provider_id as "provider_id: ProviderId", kind as "kind: ProviderKind", name, base_url, region, is_direct,
                  secret_hint, created_at,
                  (select count(*) from model where model.provider_id = provider.provider_id) as "models!"
           from provider order by created_at, lower(name)"#
    )
    .fetch_all(connection)
    .await?)
}

/// Adds a provider. Its secret is sealed with the master key that the database is under.
pub async fn add(connection: &mut Connection, row: &Row) -> Result<()> {
    if let Some(key_id) = &row.secret_key_id {
        super::master_key::is_present(connection, key_id).await?;
    }
    sqlx::query!(
        "insert into provider (provider_id, kind, name, base_url, allows_private, region, is_direct, secret_sealed, secret_key_id, secret_hint,
                               created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        row.provider_id.0,
        row.kind as ProviderKind,
        row.name,
        row.base_url,
        row.allows_private,
        row.region,
        row.is_direct,
        row.secret_sealed,
        row.secret_key_id,
        row.secret_hint,
        row.created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A provider's secret.
pub struct Secret {
    /// Whose.
    pub provider_id: ProviderId,
    /// The provider's name.
    pub name: String,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    /// With which key.
    pub key_id: String,
}

/// The next `most` secrets after this provider, for this transaction to seal anew: all, or those that are under another key than this one. Those that
/// another server has in its hands are left out.
pub async fn secrets(connection: &mut Connection, after: ProviderId, all: bool, key_id: &str, most: i64) -> Result<Vec<Secret>> {
    Ok(sqlx::query_as!(
        Secret,
        r#"select provider_id as "provider_id: ProviderId", name, secret_sealed as "sealed!", secret_key_id as "key_id!"
             from provider
            where provider_id > $1 and secret_sealed is not null and secret_key_id is not null and ($2 or secret_key_id <> $3)
            order by provider_id limit $4 for no key update skip locked"#,
        after.0,
        all,
        key_id,
        most
    )
    .fetch_all(connection)
    .await?)
}

/// Puts another seal in place of a secret's.
pub async fn seal_anew(connection: &mut Connection, id: ProviderId, sealed: &[u8], key_id: &str) -> Result<()> {
    sqlx::query!("update provider set secret_sealed = $2, secret_key_id = $3 where provider_id = $1", id.0, sealed, key_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a provider with its models and answers its name. [`crate::Error::Missing`] when it is not there.
pub async fn remove(connection: &mut Connection, id: ProviderId) -> Result<String> {
    Ok(sqlx::query_scalar!("delete from provider where provider_id = $1 returning name", id.0).fetch_one(connection).await?)
}
