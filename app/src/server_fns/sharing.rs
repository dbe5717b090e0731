//! Sharing one's runtimes, and what others share.

use crate::api::Answered;
#[cfg(feature = "ssr")]
use crate::{request, routes};
use contract::{Access, RuntimeId, ShareId, ShareView, SharedView};
use leptos::prelude::*;

/// With whom a runtime is shared.
#[server(name = SharesOf, prefix = "/api/ui", endpoint = "shares")]
pub async fn shares_of(runtime_id: RuntimeId) -> Answered<Vec<ShareView>> {
    Ok(request::ports()?.sharing.shares(&request::caller()?, runtime_id).await?)
}

/// Lets the person with this address use a runtime for so many hours.
#[server(prefix = "/api/ui", endpoint = "share-runtime")]
pub async fn share_runtime(runtime_id: RuntimeId, email: String, access: Access, hours: u16) -> Answered<()> {
    request::ports()?.sharing.share(&request::caller()?, runtime_id, &email, access, hours).await?;
    request::redirect(&routes::runtime(runtime_id));
    Ok(())
}

/// Ends a share.
#[server(prefix = "/api/ui", endpoint = "end-share")]
pub async fn end_share(share_id: ShareId) -> Answered<()> {
    Ok(request::ports()?.sharing.end_share(&request::caller()?, share_id).await?)
}

/// What others share with the caller.
#[server(prefix = "/api/ui", endpoint = "shared-with-me")]
pub async fn shared_with_me() -> Answered<Vec<SharedView>> {
    Ok(request::ports()?.sharing.shared(&request::caller()?, None).await?)
}

/// One of those, by its runtime; none where it is not shared any more.
#[server(prefix = "/api/ui", endpoint = "shared-runtime")]
pub async fn shared_runtime(runtime_id: RuntimeId) -> Answered<Option<SharedView>> {
    Ok(request::ports()?.sharing.shared(&request::caller()?, Some(runtime_id)).await?.pop())
}
