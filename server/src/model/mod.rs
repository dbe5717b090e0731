//! MODEL: the credential proxy: keys, the catalog, reservations, streaming, metering, LiteLLM, the vault.

/// The model service.
pub struct Service;
