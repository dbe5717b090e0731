//! The way of a call to its model: through LiteLLM, or straight to a provider that speaks the caller's API itself.

use super::answer::Fault;
use crate::{
    data::model::{Callable, Direct},
    model::{Service, litellm::Upstream, providers::api_base, shape::Shape},
};
use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a call waits for a LiteLLM that starts, or that learns a new model.
const WAIT_FOR_LITELLM: Duration = Duration::from_secs(45);

/// Where one call goes.
pub struct Route {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    key: Option<SecretString>,
    /// The model by the name that is known there.
    pub model: String,
    /// Held to the end of a call, so that a replaced LiteLLM is not ended under its last ones. None on a direct route.
    litellm: Option<Arc<Upstream>>,
}

impl Route {
    /// The way to this model for a call of this shape. Waits for a LiteLLM that starts.
    ///
    /// # Errors
    /// When there is no LiteLLM, or the provider's secret does not open.
    pub async fn find(service: &Service, model: &Callable, shape: Shape) -> Result<Self, Fault> {
        match &model.direct {
            Some(direct) if shape.is_plain_openai() => Self::direct(service, direct, &model.upstream).map_err(Fault::from_error),
            _ => {
                let upstream = litellm_for(service, &model.name).await?;
                Ok(Self {
                    http: service.http.clone(),
                    base: upstream.base.clone(),
                    key: Some(upstream.key.clone()),
                    model: model.name.clone(),
                    litellm: Some(upstream),
                })
            }
        }
    }

    fn direct(service: &Service, direct: &Direct, name: &str) -> crate::Result<Self> {
        let key = match &direct.secret {
            Some((sealed, key_id)) => Some(service.vault.open(direct.provider_id, key_id, sealed)?),
            None => None,
        };
        Ok(Self {
            http: service.outside.to(direct.allows_private).clone(),
            base: api_base(direct.kind, direct.base_url.as_deref(), None, service.config.models.local_model_port),
            key,
            model: name.to_owned(),
            litellm: None,
        })
    }

    /// Whether nothing stands between us and the provider: then one that cannot be reached is the provider's own failure.
    pub const fn is_direct(&self) -> bool {
        self.litellm.is_none()
    }

    /// Sends a call's body, of this type.
    pub fn send(
        &self,
        shape: Shape,
        headers: HeaderMap,
        content_type: String,
        body: Vec<u8>,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
        let request = self.http.post(format!("{}{}", self.base, shape.path())).headers(headers);
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        request.header(header::CONTENT_TYPE, content_type).body(body).send()
    }
}

/// A LiteLLM that knows the model.
async fn litellm_for(service: &Service, model: &str) -> Result<Arc<Upstream>, Fault> {
    let mut present = service.upstream.subscribe();
    let known = present.wait_for(|upstream| upstream.as_ref().is_some_and(|upstream| upstream.knows(model)));
    match timeout(WAIT_FOR_LITELLM, known).await {
        Ok(Ok(upstream)) => upstream.clone().ok_or_else(away),
        Ok(Err(_)) | Err(_) => Err(away()),
    }
}

fn away() -> Fault {
    Fault::unavailable("The model service does not answer yet. Try again in a moment; if it lasts, tell your administrator.")
        .retry_after(10)
}
