//! The key that a runtime calls models with: derived, so that a container made twice for one revision carries one key.

use contract::RuntimeId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

/// What every runtime's key begins with.
pub const PREFIX: &str = "cl_rt_";

/// A runtime's model key.
pub struct RuntimeKey {
    /// The part that may be known: rows and logs tell keys apart by it.
    pub public_id: String,
    /// The part that proves it; only its SHA-256 is stored.
    pub secret: SecretString,
    /// `cl_rt_<public_id>_<secret>`, as it stands in the runtime's environment.
    pub whole: SecretString,
}

/// The key of this runtime at this revision. `root` is derived from the master key for this purpose alone.
#[must_use]
pub fn derive(root: &[u8; 32], runtime_id: RuntimeId, revision: i64) -> RuntimeKey {
    let public_id = hex(&keyed(root, "public", runtime_id, revision)[..10]);
    let secret = hex(&keyed(root, "secret", runtime_id, revision));
    let whole = SecretString::from(format!("{PREFIX}{public_id}_{secret}"));
    RuntimeKey { public_id, secret: SecretString::from(secret), whole }
}

fn keyed(root: &[u8; 32], part: &str, runtime_id: RuntimeId, revision: i64) -> [u8; 32] {
    // A short key is padded with zeros to the block: RFC 2104.
    let mut block = [0; 64];
    block[..32].copy_from_slice(root);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(part.as_bytes());
    mac.update(runtime_id.0.as_bytes());
    mac.update(&revision.to_be_bytes());
    mac.finalize().into_bytes().into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn the_same_revision_has_the_same_key_and_another_has_another() {
        let id = RuntimeId(uuid::Uuid::from_u128(7));
        let one = derive(&[1; 32], id, 1);
        assert_eq!(one.whole.expose_secret(), derive(&[1; 32], id, 1).whole.expose_secret());
        assert_ne!(one.public_id, derive(&[1; 32], id, 2).public_id);
        assert_ne!(one.secret.expose_secret(), derive(&[2; 32], id, 1).secret.expose_secret());
        assert_ne!(one.secret.expose_secret(), derive(&[1; 32], RuntimeId(uuid::Uuid::from_u128(8)), 1).secret.expose_secret());
        assert_eq!(one.whole.expose_secret(), format!("cl_rt_{}_{}", one.public_id, one.secret.expose_secret()));
    }
}
