//! The lines of some files, the newest first: what reads little of a long log.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

/// How much is read at once, in bytes.
const CHUNK: u64 = 64 * 1024;

/// Reads whole lines. A file that was dropped meanwhile has none, and a last line without its end is not one yet.
pub(super) struct Backwards {
    /// Oldest first; taken from the end.
    files: Vec<PathBuf>,
    open: Option<Open>,
    /// Lines that were read; taken from the end.
    lines: Vec<String>,
}

struct Open {
    file: File,
    /// Where what was read begins.
    at: u64,
    /// The end of a line whose beginning was not read yet.
    rest: Vec<u8>,
}

impl Backwards {
    /// Over these files, oldest first.
    pub(super) fn over(files: Vec<PathBuf>) -> Self {
        Self { files, open: None, lines: Vec::new() }
    }

    /// Opens the next file; false when there is no more.
    fn open_next(&mut self) -> io::Result<bool> {
        let Some(path) = self.files.pop() else { return Ok(false) };
        match File::open(path) {
            Ok(mut file) => {
                let at = file.seek(SeekFrom::End(0))?;
                self.open = Some(Open { file, at, rest: Vec::new() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Reads the next chunk of the open file; its lines, none when it is read to its beginning.
    fn read(open: &mut Open) -> io::Result<Option<Vec<String>>> {
        if open.at == 0 {
            return Ok(None);
        }
        let length = open.at.min(CHUNK);
        open.at -= length;
        open.file.seek(SeekFrom::Start(open.at))?;
        let mut bytes = Vec::new();
        (&open.file).take(length).read_to_end(&mut bytes)?;
        bytes.append(&mut open.rest);
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let begin = match open.at {
            0 => 0,
            _ => bytes[..end].iter().position(|byte| *byte == b'\n').map_or(end, |at| at + 1),
        };
        let lines = String::from_utf8_lossy(&bytes[begin..end]).lines().map(str::to_owned).collect();
        bytes.truncate(begin);
        open.rest = bytes;
        Ok(Some(lines))
    }
}

impl Iterator for Backwards {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            if let Some(line) = self.lines.pop() {
                return Some(Ok(line));
            }
            let read = match &mut self.open {
                Some(open) => Self::read(open),
                None => Ok(None),
            };
            match read {
                Ok(Some(lines)) => self.lines = lines,
                Ok(None) => match self.open_next() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                },
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_newest_first_over_files_and_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let long = "y".repeat(100_000);
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "one\ntwo\n").unwrap();
        std::fs::write(&new, format!("three\n{long}\nfour\nhalf of fi")).unwrap();
        let files = vec![folder.path().join("dropped"), old, new];
        let lines: Vec<String> = Backwards::over(files).map(Result::unwrap).collect();
        assert_eq!(lines, ["four", &long, "three", "two", "one"]);
    }

    #[test]
    fn every_length_of_a_line_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for length in [1, 65_534, 65_535, 65_536, 65_537, 131_072] {
            let lines = ["a".repeat(length), "b".repeat(length), String::new(), "c".to_owned()];
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            let mut read: Vec<String> = Backwards::over(vec![path.clone()]).map(Result::unwrap).collect();
            read.reverse();
            assert_eq!(read, lines);
        }
    }
}
