//! The kept log of one runtime: masked lines in the files of a folder, at most so many bytes; the oldest file goes for a new one.
//!
//! A line is its moment (RFC 3339, UTC, nanoseconds), a space and its text. The files are their own position: what stands at their end says from where to
//! read on after a restart.

use super::backwards::Backwards;
use crate::{manager::LogLine, runtime::mask};
use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// In how many files the bound lies: one of them is dropped at a time.
const PARTS: u64 = 4;
/// The longest line, in bytes; the rest of a longer one is not kept.
const LONGEST: usize = 16 * 1024;
/// How far apart two lines may stand in the wrong order: what is said on two streams at once is dated first and written down after.
const DISORDER: Duration = Duration::SECOND;

/// A folder of files that is written to, by one writer.
pub(super) struct Ring {
    folder: PathBuf,
    /// In bytes, for all files.
    bound: u64,
    file: File,
    number: u64,
    length: u64,
}

/// What the end of a log says already, so that reading on adds only what is new.
pub(super) struct Known {
    /// From where to read on; from the beginning without it.
    pub(super) from: Option<OffsetDateTime>,
    /// The lines that stand there from then on, by their hash, and how often.
    lines: HashMap<u64, u32>,
}

impl Ring {
    /// Opens the log in this folder, or begins it. What a crash left of a line is taken off.
    pub(super) fn open(folder: &Path, bound: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let number = numbers(folder)?.last().copied().unwrap_or(1);
        let file = part(folder, number)?;
        let whole = whole_length(&path(folder, number), file.metadata()?.len())?;
        file.set_len(whole)?;
        Ok(Self { folder: folder.to_owned(), bound, file, number, length: whole })
    }

    /// What stands at the end.
    pub(super) fn known(&self, now: OffsetDateTime) -> io::Result<Known> {
        let mut known = Known { from: None, lines: HashMap::new() };
        for line in Backwards::over(files(&self.folder)?) {
            let line = line?;
            let Some(at) = moment(&line) else { continue };
            // A clock that was set back makes the newest line one of the future.
            let from = *known.from.get_or_insert_with(|| (at.min(now) - DISORDER).replace_nanosecond(0).unwrap_or(at));
            if at < from - DISORDER {
                break;
            }
            *known.lines.entry(hash(&line)).or_default() += 1;
        }
        Ok(known)
    }

    /// Adds those of the lines that are new. `known` forgets what it was shown.
    pub(super) fn append(&mut self, lines: &[LogLine], known: &mut Known) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            let line = written(line);
            if !known.is_new(&line) {
                continue;
            }
            let length = line.len() as u64 + 1;
            let filled = self.length + bytes.len() as u64;
            if filled > 0 && filled + length > self.bound / PARTS {
                self.write(&bytes)?;
                bytes.clear();
                self.next_part()?;
            }
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Begins a new file, and drops the oldest ones until it has room for all of its part.
    fn next_part(&mut self) -> io::Result<()> {
        let mut sizes = Vec::new();
        for number in numbers(&self.folder)? {
            sizes.push((number, fs::metadata(path(&self.folder, number))?.len()));
        }
        let mut sum: u64 = sizes.iter().map(|(_, size)| size).sum();
        for (number, size) in sizes {
            if sum + self.bound / PARTS <= self.bound {
                break;
            }
            fs::remove_file(path(&self.folder, number))?;
            sum -= size;
        }
        self.number += 1;
        (self.file, self.length) = (part(&self.folder, self.number)?, 0);
        Ok(())
    }
}

impl Known {
    fn is_new(&mut self, line: &str) -> bool {
        match self.lines.get_mut(&hash(line)) {
            Some(times) if *times > 0 => {
                *times -= 1;
                false
            }
            _ => true,
        }
    }
}

/// The files of a log, oldest first; none where there is none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbers(folder)?.into_iter().map(|number| path(folder, number)).collect())
}

/// When a line of a log was said.
pub(super) fn moment(line: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(line.split_once(' ')?.0, &Rfc3339).ok()
}

/// A line as it is written down: its keys masked, and on one line whatever was said.
fn written(line: &LogLine) -> String {
    let moment = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
    let at = line.at.to_offset(time::UtcOffset::UTC).format(&moment).unwrap_or_default();
    let text = mask::keys(&line.text.replace(['\n', '\r'], " "));
    let end = text.floor_char_boundary(LONGEST);
    let more = if end < text.len() { "…" } else { "" };
    format!("{at} {}{more}", &text[..end])
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

fn part(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path(folder, number))
}

/// The files' numbers, which grow.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                numbers.extend(entry?.file_name().to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// How long a file of this length is without a line that was not ended.
fn whole_length(path: &Path, length: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let mut bytes = vec![0; usize::try_from(length.min(4 * LONGEST as u64)).unwrap_or_default()];
    let begin = length - bytes.len() as u64;
    file.read_exact_at(&mut bytes, begin)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(begin, |at| begin + at as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn line(milliseconds: i64, text: &str) -> LogLine {
        LogLine { at: NOON + Duration::milliseconds(milliseconds), text: text.to_owned() }
    }

    fn texts(folder: &Path) -> Vec<String> {
        let mut lines: Vec<String> =
            Backwards::over(files(folder).unwrap()).map(|line| line.unwrap().split_once(' ').unwrap().1.to_owned()).collect();
        lines.reverse();
        lines
    }

    /// As a reader does: from where the log ends, over what an engine gives from that second on.
    fn read(folder: &Path, bound: u64, said: &[LogLine]) {
        let mut ring = Ring::open(folder, bound).unwrap();
        let mut known = ring.known(NOON + Duration::HOUR).unwrap();
        let from = known.from.unwrap_or(OffsetDateTime::UNIX_EPOCH).unix_timestamp();
        let said: Vec<LogLine> = said.iter().filter(|line| line.at.unix_timestamp() >= from).cloned().collect();
        for batch in said.chunks(3) {
            ring.append(batch, &mut known).unwrap();
        }
    }

    #[test]
    fn whatever_was_read_before_a_restart_nothing_is_lost_and_nothing_doubled() {
        // Two in the same nanosecond, two alike, and two streams that crossed.
        let said = [
            line(0, "one"),
            line(0, "two"),
            line(0, "two"),
            line(900, "three"),
            line(1_700, "later"),
            line(1_650, "earlier"),
            line(1_700, "later"),
            line(5_000, "last"),
        ];
        let all: Vec<&str> = said.iter().map(|line| line.text.as_str()).collect();
        for first in 0..=said.len() {
            for second in first..=said.len() {
                let folder = tempfile::tempdir().unwrap();
                let folder = folder.path().join("log");
                for end in [first, second, said.len(), said.len()] {
                    read(&folder, 1 << 20, &said[..end]);
                }
                assert_eq!(texts(&folder), all, "read to {first}, then to {second}");
            }
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        read(folder.path(), 1 << 20, &[line(0, "one"), line(1, "two")]);
        let path = path(folder.path(), 1);
        for cut in 1..="2026-11-22T12:00:00.001000000Z two\n".len() as u64 {
            let whole = fs::metadata(&path).unwrap().len();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(whole - cut).unwrap();
            read(folder.path(), 1 << 20, &[line(0, "one"), line(1, "two")]);
            assert_eq!(texts(folder.path()), ["one", "two"], "cut by {cut}");
        }
    }

    #[test]
    fn the_bound_holds_and_the_newest_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let bound = 64 * 1024;
        let mut ring = Ring::open(folder.path(), bound).unwrap();
        let mut known = ring.known(NOON).unwrap();
        let size = || files(folder.path()).unwrap().iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
        for number in 0..2_000 {
            let text = format!("{number} {}", "x".repeat(usize::try_from(number).unwrap() % 400));
            ring.append(&[line(number, &text), line(number, "and")], &mut known).unwrap();
            assert!(size() <= bound, "{} bytes after {number}", size());
        }
        assert!(size() > bound / 2, "{} bytes are kept", size());
        let kept = texts(folder.path());
        assert!(kept.last().unwrap() == "and" && kept[kept.len() - 2].starts_with("1999 "));
        // A smaller bound holds from the next file on.
        read(folder.path(), bound / 4, &(2_000..2_400).map(|number| line(number, &"y".repeat(200))).collect::<Vec<_>>());
        assert!(size() <= bound / 4, "{} bytes", size());
    }

    #[test]
    fn no_key_is_written_down_and_nothing_is_on_more_than_its_line() {
        let said = LogLine { at: NOON, text: "key=cl_rt_00112233445566778899_aabbcc\nAuthorization: sk-proj-abcdefghijklmnop".to_owned() };
        assert_eq!(written(&said), "2026-11-22T12:00:00.000000000Z key=cl_rt_… Authorization: sk-…");
        let long = written(&line(0, &"ü".repeat(LONGEST)));
        assert!(long.ends_with("ü…") && long.len() < LONGEST + 40, "{}", long.len());
    }

    #[test]
    fn a_clock_that_was_set_back_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::open(folder.path(), 1 << 20).unwrap();
        let mut known = ring.known(NOON).unwrap();
        ring.append(&[line(3_600_000, "of the future")], &mut known).unwrap();
        let mut known = ring.known(NOON).unwrap();
        assert!(known.from.unwrap() <= NOON);
        ring.append(&[line(3_600_000, "of the future"), line(10, "of now")], &mut known).unwrap();
        assert_eq!(texts(folder.path()), ["of the future", "of now"]);
    }
}
