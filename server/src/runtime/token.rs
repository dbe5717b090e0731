//! The key that a runtime calls models with: derived, so that a configuration written twice carries one key.

use super::checksum;
use contract::RuntimeId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

/// What every runtime's key begins with.
pub const PREFIX: &str = "cl_rt_";
/// How long its public part is: hexadecimal digits.
pub const PUBLIC_LENGTH: usize = 20;
/// How long its secret part is, without the checksum: hexadecimal digits.
pub const SECRET_LENGTH: usize = 64;

/// A runtime's model key.
pub struct RuntimeKey {
    /// The part that may be known: rows and logs tell keys apart by it.
    pub public_id: String,
    /// The part that proves it; only its SHA-256 is stored.
    pub secret: SecretString,
    /// `cl_rt_<public_id>_<secret><checksum>`, as it stands in the runtime's configuration.
    pub whole: SecretString,
}

/// The key of this runtime's container of this revision, after it was rotated `number` times. `root` is derived from the master key for this purpose alone.
#[must_use]
pub fn derive(root: &[u8; 32], runtime_id: RuntimeId, revision: i64, number: i64) -> RuntimeKey {
    let of = |part| keyed(root, part, runtime_id, revision, number);
    let public_id = hex(&of("public")[..PUBLIC_LENGTH / 2]);
    let secret = hex(&of("secret"));
    let mut whole = format!("{PREFIX}{public_id}_{secret}");
    whole.push_str(&checksum::of(&whole));
    RuntimeKey { public_id, secret: SecretString::from(secret), whole: SecretString::from(whole) }
}

fn keyed(root: &[u8; 32], part: &str, runtime_id: RuntimeId, revision: i64, number: i64) -> [u8; 32] {
    // A short key is padded with zeros to the block: RFC 2104.
    let mut block = [0; 64];
    block[..32].copy_from_slice(root);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(part.as_bytes());
    mac.update(runtime_id.0.as_bytes());
    mac.update(&revision.to_be_bytes());
    // The first one as it was before keys could be rotated: what ran then runs on.
    if number != 0 {
        mac.update(&number.to_be_bytes());
    }
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

    fn whole(root: u8, id: u128, revision: i64, number: i64) -> String {
        derive(&[root; 32], RuntimeId(uuid::Uuid::from_u128(id)), revision, number).whole.expose_secret().to_owned()
    }

    #[test]
    fn the_same_container_has_the_same_key_until_it_is_rotated_and_another_has_another() {
        let one = whole(1, 7, 1, 0);
        assert_eq!(one, whole(1, 7, 1, 0));
        for other in [whole(1, 7, 2, 0), whole(2, 7, 1, 0), whole(1, 8, 1, 0), whole(1, 7, 1, 1), whole(1, 7, 1, 2)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn it_bears_a_checksum_behind_what_it_always_was() {
        let key = derive(&[1; 32], RuntimeId(uuid::Uuid::from_u128(7)), 1, 0);
        let (public_id, secret) = (&key.public_id, key.secret.expose_secret());
        assert_eq!((public_id.len(), secret.len()), (PUBLIC_LENGTH, SECRET_LENGTH));
        let text = format!("cl_rt_{public_id}_{secret}");
        assert_eq!(key.whole.expose_secret(), format!("{text}{}", checksum::of(&text)));
        // A runtime that was started before keys could be rotated holds this one.
        assert_eq!(text, "cl_rt_5fb864285b425920ea4f_83088c2ca22a0de63d190e5d0e147247d0c72cb87b338be33565c4a9aaf8507f");
    }
}
