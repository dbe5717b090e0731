//! Docker's logs, as whole lines.

use super::{LogLine, docker::failed};
use crate::Result;
use bollard::{Docker, container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The longest line, in bytes; the rest of a longer one is not kept.
const LONGEST: usize = 64 * 1024;

/// The last lines of a container, oldest first.
pub(super) async fn last(docker: &Docker, name: &str, lines: usize) -> Result<Vec<String>> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
    let pieces: Vec<_> = docker.logs(name, Some(options)).try_collect().await.map_err(|error| failed("reading logs", error))?;
    let text: String = pieces.into_iter().map(|piece| String::from_utf8_lossy(&piece.into_bytes()).into_owned()).collect();
    Ok(text.lines().map(plain).collect())
}

/// All lines of a container, oldest first, or from a second on. With `follow` until it ends.
pub(super) fn output(docker: &Docker, name: &str, since: Option<OffsetDateTime>, follow: bool) -> BoxStream<'static, LogLine> {
    let since = since.map_or(0, |at| i32::try_from(at.unix_timestamp()).unwrap_or(i32::MAX));
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).since(since).follow(follow).build();
    let pieces = docker.logs(name, Some(options)).boxed();
    futures::stream::unfold((pieces, Pieces::default()), async |(mut pieces, mut begun)| {
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    if let Some(line) = begun.add(piece) {
                        return Some((line, (pieces, begun)));
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a log ended early");
                    return None;
                }
                None => return None,
            }
        }
    })
    .boxed()
}

/// Lines that are not whole yet: Docker cuts long ones, and gives each piece the moment of the first.
#[derive(Default)]
struct Pieces {
    out: Option<Piece>,
    err: Option<Piece>,
}

struct Piece {
    at: OffsetDateTime,
    bytes: Vec<u8>,
}

impl Pieces {
    /// The line that this piece ends.
    fn add(&mut self, piece: LogOutput) -> Option<LogLine> {
        let begun = if matches!(piece, LogOutput::StdErr { .. }) { &mut self.err } else { &mut self.out };
        let piece = piece.into_bytes();
        let (at, text) = piece.split_at(piece.iter().position(|byte| *byte == b' ')?);
        let at = OffsetDateTime::parse(std::str::from_utf8(at).ok()?, &Rfc3339).ok()?;
        let (text, ends) = match text[1..].strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (&text[1..], false),
        };
        let line = begun.get_or_insert_with(|| Piece { at, bytes: Vec::new() });
        // One byte more than may be kept tells that there was more.
        let room = (LONGEST + 1).saturating_sub(line.bytes.len());
        line.bytes.extend_from_slice(&text[..text.len().min(room)]);
        if !ends {
            return None;
        }
        begun.take().map(|line| LogLine { at: line.at, text: plain(&String::from_utf8_lossy(cut(&line.bytes))) })
    }
}

/// At most the longest line. Cut between two words: half a key would not be known for one, and not be masked.
fn cut(line: &[u8]) -> &[u8] {
    if line.len() <= LONGEST {
        return line;
    }
    let whole = line[..LONGEST].iter().rposition(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')));
    &line[..whole.unwrap_or(0)]
}

/// A line without terminal colours and control characters.
pub(super) fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // A sequence ends with its first letter.
            for inside in characters.by_ref() {
                if inside.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if character == '\t' || !character.is_control() {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(err: bool, text: &str) -> LogOutput {
        let message = text.to_owned().into();
        if err { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } }
    }

    #[test]
    fn colours_are_taken_out_of_a_line() {
        assert_eq!(plain("\u{1b}[32mready\u{1b}[0m in 3 s\r"), "ready in 3 s");
    }

    #[test]
    fn pieces_become_lines_also_where_two_streams_cross() {
        let mut pieces = Pieces::default();
        let (first, second) = ("2026-11-22T08:12:04.000000001Z", "2026-11-22T08:12:04.000000002Z");
        assert_eq!(pieces.add(said(false, &format!("{first} a key is sk-aaaa"))), None);
        let error = pieces.add(said(true, &format!("{second} oh\n"))).unwrap();
        assert_eq!((error.text.as_str(), error.at.nanosecond()), ("oh", 2));
        let line = pieces.add(said(false, &format!("{first} bbbbcccc\n"))).unwrap();
        assert_eq!((line.text.as_str(), line.at.nanosecond()), ("a key is sk-aaaabbbbcccc", 1));
        assert_eq!(pieces.add(said(false, &format!("{first} \n"))).unwrap().text, "");
        assert_eq!(pieces.add(said(false, "no moment\n")), None);
    }

    #[test]
    fn a_line_without_end_is_cut_between_two_words() {
        let mut pieces = Pieces::default();
        let at = "2026-11-22T08:12:04Z";
        let long = format!("{} sk-{}", "x".repeat(LONGEST - 20), "k".repeat(40));
        assert_eq!(pieces.add(said(false, &format!("{at} {long}"))), None);
        assert_eq!(pieces.add(said(false, &format!("{at} {long}"))), None);
        let line = pieces.add(said(false, &format!("{at} end\n"))).unwrap();
        assert_eq!(line.text, "x".repeat(LONGEST - 20));
        assert_eq!(cut(&vec![b'x'; LONGEST + 1]), b"");
    }
}
