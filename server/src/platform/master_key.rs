//! The master key: seals what must be read back, and gives other keys by derivation. Lost, sealed provider secrets are lost with it.

use crate::{Error, Result, config::Config, data};
use contract::{Code, Problem};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const CHECK: &str = "master_key_check";

/// 256 bits that never leave this type; see [`MasterKey::derive`].
pub struct MasterKey(SecretBox<[u8; 32]>);

impl MasterKey {
    /// From the configuration, or from `<data_dir>/master.key`, which is made on first use and readable by its owner alone.
    ///
    /// # Errors
    /// When the key is not 64 hex digits, or the file cannot be read or made.
    pub fn load(config: &Config) -> Result<Self> {
        if let Some(hex) = &config.data.master_key {
            return Self::read(hex.expose_secret(), "CLAWLOOPS_MASTER_KEY");
        }
        let path = config.data.data_dir.join("master.key");
        let place = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(hex) => Self::read(&hex, &place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bits = [0u8; 32];
                getrandom::fill(&mut bits).map_err(|error| Error::internal("drawing random bits", error))?;
                make(&path, &hex(&bits)).map_err(|error| Error::internal(format!("making the master key {place}"), error))?;
                tracing::info!(path = place, "made the master key; keep a copy of it apart from the database");
                Ok(Self(SecretBox::new(Box::new(bits))))
            }
            Err(error) => Err(Error::internal(format!("reading the master key {place}"), error)),
        }
    }

    fn read(hex: &str, place: &str) -> Result<Self> {
        let wrong = || Error::internal(format!("{place} must be 64 hex digits"), "a different form was found");
        let hex = hex.trim();
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(wrong());
        }
        let mut bits = [0u8; 32];
        for (byte, digits) in bits.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(SecretBox::new(Box::new(bits))))
    }

    /// A key for one purpose: HMAC-SHA256 of the purpose under the master key. Knowing one tells nothing of another.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("any length");
        hmac.update(purpose.as_bytes());
        hmac.finalize().into_bytes().into()
    }

    /// Tells whether the database was written under this key, and notes it on first use.
    ///
    /// # Errors
    /// `Conflict` when it was written under another key: going on would seal some secrets with one and some with the other.
    pub async fn check(&self, pool: &data::Pool) -> Result<()> {
        let mine = hex(&self.derive(CHECK));
        let mut tx = data::begin(pool).await?;
        let noted = data::setting::put_if_missing(&mut tx, CHECK, &mine).await?;
        tx.commit().await?;
        if noted == mine {
            return Ok(());
        }
        Err(Problem::new(Code::Conflict, "The master key is not the one that this database was written under.")
            .remedy("Put the right master.key back into the data directory, or set CLAWLOOPS_MASTER_KEY.")
            .into())
    }
}

fn make(path: &Path, hex: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // Written whole under another name first: a crash leaves no half key behind. `create_new` never follows a link that somebody laid there.
    let draft = path.with_extension("key.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{hex}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn hex(bits: &[u8]) -> String {
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::MasterKey;
    use crate::config::Config;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests();
        config.data.data_dir = folder.path().join("deep/data");
        let first = MasterKey::load(&config).unwrap();
        let path = config.data.data_dir.join("master.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = MasterKey::load(&config).unwrap();
        assert_eq!(first.derive("vault"), again.derive("vault"));
        assert_ne!(first.derive("vault"), first.derive("runtime"));

        std::fs::write(&path, "short").unwrap();
        assert!(MasterKey::load(&config).is_err(), "a damaged key is said, never replaced");
        config.data.master_key = Some("00".repeat(32).into());
        assert_ne!(MasterKey::load(&config).unwrap().derive("vault"), first.derive("vault"));
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn another_key_is_refused(pool: crate::data::Pool) {
        let mut config = Config::for_tests();
        config.data.master_key = Some("00".repeat(32).into());
        MasterKey::load(&config).unwrap().check(&pool).await.unwrap();
        MasterKey::load(&config).unwrap().check(&pool).await.unwrap();
        config.data.master_key = Some("01".repeat(32).into());
        assert!(MasterKey::load(&config).unwrap().check(&pool).await.is_err());
    }
}
