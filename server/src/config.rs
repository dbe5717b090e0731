//! The one reader of the environment: a struct a section, every variable documented. `docs/OPERATING.md` repeats the table.

pub mod network;
pub mod ports;

use clap::Args;
use network::Network;
use ports::Ports;
use secrecy::SecretString;
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use url::Url;

/// All settings of `clawloops serve`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Entry.
    #[command(flatten)]
    pub entry: Entry,
    /// What clients may take of the entry.
    #[command(flatten)]
    pub limits: Limits,
    /// Data.
    #[command(flatten)]
    pub data: Data,
    /// Runtimes.
    #[command(flatten)]
    pub runtimes: Runtimes,
    /// Models.
    #[command(flatten)]
    pub models: Models,
}

impl Config {
    /// The defaults, whatever the environment says: for tests, which change what they need.
    #[must_use]
    pub fn for_tests() -> Self {
        use clap::{Args as _, FromArgMatches as _};
        let command = Self::augment_args(clap::Command::new("test").no_binary_name(true)).mut_args(|arg| arg.env(None::<&str>));
        #[expect(clippy::expect_used, reason = "every setting has a default, and this never runs in a server")]
        let matches = command.try_get_matches_from(Vec::<String>::new()).expect("defaults parse");
        #[expect(clippy::expect_used, reason = "as above")]
        Self::from_arg_matches(&matches).expect("defaults are whole")
    }
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
pub struct Logs {
    /// What is logged: a level, or levels by module (`info,server::orchestrator=debug`).
    #[arg(long = "log-filter", env = "RUST_LOG", default_value = "info,sqlx=warn", global = true)]
    pub filter: String,
    /// The form: lines to be read, or one JSON object a line.
    #[arg(long = "log", env = "CLAWLOOPS_LOG", default_value = "text", value_enum, global = true)]
    pub form: LogForm,
}

/// The form of the log.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// Lines to be read.
    Text,
    /// One JSON object a line.
    Json,
}

/// Who makes the certificate to serve https with.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// A small authority of ClawLoops' own, which people's devices are told to trust.
    OwnAuthority,
}

/// Where browsers come in.
#[derive(Args, Clone, Debug)]
pub struct Entry {
    /// Address and port of the dashboard and of the runtimes' hosts.
    #[arg(long, env = "CLAWLOOPS_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// The dashboard's address as browsers see it; runtimes are at `<name>.` before its host.
    #[arg(long, env = "CLAWLOOPS_PUBLIC_URL", default_value = "http://clawloops.localhost:3000")]
    pub public_url: Url,
    /// Where the built page lies: `pkg/` with script, wasm and style, and the files of `public/`.
    #[arg(long, env = "CLAWLOOPS_SITE_DIR", default_value = "target/site")]
    pub site_dir: PathBuf,
    /// Port of the internal listener for runtimes, opened on the gateway address of each runtime's network only.
    #[arg(long, env = "CLAWLOOPS_INTERNAL_PORT", default_value_t = 3100)]
    pub internal_port: u16,
    /// Ports for runtimes, `20000-20099`: each runtime has one of them at the dashboard's own name or address, and needs no name of its own.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_PORTS")]
    pub runtime_ports: Option<Ports>,
    /// Who makes the certificate, where no file has one.
    #[arg(long = "tls", env = "CLAWLOOPS_TLS", value_enum, conflicts_with = "tls_cert", group = "https")]
    pub tls: Option<Tls>,
    /// The certificate to serve https with: a PEM file, the server's own certificate first and those that lead to its authority after it. It must be
    /// good for the dashboard's name and for `*.` before it. Read again when it changes.
    #[arg(long, env = "CLAWLOOPS_TLS_CERT", requires = "tls_key", group = "https")]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate: a PEM file.
    #[arg(long, env = "CLAWLOOPS_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Address and port of a second listener, which sends browsers that come over plain http to https and serves nothing else.
    #[arg(long, env = "CLAWLOOPS_HTTP_LISTEN", requires = "https")]
    pub http_listen: Option<SocketAddr>,
    /// Proxies in front, as addresses or ranges separated by commas: whom they name in `X-Forwarded-For` is taken for the client.
    #[arg(long, env = "CLAWLOOPS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// Where an ingress may ask `/auth/verify` from, as addresses or ranges separated by commas.
    #[arg(long, env = "CLAWLOOPS_FORWARD_AUTH_FROM", value_delimiter = ',')]
    pub forward_auth_from: Vec<Network>,
    /// What an ingress proves itself with, 32 characters or more: the bearer token of `/internal/traefik`, and `X-Clawloops-Ingress` of `/auth/verify`.
    #[arg(long, env = "CLAWLOOPS_INGRESS_TOKEN", hide_env_values = true)]
    pub ingress_token: Option<SecretString>,
    /// The server's own address as an ingress reaches it. Without it, CLAWLOOPS_LISTEN.
    #[arg(long, env = "CLAWLOOPS_INGRESS_URL")]
    pub ingress_url: Option<Url>,
}

impl Entry {
    /// Whether this server shakes hands itself.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.tls.is_some() || self.tls_cert.is_some()
    }

    /// This server's own address as an ingress reaches it.
    #[must_use]
    pub fn own_url(&self) -> String {
        let listen = match self.listen {
            listen if !listen.ip().is_unspecified() => listen,
            listen if listen.is_ipv4() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()),
            listen => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), listen.port()),
        };
        let scheme = if self.speaks_tls() { "https" } else { "http" };
        self.ingress_url.as_ref().map_or_else(|| format!("{scheme}://{listen}"), |url| url.as_str().trim_end_matches('/').to_owned())
    }
}

/// What clients and runtimes may take of the entry, in size, number and time.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// The most that the headers of a request may take together, in KiB. More is answered 431.
    #[arg(long, env = "CLAWLOOPS_HEADERS_KIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=1024))]
    pub headers_kib: u16,
    /// The most headers of a request. More is answered 431.
    #[arg(long, env = "CLAWLOOPS_HEADER_COUNT", default_value_t = 100, value_parser = count(20, 1000))]
    pub header_count: usize,
    /// The most that a form of the dashboard may take, in KiB. More is answered 413. What is uploaded to a runtime may be of any size.
    #[arg(long, env = "CLAWLOOPS_FORM_KIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub form_kib: u32,
    /// How long a new connection may take to its first whole request, in seconds. Then it is closed.
    #[arg(long, env = "CLAWLOOPS_HEADER_SECONDS", default_value_t = 20, value_parser = seconds(1))]
    pub header_seconds: u64,
    /// How long a connection may wait between two requests, in seconds, the headers of the next one included. Longer than a proxy in front keeps it.
    #[arg(long, env = "CLAWLOOPS_IDLE_SECONDS", default_value_t = 75, value_parser = seconds(1))]
    pub idle_seconds: u64,
    /// How long nothing may come of a request's body, in seconds; then it is answered 408. 0 is any time.
    #[arg(long, env = "CLAWLOOPS_BODY_SECONDS", default_value_t = 30, value_parser = seconds(0))]
    pub body_seconds: u64,
    /// The most connections in all, WebSockets included. More are answered 503 and closed.
    #[arg(long, env = "CLAWLOOPS_CONNECTIONS", default_value_t = 10_000, value_parser = count(10, 1_000_000))]
    pub connections: usize,
    /// The most connections from one network address, of IPv6 from one /64; more are answered 429 and closed. 0 is any number. This machine's own
    /// addresses, where a proxy may stand, are not counted, nor are the trusted proxies'.
    #[arg(long, env = "CLAWLOOPS_CONNECTIONS_PER_ADDRESS", default_value_t = 512, value_parser = count(0, 1_000_000))]
    pub connections_per_address: usize,
    /// From here everybody comes: the trusted proxies, where this is their listener.
    #[arg(skip)]
    pub uncounted: Vec<Network>,
    /// The most that one person may have open at once: WebSockets, requests to runtimes and streams of live updates. More is answered 429. 0 is any
    /// number.
    #[arg(long, env = "CLAWLOOPS_STREAMS_PER_PERSON", default_value_t = 200, value_parser = count(0, 1_000_000))]
    pub streams_per_person: usize,
    /// How long a runtime may take to begin its answer, in seconds after the request has come whole; then it is answered 504. 0 is any time.
    #[arg(long, env = "CLAWLOOPS_FIRST_BYTE_SECONDS", default_value_t = 300, value_parser = seconds(0))]
    pub first_byte_seconds: u64,
    /// The same for requests that ask for a stream of events. 0 is any time.
    #[arg(long, env = "CLAWLOOPS_STREAM_FIRST_BYTE_SECONDS", default_value_t = 0, value_parser = seconds(0))]
    pub stream_first_byte_seconds: u64,
}

impl Limits {
    /// The most bytes of the headers of a request.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        usize::from(self.headers_kib) << 10
    }

    /// The most bytes of a form.
    #[must_use]
    pub fn form_bytes(&self) -> u64 {
        u64::from(self.form_kib) << 10
    }

    /// How long nothing may come of a body; none is any time.
    #[must_use]
    pub fn body_patience(&self) -> Option<Duration> {
        some_seconds(self.body_seconds)
    }

    /// How long a runtime may take to begin its answer, to a request for a stream of events or for anything else; none is any time.
    #[must_use]
    pub fn first_byte(&self, events: bool) -> Option<Duration> {
        some_seconds(if events { self.stream_first_byte_seconds } else { self.first_byte_seconds })
    }
}

fn some_seconds(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Seconds of up to a day.
fn seconds(least: u64) -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(least..=86_400)
}

/// A number of things.
fn count(least: u64, most: u64) -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::<usize>::new().range(least..=most)
}

/// Where data lies.
#[derive(Args, Clone, Debug)]
pub struct Data {
    /// Keys, the private PostgreSQL cluster, runtimes' configuration files. As root, where PostgreSQL's user could not reach the cluster, it lies
    /// under /var/lib/clawloops and is linked from here.
    #[arg(long, env = "CLAWLOOPS_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// An own PostgreSQL (15 or later). Without it, a private cluster runs in the data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Where `initdb` and `postgres` lie; found by itself on Debian.
    #[arg(long, env = "CLAWLOOPS_POSTGRES_BIN")]
    pub postgres_bin: Option<PathBuf>,
    /// Seals provider secrets and derives runtime keys: 64 hex digits. Without it, a file in the data directory is made and used.
    #[arg(long, env = "CLAWLOOPS_MASTER_KEY", hide_env_values = true)]
    pub master_key: Option<SecretString>,
    /// Master keys from before a rotation, separated by commas: what is still sealed under one of them is opened with it, and sealed anew.
    #[arg(long, env = "CLAWLOOPS_MASTER_KEY_OLD", hide_env_values = true)]
    pub master_key_old: Option<SecretString>,
}

/// Runtimes and the engine that runs them.
#[derive(Args, Clone, Debug)]
pub struct Runtimes {
    /// Address of this machine's Docker Engine, `unix:///…` or `tcp://127.0.0.1:…`; the local socket without it. One of another machine is refused.
    #[arg(long, env = "DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// The socket of a runtime manager (`clawloops runtime-manager`), which then alone speaks to Docker. Without it, this process does.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_MANAGER")]
    pub runtime_manager: Option<PathBuf>,
    /// The file with the runtime manager's token; beside its socket without it, with `.token` at its end.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_MANAGER_TOKEN")]
    pub runtime_manager_token: Option<PathBuf>,
    /// Tells installations on one engine apart: in names and labels. Containers of another one are never touched.
    #[arg(long, env = "CLAWLOOPS_INSTANCE", default_value = "clawloops")]
    pub instance: String,
    /// The runtime image.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_IMAGE", default_value = "ghcr.io/openclaw/openclaw:2026.9.6")]
    pub runtime_image: String,
    /// Memory of a runtime, in MiB, as the first profile gives it until an administrator changes that profile. OpenClaw is killed on its first turn
    /// with less than 2048.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_MEMORY_MIB", default_value_t = 2048)]
    pub runtime_memory_mib: i64,
    /// Processor time of a runtime, in thousandths of a core, as the first profile gives it.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_CPU_MILLIS", default_value_t = 2000)]
    pub runtime_cpu_millis: i64,
    /// Processes of a runtime, as the first profile gives it.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_PIDS", default_value_t = 512)]
    pub runtime_pids: i64,
    /// How much is kept of each runtime's log, in MiB; the oldest lines go first.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_LOG_MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub runtime_log_mib: u64,
    /// Memory for all runtimes together, in MiB; without it, four fifths of the machine's.
    #[arg(long, env = "CLAWLOOPS_MEMORY_BUDGET_MIB")]
    pub memory_budget_mib: Option<i64>,
    /// How many runtimes may boot at once; without it, as many as there are cores.
    #[arg(long, env = "CLAWLOOPS_STARTS_AT_ONCE")]
    pub starts_at_once: Option<i64>,
    /// A runtime that nobody uses for so many minutes is frozen, where OpenClaw agrees; 0 is never. Its owner may choose another time.
    #[arg(long, env = "CLAWLOOPS_SLEEP_AFTER_MINUTES", default_value_t = 30, value_parser = minutes())]
    pub sleep_after_minutes: i32,
    /// The longest time that an owner may choose there, in minutes; with 0 any, and never as well.
    #[arg(long, env = "CLAWLOOPS_SLEEP_MOST_MINUTES", default_value_t = 0, value_parser = minutes())]
    pub sleep_most_minutes: i32,
    /// After so many minutes of sleep a runtime also gives its memory back, and wakes in a whole start; 0 is never.
    #[arg(long, env = "CLAWLOOPS_SLEEP_STOP_AFTER_MINUTES", default_value_t = 480, value_parser = minutes())]
    pub sleep_stop_after_minutes: i32,
    /// How long running turns may finish before a runtime is stopped or made anew, in seconds; 0 is not at all.
    #[arg(long, env = "CLAWLOOPS_DRAIN_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(i64).range(0..=3600))]
    pub drain_seconds: i64,
    /// How many runtimes a person may have.
    #[arg(long, env = "CLAWLOOPS_RUNTIMES_PER_PERSON", default_value_t = 3)]
    pub runtimes_per_person: i64,
    /// Memory that all runtimes of a person may use at once, in MiB. Left out: 8 GiB, or what all that a person may have take, where that is more.
    #[arg(long, env = "CLAWLOOPS_MEMORY_PER_PERSON_MIB")]
    pub memory_per_person_mib: Option<i64>,
    /// Processor time that all runtimes of a person may use at once, in thousandths of a core. Left out: 8 cores, or as with memory.
    #[arg(long, env = "CLAWLOOPS_CPU_PER_PERSON_MILLIS")]
    pub cpu_per_person_millis: Option<i64>,
    /// Disk that all workspaces of a person may take, in MiB. Left out: 10 GiB for each runtime that a person may have, and for two workspaces beside.
    #[arg(long, env = "CLAWLOOPS_DISK_PER_PERSON_MIB")]
    pub disk_per_person_mib: Option<i64>,
}

/// What the profile *Standard* gives a workspace, in MiB.
const WORKSPACE_MIB: i64 = 10_240;

impl Runtimes {
    /// What a person's runtimes may use together, where nothing else was set for the person.
    #[must_use]
    pub fn quota(&self) -> contract::Resources {
        let all = |of_one: i64| of_one.saturating_mul(self.runtimes_per_person);
        contract::Resources {
            runtimes: self.runtimes_per_person,
            memory_bytes: self.memory_per_person_mib.unwrap_or(all(self.runtime_memory_mib).max(8192)).saturating_mul(1 << 20),
            cpu_millis: self.cpu_per_person_millis.unwrap_or(all(self.runtime_cpu_millis).max(8000)),
            workspace_bytes: self
                .disk_per_person_mib
                .unwrap_or(self.runtimes_per_person.saturating_add(2).saturating_mul(WORKSPACE_MIB))
                .saturating_mul(1 << 20),
        }
    }
}

/// Minutes of up to a year.
fn minutes() -> clap::builder::RangedI64ValueParser<i32> {
    clap::value_parser!(i32).range(0..=525_600)
}

/// All settings of `clawloops runtime-manager`. What a server may have done is said here, and not by the server.
#[derive(Args, Clone, Debug)]
pub struct Manager {
    /// The socket to open, for a server that has the same setting. Its folder is for this purpose and closed to others.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_MANAGER", default_value = "/run/clawloops/manager.sock")]
    pub runtime_manager: PathBuf,
    /// The file with the token, made on first use; beside the socket without it, with `.token` at its end.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_MANAGER_TOKEN")]
    pub runtime_manager_token: Option<PathBuf>,
    /// The account that the server runs under, by name or number. The manager's own may always ask.
    #[arg(long, env = "CLAWLOOPS_MANAGER_USER")]
    pub user: Option<String>,
    /// Runtimes' configuration files. Nobody but the manager's account may write there, or in a folder above.
    #[arg(long, env = "CLAWLOOPS_MANAGER_DATA_DIR", default_value = "/var/lib/clawloops-manager")]
    pub data_dir: PathBuf,
    /// Address of this machine's Docker Engine, as for the server.
    #[arg(long, env = "DOCKER_HOST")]
    pub docker_host: Option<String>,
    /// The installation, as for the server.
    #[arg(long, env = "CLAWLOOPS_INSTANCE", default_value = "clawloops")]
    pub instance: String,
    /// Port of the internal listener, as for the server: the one of this machine that runtimes are let through to.
    #[arg(long, env = "CLAWLOOPS_INTERNAL_PORT", default_value_t = 3100)]
    pub internal_port: u16,
    /// The runtime image, as for the server.
    #[arg(long, env = "CLAWLOOPS_RUNTIME_IMAGE", default_value = "ghcr.io/openclaw/openclaw:2026.9.6")]
    pub runtime_image: String,
    /// Further images that may run, separated by commas.
    #[arg(long, env = "CLAWLOOPS_MANAGER_IMAGES", value_delimiter = ',')]
    pub images: Vec<String>,
    /// The most memory of one runtime, in MiB.
    #[arg(long, env = "CLAWLOOPS_MANAGER_MEMORY_MIB", default_value_t = 16_384)]
    pub memory_mib: i64,
    /// The most processor time of one runtime, in thousandths of a core.
    #[arg(long, env = "CLAWLOOPS_MANAGER_CPU_MILLIS", default_value_t = 16_000)]
    pub cpu_millis: i64,
    /// The most processes of one runtime.
    #[arg(long, env = "CLAWLOOPS_MANAGER_PIDS", default_value_t = 4096)]
    pub pids: i64,
    /// Whether runtimes may have this machine's GPUs.
    #[arg(long, env = "CLAWLOOPS_MANAGER_GPU", default_value_t = false, action = clap::ArgAction::Set)]
    pub gpu: bool,
    /// OCI runtimes that may run below containers beside the engine's default (`runsc`, `kata-runtime`), separated by commas.
    #[arg(long, env = "CLAWLOOPS_MANAGER_OCI_RUNTIMES", value_delimiter = ',')]
    pub oci_runtimes: Vec<String>,
}

/// Models.
#[derive(Args, Clone, Debug)]
pub struct Models {
    /// An own LiteLLM. Without it, one is started and supervised.
    #[arg(long, env = "LITELLM_URL")]
    pub litellm_url: Option<Url>,
    /// The master key of the own LiteLLM.
    #[arg(long, env = "LITELLM_MASTER_KEY", hide_env_values = true)]
    pub litellm_master_key: Option<SecretString>,
    /// The `litellm` program to supervise.
    #[arg(long, env = "CLAWLOOPS_LITELLM_BIN")]
    pub litellm_bin: Option<PathBuf>,
    /// Port of the supervised LiteLLM, on 127.0.0.1.
    #[arg(long, env = "CLAWLOOPS_LITELLM_PORT", default_value_t = 3101)]
    pub litellm_port: u16,
    /// A program that serves the small local model; takes `--host` and `--port`.
    #[arg(long, env = "CLAWLOOPS_LOCAL_MODEL_BIN")]
    pub local_model_bin: Option<PathBuf>,
    /// Port of the local model, on 127.0.0.1.
    #[arg(long, env = "CLAWLOOPS_LOCAL_MODEL_PORT", default_value_t = 3102)]
    pub local_model_port: u16,
    /// Where an Ollama is looked for, to be offered.
    #[arg(long, env = "CLAWLOOPS_OLLAMA_URL", default_value = "http://127.0.0.1:11434")]
    pub ollama_url: Url,
    /// Where a vLLM is looked for, to be offered.
    #[arg(long, env = "CLAWLOOPS_VLLM_URL", default_value = "http://127.0.0.1:8000/v1")]
    pub vllm_url: Url,
    /// The proxy through which providers outside are reached, by the supervised LiteLLM and when their models are listed.
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<SecretString>,
    /// Hosts that are reached without the proxy. This machine always is.
    #[arg(long, env = "NO_PROXY")]
    pub no_proxy: Option<String>,
    /// A runtime that uses so much of its tightest limit of a day within 5 minutes, in percent, is paused for model calls; 0 is never.
    #[arg(long, env = "CLAWLOOPS_BREAKER_PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub breaker_percent: u8,
    /// A runtime that makes so many model calls within 5 minutes is paused for model calls; 0 is never.
    #[arg(long, env = "CLAWLOOPS_BREAKER_CALLS", default_value_t = 300, value_parser = clap::value_parser!(i64).range(0..))]
    pub breaker_calls: i64,
    /// Where calls of one key and model come fast, limits are held for so many of them at once, at most; 0 judges each by itself.
    #[arg(long, env = "CLAWLOOPS_SLICE_CALLS", default_value_t = 256, value_parser = clap::value_parser!(i64).range(0..=4096))]
    pub slice_calls: i64,
    /// So many calls a second are fast.
    #[arg(long, env = "CLAWLOOPS_SLICE_FROM", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub slice_from: u32,
    /// Records of single calls are kept for so many days; older ones become totals, and every sum stays. 0 is for ever.
    #[arg(long, env = "CLAWLOOPS_USAGE_RETENTION_DAYS", default_value_t = 400, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    pub usage_retention_days: i64,
}

impl Models {
    /// Hosts that are reached without the proxy, the machine itself among them.
    #[must_use]
    pub fn direct_hosts(&self) -> String {
        let named = self.no_proxy.as_deref().unwrap_or_default().trim_matches(',');
        format!("{named}{}127.0.0.1,localhost,::1", if named.is_empty() { "" } else { "," })
    }
}
