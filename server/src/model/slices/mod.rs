//! Slices: where calls of one key and model come fast, a part of what is left of the limits is held for all of them at once, and each draws from it in
//! memory.
//!
//! A slice is a reservation in the database, judged as every other ([`crate::data::slice`]). What holds at every moment, and why limits do:
//!
//! 1. what the database holds for a slice ≥ what is free in it + what open calls drew + what ended calls drew and used that is not written yet;
//! 2. `settled + reserved ≤ limit` in the database, where the slice stands among the reserved.
//!
//! A call is let through only by moving its worst case from free to drawn, under one lock, so 1 holds when it is sent. When it ends, what it did not use
//! becomes free again. Writing says what is left (free and drawn), never what goes, together with the records of calls that ended: so what is held falls by no more
//! than what is settled or was given back, and a write that is done twice is done once. What was given back was taken out of the free before, for good.
//! Nothing else changes a slice: one whose server died is settled in full by its lease. The decision stands in `docs/adr/0029-slices-of-a-budget.md`.

mod slice;
mod tend;

pub use tend::{close, give_back, moment, take, tend, write};

use crate::data::{
    budget::{Spent, Used, Wanted},
    slice::{Amount, Taken},
};
use contract::{BudgetView, KeyId, PersonId, RuntimeId, Subject};
use slice::{Place, Slice, minute, prices, spent, worst};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

/// So long nothing is tried where too little was left.
const PAUSE: Duration = Duration::from_secs(1);
/// So many cases of a call a slice holds at once, at least and at most.
const CASES: (i64, i64) = (4, 512);
/// So many keys and models are watched at most.
const WATCHED: usize = 4096;
/// So often a write is tried that the database does not take. Then the slice is left to its lease.
const TRIES: u32 = 9;

/// When something happens: by the clock of the books, by one that never goes back, and by which stream changes are heard.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What records say.
    pub clock: OffsetDateTime,
    /// What durations are measured by.
    pub instant: Instant,
    /// None while changes are not heard: then nothing is drawn.
    pub stream: Option<u64>,
}

/// What one server's calls draw from.
#[derive(Default)]
pub struct Slices {
    state: Mutex<State>,
    /// One write at a time: what is left must not be said in another order than it became so.
    turn: tokio::sync::Mutex<()>,
    /// That there is something to look after.
    wake: Notify,
}

#[derive(Default)]
struct State {
    places: HashMap<(KeyId, String), Place>,
    slices: HashMap<Uuid, Slice>,
}

/// Whose slices are recalled, since what they were taken on the strength of changed.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// Limits, prices, or anything else.
    All,
    /// A key of theirs, or what it may do.
    Of(PersonId),
    /// It was stopped, or is paused.
    Running(RuntimeId),
}

impl Whose {
    fn are(self, person_id: PersonId, runtime_id: Option<RuntimeId>) -> bool {
        match self {
            Self::All => true,
            Self::Of(id) => id == person_id,
            Self::Running(id) => runtime_id == Some(id),
        }
    }
}

/// A call's part of a slice.
pub struct Draw {
    slice: Uuid,
    amount: Amount,
    /// Whether a limit on money or tokens applies.
    pub limited: bool,
    /// The limits that apply, as they stood when the slice was taken, and what of the slice, which they count as reserved, was free.
    pub limits: (Arc<[BudgetView]>, Amount),
}

/// A slice's state that is to be written.
struct Due {
    slice: Uuid,
    left: Amount,
    ended: Vec<(Wanted, Used)>,
}

/// A slice as it was taken, and the limits that applied then.
type Granted = (Taken, Arc<[BudgetView]>);

/// A slice that is to be taken.
pub struct Order {
    like: Wanted,
    stream: u64,
    /// How fast calls come, a second.
    pace: i64,
    /// How much they use of what they draw, in thousandths.
    share: i64,
}

impl Slices {
    /// Draws a call's worst case, where there is a slice that it fits into; and whether one is to be taken, by whoever asks, with [`take`].
    ///
    /// `from` calls a second are fast.
    pub fn draw(&self, wanted: &Wanted, now: Moment, from: u32) -> (Option<Draw>, Option<Order>) {
        let worst = worst(wanted);
        // It counts in the windows of the moment that its record will tell.
        let now = Moment { clock: wanted.at, ..now };
        let mut guard = self.lock();
        let State { places, slices } = &mut *guard;
        if places.len() >= WATCHED {
            places.retain(|_, place| place.slice.is_some() || place.is_taking || place.second.elapsed() < Duration::from_secs(2));
        }
        let place = places.entry((wanted.key_id, wanted.model.clone())).or_insert_with(|| Place::new(wanted, now.instant));
        place.count(now.instant);
        let slice = place.slice.and_then(|id| Some((id, slices.get_mut(&id)?))).filter(|(_, slice)| slice.is_good(now));
        let mut wants = true;
        let drawn = slice.and_then(|(id, slice)| {
            if !slice.is_for(wanted) {
                slice.end();
                return None;
            }
            if !worst.is_within(&slice.free) {
                return None;
            }
            slice.free -= worst;
            slice.drawn += worst;
            wants = slice.wanes(now, &worst);
            Some(Draw { slice: id, amount: worst, limited: slice.limited, limits: (Arc::clone(&slice.limits), slice.free) })
        });
        let may = !place.is_taking && place.pace() >= from && place.not_before.is_none_or(|at| at <= now.instant);
        let order = now.stream.filter(|_| wants && may).map(|stream| {
            (place.is_taking, place.is_recalled) = (true, false);
            Order { like: wanted.clone(), stream, pace: place.pace().into(), share: place.share }
        });
        (drawn, order)
    }

    /// A slice was taken, or was not. `taken` is an error where it may have been, and is given back then.
    fn put(&self, slice: Uuid, order: Order, taken: Result<Option<Granted>, ()>, now: Moment) {
        let mut guard = self.lock();
        let State { places, slices } = &mut *guard;
        let Order { like, stream, .. } = order;
        let mut place = places.get_mut(&(like.key_id, like.model.clone()));
        if let Some(place) = &mut place {
            place.is_taking = false;
            place.not_before = (!matches!(taken, Ok(Some(_)))).then(|| now.instant + PAUSE);
        }
        let is_sure = taken.is_ok();
        let (taken, limits) = match taken {
            Ok(None) => return,
            Ok(Some(taken)) => taken,
            // Whatever it holds, nothing of it is used.
            Err(()) => (Taken { amount: Amount { calls: 1, tokens: 0, micros: 0 }, limited: false }, Arc::from([])),
        };
        let (from, until) = minute(like.at).unwrap_or((like.at, like.at));
        let mut new = Slice {
            key_id: like.key_id,
            person_id: like.person_id,
            runtime_id: like.runtime_id,
            prices: prices(&like),
            limited: taken.limited,
            limits,
            stream,
            made: now.instant,
            from,
            until,
            is_over: false,
            whole: taken.amount,
            free: taken.amount,
            drawn: Amount::default(),
            ended: Vec::new(),
            oldest: None,
            written: taken.amount,
            tries: 0,
            route: like.route,
        };
        match place {
            Some(place) if is_sure && !place.is_recalled => {
                if let Some(former) = place.slice.replace(slice).and_then(|id| slices.get_mut(&id)) {
                    former.end();
                }
            }
            _ => new.end(),
        }
        slices.insert(slice, new);
        drop(guard);
        self.wake.notify_one();
    }

    /// A call that drew has ended: what it did not use is free again.
    pub fn settle(&self, draw: &Draw, wanted: &Wanted, used: Used) {
        let mut guard = self.lock();
        let State { places, slices } = &mut *guard;
        let Some(slice) = slices.get_mut(&draw.slice) else { return };
        let spent = spent(wanted, &used).least(draw.amount);
        if let Some(place) = places.get_mut(&(wanted.key_id, wanted.model.clone())) {
            place.learn(&spent, &draw.amount);
        }
        slice.drawn -= draw.amount;
        if !slice.is_over {
            slice.free += draw.amount;
            slice.free -= spent;
        }
        slice.ended.push((wanted.clone(), used));
        slice.oldest.get_or_insert_with(Instant::now);
    }

    /// Ends slices, and those that are being taken. They are given back with the next [`write`].
    pub fn recall(&self, whose: Whose) {
        let mut state = self.lock();
        for place in state.places.values_mut().filter(|place| whose.are(place.person_id, place.runtime_id)) {
            place.is_recalled = true;
        }
        for slice in state.slices.values_mut().filter(|slice| whose.are(slice.person_id, slice.runtime_id)) {
            slice.end();
        }
    }

    /// Ends those that hold of a limit that refused a call. False where there are none.
    fn recall_from(&self, spent: &Spent, person_id: PersonId) -> bool {
        let is_shared = spent.subject != Subject::Everyone;
        let holds = |slice: &Slice| {
            !slice.is_over
                && (is_shared || slice.person_id == person_id)
                && slice.limits.iter().any(|limit| limit.budget_id == spent.budget_id)
        };
        let mut any = false;
        for slice in self.lock().slices.values_mut().filter(|slice| holds(slice)) {
            slice.end();
            any = true;
        }
        any
    }

    /// The reservations that this server answers for.
    pub fn held(&self) -> Vec<Uuid> {
        self.lock().slices.keys().copied().collect()
    }

    /// Whether this is one of them.
    pub fn holds(&self, slice: &Uuid) -> bool {
        self.lock().slices.contains_key(slice)
    }

    /// How many calls ended whose use is not written yet.
    pub fn unwritten(&self) -> usize {
        self.lock().slices.values().map(|slice| slice.ended.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.lock().slices.is_empty()
    }

    /// What is to be written now; with `all`, whatever can be. Slices whose time is over end.
    fn due(&self, now: Moment, all: bool) -> Vec<Due> {
        let mut state = self.lock();
        for slice in state.slices.values_mut().filter(|slice| !slice.is_over && (!slice.is_good(now) || slice.free.calls == 0)) {
            slice.end();
        }
        let is_due = |slice: &Slice| slice.is_due(now.instant) || all && !slice.ended.is_empty();
        let due = state.slices.iter().filter(|(_, slice)| is_due(slice));
        due.map(|(id, slice)| Due { slice: *id, left: slice.left(), ended: slice.ended.clone() }).collect()
    }

    /// Notes that this was written; answers whose calls they were, which is news.
    fn written(&self, due: &Due, now: Instant) -> Option<(PersonId, Option<RuntimeId>)> {
        let mut state = self.lock();
        let slice = state.slices.get_mut(&due.slice)?;
        slice.ended.drain(..due.ended.len().min(slice.ended.len()));
        slice.oldest = (!slice.ended.is_empty()).then_some(now);
        slice.written = due.left;
        slice.tries = 0;
        let whose = (slice.person_id, slice.runtime_id);
        if slice.is_over && slice.ended.is_empty() && slice.left() == Amount::default() && slice.written == Amount::default() {
            let key_id = slice.key_id;
            state.slices.remove(&due.slice);
            for (_, place) in state.places.iter_mut().filter(|((key, _), _)| *key == key_id) {
                place.slice = place.slice.filter(|slice| *slice != due.slice);
            }
        }
        (!due.ended.is_empty()).then_some(whose)
    }

    /// Notes that the database does not take this. True when it is given up: the slice is left to its lease then.
    fn refused(&self, due: &Due) -> bool {
        let mut state = self.lock();
        let Some(slice) = state.slices.get_mut(&due.slice) else { return false };
        slice.end();
        slice.tries += 1;
        let is_given_up = slice.tries >= TRIES && slice.drawn == Amount::default();
        if is_given_up {
            state.slices.remove(&due.slice);
        }
        is_given_up
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        slice::{LIFE, cost},
        *,
    };
    use crate::{clock::new_id, data::budget::Outcome};
    use proptest::{prelude::*, test_runner::TestCaseError};
    use std::collections::HashSet;
    use time::macros::datetime;

    /// The database, as far as slices know it.
    #[derive(Default)]
    struct Database {
        held: HashMap<Uuid, Amount>,
        recorded: HashSet<Uuid>,
        settled: Amount,
    }

    impl Database {
        fn settle(&mut self, due: &Due) {
            let Some(held) = self.held.get_mut(&due.slice) else { return };
            *held = held.least(due.left);
            for (wanted, used) in &due.ended {
                if self.recorded.insert(wanted.id) {
                    self.settled += spent(wanted, used);
                }
            }
            if held.calls == 0 {
                self.held.remove(&due.slice);
            }
        }
    }

    fn wanted(key_id: KeyId, person_id: PersonId, at: OffsetDateTime, input_tokens: i64, output_tokens: i64) -> Wanted {
        Wanted {
            id: new_id(),
            person_id,
            runtime_id: None,
            key_id,
            model: "m".to_owned(),
            route: "r".to_owned(),
            at,
            lease_until: at,
            input_tokens,
            output_tokens,
            least_output_tokens: 1,
            answers: 1,
            input_price: 3_000_000,
            cached_input_price: 300_000,
            output_price: 15_000_000,
            tells: false,
        }
    }

    fn used(output_tokens: i64) -> Used {
        Used {
            input_tokens: 3,
            cached_input_tokens: 1,
            output_tokens,
            latency_ms: 1,
            first_token_ms: None,
            outcome: Outcome::Done,
            estimated: false,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Call(i64),
        End(usize, i64),
        Wait(u64),
        Recall,
        /// Whether the database did it, and whether its answer came.
        Write(bool, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1_i64..40).prop_map(Step::Call),
            5 => (any::<usize>(), 0_i64..60).prop_map(|(which, output)| Step::End(which, output)),
            1 => (1_u64..900).prop_map(Step::Wait),
            1 => Just(Step::Recall),
            2 => (any::<bool>(), any::<bool>()).prop_map(|(done, heard)| Step::Write(done, heard)),
        ];
        proptest::collection::vec(step, 1..120)
    }

    fn write(slices: &Slices, database: &mut Database, now: Moment, is_done: bool, is_heard: bool) {
        for due in slices.due(now, true) {
            if is_done {
                database.settle(&due);
                if is_heard {
                    slices.written(&due, now.instant);
                }
            }
        }
    }

    /// What the database holds covers what may still be used and what was used and is not written.
    fn judge(slices: &Slices, database: &Database, open: &[(Wanted, Draw)]) -> Result<(), TestCaseError> {
        let state = slices.lock();
        for (id, slice) in &state.slices {
            let mut needed = slice.left();
            for (wanted, used) in slice.ended.iter().filter(|(wanted, _)| !database.recorded.contains(&wanted.id)) {
                needed += spent(wanted, used).least(worst(wanted));
            }
            let held = database.held.get(id).copied().unwrap_or_default();
            prop_assert!(needed.is_within(&held), "{needed:?} of {held:?}");
            let mut drawn = Amount::default();
            open.iter().filter(|(_, draw)| draw.slice == *id).for_each(|(_, draw)| drawn += draw.amount);
            prop_assert_eq!(drawn, slice.drawn);
            prop_assert!(Amount::default().is_within(&slice.free));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn in_any_history_the_database_holds_what_calls_may_use(steps in steps()) {
            let (slices, mut database, mut open) = (Slices::default(), Database::default(), Vec::new());
            let (key_id, person_id, mut ended) = (new_id(), new_id(), 0);
            let mut now = Moment { clock: datetime!(2026-11-28 23:59:50 UTC), instant: Instant::now(), stream: Some(1) };
            for step in steps {
                match step {
                    Step::Call(output) => {
                        let wanted = wanted(key_id, person_id, now.clock, 10, output);
                        let (draw, order) = slices.draw(&wanted, now, 1);
                        if let Some(order) = order {
                            let (id, amount) = (new_id(), Amount { calls: 12, tokens: 200, micros: 2_000 });
                            database.held.insert(id, amount);
                            slices.put(id, order, Ok(Some((Taken { amount, limited: true }, Arc::from([])))), now);
                        }
                        open.extend(draw.map(|draw| (wanted, draw)));
                    }
                    Step::End(which, output) if !open.is_empty() => {
                        let (wanted, draw): (Wanted, Draw) = open.swap_remove(which % open.len());
                        slices.settle(&draw, &wanted, used(output));
                        ended += 1;
                    }
                    Step::End(..) => {}
                    Step::Wait(millis) => {
                        now.instant += Duration::from_millis(millis);
                        now.clock += Duration::from_millis(millis);
                    }
                    Step::Recall => slices.recall(Whose::All),
                    Step::Write(is_done, is_heard) => write(&slices, &mut database, now, is_done, is_heard),
                }
                judge(&slices, &database, &open)?;
            }
            for (wanted, draw) in open.drain(..) {
                slices.settle(&draw, &wanted, used(1));
                ended += 1;
            }
            slices.recall(Whose::All);
            write(&slices, &mut database, now, true, true);
            prop_assert!(database.held.is_empty() && slices.is_empty());
            prop_assert_eq!((database.recorded.len(), database.settled.calls), (ended, i64::try_from(ended).unwrap_or_default()));
        }
    }

    #[test]
    fn nothing_is_drawn_after_a_recall_a_minute_or_a_lost_stream_nor_by_a_call_of_another_price() {
        let at = datetime!(2026-11-28 12:00:58 UTC);
        let now = Moment { clock: at, instant: Instant::now(), stream: Some(1) };
        let (key_id, person_id) = (new_id(), new_id());
        let fresh = || {
            let slices = Slices::default();
            let (draw, order) = slices.draw(&wanted(key_id, person_id, at, 1, 1), now, 1);
            assert!(draw.is_none());
            let taken = Taken { amount: Amount { calls: 10, tokens: 100, micros: 1_000 }, limited: true };
            slices.put(new_id(), order.unwrap(), Ok(Some((taken, Arc::from([])))), now);
            slices
        };
        let draws = |slices: &Slices, wanted: &Wanted, now| slices.draw(wanted, now, 1).0.is_some();
        let call = wanted(key_id, person_id, at, 1, 1);
        assert!(draws(&fresh(), &call, now));
        let dearer = Wanted { output_price: 16_000_000, ..call.clone() };
        assert!(!draws(&fresh(), &dearer, now));
        let longer = Wanted { output_tokens: 101, ..call.clone() };
        assert!(!draws(&fresh(), &longer, now));
        let next = Wanted { at: at + time::Duration::seconds(2), ..call.clone() };
        assert!(!draws(&fresh(), &next, now), "another minute");
        assert!(!draws(&fresh(), &call, Moment { instant: now.instant + LIFE, ..now }), "too old");
        for stream in [None, Some(2)] {
            assert!(!draws(&fresh(), &call, Moment { stream, ..now }), "a change may have gone unheard");
        }
        let recalled = fresh();
        recalled.recall(Whose::Of(person_id));
        assert!(!draws(&recalled, &call, now));
        // One that was asked for before a recall and came after it is given back, and not drawn from.
        let slices = Slices::default();
        let order = slices.draw(&call, now, 1).1.unwrap();
        slices.recall(Whose::All);
        slices.put(
            new_id(),
            order,
            Ok(Some((Taken { amount: Amount { calls: 10, tokens: 100, micros: 1_000 }, limited: true }, Arc::from([])))),
            now,
        );
        assert!(!draws(&slices, &call, now));
        assert_eq!(slices.due(now, false).iter().map(|due| due.left).collect::<Vec<_>>(), [Amount::default()]);
    }

    #[test]
    fn money_is_counted_as_the_database_does() {
        for (tokens, sum) in
            [((1, 0, 0), 3), ((1, 1, 0), 1), ((100, 4, 50), 1040), ((0, 0, 0), 0), ((60, 4, 30), 620), ((i64::MAX, 0, i64::MAX), i64::MAX)]
        {
            assert_eq!(cost(tokens.0, tokens.1, tokens.2, [3_000_000, 300_000, 15_000_000]), sum, "{tokens:?}");
        }
    }
}
