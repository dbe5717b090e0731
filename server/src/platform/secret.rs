//! Tokens for cookies and links: 256 random bits, of which the database keeps only a hash.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;

/// A random token in its url-safe form, 43 characters. It is shown or sent once and never stored.
pub struct Token(String);

impl Token {
    /// A new token of 256 bits from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> crate::Result<Self> {
        let mut bits = [0u8; 32];
        getrandom::fill(&mut bits).map_err(|error| crate::Error::internal("drawing random bits", error))?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }

    /// The text that goes into the cookie or the link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the database keeps.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash_of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// SHA-256 of a token that came back. A plain hash is enough: 256 random bits cannot be guessed from it, unlike a password.
#[must_use]
pub fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{Token, hash_of};

    #[test]
    fn tokens_differ_fit_into_a_link_and_are_found_by_their_hash() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(one.as_str().len(), 43);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(one.hash(), hash_of(one.as_str()));
        assert_eq!(format!("{one:?}"), "Token(…)");
    }
}
