//! Passwords as argon2id hashes. Hashing costs 19 MiB and tens of milliseconds, so only a few run at once, off the async threads.

use crate::{Error, Result};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes and verifies, a few at a time.
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified against when there is no such person, so that the answer takes as long.
    nobody: String,
}

impl Passwords {
    /// As many turns as half the cores: a flood of sign-ins leaves the other half to everyone else.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self { turns: Arc::new(Semaphore::new(cores.div_ceil(2))), nobody: hash("nobody's password")? })
    }

    /// The argon2id hash in PHC form, with OWASP's parameters (19 MiB, two passes) and a random salt.
    ///
    /// # Errors
    /// When the machine has neither memory nor randomness to give.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await
    }

    /// Whether the password is the one that was hashed.
    ///
    /// # Errors
    /// When the stored hash cannot be read.
    pub async fn verify(&self, password: &str, hashed: &str) -> Result<bool> {
        let (password, hashed) = (password.to_owned(), hashed.to_owned());
        self.in_turn(move || verify(&password, &hashed)).await
    }

    /// Does the work of [`Self::verify`] for a person who does not exist. The answer is always no.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub async fn verify_nobody(&self, password: &str) -> Result<bool> {
        self.verify(password, &self.nobody).await.map(|_| false)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| Error::internal("waiting for a turn to hash", error))?;
        // The turn moves into the work: a caller that hangs up does not free it while the core is still busy.
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|error| Error::internal("hashing a password", error))?
    }
}

fn hash(password: &str) -> Result<String> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| Error::internal("hashing a password", error))
}

fn verify(password: &str, hashed: &str) -> Result<bool> {
    let hashed = PasswordHash::new(hashed).map_err(|error| Error::internal("reading a password hash", error))?;
    match Argon2::default().verify_password(password.as_bytes(), &hashed) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(Error::internal("verifying a password", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::Passwords;

    #[tokio::test]
    async fn only_the_same_password_verifies_and_the_hash_is_argon2id_as_owasp_asks() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse battery").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse battery", &hash).await.unwrap());
        assert!(!passwords.verify("correct horse batterz", &hash).await.unwrap());
        assert!(!passwords.verify_nobody("nobody's password").await.unwrap());
        assert_ne!(hash, passwords.hash("correct horse battery").await.unwrap(), "every hash has its own salt");
        assert!(passwords.verify("x", "not a hash").await.is_err());
    }
}
