//! The master key: which one the database is under, and what is still under others.

use super::{ask, fine, wrong};
use crate::{
    config::Config,
    data::{
        self, Pool,
        master_key::{CHECK, PRESENT, Servers, Use},
        setting,
    },
    error::chain,
    platform::master_key,
};
use contract::PartHealth;

const NAME: &str = "Master key";
const PUT_BACK: &str = "Put it back: as a line of master.key.old in the data directory, or into CLAWLOOPS_MASTER_KEY_OLD. \
                        Where it is lost, remove those providers and add them again with their keys.";

/// What the database says.
struct Noted {
    present: Option<String>,
    check: Option<String>,
    uses: Vec<Use>,
    servers: Servers,
}

/// Looks at the keys that the settings lead to, and at what the database is under. Makes none.
pub async fn examine(config: &Config, pool: Option<&Pool>) -> PartHealth {
    let keys = match master_key::read(&config.data) {
        Ok(keys) => keys,
        Err(crate::Error::Problem(problem)) => return PartHealth { name: NAME.to_owned(), detail: String::new(), problem: Some(*problem) },
        Err(error) => {
            return wrong(NAME, "", format!("The master key cannot be read: {}.", chain(&error)), "Put the right one back from its copy.");
        }
    };
    let ids: Vec<&str> = keys.iter().map(master_key::MasterKey::id).collect();
    let newest = ids.first().copied().unwrap_or_default();
    let unknown = || wrong(NAME, newest, "Not known while the database does not answer.", "Start PostgreSQL, or clawloops serve, first.");
    let Some(pool) = pool else { return unknown() };
    let Ok(noted) = ask(noted(pool, newest)).await else { return unknown() };
    let Some(present) = noted.present.as_deref().or_else(|| {
        // Written by a version that noted no id.
        keys.iter().find(|key| noted.check.as_deref() == Some(key.check().as_str())).map(master_key::MasterKey::id)
    }) else {
        return match noted.check {
            Some(_) => wrong(NAME, newest, "The master key is not the one that the database was written under.", PUT_BACK),
            None => fine(NAME, "none is in use yet; the first start makes one"),
        };
    };
    judge(&ids, present, &noted)
}

async fn noted(pool: &Pool, newest: &str) -> crate::Result<Noted> {
    let mut connection = pool.acquire().await?;
    Ok(Noted {
        present: setting::get(&mut connection, PRESENT).await?,
        check: setting::get(&mut connection, CHECK).await?,
        uses: data::master_key::uses(&mut connection).await?,
        servers: data::master_key::servers(&mut connection, newest).await?,
    })
}

/// `ids` are those that are here, the newest first.
fn judge(ids: &[&str], present: &str, noted: &Noted) -> PartHealth {
    let is_here = |id: &str| ids.contains(&id);
    let total = |of: &dyn Fn(&Use) -> bool| {
        let found = noted.uses.iter().filter(|what| of(what));
        found.fold((0, 0), |all, what| (all.0 + what.secrets, all.1 + what.runtimes))
    };
    if !is_here(present) {
        return wrong(NAME, present, format!("The database is under the master key {present}, which is not here."), PUT_BACK);
    }
    let lost: Vec<&str> = noted.uses.iter().filter(|what| what.secrets > 0 && !is_here(&what.id)).map(|what| what.id.as_str()).collect();
    if !lost.is_empty() {
        let (secrets, _) = total(&|what| !is_here(&what.id));
        return wrong(
            NAME,
            present,
            format!("{secrets} secrets are sealed under a master key that is not here: {}.", lost.join(", ")),
            PUT_BACK,
        );
    }
    let newest = ids.first().copied().unwrap_or_default();
    if newest != present {
        let Servers { running, other } = noted.servers;
        if other > 0 {
            return wrong(
                NAME,
                present,
                format!("{newest} is not taken up yet: {other} of {running} servers do not have it as their newest master key."),
                "Give it to each of them: in master.key with the one before it in master.key.old, or in CLAWLOOPS_MASTER_KEY and CLAWLOOPS_MASTER_KEY_OLD.",
            );
        }
        let when = if running == 0 { "at the next start of a server" } else { "within seconds" };
        return fine(NAME, format!("{present}; {newest} is taken up {when}"));
    }
    let (secrets, runtimes) = total(&|what| what.id != present);
    if secrets + runtimes > 0 {
        return fine(NAME, format!("{present}; {secrets} secrets and {runtimes} runtimes are still under older ones, and follow"));
    }
    if ids.len() > 1 {
        return fine(NAME, format!("{present}; nothing is under older ones, which may be removed: clawloops master-key retire"));
    }
    fine(NAME, present)
}
