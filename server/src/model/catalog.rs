//! The catalog: what there is to call, by which name, at which price.

use super::{Service, administrator};
use crate::{
    Error, Result, clock,
    data::{self, Connection, listen::Change},
};
use contract::{Caller, Code, CountedIn, ModelChange, ModelId, ModelView, PersonId, Problem, ProviderId};

/// The models that people may use: published and priced, the default one first.
pub async fn offered(connection: &mut Connection) -> Result<Vec<ModelView>> {
    let mut models = data::model::all(connection).await?;
    models.retain(|model| model.published && model.price.is_some());
    Ok(models)
}

/// Those of them that a chat can be had with: what makes pictures or is priced by audio is none.
pub async fn offered_for_chat(connection: &mut Connection) -> Result<Vec<ModelView>> {
    let mut models = offered(connection).await?;
    models.retain(|model| model.counted_in == CountedIn::Tokens);
    Ok(models)
}

/// Those of them that are published to a person, or to a group of theirs. Which groups is not told, nor what answers in their place.
pub async fn offered_to(connection: &mut Connection, person: PersonId) -> Result<Vec<ModelView>> {
    let theirs = data::model::published_to(connection, person).await?;
    let models = offered(connection).await?.into_iter().filter(|model| theirs.contains(&model.model_id));
    Ok(models.map(|model| ModelView { groups: None, fallbacks: Vec::new(), ..model }).collect())
}

/// The same, for a page.
pub async fn for_caller(service: &Service, caller: &Caller) -> Result<Vec<ModelView>> {
    offered_to(&mut *service.pool.acquire().await?, caller.person_id).await
}

/// The whole catalog, unpublished and unpriced models too.
pub async fn all(service: &Service, caller: &Caller) -> Result<Vec<ModelView>> {
    administrator(caller)?;
    let mut models = data::model::all(&mut *service.pool.acquire().await?).await?;
    for model in &mut models {
        model.unhealthy = service.health.unhealthy(model.model_id);
    }
    Ok(models)
}

/// Adds a provider's model.
pub async fn add(service: &Service, caller: &Caller, provider: ProviderId, change: ModelChange) -> Result<ModelView> {
    administrator(caller)?;
    let change = checked(change)?;
    let model_id: ModelId = clock::new_id();
    let mut transaction = data::begin(&service.pool).await?;
    data::provider::get(&mut transaction, provider).await.map_err(|error| error.on_missing(super::providers::unknown))?;
    if change.is_default {
        data::model::clear_default(&mut transaction).await?;
    }
    count_in(&mut transaction, &change).await?;
    data::model::add(&mut transaction, model_id, provider, &change).await.map_err(|error| taken(error, &change.name))?;
    data::model::set_fallbacks(&mut transaction, model_id, &change.fallbacks).await.map_err(|error| error.on_missing(no_fallback))?;
    service.record(&mut transaction, caller, "model.added", None, &change.name, &detail(&change)).await?;
    finish(transaction, model_id).await
}

/// Changes a model.
pub async fn change(service: &Service, caller: &Caller, model: ModelId, change: ModelChange) -> Result<ModelView> {
    administrator(caller)?;
    let mut change = checked(change)?;
    let mut transaction = data::begin(&service.pool).await?;
    if change.price.is_none() {
        // Without a price nothing is counted: it stays what it was.
        change.counted_in = data::model::counted_in(&mut transaction, model).await.map_err(|error| error.on_missing(unknown))?;
    }
    count_in(&mut transaction, &change).await?;
    if change.is_default {
        data::model::clear_default(&mut transaction).await?;
    }
    data::model::change(&mut transaction, model, &change).await.map_err(|error| taken(error.on_missing(unknown), &change.name))?;
    data::model::set_fallbacks(&mut transaction, model, &change.fallbacks).await.map_err(|error| error.on_missing(no_fallback))?;
    service.record(&mut transaction, caller, "model.changed", None, &change.name, &detail(&change)).await?;
    finish(transaction, model).await
}

/// Takes a model out of the catalog.
pub async fn remove(service: &Service, caller: &Caller, model: ModelId) -> Result<()> {
    administrator(caller)?;
    let mut transaction = data::begin(&service.pool).await?;
    let name = data::model::remove(&mut transaction, model).await.map_err(|error| error.on_missing(unknown))?;
    service.record(&mut transaction, caller, "model.removed", None, &name, "").await?;
    data::listen::notify(&mut transaction, Change::Catalog).await?;
    transaction.commit().await?;
    Ok(())
}

/// What calls are counted in stays what it was for those that are recorded under this name.
async fn count_in(transaction: &mut data::Transaction, change: &ModelChange) -> Result<()> {
    if data::model::count_in(transaction, &change.name, change.counted_in).await? {
        return Ok(());
    }
    let message = format!("Calls of a model named {} are recorded that were not counted in {}.", change.name, change.counted_in.code());
    Err(Problem::new(Code::Conflict, message)
        .remedy("Publish it under another name, so that what was used stays true.")
        .field("counted_in")
        .into())
}

async fn finish(mut transaction: data::Transaction, model: ModelId) -> Result<ModelView> {
    data::listen::notify(&mut transaction, Change::Catalog).await?;
    let view = data::model::all(&mut transaction).await?.into_iter().find(|view| view.model_id == model).ok_or(Error::Missing)?;
    transaction.commit().await?;
    Ok(view)
}

fn unknown() -> Problem {
    Problem::new(Code::ModelNotFound, "This model is not in the catalog any more.")
}

fn no_fallback() -> Problem {
    Problem::new(Code::Invalid, "One of these is no model of the catalog.")
        .remedy("Write the names that callers use, with commas between.")
        .field("fallbacks")
}

fn taken(error: Error, name: &str) -> Error {
    error.on_constraint("model_name_key", || {
        Problem::new(Code::Conflict, format!("There is a model named {name} already.")).remedy("Choose another name.").field("name")
    })
}

fn detail(change: &ModelChange) -> String {
    let price = match change.price {
        Some(price) if change.counted_in == CountedIn::Tokens => format!("{} in, {} out", price.input, price.output),
        Some(price) => format!("{} {}", change.counted_in.of_priced(price.input), change.counted_in.priced_words()),
        None => "no price".to_owned(),
    };
    let published = match &change.groups {
        _ if !change.published => "not published".to_owned(),
        None => "published".to_owned(),
        Some(groups) => format!("published to {} groups", groups.len()),
    };
    let fallbacks = if change.fallbacks.is_empty() { String::new() } else { format!("; then {}", change.fallbacks.join(", ")) };
    format!("{price}; {published}{fallbacks}")
}

/// The highest price of a million: a million dollars for tokens and characters, a thousand dollars for an image or a minute.
const fn dearest(counted_in: CountedIn) -> i64 {
    match counted_in {
        CountedIn::Tokens | CountedIn::Characters => 1_000_000_000_000,
        CountedIn::Images => 1_000_000_000_000_000,
        CountedIn::Seconds => 1_000_000_000_000_000 / 60 + 1,
    }
}

/// What an administrator typed, trimmed and within bounds.
fn checked(mut change: ModelChange) -> Result<ModelChange> {
    let wrong = |message: &str, field: &str| -> Error { Problem::new(Code::Invalid, message).field(field).into() };
    for text in [&mut change.name, &mut change.upstream, &mut change.description] {
        *text = text.trim().to_owned();
    }
    // No `*`: LiteLLM would take it as a pattern.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/' | b'@');
    if !(1..=100).contains(&change.name.len()) || !change.name.bytes().all(plain) || !change.name.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(wrong("A model's name has 1 to 100 letters, digits or . _ - : / @, and begins with a letter or digit.", "name"));
    }
    if !(1..=200).contains(&change.upstream.len()) || change.upstream.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(wrong("The provider's own name for the model is needed, without spaces.", "upstream"));
    }
    if change.description.chars().count() > 500 || change.description.chars().any(char::is_control) {
        return Err(wrong("A description has at most 500 characters, on one line.", "description"));
    }
    if !(1..=100_000_000).contains(&change.context_tokens) {
        return Err(wrong("How many tokens fit is a number from 1 to 100 million.", "context_tokens"));
    }
    if !(1..=change.context_tokens).contains(&change.output_tokens) {
        return Err(wrong("The longest answer is a number from 1 to as many tokens as fit.", "output_tokens"));
    }
    if let Some(price) = change.price
        && [price.input, price.cached_input, price.output].iter().any(|price| !(0..=dearest(change.counted_in)).contains(&price.0))
    {
        let most = change.counted_in.of_priced(contract::Micros(dearest(change.counted_in)));
        let message = format!("A price is zero or more, at most {most} for {}.", change.counted_in.priced_words());
        return Err(wrong(&message, "price"));
    }
    // A picture and a minute have one price, and nothing of them is cached.
    if let Some(price) = &mut change.price
        && change.counted_in != CountedIn::Tokens
    {
        *price = contract::Price { cached_input: price.input, output: contract::Micros::ZERO, ..*price };
    }
    if change.groups.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("Choose at least one group, or publish it to everyone.", "groups"));
    }
    let mut seen = std::collections::HashSet::new();
    if change.fallbacks.len() > 3 || !change.fallbacks.iter().all(|name| *name != change.name && seen.insert(name)) {
        return Err(wrong("At most three other models answer in its place, each named once.", "fallbacks"));
    }
    if change.is_default && change.counted_in != CountedIn::Tokens {
        return Err(wrong("The default model is one for chats: its price is for tokens.", "is_default"));
    }
    if change.is_default && !(change.published && change.price.is_some()) {
        return Err(wrong("The default model must be published and have a price (zero is free).", "is_default"));
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Micros, Price};

    fn change() -> ModelChange {
        ModelChange {
            name: " gpt-5.2 ".to_owned(),
            upstream: "gpt-5.2".to_owned(),
            description: String::new(),
            context_tokens: 400_000,
            output_tokens: 128_000,
            price: Some(Price { input: Micros(1_250_000), cached_input: Micros(125_000), output: Micros(10_000_000) }),
            counted_in: CountedIn::Tokens,
            published: true,
            groups: None,
            is_default: true,
            fallbacks: vec!["small".to_owned()],
        }
    }

    #[test]
    fn what_cannot_be_a_model_is_refused_with_its_field() {
        assert_eq!(checked(change()).unwrap().name, "gpt-5.2");
        type Spoil = fn(&mut ModelChange);
        let cases: [(&str, Spoil); 14] = [
            ("name", |change| change.name = "*".to_owned()),
            ("name", |change| change.name = "a b".to_owned()),
            ("name", |change| change.name.clear()),
            ("upstream", |change| change.upstream.clear()),
            ("output_tokens", |change| change.output_tokens = 400_001),
            ("context_tokens", |change| change.context_tokens = 0),
            ("price", |change| change.price = Some(Price { input: Micros(-1), ..Price::FREE })),
            ("groups", |change| change.groups = Some(Vec::new())),
            ("is_default", |change| change.price = None),
            ("is_default", |change| change.counted_in = CountedIn::Images),
            ("price", |change| {
                (change.counted_in, change.price) = (CountedIn::Seconds, Some(Price::each(CountedIn::Seconds, Micros(1_000_000_001))));
            }),
            ("fallbacks", |change| change.fallbacks.push("gpt-5.2".to_owned())),
            ("fallbacks", |change| change.fallbacks.push("small".to_owned())),
            ("fallbacks", |change| change.fallbacks = ["a", "b", "c", "d"].map(str::to_owned).into()),
        ];
        for (field, spoil) in cases {
            let mut spoiled = change();
            spoil(&mut spoiled);
            let Err(Error::Problem(problem)) = checked(spoiled) else { panic!("{field}") };
            assert_eq!(problem.field.as_deref(), Some(field));
        }
    }
}
