//! How long a server may act: while PostgreSQL said, within the last seconds, that it leads.
//!
//! PostgreSQL gives a leader's lock away when it hears nothing of it for [`SILENCE`]. A leader that hears nothing of PostgreSQL ends before that. One
//! whose process stood still meanwhile finds at its first breath that its time is over, and begins nothing more.

use super::store::Lead;
use crate::data::lead::SILENCE;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// How often PostgreSQL is asked.
const ASK: Duration = Duration::from_secs(1);
/// How long an answer holds, from the moment the question was sent.
const HOLDS: Duration = Duration::from_secs(4);
// Two seconds between the last deed of one leader and the first of the next.
const _: () = assert!(HOLDS.as_secs() + 2 <= SILENCE.as_secs());

/// One server's time as the leader, granted for a few seconds at a time.
pub(super) struct Lease {
    ends: Mutex<Instant>,
    over: CancellationToken,
}

impl Lease {
    /// One that was asked for at this moment, and granted.
    pub(super) fn since(asked: Instant) -> Self {
        Self { ends: Mutex::new(asked + HOLDS), over: CancellationToken::new() }
    }

    fn ends(&self) -> Instant {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prolongs it for as long as PostgreSQL says so. Comes back when it does not any more, or does not answer in time.
    pub(super) async fn keep(&self, lead: &mut dyn Lead) {
        loop {
            sleep(ASK).await;
            let asked = Instant::now();
            if !timeout_at(self.ends(), lead.holds()).await.unwrap_or(false) {
                return;
            }
            *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = asked + HOLDS;
        }
    }

    /// Does this while it lasts: none when it was cut off. Time is looked at before each of its steps, so that a process that stood still does not
    /// go on where it was.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut over) = (pin!(work), pin!(self.over.cancelled()));
        poll_fn(|context| {
            if over.as_mut().poll(context).is_ready() || Instant::now() >= self.ends() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Ends it. What is still under way is cut off.
    pub(super) fn end(&self) {
        self.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use async_trait::async_trait;
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicU32, Ordering},
    };

    /// Answers after so long each, then never.
    struct Answers(VecDeque<(Duration, bool)>);

    #[async_trait]
    impl Lead for Answers {
        async fn holds(&mut self) -> bool {
            match self.0.pop_front() {
                Some((after, holds)) => {
                    sleep(after).await;
                    holds
                }
                None => std::future::pending().await,
            }
        }

        async fn yield_up(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    async fn lasts(answers: &[(u64, bool)]) -> u64 {
        let began = Instant::now();
        let answers = answers.iter().map(|(after, holds)| (Duration::from_millis(*after), *holds)).collect();
        Lease::since(began).keep(&mut Answers(answers)).await;
        u64::try_from(began.elapsed().as_millis()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_when_the_database_says_so_or_nothing() {
        assert_eq!(lasts(&[(10, false)]).await, 1010, "the lock is gone");
        assert_eq!(lasts(&[]).await, 4000, "cut off from the first");
        assert_eq!(lasts(&[(0, true), (0, true)]).await, 6000, "four seconds after the last question that was answered");
        assert_eq!(lasts(&[(2900, true)]).await, 5000, "late, and counted from the question");
        assert_eq!(lasts(&[(3100, true)]).await, 4000, "too late");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_after_the_end() {
        let (lease, deeds) = (Lease::since(Instant::now()), AtomicU32::new(0));
        let work = async {
            loop {
                deeds.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(1500)).await;
            }
        };
        assert_eq!(lease.during(work).await, None::<()>);
        // At 0, 1.5 and 3 s. At 4.5 s, when it wakes, its time is over, though nobody told it.
        assert_eq!(deeds.load(Ordering::Relaxed), 3);
        assert_eq!(Lease::since(Instant::now()).during(async { 7 }).await, Some(7));

        let lease = Lease::since(Instant::now());
        lease.end();
        assert_eq!(lease.during(async { 7 }).await, None);
    }
}
