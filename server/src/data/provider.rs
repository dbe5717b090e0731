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

/// Adds a provider.
pub async fn add(connection: &mut Connection, row: &Row) -> Result<()> {
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

/// Removes a provider with its models and answers its name. [`crate::Error::Missing`] when it is not there.
pub async fn remove(connection: &mut Connection, id: ProviderId) -> Result<String> {
    Ok(sqlx::query_scalar!("delete from provider where provider_id = $1 returning name", id.0).fetch_one(connection).await?)
}
