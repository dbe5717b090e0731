//! Reserve, call, settle: what a call may cost is held before it is sent, and settled however it ends.

use super::{
    Service, breaker,
    ledger::{Ledger, Written},
    retention,
    slices::{self, Draw, Slices},
};
use crate::{
    Error, Result,
    data::{
        self,
        budget::{Orphan, Outcome, Reserved, Used, Wanted},
        listen::Change,
    },
};
use contract::{BudgetView, KeyId, PersonId, RuntimeId};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a server answers for a call without a word. Renewed at a third of it.
pub const LEASE: time::Duration = time::Duration::seconds(60);
const RENEW: Duration = Duration::from_secs(20);
/// How long a refusal waits for calls in progress to give back what they do not need.
const SECOND_THOUGHT: Duration = Duration::from_millis(30);
/// How often a settlement is tried that the database does not take; after that the lease runs out and the sweep settles the worst case.
const SETTLE_TRIES: u32 = 9;
/// The first pause before it is tried again, which grows threefold, and the longest one.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A call in progress.
struct InProgress {
    person_id: PersonId,
    key_id: KeyId,
    /// The secret that it was proven by.
    secret_id: Option<Uuid>,
    /// Cancelled when its key is no longer good.
    cut: CancellationToken,
}

/// What this server knows of its calls.
#[derive(Default)]
pub struct Books {
    /// Calls in progress, whose leases are renewed.
    held: Mutex<HashMap<Uuid, InProgress>>,
    /// People whose pages are to hear of new usage.
    news: Mutex<HashSet<PersonId>>,
    /// Runtimes whose calls ended, for the breaker to look at.
    spenders: Mutex<HashSet<RuntimeId>>,
    /// Tokens a byte, seen lately, by model.
    appetites: Mutex<HashMap<String, f64>>,
    /// Calls that end, to be settled together.
    ledger: Ledger,
    /// What fast calls draw from.
    slices: Slices,
}

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Books {
    /// How many tokens a byte is for this model, at most. One until calls have shown otherwise: no tokenizer makes more of plain text.
    #[must_use]
    pub fn appetite(&self, model: &str) -> f64 {
        open(&self.appetites).get(model).copied().unwrap_or(1.0)
    }

    /// Learns from a call's true count: quickly upwards, slowly downwards, and with a quarter to spare.
    pub fn learn(&self, model: &str, text_bytes: i64, tokens: i64) {
        // What is short is mostly template, and says little.
        if text_bytes < 400 || tokens <= 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let seen = tokens as f64 / text_bytes as f64 * 1.25;
        let mut appetites = open(&self.appetites);
        let old = appetites.get(model).copied().unwrap_or(1.0);
        appetites.insert(model.to_owned(), f64::max(seen, f64::midpoint(old, seen)).clamp(0.05, 4.0));
    }

    /// How many calls are in progress, or ended and not written yet.
    #[must_use]
    pub fn in_progress(&self) -> usize {
        open(&self.held).len() + self.slices.unwritten()
    }

    /// How many of them are with this key.
    pub(super) fn in_progress_with(&self, key_id: KeyId) -> usize {
        open(&self.held).values().filter(|call| call.key_id == key_id).count()
    }

    /// What fast calls draw from.
    pub(super) const fn slices(&self) -> &Slices {
        &self.slices
    }

    /// Notes that there is new usage: for pages and, of a runtime, for the breaker.
    pub(super) fn tell(&self, person_id: PersonId, runtime_id: Option<RuntimeId>) {
        open(&self.news).insert(person_id);
        open(&self.spenders).extend(runtime_id);
    }
}

/// A call that is held. Dropped without being settled it is left to its lease.
pub struct Hold {
    service: Arc<Service>,
    wanted: Wanted,
    cut: CancellationToken,
    /// Where it draws from a slice.
    draw: Option<Draw>,
    settled: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        open(&self.service.books.held).remove(&self.wanted.id);
        if self.settled {
            return;
        }
        if let Some(draw) = &self.draw {
            tracing::warn!(call = %self.wanted.id, "a call ended unsettled; it counts as what it held");
            let (input_tokens, output_tokens) = (self.wanted.input_tokens, self.wanted.output_tokens * self.wanted.answers);
            self.service.books.slices.settle(draw, &self.wanted, lost(input_tokens, output_tokens));
        } else {
            tracing::warn!(call = %self.wanted.id, "a call ended unsettled; its lease will settle it");
        }
    }
}

/// What reserving answered.
#[expect(clippy::large_enum_variant, reason = "one a call, taken apart at once: a box would cost each call more than it saves")]
pub enum Answer {
    /// Held: the call may be sent.
    Held {
        /// To settle.
        hold: Hold,
        /// How long an answer may be.
        output_tokens: i64,
        /// Whether that must be enforced upstream.
        limited: bool,
        /// What the answer is to tell of a limit.
        warning: Option<Box<data::budget::Spent>>,
    },
    /// A limit is spent.
    Refused(data::budget::Spent),
}

/// A call whose server died, or which nobody settled: it counts as what it held.
const fn lost(input_tokens: i64, output_tokens: i64) -> Used {
    Used {
        input_tokens,
        cached_input_tokens: 0,
        output_tokens,
        latency_ms: 0,
        first_token_ms: None,
        outcome: Outcome::Lost,
        estimated: true,
    }
}

/// Holds the worst case of a call, or says which limit is spent. A refusal is recorded.
pub async fn reserve(service: &Arc<Service>, wanted: Wanted) -> Result<Answer> {
    if let Some(draw) = draw(service, &wanted) {
        let (output_tokens, limited) = (wanted.output_tokens, draw.limited);
        return Ok(Answer::Held { hold: Hold::new(service, wanted, Some(draw)), output_tokens, limited, warning: None });
    }
    let mut connection = service.pool.acquire().await?;
    let mut tries = 0;
    let spent = loop {
        let reserved = match data::budget::reserve(&mut connection, &wanted, false).await {
            Ok(reserved) => reserved,
            Err(error) => {
                if data::is_away(&error) {
                    service.tracker.spawn(take_back(service.clone(), wanted.id));
                }
                return Err(error);
            }
        };
        match reserved {
            Reserved::Granted { output_tokens, limited, warning } => {
                let hold = Hold::new(service, wanted, None);
                return Ok(Answer::Held { hold, output_tokens, limited, warning });
            }
            Reserved::Refused(spent) => {
                // What is held for calls to come is given back first.
                if tries == 0 && slices::give_back(service, &spent, wanted.person_id).await? {
                    tries += 1;
                    continue;
                }
                // Calls that are about to end hold more than they will use: a moment may be enough.
                let others = open(&service.books.held).values().any(|call| call.person_id == wanted.person_id);
                tries += 1;
                if !others || tries > 4 {
                    break spent;
                }
                sleep(SECOND_THOUGHT).await;
            }
        }
    };
    data::usage::record_refusal(&mut connection, &wanted).await?;
    open(&service.books.news).insert(wanted.person_id);
    Ok(Answer::Refused(spent))
}

/// Draws from a slice, where calls come fast and there is one; sees to it that there will be.
fn draw(service: &Arc<Service>, wanted: &Wanted) -> Option<Draw> {
    let settings = &service.config.models;
    if settings.slice_calls == 0 {
        return None;
    }
    let (draw, order) = service.books.slices.draw(wanted, slices::moment(service), settings.slice_from);
    if let Some(order) = order {
        service.tracker.spawn(slices::take(service.clone(), order));
    }
    draw
}

/// Takes back what may be held for a call that was never sent, since only the answer was lost with the database: nothing of it counts.
async fn take_back(service: Arc<Service>, id: Uuid) {
    let nothing = Used {
        input_tokens: 0,
        cached_input_tokens: 0,
        output_tokens: 0,
        latency_ms: 0,
        first_token_ms: None,
        outcome: Outcome::Failed,
        estimated: false,
    };
    let mut patience = Patience::default();
    loop {
        let taken = async { data::budget::settle(&mut *service.pool.acquire().await?, id, &nothing).await };
        let Err(error) = taken.await else { return };
        if !patience.lasts(id, &error).await {
            return;
        }
    }
}

/// How long a settlement is tried: as long as the database is away, and a few times where it does not take it.
///
/// What waits is kept in memory. It is never more than the calls that were in progress when the database went, since none begins without it.
#[derive(Default)]
struct Patience {
    pause: Duration,
    tries: u32,
}

impl Patience {
    /// Waits until the next try; false when there is none.
    async fn lasts(&mut self, call: Uuid, error: &Error) -> bool {
        self.tries += u32::from(!data::is_away(error));
        if self.tries >= SETTLE_TRIES {
            return false;
        }
        tracing::debug!(%call, error = %crate::error::chain(error), "a call could not be settled, trying again");
        self.pause = (self.pause * 3).clamp(SETTLE_PAUSE, LONGEST_PAUSE);
        sleep(self.pause).await;
        true
    }
}

impl Hold {
    fn new(service: &Arc<Service>, wanted: Wanted, draw: Option<Draw>) -> Self {
        let cut = CancellationToken::new();
        let entry = InProgress { person_id: wanted.person_id, key_id: wanted.key_id, secret_id: None, cut: cut.clone() };
        open(&service.books.held).insert(wanted.id, entry);
        Self { service: service.clone(), wanted, cut, draw, settled: false }
    }

    /// The limits that apply, where they are known without asking, and what of them is only held for calls to come.
    #[must_use]
    pub fn limits(&self) -> Option<(Arc<[BudgetView]>, data::slice::Amount)> {
        self.draw.as_ref().map(|draw| draw.limits.clone())
    }

    /// What was held.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Names the secret that its key was proven by: it may end before the key does.
    pub fn proven_by(&self, secret_id: Uuid) {
        if let Some(call) = open(&self.service.books.held).get_mut(&self.wanted.id) {
            call.secret_id = Some(secret_id);
        }
    }

    /// Cancelled when the key of this call is no longer good.
    #[must_use]
    pub fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }

    /// Settles: gives back what was held, counts what was used. While that cannot be written it is kept and tried again, and nobody waits for it.
    pub async fn settle(mut self, used: Used) {
        if self.settle_draw(&used) {
            return;
        }
        match self.settle_once(&used).await {
            Ok(()) => self.done(),
            Err(error) => {
                tracing::warn!(call = %self.wanted.id, error = %crate::error::chain(&error), "a call could not be settled yet");
                let tracker = self.service.tracker.clone();
                tracker.spawn(self.settle_later(used, error));
            }
        }
    }

    /// The same, beside whatever comes next.
    pub fn settle_beside(mut self, used: Used) {
        if !self.settle_draw(&used) {
            let tracker = self.service.tracker.clone();
            tracker.spawn(self.settle(used));
        }
    }

    /// What drew from a slice is settled in memory, and written with others.
    fn settle_draw(&mut self, used: &Used) -> bool {
        let Some(draw) = &self.draw else { return false };
        self.service.books.slices.settle(draw, &self.wanted, *used);
        self.settled = true;
        true
    }

    async fn settle_later(mut self, used: Used, mut error: Error) {
        let mut patience = Patience::default();
        while patience.lasts(self.wanted.id, &error).await {
            match self.settle_once(&used).await {
                Ok(()) => return self.done(),
                Err(next) => error = next,
            }
        }
    }

    fn done(&mut self) {
        self.settled = true;
        self.service.books.tell(self.wanted.person_id, self.wanted.runtime_id);
    }

    async fn settle_once(&self, used: &Used) -> Result<()> {
        match self.service.books.ledger.settle(&self.service.pool, self.wanted.id, *used).await {
            Written::Settled => return Ok(()),
            Written::Away => return Err(data::away()),
            Written::Alone => {}
        }
        settle_alone(&self.service, &self.wanted, used).await
    }
}

/// Settles one call that could not be settled with others, whatever became of its reservation.
pub(super) async fn settle_alone(service: &Service, wanted: &Wanted, used: &Used) -> Result<()> {
    let mut connection = service.pool.acquire().await?;
    if data::budget::settle(&mut connection, wanted.id, used).await? {
        return Ok(());
    }
    if retention::is_folded(service, wanted.at) {
        // Written off as lost while this server stood still, and part of a total by now: it counts as what it held.
        return Ok(());
    }
    // The reservation went with PostgreSQL's last moments before a crash: counted anew, without judging.
    data::budget::reserve(&mut connection, wanted, true).await?;
    data::budget::settle(&mut connection, wanted.id, used).await?;
    Ok(())
}

/// Renews the leases of calls in progress, settles those whose server died, looks at what runtimes spend, and tells pages of new usage. Ends after `stop`.
pub(super) async fn tend(service: Arc<Service>, stop: CancellationToken) {
    let mut renewal = interval(RENEW);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut telling = interval(Duration::from_secs(1));
    telling.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            _ = renewal.tick() => look_after(&service).await,
            _ = telling.tick() => tell(&service).await,
            () = stop.cancelled() => return,
        };
        if let Err(error) = done {
            tracing::warn!(error = %crate::error::chain(&error), "tending the reservations failed; it is tried again");
        }
    }
}

/// What no message tells of: leases, and keys whose time is over.
async fn look_after(service: &Service) -> Result<()> {
    renew_and_sweep(service).await?;
    cut_dead_keys(service).await
}

/// Own leases first: then what is over is nobody's.
///
/// A call whose server died counts as what it held. The upstream may have done all of it, and a limit must not be passed by a crash.
pub async fn renew_and_sweep(service: &Service) -> Result<()> {
    let now = service.clock.now();
    let mut ids: Vec<Uuid> = open(&service.books.held).keys().copied().collect();
    ids.extend(service.books.slices.held());
    let mut connection = service.pool.acquire().await?;
    if !ids.is_empty() {
        data::budget::renew(&mut connection, &ids, now + LEASE).await?;
    }
    for Orphan { id, person_id, input_tokens, output_tokens } in data::budget::orphans(&mut connection, now).await? {
        if open(&service.books.held).contains_key(&id) || service.books.slices.holds(&id) {
            continue;
        }
        data::budget::settle(&mut connection, id, &lost(input_tokens, output_tokens)).await?;
        tracing::warn!(call = %id, "the server of a call, or of a slice, died; it counts as what it held");
        open(&service.books.news).insert(person_id);
    }
    Ok(())
}

/// Follows what changes keys and models: forgets what was read of them, and cuts the calls that still run with a key that ended. Ends after `stop`.
pub(super) async fn watch(service: Arc<Service>, stop: CancellationToken) {
    let mut changes = service.changes.subscribe();
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = stop.cancelled() => return,
        };
        let change = match change {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Change::Anything,
            Err(RecvError::Closed) => return,
        };
        // Forgotten first: a call that comes in between reads the database, and one that came before is in the books when they are looked at.
        service.forget(change);
        match change {
            Change::Keys { .. } | Change::PersonClosed { .. } | Change::Runtime { .. } | Change::Anything => {
                if let Err(error) = cut_dead_keys(&service).await {
                    tracing::warn!(error = %crate::error::chain(&error), "keys of calls in progress could not be looked at");
                }
            }
            Change::SessionEnded { .. } | Change::Usage { .. } | Change::Limits | Change::Catalog | Change::People => {}
        }
    }
}

/// Cuts the calls whose key opens nothing any more.
pub async fn cut_dead_keys(service: &Service) -> Result<()> {
    let (keys, secrets): (Vec<Uuid>, Vec<Option<Uuid>>) =
        open(&service.books.held).values().map(|call| (call.key_id.0, call.secret_id)).unzip();
    if keys.is_empty() {
        return Ok(());
    }
    let (mut connection, now) = (service.pool.acquire().await?, service.clock.now());
    let dead = data::model_key::dead_among(&mut connection, &keys, now).await?;
    let secrets: Vec<Uuid> = secrets.into_iter().flatten().collect();
    let ended = data::model_key::ended_among(&mut connection, &secrets, now).await?;
    let is_dead = |call: &InProgress| dead.contains(&call.key_id) || call.secret_id.is_some_and(|id| ended.contains(&id));
    for call in open(&service.books.held).values().filter(|call| is_dead(call)) {
        call.cut.cancel();
    }
    Ok(())
}

async fn tell(service: &Service) -> Result<()> {
    let spenders: Vec<RuntimeId> = open(&service.books.spenders).drain().collect();
    for runtime_id in spenders {
        breaker::judge(service, runtime_id).await?;
    }
    let people: Vec<PersonId> = open(&service.books.news).drain().collect();
    if people.is_empty() {
        return Ok(());
    }
    let mut connection = service.pool.acquire().await?;
    for person_id in people {
        data::listen::notify(&mut connection, Change::Usage { person_id }).await?;
    }
    Ok(())
}
