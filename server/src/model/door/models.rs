//! `/v1/models`: what a key may call, in the words of whoever asks.

use super::{Door, Opened, Spoken, answer::Fault};
use crate::{
    Result, data,
    model::{catalog, keys::Proven, shape::Dialect},
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use contract::ModelView;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// All of them, the default first. There are few: one page holds them.
pub async fn list(
    State(door): State<Door>,
    Extension(opened): Extension<Opened>,
    Extension(Spoken(dialect)): Extension<Spoken>,
) -> Response {
    let models = match offered(&door, &opened.key).await {
        Ok(models) => models,
        Err(fault) => return fault.into_response(),
    };
    let data: Vec<Value> = models.iter().map(|model| described(model, dialect)).collect();
    match dialect {
        Dialect::OpenAi => Json(json!({"object": "list", "data": data})),
        Dialect::Anthropic => Json(json!({
            "data": data, "has_more": false,
            "first_id": models.first().map(|model| &model.name), "last_id": models.last().map(|model| &model.name),
        })),
    }
    .into_response()
}

/// One of them.
pub async fn one(
    State(door): State<Door>,
    Extension(opened): Extension<Opened>,
    Extension(Spoken(dialect)): Extension<Spoken>,
    Path(name): Path<String>,
) -> Response {
    match offered(&door, &opened.key).await {
        Ok(models) => match models.iter().find(|model| model.name == name) {
            Some(model) => Json(described(model, dialect)).into_response(),
            None => Fault::unknown_model(&name).into_response(),
        },
        Err(fault) => fault.into_response(),
    }
}

/// What whoever asks may call: a runtime what its profile allows, a person's own key what it was made for.
async fn offered(door: &Door, key: &Proven) -> Result<Vec<ModelView>, Fault> {
    let found = async {
        let mut connection = door.service.pool.acquire().await?;
        let mut models = catalog::offered_to(&mut connection, key.person_id).await?;
        let allowed = match key.runtime_id {
            Some(runtime_id) => data::model::allowed(&mut connection, runtime_id).await?,
            None => data::model_key::allowed(&mut connection, key.key_id).await?,
        };
        if let Some(allowed) = allowed {
            models.retain(|model| allowed.contains(&model.model_id));
        }
        Ok(models)
    };
    found.await.map_err(Fault::from_error)
}

/// The API's own members; the rest is what clients like to know.
fn described(model: &ModelView, dialect: Dialect) -> Value {
    match dialect {
        Dialect::OpenAi => json!({
            "id": model.name, "object": "model", "created": created(model), "owned_by": model.provider,
            "context_length": model.context_tokens, "max_output_tokens": model.output_tokens, "description": model.description,
        }),
        Dialect::Anthropic => json!({
            "type": "model", "id": model.name, "display_name": model.name, "created_at": moment(created(model)),
            "max_input_tokens": model.context_tokens, "max_tokens": model.output_tokens,
        }),
    }
}

/// When it was added, in seconds: a uuid v7 knows.
fn created(model: &ModelView) -> u64 {
    model.model_id.0.get_timestamp().map_or(0, |at| at.to_unix().0)
}

fn moment(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(&Rfc3339).unwrap_or_default()
}
