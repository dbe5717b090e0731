//! What slices have to do with the database: taken, written and given back beside the calls, never before one.

use super::{Amount, CASES, Due, Moment, Order, Slices, Whose};
use crate::{
    Result,
    data::{
        self,
        budget::{Spent, Wanted},
        limit::Scope,
        settlement,
        slice::{self, Ended, Size, Taken},
    },
    model::{
        Service,
        budget::{self, LEASE},
    },
};
use contract::{BudgetView, PersonId};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often slices are looked at, while there are any.
const LOOK: Duration = Duration::from_millis(100);
/// How long is waited after a write that failed.
const AWAY: Duration = Duration::from_secs(1);
/// How long a stopping server tries to give all back.
const FAREWELL: Duration = Duration::from_secs(5);

/// Now, as slices see it.
pub fn moment(service: &Service) -> Moment {
    Moment { clock: service.clock.now(), instant: Instant::now(), stream: service.changes.stream() }
}

/// Takes the slice that was ordered.
pub async fn take(service: Arc<Service>, order: Order) {
    let slices = service.books.slices();
    let now = moment(&service);
    let id = crate::clock::new_id::<Uuid>();
    let order = Order { like: Wanted { at: now.clock, lease_until: now.clock + LEASE, ..order.like }, ..order };
    let open = i64::try_from(service.books.in_progress_with(order.like.key_id)).unwrap_or(i64::MAX);
    // As many calls as come in about a second; what those in progress hold twice over, and what the others will have used.
    let calls = order.pace.clamp(16, 4096).min(service.config.models.slice_calls);
    let cases = open.saturating_mul(2).saturating_add(calls * order.share / 1000).clamp(CASES.0, CASES.1);
    let size = Size { cases, calls };
    let taken = ask(&service, id, &order.like, size).await.map_err(|error| {
        tracing::warn!(slice = %id, error = %crate::error::chain(&error), "no slice could be taken; calls are judged one by one");
    });
    // The life of a slice begins when it was asked for, and not when the answer came.
    slices.put(id, order, taken, now);
}

async fn ask(service: &Service, id: Uuid, like: &Wanted, size: Size) -> Result<Option<(Taken, Arc<[BudgetView]>)>> {
    let mut connection = service.pool.acquire().await?;
    let Some(taken) = slice::take(&mut connection, id, like, size).await? else { return Ok(None) };
    // What a crash of the database could take back is not drawn from.
    settlement::flush(&mut connection).await?;
    let (runtimes, keys) = (like.runtime_id.into_iter().collect(), vec![like.key_id]);
    let scope = Scope { person_id: like.person_id, runtimes, keys, model: Some(like.model.clone()) };
    let limits = data::limit::applying(&mut connection, &scope, like.at).await?;
    Ok(Some((taken, limits.into())))
}

/// Looks after this server's slices: writes what was used, gives back what is not. Ends after `stop`.
pub async fn tend(service: Arc<Service>, stop: CancellationToken) {
    let slices = service.books.slices();
    loop {
        tokio::select! {
            () = slices.wake.notified() => {}
            () = stop.cancelled() => return,
        }
        while !slices.is_empty() {
            let pause = match write(&service, false).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(error = %crate::error::chain(&error), "what was used could not be written yet");
                    AWAY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Gives all back and writes all that was used, for a server that stops. What a call in progress drew is left to its lease.
pub async fn close(service: &Arc<Service>) {
    let until = Instant::now() + FAREWELL;
    loop {
        service.books.slices().recall(Whose::All);
        let written = write(service, true).await;
        match written {
            Ok(()) => return,
            Err(error) if Instant::now() < until => {
                tracing::warn!(error = %crate::error::chain(&error), "slices could not be given back yet");
                sleep(LOOK).await;
            }
            Err(error) => {
                tracing::error!(error = %crate::error::chain(&error), "slices could not be given back; their leases will settle them");
                return;
            }
        }
    }
}

/// Gives back at once what this server's slices hold of a limit that refused a call. False where they hold nothing of it.
pub async fn give_back(service: &Arc<Service>, spent: &Spent, person_id: PersonId) -> Result<bool> {
    if !service.books.slices().recall_from(spent, person_id) {
        return Ok(false);
    }
    write(service, false).await?;
    Ok(true)
}

/// Writes what is due; with `all`, whatever can be.
///
/// # Errors
/// When the database fails: all is kept, and written the next time.
pub async fn write(service: &Arc<Service>, all: bool) -> Result<()> {
    let slices = service.books.slices();
    let _turn = slices.turn.lock().await;
    let batch = slices.due(moment(service), all);
    if batch.is_empty() {
        return Ok(());
    }
    let mut connection = service.pool.acquire().await?;
    let (mut written, mut unknown) = (Vec::new(), Vec::new());
    for due in batch {
        match slice::settle(&mut connection, due.slice, due.left, &records(&due)).await {
            Ok(true) => written.push(due),
            Ok(false) => unknown.push(due),
            Err(error) if data::is_away(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(slice = %due.slice, error = %crate::error::chain(&error), "a slice could not be settled");
                if slices.refused(&due) {
                    tracing::error!(slice = %due.slice, calls = due.ended.len(), "a slice is given up; its lease will settle it");
                }
            }
        }
    }
    // Before this the crash of a disk may take it all back: nothing is forgotten before.
    settlement::flush(&mut connection).await?;
    drop(connection);
    for due in &written {
        note(service, slices, due);
    }
    for due in unknown {
        if due.left != Amount::default() {
            // It went with the database: what calls in progress drew is counted when they end.
            tracing::warn!(slice = %due.slice, "the database does not know a slice any more");
            slices.recall(Whose::All);
        }
        for (wanted, used) in &due.ended {
            budget::settle_alone(service, wanted, used).await?;
        }
        note(service, slices, &due);
    }
    Ok(())
}

fn note(service: &Service, slices: &Slices, due: &Due) {
    if let Some((person_id, runtime_id)) = slices.written(due, Instant::now()) {
        service.books.tell(person_id, runtime_id);
    }
}

fn records(due: &Due) -> Vec<Ended> {
    due.ended.iter().map(|(wanted, used)| Ended { id: wanted.id, at: wanted.at, used: *used }).collect()
}
