//! SQL of `model`.

use super::Connection;
use crate::Result;
use contract::{Micros, ModelView, Price};

/// The whole catalog: the default first, then by name.
pub async fn all(connection: &mut Connection) -> Result<Vec<ModelView>> {
    let rows = sqlx::query!(
        r#"select model_id, model.name, description, provider_id, provider.name as provider, upstream, context_tokens, output_tokens,
                  input_price, cached_input_price, output_price, published, is_default
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
            published: row.published,
            is_default: row.is_default,
        })
        .collect())
}

fn price(input: Option<i64>, cached_input: Option<i64>, output: Option<i64>) -> Option<Price> {
    Some(Price { input: Micros(input?), cached_input: Micros(cached_input?), output: Micros(output?) })
}
