//! The binary: parse, telemetry, dispatch.

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use secrecy::ExposeSecret as _;
use server::{
    boot,
    clock::SystemClock,
    config::{Config, LogForm, Logs, Manager},
    data::{self, cluster::Cluster},
    doctor,
    model::reseal,
    platform::{master_key, passwords::Passwords, people},
};
use std::{
    io::{IsTerminal as _, Read as _},
    process::ExitCode,
};

/// Every member of a team gets an OpenClaw agent of their own, with models the team pays for and controls.
#[derive(Parser)]
#[command(name = "clawloops", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logs: Logs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the dashboard, the model API and the runtimes, until Ctrl-C.
    Serve(Box<Config>),
    /// Hold the Docker socket for a server that does not, until Ctrl-C.
    RuntimeManager(Manager),
    /// Bring the database to this version's schema.
    Migrate(Box<Config>),
    /// Administer from the command line, also beside a running server.
    Admin(Admin),
    /// Look at every part and say what is wrong and what to do.
    Doctor(Box<Config>),
    /// Rotate the key that secrets are sealed with, also beside a running server.
    MasterKey(MasterKey),
}

#[derive(Args)]
struct Admin {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Make an administrator.
    Create(Create),
}

#[derive(Args)]
struct Create {
    /// The address they sign in with.
    #[arg(long)]
    email: String,
    /// The name shown; the part before the @ without it.
    #[arg(long)]
    name: Option<String>,
    /// Read the password from standard input: never as an argument, which everyone on the machine could see.
    #[arg(long, required = true)]
    password_stdin: bool,
    #[command(flatten)]
    config: Box<Config>,
}

#[derive(Args)]
struct MasterKey {
    #[command(subcommand)]
    command: MasterKeyCommand,
}

#[derive(Subcommand)]
enum MasterKeyCommand {
    /// Make a new key in the data directory and keep the one before it. A running server takes it up within seconds.
    Rotate(Box<Config>),
    /// Say which key secrets are sealed with, and what is still under older ones.
    Status(Box<Config>),
    /// Remove the older keys from the data directory, once nothing is under them.
    Retire(Box<Config>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry(&cli.logs);
    let done = match cli.command {
        Command::Serve(config) => boot::serve(*config).await.map(|()| ExitCode::SUCCESS),
        Command::RuntimeManager(config) => boot::manager::serve(&config).await.map(|()| ExitCode::SUCCESS),
        Command::Migrate(config) => migrate(&config).await.map(|()| ExitCode::SUCCESS),
        Command::Admin(Admin { command: AdminCommand::Create(create) }) => create_administrator(create).await.map(|()| ExitCode::SUCCESS),
        Command::Doctor(config) => examine(*config).await,
        Command::MasterKey(MasterKey { command }) => master_key(command).await,
    };
    done.unwrap_or_else(|error| {
        say_error(&error);
        ExitCode::FAILURE
    })
}

fn telemetry(logs: &Logs) {
    let filter = tracing_subscriber::EnvFilter::try_new(&logs.filter).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match logs.form {
        LogForm::Text => log.init(),
        LogForm::Json => log.json().init(),
    }
}

/// Does some work on the database, and puts everything back as it was, however the work ended.
async fn with_database<T>(config: &Config, work: impl AsyncFnOnce(&data::Pool) -> server::Result<T>) -> anyhow::Result<T> {
    if let Some(url) = &config.data.database_url {
        return on_database(url.expose_secret(), work).await.context("working on the PostgreSQL of DATABASE_URL");
    }
    let cluster = Cluster::join(config).await?;
    let done = on_database(&cluster.url(), work).await;
    cluster.stop().await?;
    Ok(done?)
}

async fn on_database<T>(url: &str, work: impl AsyncFnOnce(&data::Pool) -> server::Result<T>) -> server::Result<T> {
    let pool = data::connect(url).await?;
    let done = match data::migrate(&pool).await {
        Ok(()) => work(&pool).await,
        Err(error) => Err(error),
    };
    pool.close().await;
    done
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    with_database(config, async |_| Ok(())).await?;
    say("The database is up to date.");
    Ok(())
}

async fn create_administrator(create: Create) -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().take(4096).read_to_string(&mut password).context("reading the password from standard input")?;
    let password = password.trim_end_matches(['\r', '\n']);
    let name = create.name.as_deref().or_else(|| create.email.trim().split('@').next()).unwrap_or_default();
    let passwords = Passwords::new()?;
    let person = with_database(&create.config, async |pool| {
        people::add_administrator(pool, &SystemClock, &passwords, (&create.email, name), password).await
    });
    let person = person.await?;
    say(&format!("{} is an administrator now. Sign in at {}", person.email, create.config.entry.public_url));
    Ok(())
}

/// Zero when every part is fine.
async fn examine(config: Config) -> anyhow::Result<ExitCode> {
    let parts = doctor::from_outside(config).await?;
    for part in &parts {
        say(&doctor::line(part));
    }
    let wrong = parts.iter().filter(|part| part.problem.is_some()).count();
    say(&if wrong == 0 { "Everything is fine.".to_owned() } else { format!("{wrong} of {} parts need attention.", parts.len()) });
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn master_key(command: MasterKeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        MasterKeyCommand::Rotate(config) => {
            let (newest, before) = master_key::rotate(&config.data)?;
            say(&format!("The newest master key is {newest} now; {before} is kept in master.key.old."));
            say(
                "A running server takes it up within seconds and seals everything anew; without one, the next start does. Copy both files to where the\n\
                 master key is kept. `clawloops master-key status` says when the older one is not needed any more, and `clawloops master-key retire` removes it.",
            );
        }
        MasterKeyCommand::Status(config) => {
            let part = with_database(&config, async |pool| Ok(doctor::master_key(&config, Some(pool)).await)).await?;
            say(&doctor::line(&part));
            return Ok(if part.problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        MasterKeyCommand::Retire(config) => {
            let keys = master_key::read(&config.data)?;
            let Some(newest) = keys.first() else { anyhow::bail!("there is no master key in {}", config.data.data_dir.display()) };
            with_database(&config, async |pool| reseal::may_remove_older(pool, newest).await).await?;
            master_key::remove_older(&config.data, newest.id())?;
            say(&format!(
                "The master key {} is the only one now. Keep the older ones with older backups of the database, which need them.",
                newest.id()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the command line answers on standard output")]
fn say(text: &str) {
    println!("{text}");
}

/// What went wrong, why, and what to do.
#[expect(clippy::print_stderr, reason = "the command line complains on standard error")]
fn say_error(error: &anyhow::Error) {
    eprintln!("clawloops: {error:#}");
    if let Some(server::Error::Problem(problem)) = error.downcast_ref()
        && let Some(remedy) = &problem.remedy
    {
        eprintln!("{remedy}");
    }
}
