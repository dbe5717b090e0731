//! SQL of `model`.

use super::Connection;
use crate::Result;
use contract::{CountedIn, GroupId, KeyId, Micros, ModelChange, ModelId, ModelView, PersonId, Price, ProviderId, ProviderKind, RuntimeId};

/// The whole catalog: the default first, then by name.
pub async fn all(connection: &mut Connection) -> Result<Vec<ModelView>> {
    let rows = sqlx::query!(
        r#"select model_id, model.name, description, provider_id, provider.name as provider, upstream, context_tokens, output_tokens,
                  input_price, cached_input_price, output_price, counted_in as "counted_in: CountedIn", published, is_default,
                  case when for_everyone then null
                       else array(select group_id from model_group where model_group.model_id = model.model_id order by group_id)
                  end as "groups?",
                  array(select fallback.name from model_fallback join model fallback on fallback.model_id = fallback_id
                         where model_fallback.model_id = model.model_id order by place) as "fallbacks!"
           from model join provider using (provider_id)
           order by is_default desc, lower(model.name)"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ModelView {
            model_id: row.model_id.into(),
            name: row.name,
            description: row.description,
            provider_id: row.provider_id.into(),
            provider: row.provider,
            upstream: row.upstream,
            context_tokens: row.context_tokens,
            output_tokens: row.output_tokens,
            price: price(row.input_price, row.cached_input_price, row.output_price),
            counted_in: row.counted_in,
            published: row.published,
            groups: row.groups.map(|ids| ids.into_iter().map(GroupId).collect()),
            is_default: row.is_default,
            fallbacks: row.fallbacks,
            unhealthy: None,
        })
        .collect())
}

/// The models that are published to a person, whatever else keeps them from it.
pub async fn published_to(connection: &mut Connection, person_id: PersonId) -> Result<Vec<ModelId>> {
    let ids = sqlx::query_scalar!(
        r#"select model_id as "model_id: ModelId" from model where published and model_is_for(model_id, $1)"#,
        person_id.0
    );
    Ok(ids.fetch_all(connection).await?)
}

/// The models that a runtime may call: those of its profile that are published to its person. None where there is no such runtime.
pub async fn allowed(connection: &mut Connection, runtime_id: RuntimeId) -> Result<Option<Vec<ModelId>>> {
    let ids =
        sqlx::query_scalar!(r#"select runtime_models(person_id, profile_id) as "ids?" from runtime where runtime_id = $1"#, runtime_id.0);
    Ok(ids.fetch_optional(connection).await?.flatten().map(|ids| ids.into_iter().map(ModelId).collect()))
}

/// What keeps a model from whoever calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptOut {
    /// The runtime's profile, by its name.
    Profile(String),
    /// The person's own key, by its name.
    Key(String),
    /// The runtime is paused, since it spent too fast: how.
    Pause(String),
}

/// A model as a call needs it.
#[derive(Clone, Debug)]
pub struct Callable {
    /// Which.
    pub model_id: ModelId,
    /// Its name.
    pub name: String,
    /// The provider's own name for it.
    pub upstream: String,
    /// Its provider, where it may be called without LiteLLM.
    pub direct: Option<Direct>,
    /// The names of the models that answer where it does not, in this order.
    pub fallbacks: Vec<String>,
    /// The provider's name: the route of the usage record.
    pub provider: String,
    /// How many tokens fit into it.
    pub context_tokens: i64,
    /// How many tokens it answers at most.
    pub output_tokens: i64,
    /// Its price, where one is set.
    pub price: Option<Price>,
    /// What its calls are counted in.
    pub counted_in: CountedIn,
    /// What does not allow it.
    pub kept_out: Option<KeptOut>,
}

/// A provider that may be called without LiteLLM.
#[derive(Clone, Debug)]
pub struct Direct {
    /// Which.
    pub provider_id: ProviderId,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Where it is, where that is not fixed by the kind.
    pub base_url: Option<String>,
    /// Whether that may be in a private network.
    pub allows_private: bool,
    /// Its secret, sealed, and with which key.
    pub secret: Option<(Vec<u8>, String)>,
}

/// The model of this name that is published to the key's person, whether the key allows it, and for a runtime whether its profile does.
pub async fn find_published(
    connection: &mut Connection,
    name: &str,
    key_id: KeyId,
    runtime_id: Option<RuntimeId>,
) -> Result<Option<Callable>> {
    let row = sqlx::query!(
        r#"select model_id as "model_id: ModelId", model.name, upstream, provider.name as provider, context_tokens, output_tokens, input_price,
                  cached_input_price, output_price, counted_in as "counted_in: CountedIn",
                  provider_id as "provider_id: ProviderId", kind as "kind: ProviderKind", base_url, allows_private, is_direct, secret_sealed, secret_key_id,
                  array(select fallback.name from model_fallback join model fallback on fallback.model_id = fallback_id
                         where model_fallback.model_id = model.model_id order by place) as "fallbacks!",
                  (select profile.name from runtime join profile using (profile_id)
                    where runtime_id = $2 and not all_models
                      and not exists (select from profile_model
                                       where profile_model.profile_id = profile.profile_id and profile_model.model_id = model.model_id)) as "profile?",
                  (select calls_paused_for from runtime where runtime_id = $2) as "pause?",
                  (select model_key.name from model_key
                    where key_id = $3 and not all_models
                      and not exists (select from model_key_model
                                       where model_key_model.key_id = model_key.key_id and model_key_model.model_id = model.model_id)) as "key?"
         from model join provider using (provider_id) where model.name = $1 and published
           and model_is_for(model.model_id, (select person_id from model_key where key_id = $3))"#,
        name,
        runtime_id.map(|id| id.0),
        key_id.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Callable {
        model_id: row.model_id,
        name: row.name,
        upstream: row.upstream,
        direct: row.is_direct.then(|| Direct {
            provider_id: row.provider_id,
            kind: row.kind,
            base_url: row.base_url,
            allows_private: row.allows_private,
            secret: row.secret_sealed.zip(row.secret_key_id),
        }),
        fallbacks: row.fallbacks,
        provider: row.provider,
        context_tokens: row.context_tokens,
        output_tokens: row.output_tokens,
        price: price(row.input_price, row.cached_input_price, row.output_price),
        counted_in: row.counted_in,
        kept_out: row.pause.map(KeptOut::Pause).or(row.profile.map(KeptOut::Profile)).or(row.key.map(KeptOut::Key)),
    }))
}

fn price(input: Option<i64>, cached_input: Option<i64>, output: Option<i64>) -> Option<Price> {
    Some(Price { input: Micros(input?), cached_input: Micros(cached_input?), output: Micros(output?) })
}

/// Adds a model.
pub async fn add(connection: &mut Connection, id: ModelId, provider_id: ProviderId, model: &ModelChange) -> Result<()> {
    sqlx::query!(
        "insert into model (model_id, provider_id, name, upstream, description, context_tokens, output_tokens,
                            input_price, cached_input_price, output_price, published, is_default, for_everyone, counted_in)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        id.0,
        provider_id.0,
        model.name,
        model.upstream,
        model.description,
        model.context_tokens,
        model.output_tokens,
        model.price.map(|price| price.input.0),
        model.price.map(|price| price.cached_input.0),
        model.price.map(|price| price.output.0),
        model.published,
        model.is_default,
        model.groups.is_none(),
        model.counted_in as CountedIn
    )
    .execute(&mut *connection)
    .await?;
    set_groups(connection, id, model.groups.as_deref()).await
}

/// Changes a model. [`crate::Error::Missing`] when it is not there.
pub async fn change(connection: &mut Connection, id: ModelId, model: &ModelChange) -> Result<()> {
    sqlx::query_scalar!(
        "update model set name = $2, upstream = $3, description = $4, context_tokens = $5, output_tokens = $6,
                          input_price = $7, cached_input_price = $8, output_price = $9, published = $10, is_default = $11,
                          for_everyone = $12, counted_in = $13
         where model_id = $1 returning model_id",
        id.0,
        model.name,
        model.upstream,
        model.description,
        model.context_tokens,
        model.output_tokens,
        model.price.map(|price| price.input.0),
        model.price.map(|price| price.cached_input.0),
        model.price.map(|price| price.output.0),
        model.published,
        model.is_default,
        model.groups.is_none(),
        model.counted_in as CountedIn
    )
    .fetch_one(&mut *connection)
    .await?;
    set_groups(connection, id, model.groups.as_deref()).await
}

/// Gives the calls of models of this name what they are counted in. False where calls are recorded that were counted otherwise.
pub async fn count_in(connection: &mut Connection, name: &str, counted_in: CountedIn) -> Result<bool> {
    let counted = sqlx::query_scalar!(r#"select count_model_in($1, $2) as "counted!""#, name, counted_in as CountedIn);
    Ok(counted.fetch_one(connection).await?)
}

/// What a model is counted in now. [`crate::Error::Missing`] when it is not there.
pub async fn counted_in(connection: &mut Connection, id: ModelId) -> Result<CountedIn> {
    let found = sqlx::query_scalar!(r#"select counted_in as "counted_in: CountedIn" from model where model_id = $1"#, id.0);
    Ok(found.fetch_one(connection).await?)
}

async fn set_groups(connection: &mut Connection, id: ModelId, groups: Option<&[GroupId]>) -> Result<()> {
    let ids: Vec<uuid::Uuid> = groups.unwrap_or_default().iter().map(|id| id.0).collect();
    sqlx::query!("delete from model_group where model_id = $1", id.0).execute(&mut *connection).await?;
    // One that was removed meanwhile is left out.
    sqlx::query!("insert into model_group (model_id, group_id) select $1, group_id from person_group where group_id = any($2)", id.0, &ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Sets which models answer in a model's place, by name. [`crate::Error::Missing`] when one is not in the catalog.
pub async fn set_fallbacks(connection: &mut Connection, id: ModelId, fallbacks: &[String]) -> Result<()> {
    sqlx::query!("delete from model_fallback where model_id = $1", id.0).execute(&mut *connection).await?;
    let put = sqlx::query!(
        "insert into model_fallback (model_id, place, fallback_id)
         select $1, place, model.model_id from unnest($2::text[]) with ordinality as wanted (name, place) join model using (name)",
        id.0,
        fallbacks
    );
    if put.execute(connection).await?.rows_affected() == fallbacks.len() as u64 { Ok(()) } else { Err(crate::Error::Missing) }
}

/// Leaves the catalog without a default, for another to become it.
pub async fn clear_default(connection: &mut Connection) -> Result<()> {
    sqlx::query!("update model set is_default = false where is_default").execute(connection).await?;
    Ok(())
}

/// Removes a model and answers its name. [`crate::Error::Missing`] when it is not there.
pub async fn remove(connection: &mut Connection, id: ModelId) -> Result<String> {
    Ok(sqlx::query_scalar!("delete from model where model_id = $1 returning name", id.0).fetch_one(connection).await?)
}
