//! Pictures and audio: what their calls are held and counted for, and speech that is passed on as it comes.

use super::{failure::SILENCE, route::Route, way::Way};
use crate::{
    data::{budget::Outcome, model::Callable},
    model::{
        budget::Hold,
        meter::{self, Count, Meter},
        shape::Shape,
    },
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use contract::CountedIn;
use futures::StreamExt as _;
use std::{io, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

/// How long a caller may take nothing before they count as gone.
const STALLED: Duration = Duration::from_secs(300);

/// The worst case of a call, in what its model is counted in.
#[derive(Debug, PartialEq, Eq)]
pub struct Worst {
    pub input: i64,
    pub output: i64,
    pub least_output: i64,
    pub answers: i64,
}

impl Shape {
    /// Whether a model that is counted in this has a price for what is asked.
    pub(super) fn may_be_counted_in(self, counted_in: CountedIn) -> bool {
        let pieces = match self {
            Self::Images => CountedIn::Images,
            Self::Speech => CountedIn::Characters,
            Self::Transcription => CountedIn::Seconds,
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses | Self::Messages | Self::TokenCount => CountedIn::Tokens,
        };
        counted_in == CountedIn::Tokens || counted_in == pieces
    }
}

impl Way {
    /// What is to be held for the call.
    pub(super) fn worst(&self, model: &Callable) -> Worst {
        if model.counted_in != CountedIn::Tokens {
            return Worst { input: self.call.pieces, output: 0, least_output: 0, answers: 1 };
        }
        let output = self.call.output_tokens(model.output_tokens);
        Worst {
            input: self.call.input_tokens(self.service.books.appetite(&self.call.model), model.context_tokens),
            output,
            // A picture cannot be cut: all of it, or nothing.
            least_output: if self.shape.is_media() { output } else { self.call.least_output },
            answers: self.call.answers,
        }
    }

    /// What a whole answer says that was used; none where it does not say.
    pub(super) fn told(&self, body: &[u8]) -> Option<Count> {
        match self.counted_in {
            CountedIn::Tokens => meter::whole(body, self.shape.dialect()),
            CountedIn::Images => meter::pictures(body).map(pieces),
            CountedIn::Seconds => meter::seconds(body).map(pieces),
            CountedIn::Characters => Some(pieces(self.call.pieces)),
        }
    }

    /// The same of a stream that has ended.
    pub(super) fn metered(&self, meter: &Meter) -> Option<Count> {
        match self.counted_in {
            CountedIn::Tokens => meter.count(),
            CountedIn::Images => (meter.pictures() > 0).then(|| pieces(meter.pictures())),
            CountedIn::Seconds => meter.seconds().map(pieces),
            CountedIn::Characters => Some(pieces(self.call.pieces)),
        }
    }
}

/// A count of what is no tokens.
fn pieces(number: i64) -> Count {
    Count { input: number, cached: 0, output: 0 }
}

/// Speech: passed on as it comes, on a task of its own. What it costs is known when it begins.
pub fn speech(way: Way, answer: reqwest::Response, hold: Hold, route: Route) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(32);
    let tracker = way.service.tracker.clone();
    tracker.spawn(async move {
        play(way, answer, hold, sender).await;
        // Held to the end, so that a replaced LiteLLM is not ended under its last speeches.
        drop(route);
    });
    let mut response = Body::from_stream(ReceiverStream::new(receiver)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    response
}

async fn play(way: Way, answer: reqwest::Response, hold: Hold, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut stream = answer.bytes_stream();
    let (cut, mut first) = (hold.cut(), None);
    let outcome = loop {
        let next = tokio::select! {
            next = timeout(SILENCE, stream.next()) => next,
            () = sender.closed() => break Outcome::HungUp,
            () = cut.cancelled() => break Outcome::HungUp,
        };
        match next {
            Ok(Some(Ok(part))) => {
                first.get_or_insert_with(|| way.came.elapsed());
                if !matches!(timeout(STALLED, sender.send(Ok(part))).await, Ok(Ok(()))) {
                    break Outcome::HungUp;
                }
            }
            Ok(None) => break Outcome::Done,
            Ok(Some(Err(_))) | Err(_) => break Outcome::Failed,
        }
    };
    if outcome != Outcome::Done {
        // The connection breaks off, so that nobody takes what came for all there is.
        drop(sender.try_send(Err(io::Error::other("the speech broke off"))));
    }
    drop(sender);
    let (count, estimated) = match way.counted_in {
        CountedIn::Characters => (pieces(way.call.pieces), false),
        // Audio alone tells no tokens.
        CountedIn::Tokens | CountedIn::Images | CountedIn::Seconds => (way.estimate(hold.wanted(), way.answered(0)), true),
    };
    // Room for a transaction is made when there is one.
    Box::pin(hold.settle(way.used(count, outcome, first, estimated))).await;
}
