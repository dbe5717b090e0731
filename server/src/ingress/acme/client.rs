//! How an ACME server is spoken to: over https, believed by the system's authorities or by those that the settings name.

use crate::{Error, Result, certificate};
use bytes::Bytes;
use contract::{Code, Problem};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use std::{path::Path, pin::Pin, time::Duration};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one ACME server.
pub(super) struct Client(reqwest::Client);

impl Client {
    /// Believes the authorities of the file, or the system's without one.
    ///
    /// # Errors
    /// `Invalid` when the file cannot be read or holds no certificate.
    pub(super) async fn new(root: Option<&Path>) -> Result<Self> {
        certificate::ensure_provider();
        let mut client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(root) = root {
            let unusable = |why: String| {
                Problem::new(Code::Invalid, format!("{} cannot be used: {why}.", root.display()))
                    .remedy("Let CLAWLOOPS_ACME_ROOT name a PEM file with the certificates that the ACME server's own one is signed by.")
            };
            let pem = tokio::fs::read(root).await.map_err(|error| unusable(error.to_string()))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            client = client.tls_certs_only(roots);
        }
        Ok(Self(client.build().map_err(|error| Error::internal("preparing to speak to the ACME server", error))?))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.0.clone();
        Box::pin(async move {
            let failed = |error: reqwest::Error| instant_acme::Error::Other(Box::new(error));
            let (head, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let asked = client.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
            let answer: http::Response<reqwest::Body> = asked.send().await.map_err(failed)?.into();
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(failed)?.to_bytes();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
