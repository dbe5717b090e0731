//! One order: from a name to a certificate.

use super::{client::Client, folder::Folder};
use crate::{Error, Result};
use instant_acme::{Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use url::Url;

/// How long the ACME server may take to see the answer to a challenge, and to sign.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the program that writes DNS records may take.
const HOOK: Duration = Duration::from_secs(300);

/// Where certificates come from.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// The directory of the ACME server.
    pub(super) directory: Url,
    /// Where the authority writes to when something is up; a mail address.
    pub(super) contact: Option<String>,
    /// Whom the ACME server's own certificate is believed by.
    pub(super) root: Option<PathBuf>,
    /// The program that writes DNS records.
    pub(super) hook: Option<PathBuf>,
}

/// What was set up for an order, and is taken away after it.
enum Answer {
    /// A file at the challenge's address.
    File(String),
    /// A DNS record: name and value.
    Record(String, String),
}

impl Authority {
    /// Gets a certificate for all of these names: its key and what is shown, as PEM.
    ///
    /// # Errors
    /// With what the ACME server, or the program that writes DNS records, said.
    pub(super) async fn order(&self, folder: &Folder, names: &[String]) -> Result<String> {
        let account = self.account(folder).await?;
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(said("ordering a certificate"))?;
        let mut answers = Vec::new();
        let done = self.carry_out(&mut order, folder, &mut answers).await;
        for answer in answers {
            match answer {
                Answer::File(token) => folder.forget(&token),
                Answer::Record(name, value) => {
                    if let Err(error) = self.run_hook("cleanup", &name, &value).await {
                        tracing::warn!(error = %crate::error::chain(&error), record = name, "a DNS record was not taken away");
                    }
                }
            }
        }
        done
    }

    async fn carry_out(&self, order: &mut Order, folder: &Folder, answers: &mut Vec<Answer>) -> Result<String> {
        let asking = said("asking what the ACME server wants to see");
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(&asking)?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(Error::internal("ordering a certificate", format!("the authorization is {other:?}"))),
            }
            let kind = if self.hook.is_some() { ChallengeType::Dns01 } else { ChallengeType::Http01 };
            let Some(mut challenge) = authorization.challenge(kind.clone()) else {
                return Err(Error::internal("ordering a certificate", format!("the ACME server offers no {kind:?}")));
            };
            let answer = challenge.key_authorization();
            if self.hook.is_some() {
                // The record stands at the name itself, also for a wildcard.
                let of = challenge.identifier().to_string();
                let name = format!("_acme-challenge.{}", of.trim_start_matches("*."));
                answers.push(Answer::Record(name.clone(), answer.dns_value()));
                self.run_hook("present", &name, &answer.dns_value()).await?;
            } else {
                answers.push(Answer::File(challenge.token.clone()));
                folder.answer(&challenge.token, answer.as_str())?;
            }
            challenge.set_ready().await.map_err(&asking)?;
        }
        let status = order.poll_ready(&RetryPolicy::new().timeout(PATIENCE)).await.map_err(said("waiting for the ACME server"))?;
        if status != OrderStatus::Ready {
            return Err(Error::internal("ordering a certificate", reason(order).await));
        }
        let key = order.finalize().await.map_err(said("ordering a certificate"))?;
        let chain = order.poll_certificate(&RetryPolicy::new().timeout(PATIENCE)).await.map_err(said("fetching the certificate"))?;
        Ok(format!("{key}\n{chain}"))
    }

    /// The account at this ACME server: the one that is kept, or a new one.
    async fn account(&self, folder: &Folder) -> Result<Account> {
        let server = self.directory.as_str();
        let builder = Account::builder_with_http(Box::new(Client::new(self.root.as_deref()).await?));
        if let Some(kept) = folder.account(server)? {
            let credentials = serde_json::from_slice(&kept).map_err(|error| Error::internal("reading the ACME account", error))?;
            return builder.from_credentials(credentials).await.map_err(said("asking the ACME server"));
        }
        let contact: Vec<String> = self.contact.iter().map(|mail| format!("mailto:{mail}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, server.to_owned(), None).await.map_err(said("making an ACME account"))?;
        let text = serde_json::to_vec(&credentials).map_err(|error| Error::internal("keeping the ACME account", error))?;
        folder.keep_account(server, &text)?;
        Ok(account)
    }

    async fn run_hook(&self, deed: &str, name: &str, value: &str) -> Result<()> {
        let Some(program) = &self.hook else { return Ok(()) };
        run(program, &[deed, name, value]).await.map_err(|why| Error::internal(format!("running {} {deed}", program.display()), why))
    }
}

async fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match tokio::time::timeout(HOOK, command.output()).await {
        Err(_) => Err(format!("it took longer than {} s", HOOK.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(ended)) if ended.status.success() => Ok(()),
        Ok(Ok(ended)) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            Err(format!("{}: {}", ended.status, said.lines().last().unwrap_or("it said nothing")))
        }
    }
}

/// Why an order came to nothing, in the ACME server's own words.
async fn reason(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            reasons.extend(state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(ToString::to_string));
        }
    }
    if reasons.is_empty() { "the ACME server refused it without a word".to_owned() } else { reasons.join("; ") }
}

fn said(what: &'static str) -> impl Fn(instant_acme::Error) -> Error {
    move |error| Error::internal(what, error)
}
