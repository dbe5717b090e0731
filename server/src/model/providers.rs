//! Providers: added, asked for their models, offered when found on this machine.

use super::{Service, administrator, named};
use crate::{
    Error, Result, clock,
    data::{self, listen::Change, provider::Row},
};
use contract::{Caller, Code, NewProvider, OfferedProvider, Problem, ProviderId, ProviderKind, ProviderView};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::{net::IpAddr, time::Duration};
use tokio::time::timeout;
use url::{Host, Url};

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
    let base_url = match given(provider.base_url) {
        Some(text) => Some(checked_address(&text).await?.as_str().trim_end_matches('/').to_owned()),
        None if matches!(provider.kind, ProviderKind::Ollama | ProviderKind::OpenAiCompatible) => {
            return Err(Problem::new(Code::Invalid, "An address is needed, for example http://127.0.0.1:8000/v1.")
                .field("base_url")
                .into());
        }
        None => None,
    };
    let secret = given(provider.secret);
    if secret.is_none() && matches!(provider.kind, ProviderKind::OpenAi | ProviderKind::Anthropic | ProviderKind::OpenRouter) {
        return Err(Problem::new(Code::Invalid, format!("{} wants a key.", provider.kind.label())).field("secret").into());
    }
    if secret.as_ref().is_some_and(|secret| secret.len() > 4096 || secret.chars().any(char::is_control)) {
        return Err(Problem::new(Code::Invalid, "This does not look like a key: it is too long, or has more than one line.")
            .field("secret")
            .into());
    }
    let provider_id: ProviderId = clock::new_id();
    let row = Row {
        provider_id,
        kind: provider.kind,
        name: name.clone(),
        base_url: base_url.clone(),
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
    let base = match (&row.base_url, row.kind) {
        (Some(base), kind) => {
            checked_address(base).await?;
            api_base(kind, base)
        }
        (None, ProviderKind::Local) => format!("http://127.0.0.1:{}/v1", service.config.models.local_model_port),
        (None, ProviderKind::Anthropic) => "https://api.anthropic.com/v1".to_owned(),
        (None, ProviderKind::OpenRouter) => "https://openrouter.ai/api/v1".to_owned(),
        (None, _) => "https://api.openai.com/v1".to_owned(),
    };
    let secret = match (&row.secret_sealed, &row.secret_key_id) {
        (Some(sealed), Some(key_id)) => Some(service.vault.open(row.provider_id, key_id, sealed)?),
        _ => None,
    };
    list(service, row.kind, &row.name, &base, secret.as_ref(), PATIENCE).await
}

async fn list(
    service: &Service,
    kind: ProviderKind,
    name: &str,
    base: &str,
    secret: Option<&SecretString>,
    patience: Duration,
) -> Result<Vec<String>> {
    let mut request = service.outside.get(format!("{}/models", base.trim_end_matches('/'))).timeout(patience);
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
        return Err(failed(format!("{name} answered with HTTP {status} at {base}/models."), "Look at the address: it mostly ends in /v1."));
    }
    let not_a_list = || {
        failed(format!("{name} answered at {base}/models, but not with a list of models."), "Look at the address: it mostly ends in /v1.")
    };
    let body: Value = answer.json().await.map_err(|_| not_a_list())?;
    let data = body.get("data").and_then(Value::as_array).ok_or_else(not_a_list)?;
    let mut models: Vec<String> = data.iter().filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect();
    models.sort_unstable();
    models.dedup();
    Ok(models)
}

/// An Ollama on this machine that is not used yet.
pub async fn offered(service: &Service, caller: &Caller) -> Result<Vec<OfferedProvider>> {
    administrator(caller)?;
    let base_url = service.config.models.ollama_url.as_str().trim_end_matches('/').to_owned();
    let known = data::provider::all(&mut *service.pool.acquire().await?).await?;
    if known.iter().any(|row| row.base_url.as_deref() == Some(&base_url)) {
        return Ok(Vec::new());
    }
    let found = ollama_models(service, &base_url).await;
    Ok(found.map(|models| OfferedProvider { kind: ProviderKind::Ollama, base_url, models }).into_iter().collect())
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

/// Where a provider's OpenAI-compatible API is: the address as given, with `/v1` where none was.
#[must_use]
pub fn api_base(kind: ProviderKind, base_url: &str) -> String {
    let base = base_url.trim_end_matches('/');
    let bare = Url::parse(base).is_ok_and(|url| url.path() == "/");
    match kind {
        ProviderKind::Ollama | ProviderKind::OpenAiCompatible | ProviderKind::OpenAi if bare => format!("{base}/v1"),
        _ => base.to_owned(),
    }
}

/// An address that an administrator typed: http or https, without a user name, and not one that belongs to the machine's own cloud.
///
/// Private addresses are allowed: a vLLM or an Ollama in the same network is the usual case. Link-local ones are not: there, clouds keep the
/// machine's own credentials.
async fn checked_address(text: &str) -> Result<Url> {
    let wrong = |message: &str| -> Error { Problem::new(Code::Invalid, message).field("base_url").into() };
    let url = Url::parse(text).map_err(|_| wrong("This is not an address. It looks like http://127.0.0.1:8000/v1."))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("The address must begin with http:// or https://."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("The address must not carry a user name or a password. The key has a field of its own."));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("The address must end with its path, without ? or #."));
    }
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(name)) => match timeout(Duration::from_secs(5), tokio::net::lookup_host((name, port))).await {
            Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
            Ok(Err(_)) | Err(_) => return Err(wrong("The name in this address cannot be resolved from this server.")),
        },
        None => return Err(wrong("The address has no host.")),
    };
    if addresses.iter().any(|address| is_forbidden(*address)) {
        return Err(wrong("This address is reserved for the machine itself and its cloud, and is not used for models."));
    }
    Ok(url)
}

fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast() || address.is_multicast(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                // Amazon's metadata address.
                || address == std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_of_the_machine_and_its_cloud_are_refused() {
        for text in [
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:169.254.169.254]/",
            "http://2852039166/",
            "http://[fe80::1]/v1",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0:3000/",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
            "http://user:word@127.0.0.1/v1",
            "http://127.0.0.1/v1?x=1",
            "127.0.0.1:8000",
            "nonsense",
        ] {
            assert!(checked_address(text).await.is_err(), "{text}");
        }
        for text in ["http://127.0.0.1:8000/v1", "http://10.0.0.7:8000", "https://192.168.1.4/v1"] {
            assert!(checked_address(text).await.is_ok(), "{text}");
        }
    }

    #[test]
    fn the_version_is_added_where_it_was_left_out() {
        assert_eq!(api_base(ProviderKind::Ollama, "http://127.0.0.1:11434"), "http://127.0.0.1:11434/v1");
        assert_eq!(api_base(ProviderKind::Ollama, "http://127.0.0.1:11434/v1/"), "http://127.0.0.1:11434/v1");
        assert_eq!(api_base(ProviderKind::OpenAiCompatible, "http://gpu:8000/"), "http://gpu:8000/v1");
        assert_eq!(api_base(ProviderKind::OpenAiCompatible, "http://gpu:8000/api/v2"), "http://gpu:8000/api/v2");
        assert_eq!(api_base(ProviderKind::Anthropic, "https://proxy.example"), "https://proxy.example");
    }

    #[test]
    fn a_hint_tells_keys_apart_and_nothing_more() {
        assert_eq!(hint("sk-proj-abcdefgh1234"), "…1234");
        assert_eq!(hint("short"), "…");
    }
}
