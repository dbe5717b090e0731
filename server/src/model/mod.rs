//! MODEL: the credential proxy: keys, the catalog, reservations, streaming, metering, LiteLLM, the vault.
