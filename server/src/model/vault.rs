//! The vault: providers' secrets, sealed at rest and opened in this module alone.

use crate::{
    Error, Result,
    platform::{keyring::Keyring, master_key::MasterKey},
};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use contract::ProviderId;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;

/// Length of a nonce: random ones need no counting at this length.
const NONCE: usize = 24;

/// Seals with the present master key, and opens with each that is here. The key's id and the row's id are bound into each seal: a secret cannot be moved
/// to another row.
pub struct Vault(Arc<Keyring>);

impl Vault {
    /// A vault with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }

    /// Names the key that seals.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.0.present().map_or_else(|_| String::new(), |key| key.id().to_owned())
    }

    /// Seals a provider's secret.
    pub fn seal(&self, row: ProviderId, secret: &str) -> Result<Vec<u8>> {
        let present = self.0.present()?;
        seal(&present, row, secret)
    }

    /// Opens what [`Self::seal`] made. An error when its key is not here, it was sealed for another row, or changed.
    pub fn open(&self, row: ProviderId, key_id: &str, sealed: &[u8]) -> Result<SecretString> {
        let named = match self.0.find(key_id) {
            Ok(key) => open(&key, row, sealed),
            Err(error) => Err(error),
        };
        // Sealed while the key was rotated, it may bear the other one's name.
        named.or_else(|error| self.0.all().iter().find_map(|key| open(key, row, sealed).ok()).ok_or(error))
    }

    /// Seals a secret anew with the present key: the key's id and the seal. None where it is sealed with that already, which is tried and not believed.
    pub fn seal_anew(&self, row: ProviderId, key_id: &str, sealed: &[u8]) -> Result<Option<(String, Vec<u8>)>> {
        let present = self.0.present()?;
        if present.id() == key_id && open(&present, row, sealed).is_ok() {
            return Ok(None);
        }
        let secret = self.open(row, key_id, sealed)?;
        Ok(Some((present.id().to_owned(), seal(&present, row, secret.expose_secret())?)))
    }
}

fn seal(key: &MasterKey, row: ProviderId, secret: &str) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|error| Error::internal("taking random bytes for a seal", error))?;
    let sealed = XChaCha20Poly1305::new(key.vault().into())
        .encrypt(&XNonce::from(nonce), Payload { msg: secret.as_bytes(), aad: &bound_to(key, row) })
        .map_err(|_| Error::internal("sealing a secret", "the cipher failed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens a seal of this key alone.
pub(super) fn open(key: &MasterKey, row: ProviderId, sealed: &[u8]) -> Result<SecretString> {
    const OPENING: &str = "opening a provider's secret";
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(|| Error::internal(OPENING, "it is too short"))?;
    let plain = XChaCha20Poly1305::new(key.vault().into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound_to(key, row) })
        .map_err(|_| Error::internal(OPENING, "it was changed, belongs to another provider, or was sealed with another master key"))?;
    String::from_utf8(plain).map(SecretString::from).map_err(|error| Error::internal(OPENING, error))
}

fn bound_to(key: &MasterKey, row: ProviderId) -> Vec<u8> {
    [key.id().as_bytes(), row.0.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(keys: &[u8]) -> Vault {
        Vault::new(Keyring::of(&keys.iter().map(|byte| [*byte; 32]).collect::<Vec<_>>()))
    }

    fn row(id: u128) -> ProviderId {
        ProviderId(uuid::Uuid::from_u128(id))
    }

    #[test]
    fn a_seal_opens_for_its_row_and_key_alone() {
        let vault_7 = vault(&[7]);
        let sealed = vault_7.seal(row(1), "sk-very-secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, vault_7.seal(row(1), "sk-very-secret").unwrap(), "a nonce is never used twice");
        assert_eq!(vault_7.open(row(1), &vault_7.key_id(), &sealed).unwrap().expose_secret(), "sk-very-secret");

        assert!(vault_7.open(row(2), &vault_7.key_id(), &sealed).is_err(), "another row");
        let other = vault(&[8]);
        let problem = other.open(row(1), &vault_7.key_id(), &sealed).unwrap_err().into_problem();
        assert!(problem.message.contains(&vault_7.key_id()) && problem.remedy.is_some(), "which key is missing is said: {problem:?}");
        assert!(other.open(row(1), &other.key_id(), &sealed).is_err(), "another key under a forged id");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(vault_7.open(row(1), &vault_7.key_id(), &changed).is_err(), "a changed seal");
        assert!(vault_7.open(row(1), &vault_7.key_id(), &sealed[..10]).is_err(), "a cut seal");
    }

    #[test]
    fn what_is_under_an_older_key_opens_and_is_sealed_anew_with_the_present_one() {
        let (old, both) = (vault(&[7]), vault(&[8, 7]));
        let sealed = old.seal(row(1), "sk-very-secret").unwrap();
        assert_eq!(both.open(row(1), &old.key_id(), &sealed).unwrap().expose_secret(), "sk-very-secret");
        let (key_id, anew) = both.seal_anew(row(1), &old.key_id(), &sealed).unwrap().unwrap();
        assert_eq!(key_id, both.key_id());
        assert_eq!(vault(&[8]).open(row(1), &key_id, &anew).unwrap().expose_secret(), "sk-very-secret");
        assert!(old.open(row(1), &key_id, &anew).is_err());
        assert!(both.seal_anew(row(1), &key_id, &anew).unwrap().is_none(), "once is enough");

        // Under a wrong name it opens while its key is here, and gets the right one.
        assert_eq!(both.open(row(1), &key_id, &sealed).unwrap().expose_secret(), "sk-very-secret");
        let (key_id, anew) = both.seal_anew(row(1), &key_id, &sealed).unwrap().unwrap();
        assert_eq!(vault(&[8]).open(row(1), &key_id, &anew).unwrap().expose_secret(), "sk-very-secret");
        assert!(vault(&[8]).seal_anew(row(1), &old.key_id(), &sealed).is_err(), "without its key it stays as it is");
    }

    #[test]
    fn a_seal_of_before_keys_were_rotated_opens() {
        // Made by a version that knew one key: XChaCha20-Poly1305 under HMAC-SHA256(master key, "vault"), with both ids as associated data.
        let key = MasterKey::new([7; 32]);
        let aad = [key.id().as_bytes(), row(1).0.as_bytes()].concat();
        let sealed =
            XChaCha20Poly1305::new(key.vault().into()).encrypt(&XNonce::from([5; NONCE]), Payload { msg: b"sk-old", aad: &aad }).unwrap();
        let whole = [[5; NONCE].as_slice(), &sealed].concat();
        assert_eq!(vault(&[7]).open(row(1), key.id(), &whole).unwrap().expose_secret(), "sk-old");
    }
}
