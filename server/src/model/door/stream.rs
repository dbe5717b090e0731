//! An answer that streams: passed on as it comes, and read on to its end when the caller goes.

use super::{
    call::{broken_off, dead_key},
    failure::SILENCE,
    route::Route,
    way::Way,
};
use crate::{
    data::budget::Outcome,
    model::{
        budget::Hold,
        meter::{Count, Meter},
    },
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream::BoxStream};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;

/// How long the answer is read on after the caller went, to learn what it cost.
const READ_ON: Duration = Duration::from_secs(60);
/// How long a caller may take nothing from a stream before they count as gone.
const STALLED: Duration = Duration::from_secs(300);

/// An answer that streams: passed on as it comes, on a task that reads on when the caller goes.
pub fn stream(way: Way, answer: reqwest::Response, hold: Hold, route: Route, note: Option<Bytes>) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(32);
    let tracker = way.service.tracker.clone();
    tracker.spawn(pump(Box::new(way), answer.bytes_stream().boxed(), hold, sender, note, route));
    let mut response = Body::from_stream(ReceiverStream::new(receiver)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// What it holds is held by each open stream, of which there may be thousands. `_route` is held to the end, so that a replaced LiteLLM is not ended under its
/// last streams.
async fn pump(
    way: Box<Way>,
    mut stream: BoxStream<'static, reqwest::Result<Bytes>>,
    hold: Hold,
    sender: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
    mut note: Option<Bytes>,
    _route: Route,
) {
    let mut meter = Meter::new(way.shape, way.call.wants_usage);
    let mut caller = Some(sender);
    let mut first = None;
    let mut until = None;
    let mut has_all = false;
    let cut = hold.cut();
    loop {
        let silence = tokio::time::Instant::now() + SILENCE;
        let next = tokio::select! {
            next = timeout_at(until.map_or(silence, |until: tokio::time::Instant| until.min(silence)), stream.next()) => next,
            () = gone(caller.as_ref()) => {
                caller = None;
                until = Some(tokio::time::Instant::now() + READ_ON);
                continue;
            }
            () = cut.cancelled(), if caller.is_some() => {
                if let Some(sender) = caller.take() {
                    drop(sender.try_send(Ok(dead_key().event(way.shape, way.id))));
                }
                until = Some(tokio::time::Instant::now() + READ_ON);
                continue;
            }
        };
        let out = match next {
            Ok(Some(Ok(part))) => meter.pass(&part),
            Ok(None) | Ok(Some(Err(_))) | Err(_) => break,
        };
        if out.is_empty() {
            continue;
        }
        first.get_or_insert_with(|| way.came.elapsed());
        // An event of its own, before the first of the model's: all others keep their bytes.
        if let (Some(sender), Some(note)) = (&caller, note.take()) {
            drop(timeout(STALLED, sender.send(Ok(note))).await);
        }
        if let Some(sender) = &caller
            && !matches!(timeout(STALLED, sender.send(Ok(out))).await, Ok(Ok(())))
        {
            caller = None;
            until = Some(tokio::time::Instant::now() + READ_ON);
        }
        has_all |= caller.is_some() && meter.is_done();
    }
    // Whoever goes after the last event, without waiting for the connection to end, took all there was.
    let hung_up = until.is_some() && !has_all;
    let rest = meter.end();
    let broken = !meter.is_done();
    if let Some(sender) = &caller {
        // Half an event would swallow the one that tells that it broke off.
        let last = if broken && !meter.has_failed() { broken_off().event(way.shape, way.id) } else { rest };
        if !last.is_empty() {
            drop(timeout(STALLED, sender.send(Ok(last))).await);
        }
    }
    drop(caller);
    let seen = way.estimate(hold.wanted(), if way.shape.is_media() { way.answered(0) } else { meter.estimate() });
    let (count, estimated) = match way.metered(&meter) {
        // What a message tells where it begins is not what it came to.
        Some(count) if broken && !way.shape.is_media() && count.output < seen.output => (Count { output: seen.output, ..count }, true),
        Some(count) => (count, false),
        None => (seen, true),
    };
    if !estimated && way.teaches() {
        way.service.books.learn(&way.call.model, way.call.text_bytes, count.input);
    }
    let outcome = match (hung_up, broken || meter.has_failed()) {
        (true, _) => Outcome::HungUp,
        (false, true) => Outcome::Failed,
        (false, false) => Outcome::Done,
    };
    // Room for a transaction is made when there is one.
    Box::pin(hold.settle(way.used(count, outcome, first, estimated))).await;
}

/// Ends when the caller went; never when they went before.
async fn gone(caller: Option<&mpsc::Sender<Result<Bytes, std::convert::Infallible>>>) {
    match caller {
        Some(sender) => sender.closed().await,
        None => std::future::pending().await,
    }
}
