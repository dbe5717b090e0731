//! What a page asks the server.
//!
//! An answer waits here as the text it came as, and is read where it is drawn: browsers load one copy of all that waits, not one for each kind of answer.

use crate::api::{Answered, ApiError};
use contract::{Code, Problem};
use leptos::{
    prelude::*,
    server::codee::{Decoder, Encoder},
    server_fn::ServerFn,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Arc<str>);

impl Json {
    /// What it says.
    pub fn read<T: DeserializeOwned>(&self) -> Answered<T> {
        serde_json::from_slice(self.0.as_bytes()).map_err(|_| unreadable())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// How an answer travels within the page that it was rendered into: its text behind a sign.
pub struct Wire;

impl Encoder<Answered<Json>> for Wire {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(answer: &Answered<Json>) -> Result<String, serde_json::Error> {
        Ok(match answer {
            Ok(json) => format!("+{}", json.0),
            Err(error) => format!("-{}", serde_json::to_string(error)?),
        })
    }
}

impl Decoder<Answered<Json>> for Wire {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<Answered<Json>, serde_json::Error> {
        Ok(match text.strip_prefix('+') {
            Some(json) => Ok(Json(json.into())),
            None => Err(serde_json::from_slice(text.strip_prefix('-').unwrap_or(text).as_bytes())?),
        })
    }
}

/// The answers to a question, the newest of them at hand.
pub type Answers = Resource<Answered<Json>, Wire>;

/// What was asked, and is asked anew when anything that the question was made of changes.
pub struct Asked<T> {
    answers: Answers,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Asked<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Asked<T> {}

impl<T: DeserializeOwned + 'static> Asked<T> {
    /// The answers, unread.
    pub fn answers(self) -> Answers {
        self.answers
    }

    /// The newest answer that is good, read; tracks it.
    pub fn now(self) -> Option<T> {
        self.answers.get()?.ok()?.read().ok()
    }

    /// Asks again.
    pub fn again(self) {
        self.answers.refetch();
    }
}

/// Asks a server function. `question` makes its arguments; the signals that it reads ask anew.
pub fn ask<S>(question: impl Fn() -> S + Send + Sync + 'static) -> Asked<S::Output>
where
    S: Question,
    S::Output: Serialize + DeserializeOwned + 'static,
{
    Asked { answers: answers(Box::new(move || Box::pin(question().sent()))), of: PhantomData }
}

/// What these answers say, for tests.
#[cfg(all(test, feature = "ssr"))]
pub fn asked_of<T, F: Future<Output = Answered<Json>> + Send + 'static>(send: impl Fn() -> F + Send + Sync + 'static) -> Asked<T> {
    Asked { answers: answers(Box::new(move || Box::pin(send()))), of: PhantomData }
}

type Sending = Pin<Box<dyn Future<Output = Answered<Json>> + Send>>;

/// A question on its way. No two are equal.
#[derive(Clone)]
struct Sent {
    number: u32,
    sending: Arc<Mutex<Option<Sending>>>,
}

impl PartialEq for Sent {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

fn answers(send: Box<dyn Fn() -> Sending + Send + Sync>) -> Answers {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let question = move || Sent { number: NUMBER.fetch_add(1, Ordering::Relaxed), sending: Arc::new(Mutex::new(Some(send()))) };
    let answer = |sent: Sent| {
        let sending = sent.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            match sending {
                Some(sending) => sending.await,
                None => Err(unreadable()),
            }
        }
    };
    Resource::new_with_options(question, answer, false)
}

/// A server function that a page can ask.
pub trait Question: ServerFn<Error = ApiError> + Send + Sync + 'static {
    /// Its answer. The server answers itself; a browser asks the server.
    fn sent(self) -> impl Future<Output = Answered<Json>> + Send;
}

#[cfg(feature = "ssr")]
impl<S> Question for S
where
    S: ServerFn<Error = ApiError> + Send + Sync + 'static,
    S::Output: Serialize,
{
    async fn sent(self) -> Answered<Json> {
        let answer = self.run_body().await?;
        serde_json::to_string(&answer).map(Json::from).map_err(|_| unreadable())
    }
}

#[cfg(not(feature = "ssr"))]
impl<S> Question for S
where
    S: ServerFn<Error = ApiError>
        + leptos::server_fn::codec::IntoReq<leptos::server_fn::codec::PostUrl, crate::post::Request, ApiError>
        + Send
        + Sync
        + 'static,
{
    async fn sent(self) -> Answered<Json> {
        crate::post::sent(self.into_req(Self::PATH, crate::post::JSON)?).await
    }
}

/// An answer that is none.
fn unreadable() -> ApiError {
    ApiError(
        Problem::new(Code::Internal, "The server gave an answer that this page cannot read.")
            .remedy("Reload the page. If it stays, tell your administrator."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_a_problem_come_through() {
        let good: Answered<Json> = Ok(Json::from("[1,2]".to_owned()));
        let bad: Answered<Json> = Err(ApiError(Problem::new(Code::Conflict, "-It <runs> already.").remedy("Stop it first.")));
        for answer in [good, bad] {
            assert_eq!(Wire::decode(&Wire::encode(&answer).unwrap()).unwrap(), answer);
        }
        assert_eq!(Json::from("[1,2]".to_owned()).read::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(Json::from("{}".to_owned()).read::<Vec<u8>>().is_err());
        assert!(Wire::decode("").is_err());
    }
}
