//! Where the certificate comes from that this server shows.

use super::{Files, Pair, authority::Authority};
use crate::{Result, clock::Clock, config::Config};
use std::sync::Arc;

/// Whoever makes certificates for this server. Each is asked again every few seconds, and what it gives is shown from the next connection on.
#[derive(Clone)]
pub enum Source {
    /// Somebody else, who writes files.
    Files(Files),
    /// ClawLoops itself.
    Own(Arc<Authority>),
}

impl Source {
    /// The one that the settings name; none where this server speaks plain http.
    #[must_use]
    pub fn named(config: &Config, clock: Arc<dyn Clock>) -> Option<Self> {
        Files::named(&config.entry).map(Self::Files).or_else(|| Authority::named(config, clock).map(Self::Own))
    }

    /// The certificate of the moment with its key; made anew where that is ours to do.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub async fn read(&self) -> Result<Pair> {
        match self {
            Self::Files(files) => super::read(files).await,
            Self::Own(authority) => authority.pair().await,
        }
    }

    /// The same without making anything; none where none was made yet.
    ///
    /// # Errors
    /// As of [`Source::read`].
    pub async fn look(&self) -> Result<Option<Pair>> {
        match self {
            Self::Files(files) => super::read(files).await.map(Some),
            Self::Own(authority) => Ok(authority.look().await?.and_then(|(_, pair)| pair)),
        }
    }

    /// Where it lies, for the log.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Files(files) => files.certificate.display().to_string(),
            Self::Own(authority) => authority.folder().display().to_string(),
        }
    }
}

impl From<Files> for Source {
    fn from(files: Files) -> Self {
        Self::Files(files)
    }
}
