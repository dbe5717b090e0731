//! LiteLLM: its configuration, rendered from the database, and its supervision.
//!
//! A changed catalog starts a second LiteLLM beside the first; calls move over when it answers, and the first ends when its last call has.

use super::{
    Service, catalog,
    child::{Child, Plan, free_port, port_is_free},
};
use crate::{
    Error, Result,
    data::{self, listen::Change},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use contract::{Code, CountedIn, PartHealth, Problem, ProviderKind};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long a start may take before it counts as failed: 40 s were seen under load.
const START: Duration = Duration::from_secs(180);
/// How long an old one is kept for its last calls.
const FAREWELL: Duration = Duration::from_secs(600);

/// Where calls go.
pub struct Upstream {
    /// `http://127.0.0.1:3101/v1`, without a slash at the end.
    pub base: String,
    /// What opens it.
    pub key: SecretString,
    /// The models that it knows; none when that is its own affair.
    pub models: Option<HashSet<String>>,
}

impl Upstream {
    /// Whether it can be asked for this model.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }
}

/// A configuration: the file, the secrets beside it, and the names in it.
struct Rendered {
    file: Value,
    secrets: Vec<(String, SecretString)>,
    models: HashSet<String>,
}

impl Rendered {
    /// Whether a running LiteLLM with `other` can stay.
    fn same_as(&self, other: &Self) -> bool {
        self.file == other.file
            && self.secrets.len() == other.secrets.len()
            && self.secrets.iter().zip(&other.secrets).all(|(a, b)| a.0 == b.0 && a.1.expose_secret() == b.1.expose_secret())
    }
}

/// The demo model says its sentence here. No model of the catalog can have this name.
const DEMO: &str = "=demo";
/// Where LiteLLM finds itself.
const OWN_BASE: &str = "CLAWLOOPS_LITELLM_BASE";
const DEMO_ANSWER: &str = "This is the demo model of ClawLoops. It gives this one answer to everything, so that you can see how a chat works before a \
provider is connected. An administrator adds a provider at Administration, Models & providers; then real models can be chosen here.";

/// Renders the models that can be called. Secrets stay out of the file: it names environment variables.
async fn render(service: &Service) -> Result<Rendered> {
    let mut connection = service.pool.acquire().await?;
    let providers = data::provider::all(&mut connection).await?;
    let models = catalog::offered(&mut connection).await?;
    drop(connection);
    let (mut list, mut secrets, mut names, mut has_demo) = (Vec::new(), Vec::new(), HashSet::new(), false);
    for provider in &providers {
        let models: Vec<_> = models.iter().filter(|model| model.provider_id == provider.provider_id).collect();
        if models.is_empty() {
            continue;
        }
        let variable = format!("CLAWLOOPS_PROVIDER_{}", provider.provider_id.0.simple());
        let mut key = json!("none");
        if let (Some(sealed), Some(key_id)) = (&provider.secret_sealed, &provider.secret_key_id) {
            match service.vault.open(provider.provider_id, key_id, sealed) {
                Ok(secret) => {
                    key = json!(format!("os.environ/{variable}"));
                    secrets.push((variable, secret));
                }
                // Its own calls fail with a clear answer; the others must not suffer.
                Err(error) => {
                    tracing::error!(provider = provider.name, error = %crate::error::chain(&error), "a provider's secret does not open")
                }
            }
        }
        for model in models {
            let mut parameters = match provider.kind {
                // LiteLLM says a given sentence well in a chat alone, so that the other shapes are translated from one with itself.
                ProviderKind::Demo => {
                    if !std::mem::replace(&mut has_demo, true) {
                        let demo = json!({"model": "openai/demo", "mock_response": DEMO_ANSWER, "api_key": "none"});
                        list.push(json!({"model_name": DEMO, "litellm_params": demo}));
                    }
                    json!({"model": format!("openai/{DEMO}"), "api_base": format!("os.environ/{OWN_BASE}")})
                }
                kind => json!({"model": format!("{}/{}", dialect(kind), model.upstream)}),
            };
            parameters["api_key"] = match provider.kind {
                ProviderKind::Demo => json!("os.environ/LITELLM_MASTER_KEY"),
                _ => key.clone(),
            };
            // Servers that are like OpenAI's all have its chat, and not all its responses.
            let has_chat_alone = matches!(
                provider.kind,
                ProviderKind::Demo | ProviderKind::Local | ProviderKind::Ollama | ProviderKind::OpenAiCompatible | ProviderKind::Mistral
            );
            if has_chat_alone && model.counted_in == CountedIn::Tokens {
                parameters["use_chat_completions_api"] = json!(true);
            }
            let base =
                || super::providers::api_base(provider.kind, provider.base_url.as_deref(), None, service.config.models.local_model_port);
            match provider.kind {
                ProviderKind::Demo => {}
                ProviderKind::Bedrock => {
                    parameters["aws_region_name"] = json!(provider.region);
                    if provider.base_url.is_some() {
                        parameters["aws_bedrock_runtime_endpoint"] = json!(base());
                    }
                }
                kind if kind == ProviderKind::Local || provider.base_url.is_some() => parameters["api_base"] = json!(base()),
                _ => {}
            }
            list.push(json!({"model_name": model.name, "litellm_params": parameters}));
            names.insert(model.name.clone());
        }
    }
    let file = json!({
        "model_list": list,
        // Retries stay with the caller: in two places they multiply.
        // Anthropic's messages become a chat too, where they must become something else: responses have no answer shorter than 16 tokens.
        "litellm_settings": {"drop_params": true, "num_retries": 0, "request_timeout": 600, "telemetry": false,
                             "use_chat_completions_url_for_anthropic_messages": true},
        "router_settings": {"num_retries": 0, "disable_cooldowns": true},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    });
    Ok(Rendered { file, secrets, models: names })
}

/// What LiteLLM calls the API of a provider.
const fn dialect(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Google => "gemini",
        ProviderKind::Bedrock => "bedrock",
        ProviderKind::Mistral => "mistral",
        ProviderKind::OpenRouter => "openrouter",
        // Azure's newer API and Ollama's are OpenAI's: one translation less than by their own.
        ProviderKind::Demo
        | ProviderKind::Local
        | ProviderKind::OpenAi
        | ProviderKind::Azure
        | ProviderKind::Ollama
        | ProviderKind::OpenAiCompatible => "openai",
    }
}

/// A LiteLLM that answers.
struct Instance {
    child: Child,
    upstream: Arc<Upstream>,
    rendered: Rendered,
}

/// Keeps a LiteLLM running until `stop`.
pub(super) async fn supervise(service: Arc<Service>, stop: CancellationToken) {
    if let Some(url) = &service.config.models.litellm_url {
        let key = service.config.models.litellm_master_key.clone().unwrap_or_default();
        let base = format!("{}/v1", url.as_str().trim_end_matches('/').trim_end_matches("/v1"));
        service.upstream.send_replace(Some(Arc::new(Upstream { base, key, models: None })));
        return stop.cancelled().await;
    }
    let Some(program) = service.config.models.litellm_bin.clone() else {
        tracing::warn!("neither LITELLM_URL nor CLAWLOOPS_LITELLM_BIN is set: models cannot be called");
        return stop.cancelled().await;
    };
    if let Err(error) = end_left_overs(&service, &program) {
        tracing::warn!(error = %crate::error::chain(&error), "left-overs of an earlier server could not be looked for");
    }
    let mut changes = service.changes.subscribe();
    let mut present: Option<Instance> = None;
    let mut pause = Duration::from_secs(1);
    while !stop.is_cancelled() {
        let fresh = match render(&service).await {
            Ok(fresh) => Some(fresh),
            Err(error) => {
                tracing::warn!(error = %crate::error::chain(&error), "the catalog could not be read for LiteLLM");
                None
            }
        };
        if let Some(fresh) = fresh
            && present.as_ref().is_none_or(|instance| !instance.rendered.same_as(&fresh))
        {
            let started = tokio::select! {
                started = start(&service, &program, fresh) => started,
                () = stop.cancelled() => break,
            };
            match started {
                Ok(instance) => {
                    service.upstream.send_replace(Some(instance.upstream.clone()));
                    tracing::info!(address = instance.upstream.base, models = instance.rendered.models.len(), "LiteLLM answers");
                    pause = Duration::from_secs(1);
                    if let Some(old) = present.replace(instance) {
                        service.tracker.spawn(part(old, stop.clone()));
                    }
                }
                Err(error) => {
                    tracing::error!(error = %crate::error::chain(&error), "LiteLLM did not start; trying again in {} s", pause.as_secs());
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = stop.cancelled() => break,
                    }
                    pause = (pause * 2).min(Duration::from_secs(60));
                    continue;
                }
            }
        }
        let ended = async {
            match present.as_mut() {
                Some(instance) => instance.child.ended().await,
                // Nothing was rendered: look again soon.
                None => {
                    sleep(Duration::from_secs(2)).await;
                    String::new()
                }
            }
        };
        tokio::select! {
            status = ended => {
                if let Some(instance) = present.take() {
                    service.upstream.send_replace(None);
                    tracing::error!(status, last_words = instance.child.last_words(), "LiteLLM ended by itself; starting it again");
                    instance.child.stop().await;
                }
            }
            () = catalog_changed(&mut changes) => {}
            () = stop.cancelled() => {}
        }
    }
    service.upstream.send_replace(None);
    if let Some(instance) = present {
        instance.child.stop().await;
    }
}

/// Waits for a change of the catalog, and a moment more, since changes come in groups.
async fn catalog_changed(changes: &mut tokio::sync::broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::Catalog | Change::Anything) | Err(RecvError::Lagged(_)) => break,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
    sleep(Duration::from_millis(200)).await;
}

/// Ends a replaced LiteLLM when its last call has ended.
async fn part(old: Instance, stop: CancellationToken) {
    let until = Instant::now() + FAREWELL;
    while Arc::strong_count(&old.upstream) > 1 && Instant::now() < until && !stop.is_cancelled() {
        sleep(Duration::from_millis(500)).await;
    }
    old.child.stop().await;
}

/// Starts one and waits until it answers to our own key, with our own models: another process on the port cannot be taken for it.
async fn start(service: &Service, program: &Path, rendered: Rendered) -> Result<Instance> {
    let failed = |error: std::io::Error| Error::internal("writing LiteLLM's configuration", error);
    let folder = folder(service)?;
    let preferred = service.config.models.litellm_port;
    // A busy `--port` would silently become another one.
    let port = if port_is_free(preferred) { preferred } else { free_port()? };
    // JSON is YAML.
    tokio::fs::write(configuration(&folder, port), serde_json::to_vec_pretty(&rendered.file).unwrap_or_default()).await.map_err(failed)?;
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal("taking random bytes for LiteLLM's key", error))?;
    let key = SecretString::from(format!("sk-{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)));
    let mut environment: Vec<(String, SecretString)> = rendered.secrets.clone();
    environment.push(("LITELLM_MASTER_KEY".to_owned(), key.clone()));
    environment.push((OWN_BASE.to_owned(), format!("http://127.0.0.1:{port}/v1").into()));
    // No look at the network for its price list: prices are ours.
    for (name, value) in [("LITELLM_LOCAL_MODEL_COST_MAP", "True"), ("LITELLM_LOG", "ERROR"), ("PYTHONUNBUFFERED", "1")] {
        environment.push((name.to_owned(), value.to_owned().into()));
    }
    environment.push(("NO_PROXY".to_owned(), service.config.models.direct_hosts().into()));
    if let Some(proxy) = &service.config.models.https_proxy {
        environment.push(("HTTPS_PROXY".to_owned(), proxy.clone()));
    }
    let mut child = Child::start(plan(program, &folder, port, environment), &folder)?;
    let base = format!("http://127.0.0.1:{port}/v1");
    let answers = async {
        loop {
            if let Ok(answer) = service.http.get(format!("{base}/models")).bearer_auth(key.expose_secret()).send().await
                && answer.status().is_success()
            {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
    };
    let problem = tokio::select! {
        () = answers => None,
        status = child.ended() => Some(format!("it ended with {status}")),
        () = sleep(START) => Some(format!("it did not answer within {} s", START.as_secs())),
    };
    if let Some(problem) = problem {
        let words = child.last_words();
        child.stop().await;
        return Err(Error::internal("starting LiteLLM", format!("{problem}; its last lines:\n{words}")));
    }
    let upstream = Arc::new(Upstream { base, key, models: Some(rendered.models.clone()) });
    Ok(Instance { child, upstream, rendered })
}

/// Where its configuration and process id lie.
fn folder(service: &Service) -> Result<PathBuf> {
    let failed = |error: std::io::Error| Error::internal("making LiteLLM's folder", error);
    let folder = service.config.data.data_dir.join("litellm");
    std::fs::create_dir_all(&folder).map_err(failed)?;
    std::fs::canonicalize(&folder).map_err(failed)
}

fn configuration(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!("config-{port}.yaml"))
}

fn plan(program: &Path, folder: &Path, port: u16, environment: Vec<(String, SecretString)>) -> Plan {
    let mut arguments: Vec<OsString> = vec!["--config".into(), configuration(folder, port).into_os_string()];
    arguments.extend(["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False", "--port"].map(OsString::from));
    arguments.push(port.to_string().into());
    Plan { name: "LiteLLM", program: absolute(program), arguments, environment, pid_file: folder.join(format!("pid-{port}")) }
}

/// Ends what a killed server left behind, on whatever port.
fn end_left_overs(service: &Service, program: &Path) -> Result<()> {
    let folder = folder(service)?;
    let failed = |error: std::io::Error| Error::internal("looking into LiteLLM's folder", error);
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(port) = name.to_str().and_then(|name| name.strip_prefix("pid-")).and_then(|port| port.parse().ok()) {
            let left = plan(program, &folder, port, Vec::new());
            left.end_left_over();
            drop(std::fs::remove_file(left.pid_file));
        }
    }
    Ok(())
}

/// The child runs in a folder of its own, so a relative path must be told from here.
pub(super) fn absolute(program: &Path) -> PathBuf {
    if program.components().count() > 1 { std::path::absolute(program).unwrap_or_else(|_| program.to_owned()) } else { program.to_owned() }
}

/// How LiteLLM is, for the doctor and the overview. A service that does not run (the doctor's own) looks where the server's is noted to be.
pub async fn health(service: &Service) -> PartHealth {
    let models = &service.config.models;
    let present = service.upstream.borrow().as_ref().map(|upstream| upstream.base.clone());
    let address = present
        .or_else(|| models.litellm_url.as_ref().map(Url::to_string))
        .or_else(|| noted_port(&service.config.data.data_dir).map(local))
        .or_else(|| models.litellm_bin.is_some().then(|| local(models.litellm_port)));
    match address {
        Some(address) => ask(service, &address).await,
        None => part_health(String::new(), Some(not_set())),
    }
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The port of the newest one that a server started: it moves when the catalog changes.
fn noted_port(data_dir: &Path) -> Option<u16> {
    let notes = std::fs::read_dir(data_dir.join("litellm")).ok()?.flatten().filter_map(|entry| {
        let port: u16 = entry.file_name().to_str()?.strip_prefix("pid-")?.parse().ok()?;
        Some((entry.metadata().ok()?.modified().ok()?, port))
    });
    notes.max().map(|(_, port)| port)
}

async fn ask(service: &Service, address: &str) -> PartHealth {
    let address = address.trim_end_matches('/').trim_end_matches("/v1");
    let asked = async { service.http.get(format!("{address}/health/liveliness")).send().await?.error_for_status() };
    match timeout(Duration::from_secs(3), asked).await {
        Ok(Ok(_)) => part_health(format!("answers at {address}"), None),
        failed => {
            let why = match failed {
                Ok(Err(error)) => crate::error::chain(&error.without_url()),
                _ => "no answer within 3 s".to_owned(),
            };
            part_health(
                address.to_owned(),
                Some(
                    Problem::new(Code::Unavailable, format!("LiteLLM does not answer at {address}: {why}."))
                        .remedy("It takes up to a minute after a start of the server. If it lasts, the server's log says why; with a LiteLLM of your own, look at LITELLM_URL."),
                ),
            )
        }
    }
}

fn not_set() -> Problem {
    Problem::new(Code::Unavailable, "No LiteLLM is set up, so models cannot be called.")
        .remedy("`make run` installs and starts one. Or set CLAWLOOPS_LITELLM_BIN to the program, or LITELLM_URL to one that runs.")
}

fn part_health(detail: String, problem: Option<Problem>) -> PartHealth {
    PartHealth { name: "LiteLLM".to_owned(), detail, problem }
}

#[cfg(test)]
mod tests {
    use super::noted_port;

    #[test]
    fn the_newest_note_tells_the_port() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(noted_port(folder.path()), None);
        let notes = folder.path().join("litellm");
        std::fs::create_dir(&notes).unwrap();
        let begin = std::time::SystemTime::now();
        for (age, name) in [(3, "pid-3101"), (1, "pid-4711"), (2, "pid-4712"), (0, "config-9.yaml"), (0, "pid-x")] {
            let file = std::fs::File::create(notes.join(name)).unwrap();
            file.set_modified(begin - std::time::Duration::from_secs(age)).unwrap();
        }
        assert_eq!(noted_port(folder.path()), Some(4711));
    }
}
