//! Certificates by ACME (RFC 8555): ordered for the hosts that there are, kept in the data directory, and renewed while the server serves.
//!
//! Each host has a certificate of its own, proved over plain http (`http-01`); where a program writes DNS records, one certificate is for all of them
//! (`dns-01`). Names come from this installation alone: the dashboard's, and those of runtimes that exist. What a handshake asks for is only ever a hint
//! which of these to look for. Of several servers with one data directory one orders, and all show what is kept.

mod client;
mod folder;
mod order;

use super::{
    Routes,
    origins::{Origins, Place},
};
use crate::{
    Result,
    certificate::{self, Pair},
    clock::Clock,
    config::Config,
    error::chain,
};
use folder::{Folder, Turn};
use order::Authority;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often what is kept is read again, and looked through for what is due.
pub const LOOK: Duration = Duration::from_secs(5);
/// Between a handshake that asked for a certificate and the look whether there is to be one.
const BREATH: Duration = Duration::from_secs(1);
/// One order, with its challenges and the program that writes DNS records.
const ORDER: Duration = Duration::from_secs(900);
/// The first pause after an order that came to nothing, and the longest.
const FIRST_PAUSE: time::Duration = time::Duration::minutes(1);
const LONGEST_PAUSE: time::Duration = time::Duration::hours(6);
/// So many hosts that handshakes asked for are looked for at once.
const ASKED: usize = 64;
/// A path below this one is asked for by an ACME server, over plain http.
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Gets certificates, keeps them, and shows them.
pub struct Keeper {
    authority: Authority,
    folder: Folder,
    origins: Origins,
    /// By name. With one certificate for all, that of the dashboard is all.
    kept: RwLock<HashMap<String, Pair>>,
    /// Hosts of runtimes that handshakes asked for and that there is no certificate for.
    asked: Mutex<BTreeSet<String>>,
    wanted: Notify,
}

/// What became of the orders for a name.
struct Trouble {
    tries: u32,
    /// Not tried again before this.
    until: OffsetDateTime,
    said: String,
}

impl Keeper {
    /// Opens what is kept; none where the settings name no ACME server.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub async fn open(config: &Config) -> Result<Option<Arc<Self>>> {
        let Some(directory) = config.entry.acme.clone() else { return Ok(None) };
        let authority = Authority {
            directory,
            contact: config.entry.acme_contact.clone(),
            root: config.entry.acme_root.clone(),
            hook: config.entry.acme_dns_hook.clone(),
        };
        let keeper = Self {
            authority,
            folder: Folder::open(&config.data.data_dir)?,
            origins: Origins::of(&config.entry.public_url),
            kept: RwLock::default(),
            asked: Mutex::default(),
            wanted: Notify::new(),
        };
        keeper.read().await?;
        Ok(Some(Arc::new(keeper)))
    }

    /// Whether there is a certificate to show for this host (with or without a port). Of a runtime's host that has none it is noted that somebody asked.
    pub fn has(&self, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.shown(name).is_some()
    }

    /// The answer to a challenge at this path: none where it is no path of challenges, and within that none where no such challenge is under way.
    pub async fn challenge(&self, path: &str) -> Option<Option<String>> {
        let token = path.strip_prefix(CHALLENGES)?;
        Some(self.folder.answer_of(token).await)
    }

    /// Orders and renews until `stop`, for the hosts that `routes` knows.
    pub async fn run(self: Arc<Self>, routes: Arc<dyn Routes>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut turn, mut troubles) = (None, BTreeMap::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
                // Whoever asks for hosts that there are not keeps nobody busy.
                () = self.wanted.notified() => tokio::time::sleep(BREATH).await,
            }
            let pass = self.pass(&mut turn, &mut troubles, routes.as_ref(), clock.as_ref());
            tokio::select! {
                () = stop.cancelled() => return,
                passed = pass => if let Err(error) = passed {
                    tracing::error!(error = %chain(&error), "certificates could not be looked after");
                }
            }
        }
    }

    /// Shows what is kept now, and orders what is due, if it is this server's turn.
    async fn pass(
        &self,
        turn: &mut Option<Turn>,
        troubles: &mut BTreeMap<String, Trouble>,
        routes: &dyn Routes,
        clock: &dyn Clock,
    ) -> Result<()> {
        if turn.is_none() {
            // Another one orders, or did until now.
            self.read().await?;
            *turn = self.folder.turn()?;
        }
        if turn.is_none() {
            return Ok(());
        }
        let names = self.names(routes).await?;
        troubles.retain(|name, _| names.contains(name));
        for name in names {
            let now = clock.now();
            let due = self.validity(&name).is_none_or(|(from, until)| renewal(&name, from, until) <= now);
            if !due || troubles.get(&name).is_some_and(|trouble| trouble.until > now) {
                continue;
            }
            let together = self.together(&name);
            tracing::info!(names = together.join(", "), "a certificate is ordered");
            match self.get(&name, &together).await {
                Ok(()) => {
                    troubles.remove(&name);
                    tracing::info!(host = name, "another certificate is shown from now on");
                }
                Err(error) => {
                    let (said, tries) = (chain(&error), troubles.get(&name).map_or(0, |trouble| trouble.tries) + 1);
                    let until = clock.now() + pause(&name, tries);
                    tracing::error!(host = name, error = said, %until, "no certificate was got; tried again then");
                    troubles.insert(name, Trouble { tries, until, said });
                }
            }
            self.folder.note(&troubles.iter().map(|(name, trouble)| (name.clone(), trouble.said.clone())).collect())?;
        }
        Ok(())
    }

    async fn get(&self, name: &str, together: &[String]) -> Result<()> {
        let ordered = tokio::time::timeout(ORDER, self.authority.order(&self.folder, together)).await;
        let text = ordered.map_err(|late| crate::Error::internal("ordering a certificate", late))??;
        self.folder.keep(name, &text, together).await?;
        self.read().await
    }

    /// The hosts that are to have a certificate: each by itself, or the dashboard's name for all of them.
    async fn names(&self, routes: &dyn Routes) -> Result<Vec<String>> {
        let host = self.origins.host().to_owned();
        if self.authority.hook.is_some() {
            return Ok(vec![host]);
        }
        let mut labels: BTreeSet<String> = routes.ready().await?.into_iter().map(|(label, _)| label).collect();
        let asked = std::mem::take(&mut *self.asked());
        let kept: Vec<String> = self.kept.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for name in asked.into_iter().chain(kept) {
            if let Place::Runtime(label) = self.origins.place(&name)
                && !labels.contains(&label)
                && routes.route(&label).await?.is_some()
            {
                labels.insert(label);
            }
        }
        let runtimes = labels.into_iter().map(|label| format!("{label}.{host}"));
        Ok(std::iter::once(host.clone()).chain(runtimes).collect())
    }

    /// The names in the certificate that is kept under this one.
    fn together(&self, name: &str) -> Vec<String> {
        if self.authority.hook.is_some() { vec![name.to_owned(), format!("*.{name}")] } else { vec![name.to_owned()] }
    }

    /// From when until when the certificate for this name is good; none where there is none.
    fn validity(&self, name: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let own = kept.get(name)?.own()?;
        // One that is kept from another way, for fewer names, does not do.
        let whole = self.together(name).iter().all(|name| certificate::covers(own, &name.replace('*', "any")));
        whole.then(|| certificate::validity(own)).flatten()
    }

    /// Shows what is kept. A file that cannot be used is said, and what was shown before stays.
    async fn read(&self) -> Result<()> {
        for name in self.folder.names()? {
            if self.origins.place(&name) == Place::Elsewhere {
                continue;
            }
            match self.folder.certificate(&name).await {
                Ok(pair) => drop(self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(name, pair)),
                Err(error) => tracing::error!(host = name, error = %chain(&error), "a certificate that is kept cannot be used"),
            }
        }
        Ok(())
    }

    /// The certificate for a host.
    fn shown(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let place = self.origins.place(name);
        if place == Place::Elsewhere {
            return None;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let under = if self.authority.hook.is_some() { self.origins.host() } else { name.as_str() };
        let pair = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(under).cloned();
        if pair.is_none() && place != Place::Dashboard {
            let mut asked = self.asked();
            if asked.len() < ASKED && asked.insert(name) {
                self.wanted.notify_one();
            }
        }
        pair.map(|pair| pair.key)
    }

    fn asked(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown(hello.server_name().unwrap_or(self.origins.host()))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Keeper").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// When a certificate is renewed: when two thirds of its life are over, and up to a twentieth of it later, so that many are not renewed at once.
fn renewal(name: &str, from: OffsetDateTime, until: OffsetDateTime) -> OffsetDateTime {
    let life = until - from;
    from + life * 2 / 3 + life * i32::from(lot(name, 0)) / (20 * 256)
}

/// How long is waited after so many orders for a name came to nothing: each time twice as long, and up to half as much again.
fn pause(name: &str, tries: u32) -> time::Duration {
    let pause = FIRST_PAUSE * 2_i32.saturating_pow(tries.saturating_sub(1).min(12));
    let pause = pause.min(LONGEST_PAUSE);
    pause + pause * i32::from(lot(name, tries)) / (2 * 256)
}

/// A number that is as good as chance between names, and the same for the same.
fn lot(name: &str, tries: u32) -> u8 {
    let digest: [u8; 32] = Sha256::new().chain_update(name).chain_update(tries.to_be_bytes()).finalize().into();
    digest.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn renewals_are_in_time_and_not_all_at_once() {
        let (from, until) = (datetime!(2026-01-01 00:00 UTC), datetime!(2026-04-01 00:00 UTC));
        let mut days = BTreeSet::new();
        for n in 0..100 {
            let due = renewal(&format!("runtime-{n}.claw.example"), from, until);
            assert!(due >= from + time::Duration::days(60) && due <= from + time::Duration::days(65), "{due}");
            days.insert(due.date());
        }
        assert!(days.len() >= 4, "{days:?}");
        assert_eq!(renewal("claw.example", from, until), renewal("claw.example", from, until));
    }

    #[test]
    fn an_authority_that_refuses_is_asked_less_and_less() {
        let pauses: Vec<_> = (1..20).map(|tries| pause("claw.example", tries)).collect();
        assert!(pauses[0] >= FIRST_PAUSE && pauses[0] <= FIRST_PAUSE * 3 / 2);
        for (n, pause) in pauses.iter().enumerate() {
            let least = (FIRST_PAUSE * 2_i32.pow(u32::try_from(n).unwrap().min(12))).min(LONGEST_PAUSE);
            assert!(*pause >= least && *pause <= least * 3 / 2, "{n}: {pause}");
        }
    }
}
