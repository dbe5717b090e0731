//! The catalog: what there is to call, by which name, at which price.

use crate::{
    Result,
    data::{self, Connection},
};
use contract::ModelView;

/// The models that people may use: published and priced, the default one first.
pub async fn offered(connection: &mut Connection) -> Result<Vec<ModelView>> {
    let mut models = data::model::all(connection).await?;
    models.retain(|model| model.published && model.price.is_some());
    Ok(models)
}
