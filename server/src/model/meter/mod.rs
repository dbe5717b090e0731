//! The meter: reads what an upstream counted out of its answer, and lets the bytes pass.

mod count;

use super::{
    request::Object,
    shape::{Dialect, Shape},
};
use bytes::{Bytes, BytesMut};
use count::Usage;
pub use count::{Count, pictures, seconds, whole};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event of any shape, as far as it matters.
#[derive(Deserialize)]
struct Event<'a> {
    /// What it tells, where its shape says so.
    #[serde(rename = "type", borrow, default)]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    /// A piece of the answer.
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    /// Where a message begins; elsewhere it may be a sentence.
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    /// Where a response begins and ends.
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    finish_reason: Option<serde::de::IgnoredAny>,
}

impl Event<'_> {
    fn is(&self, kinds: &[&str]) -> bool {
        self.kind.as_deref().is_some_and(|kind| kinds.contains(&kind))
    }

    /// Bytes of the answer's text in it; the names and quotes around them are none.
    fn text(&self, shape: Shape) -> usize {
        let inner = |raw: &RawValue, frame: usize| raw.get().len().saturating_sub(frame);
        match shape {
            // `{"content":""}`
            Shape::Chat => self.choices.iter().filter_map(|choice| choice.delta).map(|delta| inner(delta, 14)).sum(),
            Shape::Completions => self.choices.iter().filter_map(|choice| choice.text).map(|text| inner(text, 2)).sum(),
            Shape::Responses if self.kind.as_deref().is_some_and(|kind| kind.ends_with(".delta")) => {
                self.delta.map_or(0, |delta| inner(delta, 2))
            }
            // `{"type":"text_delta","text":""}`
            Shape::Messages if self.is(&["content_block_delta"]) => self.delta.map_or(0, |delta| inner(delta, 31)),
            Shape::Responses
            | Shape::Messages
            | Shape::Embeddings
            | Shape::TokenCount
            | Shape::Images
            | Shape::Speech
            | Shape::Transcription => 0,
        }
    }

    /// Whether it carries a piece of the answer, be it empty.
    fn is_piece(&self, shape: Shape) -> bool {
        match shape {
            Shape::Chat => self.choices.iter().filter_map(|choice| choice.delta).any(|delta| delta.get().len() > 2),
            Shape::Completions | Shape::Responses | Shape::Messages => self.text(shape) > 0,
            Shape::Embeddings | Shape::TokenCount | Shape::Images | Shape::Speech | Shape::Transcription => false,
        }
    }
}

/// An event longer than this is passed on as it comes.
const LONGEST_EVENT: usize = 4 << 20;

/// Reads a stream of server-sent events as it passes, event by event.
#[derive(Debug)]
pub struct Meter {
    shape: Shape,
    waiting: BytesMut,
    /// Whether the caller asked for the usage; otherwise it is taken out again, since we asked for it.
    shows_usage: bool,
    usage: Usage,
    text_bytes: i64,
    chunks: i64,
    pictures: i64,
    done: bool,
    failed: bool,
    /// Whether it failed and the caller did not hear of it.
    untold: bool,
}

impl Meter {
    /// A meter at the beginning of a stream.
    #[must_use]
    pub fn new(shape: Shape, shows_usage: bool) -> Self {
        Self {
            shape,
            waiting: BytesMut::new(),
            shows_usage,
            usage: Usage::default(),
            text_bytes: 0,
            chunks: 0,
            pictures: 0,
            done: false,
            failed: false,
            untold: false,
        }
    }

    /// What the upstream counted, as far as it said.
    #[must_use]
    pub fn count(&self) -> Option<Count> {
        self.usage.count(self.shape.dialect())
    }

    /// How many seconds of audio the upstream heard, where it said so.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        self.usage.seconds()
    }

    /// How many pictures were finished.
    #[must_use]
    pub const fn pictures(&self) -> i64 {
        self.pictures
    }

    /// Tokens answered so far by our own estimate: a chunk carries at least one, and four bytes of text are one as a rule.
    #[must_use]
    pub fn estimate(&self) -> i64 {
        i64::max(self.chunks, self.text_bytes / 4)
    }

    /// Whether the stream came to its proper end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done && !self.untold
    }

    /// Whether the upstream told an error within the stream, in words that the caller understands.
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
        // JSON is UTF-8, also where it would be skipped: what is read here can be written without its usage.
        let Some((text, told)) =
            std::str::from_utf8(data).ok().and_then(|text| Some((text, serde_json::from_str::<Event<'_>>(text).ok()?)))
        else {
            out.extend_from_slice(event);
            return;
        };
        let tells_error = told.error.is_some() || told.is(&["error", "response.failed"]);
        if tells_error {
            // LiteLLM tells one in the middle of a stream in OpenAI's words, which an Anthropic client does not hear: then it is left to the door.
            if self.shape.dialect() == Dialect::Anthropic && !told.is(&["error"]) {
                self.untold = true;
                return;
            }
            self.failed = true;
        }
        let is_picture = told.is(&["image_generation.completed"]);
        self.pictures += i64::from(is_picture);
        let tells_end = is_picture
            || told.is(&["message_stop", "response.completed", "response.incomplete", "response.failed"])
            || told.is(&["transcript.text.done", "speech.audio.done"]);
        self.done |= tells_end;
        if told.is_piece(self.shape) {
            self.chunks += 1;
            self.text_bytes += i64::try_from(told.text(self.shape)).unwrap_or(0);
        }
        let within = match self.shape {
            Shape::Messages => told.message,
            Shape::Responses => told.response,
            Shape::Chat
            | Shape::Completions
            | Shape::Embeddings
            | Shape::TokenCount
            | Shape::Images
            | Shape::Speech
            | Shape::Transcription => None,
        };
        let within = within.and_then(|part| serde_json::from_str::<Told>(part.get()).ok()?.usage);
        for usage in within.into_iter().chain(told.usage) {
            self.usage = self.usage.and(usage);
        }
        if self.shows_usage || told.usage.is_none() {
            out.extend_from_slice(event);
        } else if tells_error || tells_end || told.is_piece(self.shape) || told.choices.iter().any(|choice| choice.finish_reason.is_some())
        {
            // It carries more than the usage: only that goes.
            if let Ok(mut object) = serde_json::from_str::<Object>(text) {
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
            let mut meter = Meter::new(Shape::Chat, true);
            assert_eq!(through(&mut meter, &stream, step), stream);
            assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
            assert!(meter.is_done() && !meter.has_failed());
            let mut meter = Meter::new(Shape::Chat, false);
            assert_eq!(through(&mut meter, &stream, step), [TEXT, STOP, DONE].concat());
            assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
        }
    }

    #[test]
    fn usage_beside_other_things_goes_alone() {
        let mut meter = Meter::new(Shape::Chat, false);
        assert_eq!(through(&mut meter, &[BARE, BOTH, DONE].concat(), 7), [STOP, DONE].concat());
        assert_eq!(meter.count(), Some(Count { input: 8, cached: 0, output: 6 }));
    }

    #[test]
    fn an_error_beside_the_usage_is_told_without_it() {
        let mut meter = Meter::new(Shape::Chat, false);
        let error = "data: {\"error\":{\"message\":\"boom\"},\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6}}\n\n";
        assert_eq!(through(&mut meter, error, 9), "data: {\"error\":{\"message\":\"boom\"}}\n\n");
        assert_eq!((meter.count(), meter.has_failed()), (Some(Count { input: 8, cached: 0, output: 6 }), true));
    }

    #[test]
    fn what_is_no_text_passes_as_it_is() {
        let event = b"data: {\"error\":{\"m\xff\":1},\"usage\":{\"prompt_tokens\":8}}\n\n";
        let mut meter = Meter::new(Shape::Chat, false);
        assert_eq!(&meter.pass(event)[..], event);
        assert_eq!((meter.count(), meter.has_failed()), (None, false));
    }

    #[test]
    fn usage_counts_where_its_shape_tells_it() {
        let foreign = "data: {\"message\":{\"usage\":{\"prompt_tokens\":8}},\"response\":{\"usage\":{\"prompt_tokens\":9}}}\n\n";
        let mut meter = Meter::new(Shape::Chat, false);
        assert_eq!(through(&mut meter, foreign, 9), foreign);
        assert_eq!(meter.count(), None);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut meter = Meter::new(Shape::Chat, true);
        let part = vec![b'x'; 1 << 20];
        let (mut came, mut passed) = (0, 0);
        while came < 2 * LONGEST_EVENT {
            came += part.len();
            passed += meter.pass(&part).len();
            assert!(came - passed <= LONGEST_EVENT, "{} bytes are kept", came - passed);
        }
    }

    #[test]
    fn without_usage_there_is_an_estimate_and_an_error_is_seen() {
        let mut meter = Meter::new(Shape::Chat, false);
        let garbage = ": ping\r\n\r\ndata: {not json\r\n\r\nevent: x\n\n";
        let error = "data: {\"error\":{\"message\":\"boom\"}}\n\n";
        let stream = [TEXT, TEXT, garbage, error, "data: {\"choices\""].concat();
        assert_eq!(through(&mut meter, &stream, 5), stream, "what is not understood passes as it is");
        assert!(meter.count().is_none() && !meter.is_done() && meter.has_failed());
        assert!((2..=8).contains(&meter.estimate()), "{}", meter.estimate());
    }

    const COMPLETION: &str = "data: {\"id\":\"1\",\"object\":\"text_completion\",\"choices\":[{\"index\":0,\"text\":\"hello wor\"}]}\n\n";
    const COMPLETION_USAGE: &str =
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":6}}\n\n";

    #[test]
    fn a_completion_shows_its_usage_to_who_asked() {
        let stream = [COMPLETION, COMPLETION_USAGE, DONE].concat();
        for (shows, seen) in [(true, stream.clone()), (false, [COMPLETION, DONE].concat())] {
            let mut meter = Meter::new(Shape::Completions, shows);
            assert_eq!(through(&mut meter, &stream, 9), seen);
            assert_eq!((meter.count(), meter.is_done()), (Some(Count { input: 8, cached: 0, output: 6 }), true));
        }
        let mut meter = Meter::new(Shape::Completions, false);
        through(&mut meter, &COMPLETION.repeat(3), 9);
        assert_eq!((meter.estimate(), meter.is_done()), (6, false));
    }

    const RESPONSE: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"usage\":null}}\n\n\
        data: {\"type\":\"response.output_text.delta\",\"delta\":\"hello wor\"}\n\n\
        data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{}\"}\n\n";
    const RESPONSE_END: &str = "data: {\"type\":\"response.END\",\"response\":{\"usage\":{\"input_tokens\":8,\"output_tokens\":6,\
        \"input_tokens_details\":{\"cached_tokens\":3}}}}\n\n";

    #[test]
    fn a_response_tells_its_usage_where_it_ends() {
        for (end, failed) in [("completed", false), ("incomplete", false), ("failed", true)] {
            let stream = [RESPONSE, &RESPONSE_END.replace("END", end)].concat();
            for step in [1, 7, 4000] {
                let mut meter = Meter::new(Shape::Responses, true);
                assert_eq!(through(&mut meter, &stream, step), stream);
                assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
                assert_eq!((meter.is_done(), meter.has_failed()), (true, failed), "{end}");
            }
        }
        let mut meter = Meter::new(Shape::Responses, true);
        through(&mut meter, RESPONSE, 9);
        assert_eq!((meter.count(), meter.is_done(), meter.estimate()), (None, false, 2));
    }

    const MESSAGE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\
        \"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: ping\ndata: {\"type\":\"ping\"}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hello wor\"}}\n\n";
    const MESSAGE_END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\
        \"usage\":{\"input_tokens\":0,\"output_tokens\":6}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[test]
    fn a_message_counts_by_what_its_events_say_together() {
        let stream = [MESSAGE, MESSAGE_END].concat();
        for step in 1..40 {
            let mut meter = Meter::new(Shape::Messages, true);
            assert_eq!(through(&mut meter, &stream, step), stream);
            assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
            assert!(meter.is_done() && !meter.has_failed());
        }
        // As LiteLLM translates it: nothing at the beginning, all at the end.
        let translated = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}}\n\n\
            data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6,\"cache_read_input_tokens\":3}}\n\n";
        let mut meter = Meter::new(Shape::Messages, true);
        through(&mut meter, translated, 50);
        assert_eq!(meter.count(), Some(Count { input: 8, cached: 3, output: 6 }));
    }

    #[test]
    fn an_error_in_other_words_than_the_callers_is_not_passed() {
        let told = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
        let mut meter = Meter::new(Shape::Messages, true);
        assert_eq!(through(&mut meter, &[MESSAGE, told].concat(), 9), [MESSAGE, told].concat());
        assert!(meter.has_failed() && !meter.is_done());
        let mut meter = Meter::new(Shape::Messages, true);
        let foreign = "data: {\"error\":{\"message\":\"boom\",\"code\":\"500\"}}\n\n";
        assert_eq!(through(&mut meter, &[MESSAGE, foreign].concat(), 9), MESSAGE);
        assert!(!meter.has_failed() && !meter.is_done(), "nobody told it yet");
    }

    proptest::proptest! {
        #[test]
        fn who_asked_for_usage_gets_every_byte(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), step in 1_usize..40) {
            let mut meter = Meter::new(Shape::Chat, true);
            let mut out = Vec::new();
            for part in bytes.chunks(step) {
                out.extend_from_slice(&meter.pass(part));
            }
            out.extend_from_slice(&meter.end());
            proptest::prop_assert_eq!(out, bytes);
        }
    }
}
