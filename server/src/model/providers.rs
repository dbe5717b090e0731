//! Providers: added, asked for their models, offered when found on this machine.

use super::{Service, address, administrator, named};
use crate::{
    Error, Result, clock,
    data::{self, listen::Change, provider::Row},
};
use contract::{Caller, Code, NewProvider, OfferedProvider, Problem, ProviderId, ProviderKind, ProviderView};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// How long a provider may take to list its models.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a server of this machine may take to be noticed.
const GLANCE: Duration = Duration::from_millis(700);

/// All providers.
pub async fn all(service: &Service, caller: &Caller) -> Result<Vec<ProviderView>> {
    administrator(caller)?;
    data::provider::views(&mut *service.pool.acquire().await?).await
}

/// Adds a provider. Its secret is sealed before it is stored.
pub async fn add(service: &Service, caller: &Caller, provider: NewProvider) -> Result<ProviderView> {
    administrator(caller)?;
    let name = named(&provider.name, "name")?;
    if !ProviderKind::ADDABLE.contains(&provider.kind) {
        return Err(Problem::new(Code::Invalid, "This kind of provider is built in.").field("kind").into());
    }
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let wrong = |field: &str, message: String| -> Error { Problem::new(Code::Invalid, message).field(field).into() };
    let base_url = match given(provider.base_url) {
        Some(_) if provider.kind == ProviderKind::Google => {
            return Err(wrong("base_url", "Google Gemini has one address, which is known. Leave this empty.".to_owned()));
        }
        Some(text) => Some(address::checked(&text, provider.allows_private).await?.as_str().trim_end_matches('/').to_owned()),
        None if provider.kind == ProviderKind::Azure => {
            return Err(wrong("base_url", "The resource's address is needed, for example https://my-team.openai.azure.com.".to_owned()));
        }
        None if provider.kind.wants_address() => {
            return Err(wrong("base_url", "An address is needed, for example http://127.0.0.1:8000/v1.".to_owned()));
        }
        None => None,
    };
    let region = given(provider.region);
    let is_region = |text: &String| {
        (4..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match (&region, provider.kind) {
        (Some(region), ProviderKind::Bedrock) if is_region(region) => {}
        (_, ProviderKind::Bedrock) => return Err(wrong("region", "Amazon Bedrock wants a region, for example eu-central-1.".to_owned())),
        (Some(_), kind) => return Err(wrong("region", format!("{} has no regions. Leave this empty.", kind.label()))),
        (None, _) => {}
    }
    if provider.is_direct && !provider.kind.speaks_openai() {
        return Err(wrong("is_direct", format!("{} does not speak OpenAI's API, so LiteLLM translates for it.", provider.kind.label())));
    }
    let secret = given(provider.secret);
    if secret.is_none() && provider.kind.wants_key() {
        return Err(wrong("secret", format!("{} wants a key.", provider.kind.label())));
    }
    if secret.as_ref().is_some_and(|secret| secret.len() > 4096 || secret.chars().any(char::is_control)) {
        return Err(wrong("secret", "This does not look like a key: it is too long, or has more than one line.".to_owned()));
    }
    let provider_id: ProviderId = clock::new_id();
    let row = Row {
        provider_id,
        kind: provider.kind,
        name: name.clone(),
        base_url: base_url.clone(),
        allows_private: provider.allows_private,
        region: region.clone(),
        is_direct: provider.is_direct,
        secret_sealed: secret.as_ref().map(|secret| service.vault.seal(provider_id, secret)).transpose()?,
        secret_key_id: secret.as_ref().map(|_| service.vault.key_id().to_owned()),
        secret_hint: secret.as_deref().map(hint),
        created_at: service.clock.now(),
    };
    let mut transaction = data::begin(&service.pool).await?;
    data::provider::add(&mut transaction, &row).await.map_err(|error| {
        error.on_constraint("provider_name_key", || {
            Problem::new(Code::Conflict, format!("There is a provider named {name} already.")).remedy("Choose another name.").field("name")
        })
    })?;
    service.record(&mut transaction, caller, "provider.added", None, &name, provider.kind.label()).await?;
    data::listen::notify(&mut transaction, Change::Catalog).await?;
    transaction.commit().await?;
    Ok(ProviderView {
        provider_id,
        kind: provider.kind,
        name,
        base_url,
        region,
        is_direct: provider.is_direct,
        secret_hint: row.secret_hint,
        created_at: row.created_at,
        models: 0,
    })
}

/// The last four characters of a secret that is long enough to have some to spare.
fn hint(secret: &str) -> String {
    let tail: Vec<char> = secret.chars().rev().take(4).collect();
    if secret.chars().count() < 12 { "…".to_owned() } else { format!("…{}", tail.into_iter().rev().collect::<String>()) }
}

/// Removes a provider and its models. Usage records stay.
pub async fn remove(service: &Service, caller: &Caller, provider: ProviderId) -> Result<()> {
    administrator(caller)?;
    let mut transaction = data::begin(&service.pool).await?;
    let name = data::provider::remove(&mut transaction, provider).await.map_err(|error| error.on_missing(unknown))?;
    service.record(&mut transaction, caller, "provider.removed", None, &name, "").await?;
    data::listen::notify(&mut transaction, Change::Catalog).await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) fn unknown() -> Problem {
    Problem::new(Code::NotFound, "This provider does not exist any more.")
}

/// A provider's models, by its own names: a real call, which also tests the address and the secret.
pub async fn upstream_models(service: &Service, caller: &Caller, provider: ProviderId) -> Result<Vec<String>> {
    administrator(caller)?;
    let row = {
        let mut connection = service.pool.acquire().await?;
        data::provider::get(&mut connection, provider).await.map_err(|error| error.on_missing(unknown))?
    };
    if row.kind == ProviderKind::Demo {
        return Ok(vec!["demo".to_owned()]);
    }
    let base = api_base(row.kind, row.base_url.as_deref(), row.region.as_deref(), service.config.models.local_model_port);
    let secret = match (&row.secret_sealed, &row.secret_key_id) {
        (Some(sealed), Some(key_id)) => Some(service.vault.open(row.provider_id, key_id, sealed)?),
        _ => None,
    };
    // What runs beside us is ours, whatever its address.
    let http = if row.kind == ProviderKind::Local { &service.http } else { service.outside.to(row.allows_private) };
    list(http, row.kind, &row.name, &base, secret.as_ref()).await
}

async fn list(http: &reqwest::Client, kind: ProviderKind, name: &str, base: &str, secret: Option<&SecretString>) -> Result<Vec<String>> {
    let path = if kind == ProviderKind::Bedrock { "foundation-models" } else { "models" };
    let mut request = http.get(format!("{base}/{path}")).timeout(PATIENCE);
    if let Some(secret) = secret {
        request = match kind {
            ProviderKind::Anthropic => request.header("x-api-key", secret.expose_secret()).header("anthropic-version", "2023-06-01"),
            _ => request.bearer_auth(secret.expose_secret()),
        };
    }
    let failed = |message: String, remedy: &str| -> Error { Problem::new(Code::UpstreamFailed, message).remedy(remedy).into() };
    let answer = request.send().await.map_err(|error| {
        let why = crate::error::chain(&error.without_url());
        failed(format!("{name} does not answer at {base}: {why}."), "Look at the address, and whether the server runs.")
    })?;
    let status = answer.status();
    if matches!(status.as_u16(), 401 | 403) {
        return Err(failed(
            format!("{name} does not accept the key (HTTP {status})."),
            "Remove the provider and add it with the right key.",
        ));
    }
    if !status.is_success() {
        return Err(failed(format!("{name} answered with HTTP {status} at {base}/{path}."), "Look at the address: it mostly ends in /v1."));
    }
    let not_a_list = || {
        failed(format!("{name} answered at {base}/{path}, but not with a list of models."), "Look at the address: it mostly ends in /v1.")
    };
    let body: Value = answer.json().await.map_err(|_| not_a_list())?;
    names(kind, &body).ok_or_else(not_a_list)
}

/// The names in a list of models, in order.
fn names(kind: ProviderKind, list: &Value) -> Option<Vec<String>> {
    let (members, name) = if kind == ProviderKind::Bedrock { ("modelSummaries", "modelId") } else { ("data", "id") };
    // Google's stand in a folder, which no call wants.
    let own = |name: &str| if kind == ProviderKind::Google { name.trim_start_matches("models/").to_owned() } else { name.to_owned() };
    let models = list.get(members)?.as_array()?;
    let mut names: Vec<String> = models.iter().filter_map(|model| model.get(name)?.as_str().map(own)).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Model servers on this machine that are not used yet: an Ollama, a vLLM.
pub async fn offered(service: &Service, caller: &Caller) -> Result<Vec<OfferedProvider>> {
    administrator(caller)?;
    let known = data::provider::all(&mut *service.pool.acquire().await?).await?;
    let new = |url: &Url| {
        let base_url = url.as_str().trim_end_matches('/').to_owned();
        (!known.iter().any(|row| row.base_url.as_deref() == Some(&base_url))).then_some(base_url)
    };
    let ollama = async {
        let base_url = new(&service.config.models.ollama_url)?;
        let models = ollama_models(service, &base_url).await?;
        Some(OfferedProvider { kind: ProviderKind::Ollama, base_url, models })
    };
    let vllm = async {
        let base_url = new(&service.config.models.vllm_url)?;
        let models = vllm_models(service, &base_url).await?;
        Some(OfferedProvider { kind: ProviderKind::OpenAiCompatible, base_url, models })
    };
    let (ollama, vllm) = tokio::join!(ollama, vllm);
    Ok(ollama.into_iter().chain(vllm).collect())
}

/// What a vLLM serves, which says so itself: another server on its port is not taken for one. None when there is no vLLM.
async fn vllm_models(service: &Service, base_url: &str) -> Option<Vec<String>> {
    let answer = service.http.get(format!("{base_url}/models")).timeout(GLANCE).send().await.ok()?;
    let body: Value = answer.error_for_status().ok()?.json().await.ok()?;
    let models = body.get("data")?.as_array()?;
    let is_vllm = |model: &&Value| model.get("owned_by").and_then(Value::as_str) == Some("vllm");
    let names: Vec<String> = models.iter().filter(is_vllm).filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect();
    (!names.is_empty()).then_some(names)
}

/// What an Ollama has pulled, by its own API: another server on its port is not taken for one. None when there is no Ollama.
async fn ollama_models(service: &Service, base_url: &str) -> Option<Vec<String>> {
    let base = base_url.trim_end_matches("/v1");
    let answer = service.http.get(format!("{base}/api/tags")).timeout(GLANCE).send().await.ok()?;
    let body: Value = answer.error_for_status().ok()?.json().await.ok()?;
    let mut models: Vec<String> =
        body.get("models")?.as_array()?.iter().filter_map(|model| model.get("name")?.as_str().map(str::to_owned)).collect();
    models.sort_unstable();
    Some(models)
}

/// Where a provider's API is, with no slash at the end: the address as given, with its version where none was, or the kind's own.
///
/// For Bedrock it is the one that lists models.
#[must_use]
pub fn api_base(kind: ProviderKind, base_url: Option<&str>, region: Option<&str>, local_port: u16) -> String {
    let Some(base) = base_url.map(|base| base.trim_end_matches('/')) else {
        return match kind {
            ProviderKind::Demo | ProviderKind::Local => format!("http://127.0.0.1:{local_port}/v1"),
            ProviderKind::Anthropic => "https://api.anthropic.com/v1".to_owned(),
            // Google's own OpenAI-compatible one.
            ProviderKind::Google => "https://generativelanguage.googleapis.com/v1beta/openai".to_owned(),
            ProviderKind::Bedrock => format!("https://bedrock.{}.amazonaws.com", region.unwrap_or("us-east-1")),
            ProviderKind::Mistral => "https://api.mistral.ai/v1".to_owned(),
            ProviderKind::OpenRouter => "https://openrouter.ai/api/v1".to_owned(),
            ProviderKind::OpenAi | ProviderKind::Azure | ProviderKind::Ollama | ProviderKind::OpenAiCompatible => {
                "https://api.openai.com/v1".to_owned()
            }
        };
    };
    let bare = Url::parse(base).is_ok_and(|url| url.path() == "/");
    match kind {
        ProviderKind::Azure if bare => format!("{base}/openai/v1"),
        ProviderKind::Ollama | ProviderKind::OpenAiCompatible | ProviderKind::OpenAi | ProviderKind::Mistral if bare => {
            format!("{base}/v1")
        }
        _ => base.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_added_where_it_was_left_out() {
        let at = |kind, base| api_base(kind, Some(base), None, 1);
        assert_eq!(at(ProviderKind::Ollama, "http://127.0.0.1:11434"), "http://127.0.0.1:11434/v1");
        assert_eq!(at(ProviderKind::Ollama, "http://127.0.0.1:11434/v1/"), "http://127.0.0.1:11434/v1");
        assert_eq!(at(ProviderKind::OpenAiCompatible, "http://gpu:8000/"), "http://gpu:8000/v1");
        assert_eq!(at(ProviderKind::OpenAiCompatible, "http://gpu:8000/api/v2"), "http://gpu:8000/api/v2");
        assert_eq!(at(ProviderKind::Anthropic, "https://proxy.example"), "https://proxy.example");
        assert_eq!(at(ProviderKind::Azure, "https://we.openai.azure.com/"), "https://we.openai.azure.com/openai/v1");
        assert_eq!(api_base(ProviderKind::Bedrock, None, Some("eu-central-1"), 1), "https://bedrock.eu-central-1.amazonaws.com");
        assert_eq!(api_base(ProviderKind::Local, None, None, 4190), "http://127.0.0.1:4190/v1");
    }

    #[test]
    fn each_kind_lists_its_models_in_its_own_way() {
        let list = serde_json::json!({"data": [{"id": "models/b"}, {"id": "a"}, {"id": "a"}, {"name": "none"}]});
        assert_eq!(names(ProviderKind::Google, &list).unwrap(), ["a", "b"]);
        assert_eq!(names(ProviderKind::OpenAiCompatible, &list).unwrap(), ["a", "models/b"], "a file's name is a name");
        assert_eq!(names(ProviderKind::Bedrock, &list), None);
        assert_eq!(names(ProviderKind::Bedrock, &serde_json::json!({"modelSummaries": [{"modelId": "m"}]})).unwrap(), ["m"]);
    }

    #[test]
    fn a_hint_tells_keys_apart_and_nothing_more() {
        assert_eq!(hint("sk-proj-abcdefgh1234"), "…1234");
        assert_eq!(hint("short"), "…");
    }
}
