//! The vault: providers' secrets, sealed at rest and opened in this module alone.

use crate::{Error, Result};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use contract::ProviderId;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Length of a nonce: random ones need no counting at this length.
const NONCE: usize = 24;

/// Seals with one key. The key's id and the row's id are bound into each seal: a secret cannot be moved to another row.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl Vault {
    /// A vault with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::digest([b"clawloops vault key id", key.as_slice()].concat());
        let key_id = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { cipher: XChaCha20Poly1305::new(key.into()), key_id }
    }

    /// Names the key without telling it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals a provider's secret.
    pub fn seal(&self, row: ProviderId, secret: &str) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| Error::internal("taking random bytes for a seal", error))?;
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: secret.as_bytes(), aad: &self.bound_to(row) })
            .map_err(|_| Error::internal("sealing a secret", "the cipher failed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made. An error when it was sealed with another key, for another row, or changed.
    pub fn open(&self, row: ProviderId, key_id: &str, sealed: &[u8]) -> Result<SecretString> {
        const OPENING: &str = "opening a provider's secret";
        if key_id != self.key_id {
            return Err(Error::internal(OPENING, "it was sealed with another master key"));
        }
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(|| Error::internal(OPENING, "it is too short"))?;
        let plain = self
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &self.bound_to(row) })
            .map_err(|_| Error::internal(OPENING, "it was changed, or belongs to another provider"))?;
        String::from_utf8(plain).map(SecretString::from).map_err(|error| Error::internal(OPENING, error))
    }

    fn bound_to(&self, row: ProviderId) -> Vec<u8> {
        [self.key_id.as_bytes(), row.0.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_seal_opens_for_its_row_and_key_alone() {
        let vault = Vault::new(&[7; 32]);
        let row = ProviderId(uuid::Uuid::from_u128(1));
        let sealed = vault.seal(row, "sk-very-secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, vault.seal(row, "sk-very-secret").unwrap(), "a nonce is never used twice");
        assert_eq!(vault.open(row, vault.key_id(), &sealed).unwrap().expose_secret(), "sk-very-secret");

        assert!(vault.open(ProviderId(uuid::Uuid::from_u128(2)), vault.key_id(), &sealed).is_err(), "another row");
        let other = Vault::new(&[8; 32]);
        assert!(other.open(row, vault.key_id(), &sealed).is_err(), "another key");
        assert!(other.open(row, other.key_id(), &sealed).is_err(), "another key under a forged id");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(vault.open(row, vault.key_id(), &changed).is_err(), "a changed seal");
        assert!(vault.open(row, vault.key_id(), &sealed[..10]).is_err(), "a cut seal");
    }
}
