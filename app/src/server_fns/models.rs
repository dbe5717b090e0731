//! The catalog and one's own keys.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request};
use contract::{KeyId, KeyView, ModelView, NewKey};
use leptos::prelude::*;

/// The models that the caller may use.
#[server(prefix = "/api/ui", endpoint = "catalog")]
pub async fn catalog() -> Answered<Vec<ModelView>> {
    Ok(request::ports()?.models.catalog(&request::caller()?).await?)
}

/// The caller's keys.
#[server(prefix = "/api/ui", endpoint = "keys")]
pub async fn keys() -> Answered<Vec<KeyView>> {
    Ok(request::ports()?.models.keys(&request::caller()?).await?)
}

/// Makes a key. Its secret is in the answer and nowhere else.
#[server(prefix = "/api/ui", endpoint = "make-key")]
pub async fn make_key(name: String, days: String) -> Answered<NewKey> {
    let key = request::ports()?.models.make_key(&request::caller()?, &name, parse::days(&days)?).await?;
    request::keep_shown(&key.secret);
    Ok(key)
}

/// Revokes a key.
#[server(prefix = "/api/ui", endpoint = "revoke-key")]
pub async fn revoke_key(key_id: KeyId) -> Answered<()> {
    Ok(request::ports()?.models.revoke_key(&request::caller()?, key_id).await?)
}

/// The address of the model API.
#[server(prefix = "/api/ui", endpoint = "model-address")]
pub async fn model_address() -> Answered<String> {
    Ok(request::ports()?.models.address())
}

/// The secret that a plain form just made, once.
#[server(prefix = "/api/ui", endpoint = "shown")]
pub async fn shown() -> Answered<Option<String>> {
    request::caller()?;
    Ok(request::take_shown())
}
