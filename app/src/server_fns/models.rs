//! The catalog and one's own keys.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{parse, request};
#[cfg(feature = "ssr")]
use contract::KeyWish;
use contract::{KeyId, KeyView, ModelId, ModelView, NewKey, Unit, Window};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

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

/// The limits that a key is made with, each where it is typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct KeyLimits {
    /// How much,
    #[serde(default)]
    pub amount: String,
    /// of what,
    pub unit: Option<Unit>,
    /// in which window.
    pub window: Option<Window>,
    /// Calls a minute.
    #[serde(default)]
    pub rate: String,
}

/// Makes a key. Its secret is in the answer and nowhere else. `models` is `all`, or `chosen` for those in `model_ids`; `ends` is a number of days, `never`,
/// or `day` for the one in `day`. `limit`
/// holds its own limits.
#[server(prefix = "/api/ui", endpoint = "make-key")]
pub async fn make_key(
    name: String,
    #[server(default)] models: String,
    #[server(default)] model_ids: Vec<ModelId>,
    ends: String,
    #[server(default)] day: String,
    #[server(default)] limit: KeyLimits,
) -> Answered<NewKey> {
    let wish = KeyWish {
        name,
        models: (models == "chosen").then_some(model_ids),
        ends: parse::key_end(&ends, &day)?,
        limits: parse::key_limits(&limit)?,
    };
    let key = request::ports()?.models.make_key(&request::caller()?, wish).await?;
    request::keep_shown(&key.secret);
    Ok(key)
}

/// Gives a key a new secret, which is in the answer and nowhere else; the old one works on for so many hours.
#[server(prefix = "/api/ui", endpoint = "rotate-key")]
pub async fn rotate_key(key_id: KeyId, hours: u16) -> Answered<NewKey> {
    let key = request::ports()?.models.rotate_key(&request::caller()?, key_id, hours).await?;
    request::keep_shown(&key.secret);
    Ok(key)
}

/// Revokes a key.
#[server(prefix = "/api/ui", endpoint = "revoke-key")]
pub async fn revoke_key(key_id: KeyId) -> Answered<()> {
    Ok(request::ports()?.models.revoke_key(&request::caller()?, key_id).await?)
}

/// Sets a limit of the caller's own on one of their keys.
#[server(prefix = "/api/ui", endpoint = "set-key-limit")]
pub async fn set_key_limit(key_id: KeyId, #[server(default)] amount: String, unit: Unit, window: Window) -> Answered<()> {
    let limit = parse::some_limit(&amount, unit, window)?;
    Ok(request::ports()?.models.set_key_limit(&request::caller()?, key_id, limit).await?)
}

/// Removes a limit that the caller set on one of their keys.
#[server(prefix = "/api/ui", endpoint = "remove-key-limit")]
pub async fn remove_key_limit(key_id: KeyId, unit: Unit, window: Window) -> Answered<()> {
    Ok(request::ports()?.models.remove_key_limit(&request::caller()?, key_id, window, unit).await?)
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
