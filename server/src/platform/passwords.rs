//! Passwords: argon2id.

/// Hashes and verifies passwords.
pub struct Passwords;
