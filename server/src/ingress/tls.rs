//! TLS at the listener: the certificate of the moment, and the eye on where it comes from.

use crate::{
    Result,
    certificate::{self, Pair, source::Source},
    clock::Clock,
    error::chain,
};
use rustls::{
    ServerConfig,
    crypto::ring::Ticketer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often its source is asked again.
pub const LOOK: Duration = Duration::from_secs(5);

/// The certificate that is shown, until its source has another one that can be used.
pub struct Certificates {
    source: Source,
    present: RwLock<Pair>,
}

impl Certificates {
    /// Asks for the first one.
    ///
    /// # Errors
    /// As of [`Source::read`]: there is nothing to go on with then.
    pub async fn open(source: impl Into<Source>) -> Result<Arc<Self>> {
        let source = source.into();
        let present = RwLock::new(source.read().await?);
        Ok(Arc::new(Self { source, present }))
    }

    /// How this server speaks TLS: version 1.2 or 1.3, HTTP/2 where the browser has it, HTTP/1.1 otherwise and for WebSockets.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn listener(self: &Arc<Self>) -> Result<Arc<ServerConfig>> {
        let failed = |error: rustls::Error| crate::Error::internal("preparing TLS", error);
        let mut config = ServerConfig::builder_with_provider(certificate::provider())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A browser that comes back need not shake hands in full.
        config.ticketer = Ticketer::new().map_err(failed)?;
        Ok(Arc::new(config))
    }

    /// Shows what its source has now. The answer is whether that is another certificate.
    ///
    /// # Errors
    /// When it cannot be used: the one before stays.
    pub async fn renew(&self) -> Result<bool> {
        let pair = self.source.read().await?;
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let other = pair.digest != present.digest;
        if other {
            *present = pair;
        }
        Ok(other)
    }

    fn present(&self) -> Pair {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Certificates").field("source", &self.source.place()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present().key)
    }
}

/// Asks again every [`LOOK`] until `stop`. What cannot be used is said once, and not again until it is something else.
pub async fn follow(certificates: Arc<Certificates>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    say(&certificates.present(), clock.as_ref());
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        match certificates.renew().await {
            Ok(renewed) => {
                said.clear();
                if renewed {
                    tracing::info!(path = certificates.source.place(), "another certificate is shown from now on");
                    say(&certificates.present(), clock.as_ref());
                }
            }
            Err(error) => {
                let error = chain(&error);
                if error != said {
                    tracing::error!(error, "the certificate was changed and cannot be used; the one before is shown on");
                    said = error;
                }
            }
        }
    }
}

/// Says until when a certificate is good, and warns of one that is not.
fn say(pair: &Pair, clock: &dyn Clock) {
    let Some((from, until)) = pair.own().and_then(certificate::validity) else { return };
    let now = clock.now();
    if from > now || until <= now {
        tracing::warn!(%from, %until, "the certificate is not good now; browsers will refuse it");
    } else {
        tracing::info!(%until, "serving https");
    }
}
