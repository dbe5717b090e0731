//! Where the private cluster lies, who owns it and which binaries run it.

use crate::{Error, Result};
use contract::{Code, Problem};
use nix::unistd::{User, chown, geteuid};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The port in the socket's name; nothing listens on TCP.
pub const PORT: u16 = 5432;
/// Longest address of a socket that Linux takes, in bytes.
const SOCKET_MAX: usize = 107;
/// Where clusters lie that PostgreSQL's user could not reach in the data directory.
const ELSEWHERE: &str = "/var/lib/clawloops";

/// The place of a cluster.
#[derive(Debug)]
pub struct Place {
    /// A directory of the owner alone, with the cluster in it.
    pub home: PathBuf,
    /// The directory of the socket.
    pub socket: PathBuf,
    /// Who PostgreSQL runs as, when we are root, which it refuses to be.
    pub owner: Option<User>,
    /// Where the data directory points to `home`, when that lies elsewhere and is not made yet.
    link: Option<PathBuf>,
}

impl Place {
    /// Finds the place for this data directory; nothing is made but the data directory itself.
    pub fn find(data_dir: &Path) -> Result<Self> {
        let failed = |error| Error::internal(format!("opening the data directory {}", data_dir.display()), error);
        fs::create_dir_all(data_dir).map_err(failed)?;
        let data_dir = data_dir.canonicalize().map_err(failed)?;
        let owner = if geteuid().is_root() { Some(postgres_user()?) } else { None };
        let near = data_dir.join("postgres");
        // Through the link, where the cluster lies elsewhere.
        let made = near.canonicalize().ok();
        let (home, link) = match (&owner, made) {
            (_, Some(home)) => (home, None),
            // A clone under /root, say: root's home is closed to PostgreSQL's user.
            (Some(owner), None) if !reaches(owner, &data_dir) => (elsewhere(&data_dir), Some(near)),
            (_, None) => (near, None),
        };
        let socket = socket_directory(&home, owner.is_some());
        Ok(Self { home, socket, owner, link })
    }

    /// The cluster itself.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Whether there is a cluster.
    pub fn is_made(&self) -> bool {
        self.data().join("PG_VERSION").exists()
    }

    /// Makes the directories, closed to everyone but the owner.
    pub fn make(&self) -> Result<()> {
        for directory in [&self.home, &self.socket] {
            self.make_directory(directory)
                .map_err(|error| Error::internal(format!("making the database's directory {}", directory.display()), error))?;
        }
        if let Some(link) = &self.link {
            // One that leads nowhere: whoever removed its target wants a new cluster.
            drop(fs::remove_file(link));
            std::os::unix::fs::symlink(&self.home, link)
                .map_err(|error| Error::internal(format!("linking {} to the database", link.display()), error))?;
            tracing::info!(place = %self.home.display(), "PostgreSQL's user cannot reach the data directory; the database lies elsewhere");
        }
        Ok(())
    }

    /// Takes away what lies outside of the data directory only while the cluster runs.
    pub fn leave(&self) {
        if self.socket != self.home
            && let Err(error) = fs::remove_dir(&self.socket)
        {
            tracing::debug!(%error, "the socket's directory stays");
        }
    }

    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        let uid = self.owner.as_ref().map_or_else(geteuid, |owner| owner.uid);
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => {
                if let Some(owner) = &self.owner {
                    chown(directory, Some(owner.uid), Some(owner.gid))?;
                }
                Ok(())
            }
            // In a directory that is open to all, somebody else may have been here first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(directory)?;
                if !found.is_dir() || found.uid() != uid.as_raw() {
                    return Err(io::Error::other(format!("it belongs to somebody else (wanted: a directory of user {uid})")));
                }
                fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            }
            Err(error) => Err(error),
        }
    }
}

/// A place for a new cluster. Never one that is there: it belonged to a data directory that was removed, whose keys are gone.
fn elsewhere(data_dir: &Path) -> PathBuf {
    let name = short_hash(data_dir);
    let mut place = Path::new(ELSEWHERE).join(&name);
    for number in 2.. {
        if fs::symlink_metadata(&place).is_err() {
            break;
        }
        place = Path::new(ELSEWHERE).join(format!("{name}-{number}"));
    }
    place
}

fn postgres_user() -> Result<User> {
    User::from_name("postgres").map_err(|error| Error::internal("looking for the user postgres", error))?.ok_or_else(|| {
        Problem::new(Code::Unavailable, "PostgreSQL does not run as root, and there is no user postgres to run it as.")
            .remedy("Install PostgreSQL (Debian: apt-get install postgresql), run ClawLoops as another user, or set DATABASE_URL.")
            .into()
    })
}

/// Whether the user may pass through every directory on the way.
fn reaches(user: &User, directory: &Path) -> bool {
    directory.ancestors().all(|step| {
        fs::metadata(step).is_ok_and(|step| {
            let bit = if step.uid() == user.uid.as_raw() {
                0o100
            } else if step.gid() == user.gid.as_raw() {
                0o010
            } else {
                0o001
            };
            step.mode() & bit != 0
        })
    })
}

/// Beside the cluster, or, where that is too long a name for a socket, in a short place named after it.
fn socket_directory(home: &Path, is_root: bool) -> PathBuf {
    let name = format!(".s.PGSQL.{PORT}");
    if home.join(&name).as_os_str().len() <= SOCKET_MAX {
        return home.to_owned();
    }
    let short = format!("clawloops-{}", short_hash(home));
    Path::new(if is_root { "/run" } else { "/tmp" }).join(short)
}

fn short_hash(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_encoded_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The directory with `initdb` and `postgres`: the configured one, or the newest that is installed; for a cluster that is made, the ones of its
/// version.
pub fn binaries(configured: Option<&Path>, place: &Place) -> Result<PathBuf> {
    let wanted = fs::read_to_string(place.data().join("PG_VERSION")).ok().map(|version| version.trim().to_owned());
    if let Some(bin) = configured {
        return if is_whole(bin) { Ok(bin.to_owned()) } else { Err(not_installed(&format!("in {}", bin.display()))) };
    }
    choose(&installed(&["/usr/lib/postgresql", "/usr/pgsql"]), wanted.as_deref())
}

/// Installed versions with their directories, as Debian (`/usr/lib/postgresql/15/bin`) and Red Hat (`/usr/pgsql-15/bin`) lay them, newest first;
/// then those without a version in their path.
fn installed(roots: &[&str]) -> Vec<(Option<u32>, PathBuf)> {
    let mut found = Vec::new();
    for root in roots {
        let under = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let (parent, prefix) = (Path::new(root).parent().unwrap_or(Path::new("/")), root.rsplit('/').next().unwrap_or_default());
        let beside = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        let beside = beside.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{prefix}-"))));
        for path in under.chain(beside) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let version = name.rsplit('-').next().and_then(|version| version.parse().ok());
            let bin = path.join("bin");
            if version.is_some() && is_whole(&bin) {
                found.push((version, bin));
            }
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.extend(["/usr/local/bin", "/usr/bin"].map(PathBuf::from).into_iter().filter(|bin| is_whole(bin)).map(|bin| (None, bin)));
    found
}

fn choose(installed: &[(Option<u32>, PathBuf)], wanted: Option<&str>) -> Result<PathBuf> {
    if installed.is_empty() {
        return Err(not_installed("on this machine"));
    }
    let fits = |version: &Option<u32>| match (version, wanted) {
        (Some(version), Some(wanted)) => version.to_string() == wanted,
        (Some(version), None) => *version >= 15,
        // Its version is not known from its path; PostgreSQL checks it and says so in its log.
        (None, _) => true,
    };
    match installed.iter().find(|(version, _)| fits(version)) {
        Some((_, bin)) => Ok(bin.clone()),
        None => {
            let message = format!("The database was made by PostgreSQL {}, which is not installed.", wanted.unwrap_or("15 or later"));
            Err(Problem::new(Code::Unavailable, message).remedy("Install that version, or point CLAWLOOPS_POSTGRES_BIN at it.").into())
        }
    }
}

fn is_whole(bin: &Path) -> bool {
    bin.join("initdb").exists() && bin.join("postgres").exists()
}

fn not_installed(place: &str) -> Error {
    Problem::new(Code::Unavailable, format!("PostgreSQL (initdb and postgres) was not found {place}."))
        .remedy(
            "Install it (Debian: apt-get install postgresql), set CLAWLOOPS_POSTGRES_BIN, or set DATABASE_URL to a database of your own.",
        )
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_cluster_decides_then_the_newest() {
        let installed = [(Some(17), "/17".into()), (Some(15), "/15".into()), (Some(13), "/13".into())];
        assert_eq!(choose(&installed, None).unwrap(), Path::new("/17"));
        assert_eq!(choose(&installed, Some("15")).unwrap(), Path::new("/15"));
        assert!(choose(&installed, Some("16")).is_err());
        assert!(choose(&installed[2..], None).is_err(), "older than 15");
        assert!(choose(&[], None).is_err());
        assert_eq!(choose(&[(None, "/usr/bin".into())], Some("16")).unwrap(), Path::new("/usr/bin"));
    }

    #[test]
    fn a_deep_data_directory_gets_a_short_socket() {
        assert_eq!(socket_directory(Path::new("/srv/data/postgres"), true), Path::new("/srv/data/postgres"));
        let deep = PathBuf::from("/").join("x".repeat(100));
        assert!(socket_directory(&deep, true).starts_with("/run"));
        assert!(socket_directory(&deep, false).starts_with("/tmp"));
        assert!(socket_directory(&deep, false).as_os_str().len() < 40);
    }

    #[test]
    fn a_closed_directory_on_the_way_is_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mut user = User::from_uid(geteuid()).unwrap().unwrap();
        assert!(reaches(&user, &inner));
        user.uid = 54_321.into();
        user.gid = 54_321.into();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!reaches(&user, &inner));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(reaches(&user, &inner));
    }
}
