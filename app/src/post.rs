//! One post to the server, from a browser. All questions and all forms go through here.

use crate::{
    api::{Answered, ApiError},
    ask::Json,
};
use leptos::{
    prelude::FromServerFnError,
    server_fn::{
        ContentType,
        client::{Client, browser::BrowserClient},
        codec::PostUrl,
        redirect::call_redirect_hook,
        request::ClientReq,
        response::ClientRes,
    },
};

/// What a browser posts with.
pub type Request = <BrowserClient as Client<ApiError>>::Request;

/// What is asked for.
pub const JSON: &str = "application/json";

/// Sends a form's fields, encoded as in an address.
pub async fn form(path: &str, fields: String) -> Answered<Json> {
    sent(<Request as ClientReq<ApiError>>::try_new_post(path, PostUrl::CONTENT_TYPE, JSON, fields)?).await
}

/// Sends a request and takes the answer; follows where the server leads.
pub async fn sent(request: Request) -> Answered<Json> {
    let response = <BrowserClient as Client<ApiError>>::send(request).await?;
    let status = ClientRes::<ApiError>::status(&response);
    let place = ClientRes::<ApiError>::location(&response);
    let leads = (300..=399).contains(&status) || ClientRes::<ApiError>::has_redirect(&response);
    if (400..=599).contains(&status) {
        let body = ClientRes::<ApiError>::try_into_bytes(response).await?;
        return Err(ApiError::de(body));
    }
    let body = ClientRes::<ApiError>::try_into_string(response).await?;
    if leads {
        call_redirect_hook(&place);
    }
    Ok(Json::from(body))
}
