//! The rotation of the master key while this server serves: the keys are looked at on a period, and what is under an older one follows.

use crate::{
    Result,
    data::{
        Pool,
        listen::{Change, Changes},
    },
    error::chain,
    model::{self, reseal},
    orchestrator::Orchestrator,
    platform::keyring::Keyring,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often the keys are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What takes part in a rotation.
pub(super) struct Parts {
    pub keys: Arc<Keyring>,
    pub pool: Pool,
    pub models: Arc<model::Service>,
    pub orchestrator: Arc<Orchestrator>,
    pub changes: Changes,
}

/// What was last said in the log, so that it is said once.
#[derive(Default)]
struct Told {
    done: Option<String>,
    closed: Vec<String>,
}

/// Follows the master key until `stop`. What fails is tried again at the next look.
pub(super) async fn follow(parts: Parts, stop: CancellationToken) {
    let mut heard = parts.changes.subscribe();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = looks.tick() => {}
            // Another server made another key the present one.
            change = heard.recv() => match change {
                Ok(Change::Catalog | Change::Anything) | Err(RecvError::Lagged(_)) => {}
                Ok(_) => continue,
                Err(RecvError::Closed) => break,
            },
        }
        if let Err(error) = look(&parts, &mut told).await {
            tracing::warn!(error = %chain(&error), "the master key could not be looked after; it is tried again");
        }
    }
    if let Err(error) = parts.keys.leave(&parts.pool).await {
        tracing::debug!(error = %chain(&error), "the database did not hear that this server ends");
    }
}

async fn look(parts: &Parts, told: &mut Told) -> Result<()> {
    if parts.keys.look(&parts.pool).await? {
        // What did not open before may open now.
        parts.changes.tell(Change::Catalog);
    }
    let resealed = reseal::run(&parts.models).await?;
    let followed = parts.orchestrator.follow_master_key().await?;
    if resealed.anew + followed > 0 {
        tracing::info!(secrets = resealed.anew, runtimes = followed, "what was under an older master key is under the present one");
    }
    if resealed.closed != told.closed && !resealed.closed.is_empty() {
        let providers = resealed.closed.join(", ");
        tracing::error!(providers, "secrets are sealed under a master key that is not here; they stay as they are until it is put back");
    }
    told.closed = resealed.closed;
    let present = parts.keys.present()?;
    if parts.keys.all().len() > 1 && told.closed.is_empty() && told.done.as_deref() != Some(present.id()) {
        let newest = parts.keys.all().first().is_some_and(|key| key.id() == present.id());
        if newest && reseal::may_remove_older(&parts.pool, &present).await.is_ok() {
            tracing::info!(
                key = present.id(),
                "everything is under the newest master key; the older ones may be removed: clawloops master-key retire"
            );
            told.done = Some(present.id().to_owned());
        }
    }
    Ok(())
}
