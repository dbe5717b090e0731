//! What is kept of ACME, in a folder of the data directory that several servers of one installation share: the account, certificates with their keys,
//! answers to challenges that are under way, and what went wrong last.

use crate::{
    Error, Result,
    certificate::{self, Files, Pair},
};
use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The folder.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// Held by the one server that orders. Ends with the handle, or with the process.
pub(super) struct Turn {
    _file: fs::File,
}

impl Folder {
    /// Opens it, made where it is not there, for this account alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(data_dir: &Path) -> Result<Self> {
        let folder = Self(certificate::folder(data_dir));
        // The data directory itself as whoever made or will make it: PostgreSQL's account may have to pass through.
        fs::create_dir_all(data_dir).map_err(|error| folder.failed("making what is above", error))?;
        for path in [folder.0.clone(), folder.challenges()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| folder.failed("making", error))?;
        }
        Ok(folder)
    }

    /// The turn to order, unless another server has it.
    pub(super) fn turn(&self) -> Result<Option<Turn>> {
        let open = || fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.0.join("lock"));
        let file = open().map_err(|error| self.failed("opening", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(self.failed("locking", error)),
        }
    }

    /// The names that there are certificates for.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|error| self.failed("reading", error))? {
            let entry = entry.map_err(|error| self.failed("reading", error))?;
            names.extend(entry.file_name().to_str().and_then(|name| name.strip_suffix(certificate::KEPT)).map(str::to_owned));
        }
        Ok(names)
    }

    /// The certificate for this name.
    pub(super) async fn certificate(&self, name: &str) -> Result<Pair> {
        certificate::read(&Files::kept(&self.0, name)).await
    }

    /// Keeps a certificate and its key. What cannot be used, or is not for all of these names, is not kept.
    pub(super) async fn keep(&self, name: &str, text: &str, names: &[String]) -> Result<()> {
        // A name that is nobody's.
        const DRAFT: &str = "draft";
        self.write(&format!("{DRAFT}{}", certificate::KEPT), text.as_bytes())?;
        let drafted = Files::kept(&self.0, DRAFT);
        let pair = certificate::read(&drafted).await?;
        let fits = pair.own().is_some_and(|own| names.iter().all(|name| certificate::covers(own, &name.replace('*', "any"))));
        if !fits {
            return Err(Error::internal("keeping a certificate", format!("it is not for {}", names.join(" and "))));
        }
        fs::rename(&drafted.certificate, Files::kept(&self.0, name).certificate).map_err(|error| self.failed("writing", error))
    }

    /// What is kept of an account at this ACME server; none where there is no account yet.
    pub(super) fn account(&self, server: &str) -> Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(account(server))) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("reading", error)),
        }
    }

    /// Keeps an account.
    pub(super) fn keep_account(&self, server: &str, text: &[u8]) -> Result<()> {
        self.write(&account(server), text)
    }

    /// Answers a challenge from now on, at every server of this folder.
    pub(super) fn answer(&self, token: &str, answer: &str) -> Result<()> {
        if !is_token(token) {
            return Err(Error::internal("answering a challenge", format!("{token:?} is no token")));
        }
        self.write(&format!("challenges/{token}"), answer.as_bytes())
    }

    /// The answer to a challenge; none where none is under way.
    pub(super) async fn answer_of(&self, token: &str) -> Option<String> {
        if !is_token(token) {
            return None;
        }
        tokio::fs::read_to_string(self.challenges().join(token)).await.ok()
    }

    /// Answers it no more.
    pub(super) fn forget(&self, token: &str) {
        if is_token(token)
            && let Err(error) = fs::remove_file(self.challenges().join(token))
        {
            tracing::debug!(%error, "the answer to a challenge was not there any more");
        }
    }

    /// Writes down what went wrong, by name, for whoever looks from outside.
    pub(super) fn note(&self, troubles: &BTreeMap<String, String>) -> Result<()> {
        let text = serde_json::to_vec(troubles).map_err(|error| Error::internal("writing down what went wrong", error))?;
        self.write(certificate::TROUBLES, &text)
    }

    fn challenges(&self) -> PathBuf {
        self.0.join("challenges")
    }

    /// Whole or not at all, for this account alone.
    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let (path, draft) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let written = || {
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        written().map_err(|error| self.failed("writing", error))
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::internal(format!("{what} in {}", self.0.display()), error)
    }
}

/// Where the account of an ACME server lies: another server's is another one.
fn account(server: &str) -> String {
    let name: String = server.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    format!("account-{name}.json")
}

/// Letters, digits, `-` and `_` (RFC 8555, section 8.3): nothing that leads elsewhere.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
