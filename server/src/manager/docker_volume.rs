//! What a volume holds on disk.

use std::{path::Path, process::Stdio};
use tokio::process::Command;

/// Bytes on disk below this folder of the host; none where it cannot be read.
///
/// Docker's own answer (`system df`) measures every volume, image and container at once. `du` reads this one alone, follows no link that a runtime lays
/// into its own workspace while it is read, counts a file with two names once, and stays on the file system.
pub(super) async fn measure(folder: &Path) -> Option<i64> {
    let measured = Command::new("nice")
        .args(["du", "--summarize", "--one-file-system", "--block-size=1", "--"])
        .arg(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    // A file that goes while it is read makes it say so; the sum stands all the same. A folder that cannot be read has none, or one that means nothing.
    if !measured.status.success() && std::fs::read_dir(folder).is_err() {
        return None;
    }
    read(&String::from_utf8_lossy(&measured.stdout))
}

fn read(said: &str) -> Option<i64> {
    said.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_measured_by_what_it_holds_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let empty = measure(folder.path()).await.unwrap();
        std::fs::write(folder.path().join("file"), vec![7; 300_000]).unwrap();
        std::fs::hard_link(folder.path().join("file"), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("elsewhere")).unwrap();
        let full = measure(folder.path()).await.unwrap();
        assert!((300_000..400_000).contains(&(full - empty)), "{empty} {full}");
        assert_eq!(measure(&folder.path().join("nothing")).await, None);
        assert_eq!(read("du: no"), None);
    }
}
