//! The meter: reads what an upstream counted out of its answer, and lets the bytes pass.

use super::request::Object;
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;

/// The upstream's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tokens sent, cached ones included.
    pub input: i64,
    /// Those of them that were cached.
    pub cached: i64,
    /// Tokens answered.
    pub output: i64,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<i64>,
    #[serde(default)]
    completion_tokens: Option<i64>,
    #[serde(default)]
    total_tokens: Option<i64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<i64>,
}

impl Usage {
    /// None when it says nothing, or what cannot be.
    fn count(&self) -> Option<Count> {
        let output = self.completion_tokens.unwrap_or(0);
        let input = self.prompt_tokens.or_else(|| self.total_tokens.and_then(|total| total.checked_sub(output)))?;
        let cached = self.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or(0);
        let plausible = |tokens: i64| (0..=1 << 40).contains(&tokens);
        (plausible(input) && plausible(output) && input + output > 0).then(|| Count { input, cached: cached.clamp(0, input), output })
    }
}

#[derive(Deserialize)]
struct Whole {
    usage: Option<Usage>,
}

/// The count in a whole answer.
#[must_use]
pub fn whole(body: &[u8]) -> Option<Count> {
    serde_json::from_slice::<Whole>(body).ok()?.usage?.count()
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<&'a serde_json::value::RawValue>,
    #[serde(default)]
    finish_reason: Option<serde::de::IgnoredAny>,
}

/// An event longer than this is passed on as it comes.
const LONGEST_EVENT: usize = 4 << 20;

/// Reads a stream of server-sent events as it passes, event by event.
#[derive(Debug, Default)]
pub struct Meter {
    waiting: BytesMut,
    /// Whether the caller asked for the usage; otherwise it is taken out again, since we asked for it.
    shows_usage: bool,
    count: Option<Count>,
    text_bytes: i64,
    chunks: i64,
    done: bool,
    failed: bool,
}

impl Meter {
    /// A meter at the beginning of a stream.
    #[must_use]
    pub fn new(shows_usage: bool) -> Self {
        Self { shows_usage, ..Self::default() }
    }

    /// What the upstream counted, as far as it said.
    #[must_use]
    pub fn count(&self) -> Option<Count> {
        self.count
    }

    /// Tokens answered so far by our own estimate: a chunk carries at least one, and four bytes of text are one as a rule.
    #[must_use]
    pub fn estimate(&self) -> i64 {
        i64::max(self.chunks, self.text_bytes / 4)
    }

    /// Whether the stream came to its proper end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the upstream told an error within the stream.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes what came and answers what may pass: whole events, in their own bytes.
    pub fn pass(&mut self, bytes: &[u8]) -> Bytes {
        self.waiting.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while let Some(end) = event_end(&self.waiting) {
            let event = self.waiting.split_to(end);
            self.read(&event, &mut out);
        }
        if self.waiting.len() > LONGEST_EVENT {
            out.extend_from_slice(&self.waiting.split());
        }
        out.freeze()
    }

    /// Takes the rest after the last whole event.
    pub fn end(&mut self) -> Bytes {
        let event = self.waiting.split();
        let mut out = BytesMut::new();
        if !event.is_empty() {
            self.read(&event, &mut out);
        }
        out.freeze()
    }

    fn read(&mut self, event: &[u8], out: &mut BytesMut) {
        let Some(data) = event_data(event) else {
            out.extend_from_slice(event);
            return;
        };
        if data == b"[DONE]" {
            self.done = true;
            out.extend_from_slice(event);
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            out.extend_from_slice(event);
            return;
        };
        self.failed |= chunk.error.is_some();
        let text: usize = chunk.choices.iter().filter_map(|choice| choice.delta).map(|delta| delta.get().len().saturating_sub(2)).sum();
        if text > 0 {
            self.chunks += 1;
            // The member's name and quotes are not text: `{"content":""}`.
            self.text_bytes += i64::try_from(text.saturating_sub(12)).unwrap_or(0);
        }
        let Some(usage) = chunk.usage else {
            out.extend_from_slice(event);
            return;
        };
        self.count = usage.count().or(self.count);
        if self.shows_usage {
            out.extend_from_slice(event);
        } else if text > 0 || chunk.choices.iter().any(|choice| choice.finish_reason.is_some()) {
            // It carries more than the usage: only that goes.
            if let Ok(mut object) = serde_json::from_slice::<Object>(data) {
                object.remove("usage");
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&object.to_json());
                out.extend_from_slice(b"\n\n");
            }
        }
    }
}

/// Where the first event ends, behind its empty line.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let plain = memmem::find(bytes, b"\n\n").map(|at| at + 2);
    let dos = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
    match (plain, dos) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The data of an event with one line of it: no provider sends more.
fn event_data(event: &[u8]) -> Option<&[u8]> {
    event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello wor\"}}]}\n\n";
    const STOP: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{}}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6,\"total_tokens\":14,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n";
    const BARE: &str = "data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6}}\n\n";
    const BOTH: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn through(meter: &mut Meter, stream: &str, step: usize) -> String {
        let mut out = Vec::new();
        for part in stream.as_bytes().chunks(step) {
            out.extend_from_slice(&meter.pass(part));
        }
        out.extend_from_slice(&meter.end());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn usage_is_read_however_the_stream_is_cut_and_shown_to_who_asked() {
        let stream = [TEXT, STOP, USAGE, DONE].concat();
        for step in 1..stream.len() {
            let mut meter = Meter::new(true);
            assert_eq!(through(&mut meter, &stream, step), stream);
            assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
            assert!(meter.is_done() && !meter.has_failed());
            let mut meter = Meter::new(false);
            assert_eq!(through(&mut meter, &stream, step), [TEXT, STOP, DONE].concat());
            assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
        }
    }

    #[test]
    fn usage_beside_other_things_goes_alone() {
        let mut meter = Meter::new(false);
        assert_eq!(through(&mut meter, &[BARE, BOTH, DONE].concat(), 7), [STOP, DONE].concat());
        assert_eq!(meter.count(), Some(Count { input: 8, cached: 0, output: 6 }));
    }

    #[test]
    fn without_usage_there_is_an_estimate_and_an_error_is_seen() {
        let mut meter = Meter::new(false);
        let garbage = ": ping\r\n\r\ndata: {not json\r\n\r\nevent: x\n\n";
        let error = "data: {\"error\":{\"message\":\"boom\"}}\n\n";
        let stream = [TEXT, TEXT, garbage, error, "data: {\"choices\""].concat();
        assert_eq!(through(&mut meter, &stream, 5), stream, "what is not understood passes as it is");
        assert!(meter.count().is_none() && !meter.is_done() && meter.has_failed());
        assert!((2..=8).contains(&meter.estimate()), "{}", meter.estimate());
    }

    #[test]
    fn an_impossible_count_is_no_count() {
        for usage in [
            "{}",
            r#"{"prompt_tokens":-5,"completion_tokens":1}"#,
            r#"{"prompt_tokens":0,"completion_tokens":0}"#,
            r#"{"total_tokens":-9223372036854775808,"completion_tokens":1}"#,
            "null",
            "7",
        ] {
            assert_eq!(whole(format!("{{\"usage\":{usage}}}").as_bytes()), None, "{usage}");
        }
        assert_eq!(whole(br#"{"usage":{"prompt_tokens":9,"total_tokens":9}}"#), Some(Count { input: 9, cached: 0, output: 0 }));
    }

    proptest::proptest! {
        #[test]
        fn who_asked_for_usage_gets_every_byte(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), step in 1_usize..40) {
            let mut meter = Meter::new(true);
            let mut out = Vec::new();
            for part in bytes.chunks(step) {
                out.extend_from_slice(&meter.pass(part));
            }
            out.extend_from_slice(&meter.end());
            proptest::prop_assert_eq!(out, bytes);
        }
    }
}
