//! What a page asks the server to do: a form's post, one after the other.

use crate::{
    api::{Answered, ApiError},
    ask::Json,
};
use contract::Problem;
use leptos::{
    prelude::*,
    server::ServerActionError,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use serde::de::DeserializeOwned;

/// One verb of the server and what its last post came to.
#[derive(Clone, Copy)]
pub struct Deed {
    path: &'static str,
    posts: Action<String, Answered<Json>>,
}

impl Deed {
    /// Of this server function. Where a form was posted without script, its problem came back in the address; it also sets the page's status.
    pub fn of<S: ServerFn<Error = ApiError>>() -> Self {
        Self::at(S::PATH)
    }

    fn at(path: &'static str) -> Self {
        let told = use_context::<ServerActionError>()
            .filter(|told| told.path() == path)
            .map(|told| Err(ServerFnUrlError::<ApiError>::decode_err(told.err())));
        #[cfg(feature = "ssr")]
        if let Some(Err(ApiError(problem))) = &told {
            crate::request::set_page_status(problem.code.status());
        }
        Self { path, posts: Action::new_with_value(told, move |fields: &String| posted(path, fields.clone())) }
    }

    /// Where its forms go.
    pub fn path(self) -> &'static str {
        self.path
    }

    /// Posts a form's fields, encoded as in an address.
    pub fn post(self, fields: String) {
        self.posts.dispatch(fields);
    }

    /// Whether a post is under way.
    pub fn pending(self) -> Memo<bool> {
        self.posts.pending()
    }

    /// How many posts came to an end; a question that reads it is asked anew.
    pub fn done(self) -> usize {
        self.posts.version().get()
    }

    /// Whether the last one succeeded.
    pub fn succeeded(self) -> bool {
        self.posts.value().with(|value| matches!(value, Some(Ok(_))))
    }

    /// What went wrong with the last one.
    pub fn problem(self) -> Option<Problem> {
        self.posts.value().with(|value| value.as_ref()?.as_ref().err().map(|error| error.0.clone()))
    }

    /// What the last one made.
    pub fn made<T: DeserializeOwned>(self) -> Option<T> {
        self.posts.value().with(|value| value.as_ref()?.as_ref().ok()?.read().ok())
    }
}

#[cfg(not(feature = "ssr"))]
async fn posted(path: &'static str, fields: String) -> Answered<Json> {
    crate::post::form(path, fields).await
}

/// Nothing presses a button while a page is rendered.
#[cfg(feature = "ssr")]
async fn posted(_: &'static str, _: String) -> Answered<Json> {
    Ok(Json::from(String::new()))
}
