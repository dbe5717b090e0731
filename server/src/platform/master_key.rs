//! The master key: seals what must be read back, and gives other keys by derivation. Lost, sealed provider secrets are lost with it.
//!
//! On the disk it is `<data_dir>/master.key`; those before it are the lines of `<data_dir>/master.key.old`, the newest first. In the environment it is
//! `CLAWLOOPS_MASTER_KEY`, and those before it are in `CLAWLOOPS_MASTER_KEY_OLD`.

use crate::{
    Error, Result,
    config::{Config, Data},
};
use contract::{Code, Problem};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The newest, in one line.
const NEWEST: &str = "master.key";
/// The others, one a line.
const OLDER: &str = "master.key.old";

/// 256 bits that never leave this type, and the keys for single purposes that are derived from them.
pub struct MasterKey {
    bits: SecretBox<[u8; 32]>,
    vault: SecretBox<[u8; 32]>,
    runtimes: SecretBox<[u8; 32]>,
    assertions: SecretBox<[u8; 32]>,
    cookies: SecretBox<[u8; 32]>,
    id: String,
}

impl MasterKey {
    /// The key with these bits.
    #[must_use]
    pub fn new(bits: [u8; 32]) -> Self {
        let of = |purpose: &str| Box::new(derive(&bits, purpose));
        let (vault, runtimes) = (SecretBox::new(of("vault")), SecretBox::new(of("runtime-key")));
        let (assertions, cookies) = (SecretBox::new(of("assertion")), SecretBox::new(of("runtime-cookie")));
        let digest = Sha256::digest([b"clawloops vault key id", vault.expose_secret().as_slice()].concat());
        Self { id: hex(&digest[..6]), bits: SecretBox::new(Box::new(bits)), vault, runtimes, assertions, cookies }
    }

    /// Draws a new one.
    fn draw() -> Result<Self> {
        let mut bits = [0u8; 32];
        getrandom::fill(&mut bits).map_err(|error| Error::internal("drawing random bits", error))?;
        Ok(Self::new(bits))
    }

    /// Names the key without telling it: 12 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the database keeps to know it again: 64 hex digits that do not tell it.
    #[must_use]
    pub fn check(&self) -> String {
        hex(&derive(self.bits.expose_secret(), "master_key_check"))
    }

    /// Seals the providers' secrets.
    #[must_use]
    pub fn vault(&self) -> &[u8; 32] {
        self.vault.expose_secret()
    }

    /// The root of the runtimes' model keys.
    #[must_use]
    pub fn runtimes(&self) -> &[u8; 32] {
        self.runtimes.expose_secret()
    }

    /// The seed of the key that signs what forward auth asserts.
    #[must_use]
    pub fn assertions(&self) -> &[u8; 32] {
        self.assertions.expose_secret()
    }

    /// Proves which runtime set a cookie, where runtimes share a host.
    #[must_use]
    pub fn cookies(&self) -> &[u8; 32] {
        self.cookies.expose_secret()
    }

    fn parse(text: &str, place: &str) -> Result<Self> {
        let wrong = || Error::internal(format!("{place} must be 64 hex digits"), "a different form was found");
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bits = [0u8; 32];
        for (byte, digits) in bits.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self::new(bits))
    }
}

/// A key for one purpose: HMAC-SHA256 of the purpose under the master key. Knowing one tells nothing of another.
fn derive(bits: &[u8; 32], purpose: &str) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut hmac = Hmac::<Sha256>::new_from_slice(bits).expect("any length");
    hmac.update(purpose.as_bytes());
    hmac.finalize().into_bytes().into()
}

/// All master keys that the settings lead to, the newest first, each once. None where none was made yet.
///
/// # Errors
/// When one is not 64 hex digits, a file cannot be read, or only older ones are there.
pub fn read(data: &Data) -> Result<Vec<MasterKey>> {
    let mut keys = match &data.master_key {
        Some(text) => vec![MasterKey::parse(text.expose_secret(), "CLAWLOOPS_MASTER_KEY")?],
        None => files(&data.data_dir)?,
    };
    let named = data.master_key_old.as_ref().map_or("", |text| text.expose_secret());
    for text in named.split(',').filter(|text| !text.trim().is_empty()) {
        if keys.is_empty() {
            return Err(only_older(&data.data_dir));
        }
        keys.push(MasterKey::parse(text, "each key of CLAWLOOPS_MASTER_KEY_OLD")?);
    }
    Ok(each_once(keys))
}

/// As [`read`], but the first key is made where there is none, readable by its owner alone.
///
/// # Errors
/// As of [`read`], or when it cannot be made.
pub fn read_or_make(config: &Config) -> Result<Vec<MasterKey>> {
    let keys = read(&config.data)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let folder = &config.data.data_dir;
    let failed = |error: io::Error| Error::internal(format!("making the master key in {}", folder.display()), error);
    fs::create_dir_all(folder).map_err(failed)?;
    let _lock = lock(folder).map_err(failed)?;
    // Another server may have been first.
    let keys = files(folder)?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    let key = MasterKey::draw()?;
    write(folder, NEWEST, &[&key]).map_err(failed)?;
    tracing::info!(path = %folder.join(NEWEST).display(), "made the master key; keep a copy of it apart from the database");
    Ok(vec![key])
}

/// Makes a new newest key in the data directory; the one before it is kept among the older ones. The answer is the ids of both: the new one's first.
///
/// First what was the newest is written to the older ones, then the new one takes its place. So whenever this is cut off, every key that was there still
/// is, and the new one is used by nobody before it is on the disk.
///
/// # Errors
/// When there is no key yet, the key comes from the environment, or a file cannot be written.
pub fn rotate(data: &Data) -> Result<(String, String)> {
    from_files(
        data,
        "Make a key (openssl rand -hex 32), and start each server with it in CLAWLOOPS_MASTER_KEY and the one before it in CLAWLOOPS_MASTER_KEY_OLD.",
    )?;
    let folder = &data.data_dir;
    let failed = |error: io::Error| Error::internal(format!("rotating the master key in {}", folder.display()), error);
    let none = || -> Error {
        Problem::new(Code::NotFound, format!("There is no master key in {} to be rotated.", folder.display()))
            .remedy("The first start of clawloops serve makes one. CLAWLOOPS_DATA_DIR names another data directory.")
            .into()
    };
    if !folder.join(NEWEST).exists() {
        return Err(none());
    }
    let _lock = lock(folder).map_err(failed)?;
    let keys = files(folder)?;
    let before = keys.first().ok_or_else(none)?;
    write(folder, OLDER, &keys.iter().collect::<Vec<_>>()).map_err(failed)?;
    let key = MasterKey::draw()?;
    write(folder, NEWEST, &[&key]).map_err(failed)?;
    Ok((key.id().to_owned(), before.id().to_owned()))
}

/// Removes the older keys from the data directory, if `newest` is still the newest.
///
/// # Errors
/// When it is not, the keys come from the environment, or the file cannot be removed.
pub fn remove_older(data: &Data, newest: &str) -> Result<()> {
    from_files(data, "Start each server without CLAWLOOPS_MASTER_KEY_OLD.")?;
    let folder = &data.data_dir;
    let failed = |error: io::Error| Error::internal(format!("removing older master keys from {}", folder.display()), error);
    let _lock = lock(folder).map_err(failed)?;
    if files(folder)?.first().is_none_or(|key| key.id() != newest) {
        return Err(Error::problem(Code::Conflict, "The master key was rotated once more in this moment. Nothing was removed."));
    }
    match fs::remove_file(folder.join(OLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
    }
}

/// Keys of the environment are their operator's to change.
fn from_files(data: &Data, remedy: &str) -> Result<()> {
    if data.master_key.is_none() && data.master_key_old.is_none() {
        return Ok(());
    }
    Err(Problem::new(Code::Conflict, "The master key comes from the environment, and is not changed here.").remedy(remedy).into())
}

/// The keys of a data directory, the newest first.
fn files(folder: &Path) -> Result<Vec<MasterKey>> {
    let text = |name: &str| match fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal(format!("reading {}", folder.join(name).display()), error)),
    };
    let place = |name: &str| folder.join(name).display().to_string();
    // The older ones are read last: a key that is on its way there is in both, and never in neither.
    let newest = text(NEWEST)?;
    let older = text(OLDER)?;
    let Some(newest) = newest else {
        return if older.is_some() { Err(only_older(folder)) } else { Ok(Vec::new()) };
    };
    let mut keys = vec![MasterKey::parse(&newest, &place(NEWEST))?];
    for line in older.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
        keys.push(MasterKey::parse(line, &format!("each line of {}", place(OLDER)))?);
    }
    Ok(each_once(keys))
}

fn only_older(folder: &Path) -> Error {
    Problem::new(Code::Conflict, format!("There are older master keys, and no newest one in {}.", folder.display()))
        .remedy("Put master.key back; where it is lost, the first line of master.key.old may take its place.")
        .into()
}

fn each_once(keys: Vec<MasterKey>) -> Vec<MasterKey> {
    let mut once: Vec<MasterKey> = Vec::new();
    for key in keys {
        if once.iter().all(|known| known.id != key.id) {
            once.push(key);
        }
    }
    once
}

/// One at a time changes the keys of a data directory. Ends with the handle, or with the process.
fn lock(folder: &Path) -> io::Result<fs::File> {
    let folder = fs::File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

fn write(folder: &Path, name: &str, keys: &[&MasterKey]) -> io::Result<()> {
    // Written whole under another name first: a crash leaves no half key behind. `create_new` never follows a link that somebody laid there.
    let draft = folder.join(format!("{name}.new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    for key in keys {
        writeln!(file, "{}", hex(key.bits.expose_secret()))?;
    }
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    // The name is on the disk as well before anything relies on it.
    fs::File::open(folder)?.sync_all()
}

fn hex(bits: &[u8]) -> String {
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn settings(folder: &Path) -> Config {
        let mut config = Config::for_tests();
        config.data.data_dir = folder.to_owned();
        config
    }

    fn ids(data: &Data) -> Vec<String> {
        read(data).unwrap().iter().map(|key| key.id().to_owned()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_key_is_made_once_for_its_owner_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = settings(&folder.path().join("deep/data"));
        assert!(read(&config.data).unwrap().is_empty(), "looking makes none");
        let first = read_or_make(&config).unwrap().remove(0);
        let path = config.data.data_dir.join(NEWEST);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read_or_make(&config).unwrap()[0].id(), first.id());
        assert_ne!(first.vault(), first.runtimes());

        fs::write(&path, "short").unwrap();
        assert!(read_or_make(&config).is_err(), "a damaged key is said, never replaced");
        config.data.master_key = Some("00".repeat(32).into());
        assert_ne!(read_or_make(&config).unwrap()[0].id(), first.id());
    }

    #[test]
    fn what_is_derived_stays_what_it_was() {
        let key = MasterKey::new([7; 32]);
        // What earlier versions wrote beside each secret.
        assert_eq!(key.id(), "3fd0281145f5");
        assert_eq!(key.vault(), &derive(&[7; 32], "vault"));
        assert_eq!(key.runtimes(), &derive(&[7; 32], "runtime-key"));
        assert_eq!(key.check(), hex(&derive(&[7; 32], "master_key_check")));
    }

    #[test]
    fn a_rotation_keeps_the_key_before_it_and_loses_none_when_it_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let config = settings(folder.path());
        assert!(rotate(&config.data).is_err(), "there is nothing to rotate");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "and nothing is made");
        let first = read_or_make(&config).unwrap().remove(0);

        // Cut off after the older ones were written, and while the newest is: a draft is left behind.
        write(folder.path(), OLDER, &[&first]).unwrap();
        fs::write(folder.path().join("master.key.new"), "half").unwrap();
        assert_eq!(ids(&config.data), [first.id()], "one key, in two places");

        let (second, before) = rotate(&config.data).unwrap();
        assert_eq!(before, first.id());
        assert_eq!(ids(&config.data), [second.as_str(), first.id()]);
        assert_eq!((mode(&folder.path().join(NEWEST)), mode(&folder.path().join(OLDER))), (0o600, 0o600));
        let (third, _) = rotate(&config.data).unwrap();
        assert_eq!(ids(&config.data), [third.as_str(), second.as_str(), first.id()]);

        assert!(remove_older(&config.data, &second).is_err(), "it is not the newest any more");
        assert_eq!(ids(&config.data).len(), 3);
        remove_older(&config.data, &third).unwrap();
        remove_older(&config.data, &third).unwrap();
        assert_eq!(ids(&config.data), [third]);
    }

    #[test]
    fn older_keys_alone_are_said_and_a_new_one_is_never_made_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = settings(folder.path());
        read_or_make(&config).unwrap();
        rotate(&config.data).unwrap();
        fs::remove_file(folder.path().join(NEWEST)).unwrap();
        assert!(read_or_make(&config).is_err());
        assert!(!folder.path().join(NEWEST).exists());

        config.data.data_dir = folder.path().join("other");
        config.data.master_key_old = Some("01".repeat(32).into());
        assert!(read_or_make(&config).is_err());
    }

    #[test]
    fn keys_of_the_environment_are_read_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = settings(folder.path());
        config.data.master_key = Some("02".repeat(32).into());
        config.data.master_key_old = Some(format!("{}, {}\n,", "01".repeat(32), "02".repeat(32)).into());
        let [two, one] = [2, 1].map(|byte| MasterKey::new([byte; 32]).id().to_owned());
        assert_eq!(ids(&config.data), [two.clone(), one]);
        for refused in [rotate(&config.data).map(drop), remove_older(&config.data, &two)] {
            assert_eq!(refused.unwrap_err().into_problem().code, Code::Conflict);
        }
        config.data.master_key_old = Some("not a key".to_owned().into());
        let error = crate::error::chain(&read(&config.data).err().unwrap());
        assert!(error.contains("CLAWLOOPS_MASTER_KEY_OLD") && !error.contains("not a key"), "{error}");
    }
}
