//! The body of a request on its way in: bounded in time, and in size where it is for the dashboard. It is never gathered here.

use axum::body::Body;
use bytes::Bytes;
use contract::{Code, Problem};
use http_body::{Body as _, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// Why a body was not taken to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing came of it for too long.
    #[error("the body of the request came too slowly")]
    Slow,
    /// It is larger than allowed.
    #[error("the body of the request is too large")]
    Large,
}

impl Refusal {
    /// The same in words.
    #[must_use]
    pub fn problem(self) -> Problem {
        match self {
            Self::Slow => {
                Problem::new(Code::RequestTimedOut, "Your request did not arrive in time.").remedy("Look at your connection and try again.")
            }
            Self::Large => Problem::new(Code::TooLarge, "Your request is larger than allowed here."),
        }
    }
}

/// How a body is doing, for whoever waits for its answer.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    refusal: OnceLock<Refusal>,
    last: Mutex<Instant>,
}

impl Progress {
    /// Why it was given up; none while all is well.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.0.refusal.get().copied()
    }

    /// Waits until nothing has come for so long; for ever without a limit. So an upload that takes long costs an answer none of its time.
    pub async fn quiet_for(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let until = self.last() + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn last(&self) -> Instant {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that ends with an error when nothing comes for too long, or when it is too large. Trailers are left behind: nobody asked for any.
pub struct Intake {
    inner: Body,
    left: Option<u64>,
    patience: Option<Duration>,
    /// Made when the body is first waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    progress: Progress,
}

/// Bounds a body: `most` bytes, and never longer than `patience` without any.
pub fn bounded(body: Body, most: Option<u64>, patience: Option<Duration>) -> (Body, Progress) {
    let progress = Progress(Arc::new(Shared { refusal: OnceLock::new(), last: Mutex::new(Instant::now()) }));
    if body.is_end_stream() {
        return (body, progress);
    }
    let intake = Intake { inner: body, left: most, patience, alarm: None, progress: progress.clone() };
    (Body::new(intake), progress)
}

impl Intake {
    fn refuse<T>(&self, refusal: Refusal) -> Poll<Option<Result<T, axum::Error>>> {
        let _first = self.progress.0.refusal.set(refusal);
        Poll::Ready(Some(Err(axum::Error::new(refusal))))
    }
}

impl http_body::Body for Intake {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
                let Some(patience) = this.patience else { return Poll::Pending };
                let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(patience)));
                ready!(alarm.as_mut().poll(cx));
                return this.refuse(Refusal::Slow);
            };
            this.alarm = None;
            *this.progress.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let data = match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame.into_data(),
            };
            let Ok(data) = data else { continue };
            if let Some(left) = this.left {
                let Some(left) = left.checked_sub(data.len() as u64) else { return this.refuse(Refusal::Large) };
                this.left = Some(left);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt as _, stream};

    fn dripping(every: Duration, drops: usize) -> Body {
        let drops = stream::iter(0..drops).then(move |_| async move {
            sleep(every).await;
            Ok::<_, std::io::Error>("drop")
        });
        Body::from_stream(drops)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_as_long_as_something_comes() {
        let second = Duration::from_secs(1);
        let (body, progress) = bounded(dripping(second, 100), None, Some(second * 2));
        assert_eq!(axum::body::to_bytes(body, 1000).await.unwrap().len(), 400);
        assert_eq!(progress.refusal(), None);
        let (body, progress) = bounded(dripping(second * 3, 100), None, Some(second * 2));
        assert!(axum::body::to_bytes(body, 1000).await.is_err());
        assert_eq!(progress.refusal(), Some(Refusal::Slow));
        assert!(progress.last().elapsed() >= second * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_from_the_end_of_the_body_on() {
        let second = Duration::from_secs(1);
        let (body, progress) = bounded(dripping(second, 10), None, None);
        let began = Instant::now();
        let read = axum::body::to_bytes(body, 1000);
        let (read, ()) = tokio::join!(read, progress.quiet_for(Some(second * 3)));
        assert_eq!((read.unwrap().len(), began.elapsed().as_secs()), (40, 13));
        assert!(tokio::time::timeout(second * 1000, progress.quiet_for(None)).await.is_err());
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_counted_as_it_comes() {
        let (body, progress) = bounded(dripping(Duration::ZERO, 3), Some(11), None);
        assert!(axum::body::to_bytes(body, 1000).await.is_err());
        assert_eq!(progress.refusal(), Some(Refusal::Large));
        let (body, progress) = bounded(dripping(Duration::ZERO, 3), Some(12), None);
        assert_eq!(axum::body::to_bytes(body, 1000).await.unwrap().len(), 12);
        assert_eq!(progress.refusal(), None);
    }
}
