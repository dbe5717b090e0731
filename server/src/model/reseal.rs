//! Seals providers' secrets anew with the present master key, beside everything else that goes on.

use super::{Service, vault};
use crate::{
    Error, Result,
    data::{self, Pool, master_key::PRESENT, setting},
    platform::master_key::MasterKey,
};
use contract::{Code, Problem, ProviderId};

/// How many secrets a transaction seals anew.
const AT_ONCE: i64 = 50;

/// What came of looking at the providers' secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// How many were sealed anew.
    pub anew: usize,
    /// The providers whose secrets no key that is here opens. They stay as they are.
    pub closed: Vec<String>,
}

/// Seals every secret that is not under the present master key anew with it, a few in each transaction: cut off, the rest is under the key that it was.
///
/// # Errors
/// When the database fails, or the present key is not here.
pub async fn run(service: &Service) -> Result<Resealed> {
    let mut done = Resealed::default();
    let mut after = Some(ProviderId(uuid::Uuid::nil()));
    while let Some(from) = after {
        after = step(service, from, &mut done).await?;
    }
    Ok(done)
}

/// The next few after this provider. Where the following ones begin; none when these were the last.
async fn step(service: &Service, after: ProviderId, done: &mut Resealed) -> Result<Option<ProviderId>> {
    let present = service.keys.present()?;
    let mut transaction = data::begin(&service.pool).await?;
    // Held: what is written here is under the key that the database is under when it is written.
    if setting::hold(&mut transaction, PRESENT).await?.is_some_and(|id| id != present.id()) {
        return Ok(None);
    }
    // With one key nothing else can be opened: what is under another is counted, and the rest not looked at.
    let all = service.keys.all().len() > 1;
    let secrets = data::provider::secrets(&mut transaction, after, all, present.id(), AT_ONCE).await?;
    for secret in &secrets {
        match service.vault.seal_anew(secret.provider_id, &secret.key_id, &secret.sealed) {
            Ok(None) => {}
            Ok(Some((key_id, sealed))) => {
                data::provider::seal_anew(&mut transaction, secret.provider_id, &sealed, &key_id).await?;
                done.anew += 1;
            }
            Err(_) => done.closed.push(secret.name.clone()),
        }
    }
    transaction.commit().await?;
    Ok(secrets.last().map(|secret| secret.provider_id))
}

/// Tells whether the older master keys may be removed: everything is under the newest, which is tried on each secret.
///
/// # Errors
/// `Conflict` with what is still under an older one.
pub async fn may_remove_older(pool: &Pool, newest: &MasterKey) -> Result<()> {
    let no = |message: String, remedy: &str| -> Error { Problem::new(Code::Conflict, message).remedy(remedy).into() };
    let mut connection = pool.acquire().await?;
    if let Some(present) = setting::get(&mut connection, PRESENT).await?.filter(|id| id != newest.id()) {
        return Err(no(
            format!("The database is under the master key {present}, and {} is not taken up yet. Nothing was removed.", newest.id()),
            "A running server takes it up within seconds, when every server that runs has it. `clawloops master-key status` says what it waits for.",
        ));
    }
    let older = data::master_key::uses(&mut connection).await?.into_iter().filter(|what| what.id != newest.id());
    let (secrets, runtimes) = older.fold((0, 0), |sum, what| (sum.0 + what.secrets, sum.1 + what.runtimes));
    if secrets + runtimes > 0 {
        return Err(no(
            format!("{secrets} secrets and the keys of {runtimes} runtimes are still under older master keys. Nothing was removed."),
            "A running server seals them anew within seconds. Where one stays, the server's log says which and why.",
        ));
    }
    let closed: Vec<String> = data::provider::all(&mut connection)
        .await?
        .into_iter()
        .filter(|row| row.secret_sealed.as_ref().is_some_and(|sealed| vault::open(newest, row.provider_id, sealed).is_err()))
        .map(|row| row.name)
        .collect();
    if closed.is_empty() {
        return Ok(());
    }
    Err(no(
        format!("The secrets of these providers do not open with the newest master key: {}. Nothing was removed.", closed.join(", ")),
        "Start a server with all keys, which seals them anew; where that does not help, remove the provider and add it again.",
    ))
}
