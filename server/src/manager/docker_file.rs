//! The configuration file that a container has mounted: written in place, for a mount is of the file and not of its name.

use std::{
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};
use tokio::{fs, io::AsyncWriteExt as _};

/// Rewrites the file without replacing it. A second name keeps hold of it: an editor that replaced it, or a hand that removed it, left the container with
/// the file that nobody would write any more, and that one is put back.
pub(super) async fn write_in_place(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).await?;
    }
    let held = file.with_extension("held");
    put_back(file, &held).await?;
    // Not truncated first: a reader in between sees the old beginning rather than nothing.
    let mut open = fs::OpenOptions::new().write(true).create(true).truncate(false).open(file).await?;
    open.write_all(text.as_bytes()).await?;
    open.flush().await?;
    open.set_len(text.len() as u64).await?;
    // Read inside by a user without rights. No secret stands in it.
    open.set_permissions(std::fs::Permissions::from_mode(0o644)).await?;
    open.sync_all().await?;
    match fs::hard_link(file, &held).await {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn put_back(file: &Path, held: &Path) -> io::Result<()> {
    let Some(ours) = number(held).await? else { return Ok(()) };
    match number(file).await? {
        Some(present) if present == ours => return Ok(()),
        Some(_) => fs::remove_file(file).await?,
        None => {}
    }
    fs::hard_link(held, file).await
}

/// Which file a name stands for.
async fn number(name: &Path) -> io::Result<Option<u64>> {
    match fs::symlink_metadata(name).await {
        Ok(found) => Ok(Some(found.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_a_hand_does_to_the_file_the_mounted_one_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runtime").join("openclaw.json");
        write_in_place(&file, "the first, which is longer").await.unwrap();
        // What a container has mounted.
        let mounted = std::fs::File::open(&file).unwrap();
        let inside = || {
            use std::os::unix::fs::FileExt as _;
            let mut text = vec![0; 64];
            let read = mounted.read_at(&mut text, 0).unwrap();
            String::from_utf8(text[..read].to_vec()).unwrap()
        };
        write_in_place(&file, "edited").await.unwrap();
        assert_eq!(inside(), "edited");
        std::fs::write(file.with_extension("new"), "a hand's").unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
        write_in_place(&file, "put back").await.unwrap();
        assert_eq!((inside().as_str(), std::fs::read_to_string(&file).unwrap().as_str()), ("put back", "put back"));
        std::fs::remove_file(&file).unwrap();
        write_in_place(&file, "once more").await.unwrap();
        assert_eq!((inside().as_str(), std::fs::read_to_string(&file).unwrap().as_str()), ("once more", "once more"));
    }
}
