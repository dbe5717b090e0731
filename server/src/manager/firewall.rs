//! The rules that keep a runtime from the host: established connections, the internal listener, nothing else.
//!
//! A container on an internal network still reaches every port of the host that listens on all addresses, on the addresses of other bridges too.
//! So all bridges of an installation begin with one prefix, and one chain judges what comes in from them.

use super::names::Names;
use crate::{Error, Result};
use contract::{Code, Problem};
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Where the programs lie on systems whose search path leaves them out.
const SEARCH_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin";
/// A rule that takes longer is stuck behind another program's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rules of one installation.
pub struct Firewall {
    /// All bridges of the installation, as `cl1a2b+`.
    bridges: String,
    chain: String,
    internal_port: u16,
}

/// What a program said.
struct Said {
    good: bool,
    text: String,
}

impl Firewall {
    /// Rules that let runtimes reach `internal_port` and nothing else of the host.
    #[must_use]
    pub fn new(names: &Names, internal_port: u16) -> Self {
        Self { bridges: format!("{}+", names.bridge_prefix()), chain: names.chain(), internal_port }
    }

    /// Sees that the rules stand, and sets them where they do not. When they cannot be set, the answer is a problem to show: nothing may start then.
    pub async fn hold(&self) -> Result<()> {
        self.hold_family("iptables", "iptables-restore").await?;
        match self.hold_family("ip6tables", "ip6tables-restore").await {
            Ok(()) => Ok(()),
            // Without IPv6 on the host there is nothing to hold.
            Err(_) if !std::path::Path::new("/proc/net/if_inet6").exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the rules away: for tests and for an installation that ends.
    pub async fn lift(&self) -> Result<()> {
        for program in ["iptables", "ip6tables"] {
            while run(program, &self.jump("-D"), None).await?.good {}
            run(program, &["-w", "-F", &self.chain], None).await?;
            run(program, &["-w", "-X", &self.chain], None).await?;
        }
        Ok(())
    }

    async fn hold_family(&self, program: &str, restore: &str) -> Result<()> {
        // The chain before the rule that leads to it, and each in one transaction: there is no moment with half of it.
        if !self.has_rules(program).await? {
            let said = run(restore, &["-w", "--noflush"], Some(&self.rules())).await?;
            if !said.good {
                return Err(self.cannot(program, &said.text));
            }
        }
        if run(program, &self.jump("-C"), None).await?.good {
            return Ok(());
        }
        // Before all others: what another program accepts must not come first.
        let said = run(program, &self.jump("-I"), None).await?;
        if said.good { Ok(()) } else { Err(self.cannot(program, &said.text)) }
    }

    async fn has_rules(&self, program: &str) -> Result<bool> {
        let said = run(program, &["-w", "-S", &self.chain], None).await?;
        let wanted = self.rules();
        let rules: Vec<&str> = wanted.lines().filter(|line| line.starts_with("-A")).collect();
        let found: Vec<&str> = said.text.lines().filter(|line| line.starts_with("-A")).collect();
        Ok(said.good && rules == found)
    }

    fn jump<'a>(&'a self, verb: &'a str) -> [&'a str; 7] {
        ["-w", verb, "INPUT", "-i", &self.bridges, "-j", &self.chain]
    }

    fn rules(&self) -> String {
        let (chain, port) = (&self.chain, self.internal_port);
        format!(
            "*filter\n:{chain} - [0:0]\n\
             -A {chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A {chain} -p tcp -m tcp --dport {port} -j ACCEPT\n\
             -A {chain} -j DROP\n\
             COMMIT\n"
        )
    }

    fn cannot(&self, program: &str, text: &str) -> Error {
        tracing::error!(program, chain = self.chain, said = text.trim(), "the firewall rules cannot be set");
        Problem::new(Code::Unavailable, "The rules that keep runtimes from this machine cannot be set, so no runtime is started.")
            .remedy("An administrator runs ClawLoops as root, or gives it CAP_NET_ADMIN, on a machine with iptables.")
            .into()
    }
}

async fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<Said> {
    let failed = |error: std::io::Error| -> Error {
        tracing::error!(program, %error, "the firewall program does not run");
        Problem::new(Code::Unavailable, format!("The program {program} does not run on this machine, so no runtime is started."))
            .remedy("An administrator installs iptables.")
            .into()
    };
    let mut child = Command::new("/usr/bin/env")
        .arg(format!("PATH={SEARCH_PATH}"))
        .arg(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(text.as_bytes()).await.map_err(failed)?;
    }
    let output = match tokio::time::timeout(PATIENCE, child.wait_with_output()).await {
        Ok(output) => output.map_err(failed)?,
        Err(_) => return Err(failed(std::io::Error::from(std::io::ErrorKind::TimedOut))),
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Said { good: output.status.success(), text })
}
