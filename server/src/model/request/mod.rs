//! A call's body: what we must know of it, and the few members that are rewritten. Everything else keeps its bytes.

mod content;
mod form;
mod object;
mod steering;

use super::shape::Shape;
use content::Beside;
pub use form::{Form, Part};
pub use object::Object;

/// Tokens that the template around the messages may add.
const FRAME_TOKENS: i64 = 16;
/// Fewer tokens are no answer.
const LEAST_OUTPUT: i64 = 16;
/// Every member by which some provider lets an answer's length be bound. One that is not the shape's own passes, so it must not say more than
/// was reserved.
pub const LENGTHS: [&str; 7] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample", "max_new_tokens", "n_predict", "num_predict"];

/// A body in the form that its shape has.
#[derive(Debug)]
enum Body {
    Json(Object),
    Form(Form),
}

/// What a call asks for.
#[derive(Debug)]
pub struct Call {
    body: Body,
    shape: Shape,
    /// The model, by our name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller wants to see the usage at the end of the stream.
    pub wants_usage: bool,
    /// How many tokens an answer may have, where the caller says so.
    pub most_output: Option<i64>,
    /// An answer of fewer tokens is none.
    pub least_output: i64,
    /// How many answers; at least one.
    pub answers: i64,
    /// How much of what its shape may be counted in: pictures, characters to be spoken, seconds of audio; the last at most.
    pub pieces: i64,
    /// Bytes that are read as text upstream.
    pub text_bytes: i64,
    /// What is beside the text.
    beside: Beside,
}

/// A body that cannot be a call: what is wrong, and the member that is.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub String, pub Option<&'static str>);

impl Call {
    /// Reads a body of this shape.
    ///
    /// # Errors
    /// When it is no JSON object, one of the members that we need is missing or wrong, or it asks for what no token count tells.
    pub fn read(bytes: &[u8], shape: Shape) -> Result<Self, Malformed> {
        let body: Object =
            serde_json::from_slice(bytes).map_err(|error| Malformed(format!("The request's body is not a JSON object: {error}."), None))?;
        let model = body
            .get::<String>("model")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Malformed("The member `model` must name a model.".to_owned(), Some("model")))?;
        if !shape.content().iter().any(|member| body.has(member)) {
            let member = shape.content().first().copied().unwrap_or_default();
            return Err(Malformed(format!("The member `{member}` is missing."), Some(member)));
        }
        if !shape.is_media() {
            steering::refuse(&body)?;
        }
        let count = |name: &'static str, least: i64| match (body.has(name), body.get::<i64>(name)) {
            (false, _) => Ok(None),
            (true, Some(number)) if (least..=1 << 40).contains(&number) => Ok(Some(number)),
            (true, _) => Err(Malformed(format!("The member `{name}` must be a whole number, {least} or more."), Some(name))),
        };
        let mut most_output = None;
        for name in LENGTHS {
            most_output = most_output.max(count(name, 1)?);
        }
        let beside = Beside::read(&body, shape);
        let mut answers = 1;
        for name in ["n", "best_of"] {
            let asked = count(name, 1)?.unwrap_or(1);
            if asked > 128 {
                return Err(Malformed(format!("The member `{name}` must be at most 128."), Some(name)));
            }
            answers = answers.max(asked);
        }
        answers = answers.saturating_mul(beside.prompts);
        let stream = match (body.has("stream"), body.get::<bool>("stream")) {
            (false, _) => false,
            (true, Some(stream)) => stream,
            (true, None) => return Err(Malformed("The member `stream` must be true or false.".to_owned(), Some("stream"))),
        };
        let wants_usage = !shape.usage_is_asked_for()
            || body.get::<Object>("stream_options").and_then(|options| options.get::<bool>("include_usage")).unwrap_or(false);
        // Anthropic wants more room for the answer than it is to think.
        let thinking = body.get::<Object>("thinking").and_then(|thinking| thinking.get::<i64>("budget_tokens")).unwrap_or(0);
        let least_output = LEAST_OUTPUT.max(thinking.clamp(0, 1 << 40) + 1);
        let text_bytes = i64::try_from(bytes.len().saturating_sub(beside.bytes)).unwrap_or(i64::MAX);
        let pieces = match shape {
            Shape::Speech => {
                let input = body.get::<String>("input");
                let input = input.ok_or_else(|| Malformed("The member `input` must be a text.".to_owned(), Some("input")))?;
                i64::try_from(input.chars().count()).unwrap_or(i64::MAX)
            }
            _ => answers,
        };
        Ok(Self {
            body: Body::Json(body),
            shape,
            model,
            stream,
            wants_usage,
            most_output,
            least_output,
            answers,
            pieces,
            text_bytes,
            beside,
        })
    }

    /// Reads the form of a transcription.
    ///
    /// # Errors
    /// When one of the fields that we need is missing, or may mean two things.
    pub fn of_form(form: Form) -> Result<Self, Malformed> {
        form.check()?;
        let model = form.text("model").filter(|name| !name.is_empty());
        let model = model.ok_or_else(|| Malformed("The field `model` must name a model.".to_owned(), Some("model")))?;
        let bytes = form.file_bytes().ok_or_else(|| Malformed("The field `file` is missing.".to_owned(), Some("file")))?;
        let beside = Beside { prompts: 1, elsewhere: true, ..Beside::default() };
        Ok(Self {
            shape: Shape::Transcription,
            model,
            stream: form.text("stream").is_some_and(|said| said.eq_ignore_ascii_case("true")),
            wants_usage: true,
            most_output: None,
            least_output: 0,
            answers: 1,
            pieces: form::most_seconds(bytes),
            text_bytes: form.text_bytes(),
            beside,
            body: Body::Form(form),
        })
    }

    /// Lets go of what was sent. What is told of the call stays.
    pub fn forget_body(&mut self) {
        self.body = Body::Json(Object::default());
    }

    /// Tokens sent, at most, where a byte is at most `appetite` tokens and the model takes no more than `context`.
    #[must_use]
    pub fn input_tokens(&self, appetite: f64, context: i64) -> i64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded by the body limit, and an estimate")]
        let text = (self.text_bytes as f64 * appetite).ceil() as i64;
        let here = text + FRAME_TOKENS + self.beside.tokens;
        if self.beside.elsewhere { here.max(context) } else { here }
    }

    /// Tokens sent, as a rule: four bytes of text are one.
    #[must_use]
    pub fn likely_input_tokens(&self) -> i64 {
        self.text_bytes / 4 + self.beside.tokens
    }

    /// Whether it is all text: then its count teaches how many tokens a byte is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.beside.tokens == 0 && !self.beside.elsewhere
    }

    /// Whether one answer is asked for, in words and not in a form that a program reads.
    #[must_use]
    pub fn is_prose(&self) -> bool {
        self.answers == 1 && !self.has("response_format")
    }

    fn has(&self, member: &str) -> bool {
        matches!(&self.body, Body::Json(body) if body.has(member))
    }

    /// Tokens of one answer, at most, of a model that answers `longest`.
    #[must_use]
    pub fn output_tokens(&self, longest: i64) -> i64 {
        if self.shape.is_media() {
            return longest;
        }
        if !self.shape.answers() {
            return 0;
        }
        let asked = self.most_output.map_or(longest, |asked| asked.min(longest));
        // Translated to another shape, an answer shorter than this is asked for as one of this length.
        if self.shape == Shape::Messages { asked.max(LEAST_OUTPUT) } else { asked }
    }

    /// The length to send, where `granted` was reserved and the caller asked for more, or not in a word that this shape knows.
    #[must_use]
    pub fn bound(&self, granted: i64) -> Option<i64> {
        let is_said = self.shape.length().iter().any(|word| self.has(word));
        let is_enough = is_said && self.most_output.is_some_and(|asked| asked <= granted);
        (self.shape.answers() && !is_enough).then_some(granted)
    }

    /// What the body to send is, as a header says it.
    #[must_use]
    pub fn content_type(&self) -> String {
        match &self.body {
            Body::Json(_) => "application/json".to_owned(),
            Body::Form(form) => form.content_type(),
        }
    }

    /// The body to send: by the name that the upstream knows, usage asked for on a stream, and the answer's length bound where `most_output` is given.
    #[must_use]
    pub fn to_upstream(&self, name: &str, most_output: Option<i64>) -> Vec<u8> {
        let mut body = match &self.body {
            Body::Json(body) => body.clone(),
            Body::Form(form) => return form.to_upstream(name),
        };
        steering::strip(&mut body, self.shape);
        if body.get::<String>("model").as_deref() != Some(name) {
            body.set("model", &name);
        }
        if self.stream && self.shape.usage_is_asked_for() {
            let mut options = body.get::<Object>("stream_options").unwrap_or_default();
            options.set("include_usage", &true);
            body.set("stream_options", &options);
        }
        if let (Some(most), [first, others @ ..]) = (most_output, self.shape.length()) {
            // The caller's own word for it stays; one is enough upstream.
            let word = others.iter().find(|word| body.has(word)).unwrap_or(first);
            body.set(word, &most);
            for other in LENGTHS.iter().filter(|other| *other != word) {
                body.remove(other);
            }
        }
        body.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_keeps_its_bytes_but_for_what_must_change() {
        let text =
            br#"{"model":"demo","temperature":1.50,"messages":[{"role":"user","content":"h\u00ef"}],"x":{"b":1,"a":[ ]},"stream":true}"#;
        let call = Call::read(text, Shape::Chat).unwrap();
        assert_eq!((call.model.as_str(), call.stream, call.wants_usage, call.most_output, call.answers), ("demo", true, false, None, 1));
        assert_eq!(
            String::from_utf8(call.to_upstream(&call.model, Some(64))).unwrap(),
            r#"{"model":"demo","temperature":1.50,"messages":[{"role":"user","content":"h\u00ef"}],"x":{"b":1,"a":[ ]},"stream":true,"stream_options":{"include_usage":true},"max_tokens":64}"#
        );
    }

    #[test]
    fn a_model_is_sent_by_the_name_that_the_upstream_knows() {
        let call = Call::read(br#"{"x":[1.50],"model":"ours","messages":[]}"#, Shape::Chat).unwrap();
        assert_eq!(call.to_upstream("theirs/8b", None), br#"{"x":[1.50],"model":"theirs/8b","messages":[]}"#);
    }

    #[test]
    fn the_length_is_bound_in_the_callers_own_word() {
        let call = Call::read(br#"{"model":"m","messages":[],"max_completion_tokens":900,"max_tokens":5}"#, Shape::Chat).unwrap();
        assert_eq!(call.most_output, Some(900));
        assert_eq!(
            String::from_utf8(call.to_upstream(&call.model, Some(20))).unwrap(),
            r#"{"model":"m","messages":[],"max_completion_tokens":20}"#
        );
        assert_eq!(call.to_upstream(&call.model, None), br#"{"model":"m","messages":[],"max_completion_tokens":900,"max_tokens":5}"#);
    }

    #[test]
    fn each_shape_is_bound_in_its_own_word_and_no_other_says_more() {
        for (shape, body, bound) in [
            (Shape::Completions, r#"{"model":"m","prompt":"p""#, r#","max_tokens":20}"#),
            (Shape::Responses, r#"{"model":"m","input":"p""#, r#","max_output_tokens":20}"#),
            (Shape::Messages, r#"{"model":"m","messages":[]"#, r#","max_tokens":20}"#),
        ] {
            let word = shape.length()[0];
            let call = Call::read(format!("{body},\"{word}\":30,\"n_predict\":900}}").as_bytes(), shape).unwrap();
            assert_eq!((call.most_output, call.output_tokens(4096), call.bound(900), call.bound(20)), (Some(900), 900, None, Some(20)));
            assert_eq!(String::from_utf8(call.to_upstream(&call.model, Some(20))).unwrap(), format!("{body}{bound}"));
            // In another shape's word it was said to nobody.
            let foreign = Call::read(format!("{body},\"max_new_tokens\":20}}").as_bytes(), shape).unwrap();
            assert_eq!(foreign.bound(20), Some(20));
            assert_eq!(String::from_utf8(foreign.to_upstream(&foreign.model, Some(20))).unwrap(), format!("{body}{bound}"));
            assert_eq!(Call::read(format!("{body}}}").as_bytes(), shape).unwrap().bound(4096), Some(4096));
        }
        let embeddings = Call::read(br#"{"model":"m","input":"p","max_tokens":9}"#, Shape::Embeddings).unwrap();
        assert_eq!((embeddings.output_tokens(4096), embeddings.bound(0)), (0, None));
        let short = Call::read(br#"{"model":"m","messages":[],"max_tokens":3}"#, Shape::Messages).unwrap();
        assert_eq!((short.output_tokens(4096), short.bound(16)), (16, None));
    }

    #[test]
    fn answers_and_thinking_are_part_of_the_worst_case() {
        let call = Call::read(br#"{"model":"m","prompt":["a","b",[1]],"n":2,"best_of":5}"#, Shape::Completions).unwrap();
        assert_eq!(call.answers, 15);
        let call = Call::read(
            br#"{"model":"m","messages":[],"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":1024}}"#,
            Shape::Messages,
        );
        assert_eq!(call.unwrap().least_output, 1025);
        let call = Call::read(br#"{"model":"m","input":"go on","previous_response_id":"resp_1"}"#, Shape::Responses).unwrap();
        assert_eq!((call.input_tokens(1.0, 9000), call.is_plain()), (9000, false));
    }

    #[test]
    fn usage_is_asked_for_only_where_a_stream_would_not_tell_it() {
        for (shape, content, asks) in [
            (Shape::Chat, "messages", true),
            (Shape::Completions, "prompt", true),
            (Shape::Responses, "input", false),
            (Shape::Messages, "messages", false),
        ] {
            let text = format!("{{\"model\":\"m\",\"{content}\":[],\"stream\":true}}");
            let call = Call::read(text.as_bytes(), shape).unwrap();
            assert_eq!(call.wants_usage, !asks, "{shape:?}");
            let sent = String::from_utf8(call.to_upstream(&call.model, None)).unwrap();
            assert_eq!(sent.contains("include_usage"), asks, "{shape:?}");
            assert!(asks || sent == text, "{shape:?}");
        }
    }

    #[test]
    fn what_else_is_asked_of_a_stream_keeps_its_bytes() {
        let text = br#"{"model":"m","messages":[],"stream":true,"stream_options":{"z":1.50,"include_usage":false,"a":1e999}}"#;
        let call = Call::read(text, Shape::Chat).unwrap();
        assert_eq!(
            String::from_utf8(call.to_upstream(&call.model, None)).unwrap(),
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"z":1.50,"include_usage":true,"a":1e999}}"#
        );
    }

    #[test]
    fn a_member_given_twice_cannot_mean_two_things() {
        let call = Call::read(br#"{"model":"cheap","messages":[],"model":"dear","max_tokens":1,"max_tokens":9}"#, Shape::Chat).unwrap();
        assert_eq!((call.model.as_str(), call.most_output), ("dear", Some(9)));
        assert_eq!(call.to_upstream(&call.model, None), br#"{"model":"dear","messages":[],"max_tokens":9}"#);
    }

    #[test]
    fn a_caller_does_not_steer_the_translator() {
        let text = br#"{"model":"cheap","messages":[],"fallbacks":["dear"],"context_window_fallbacks":[],"num_retries":9,"api_key":"x","api_base":"y",
            "Metadata":{},"litellm_metadata":{},"mock_response":"z","extra_headers":{},"timeout":1,"temperature":1,"top_k":4,"user":"u"}"#;
        let call = Call::read(text, Shape::Chat).unwrap();
        assert_eq!(
            String::from_utf8(call.to_upstream(&call.model, None)).unwrap(),
            r#"{"model":"cheap","messages":[],"temperature":1,"top_k":4,"user":"u"}"#
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, member) in [
            (&b"{"[..], None),
            (b"[]", None),
            (b"\xff", None),
            (br#"{"messages":[]}"#, Some("model")),
            (br#"{"model":7,"messages":[]}"#, Some("model")),
            (br#"{"model":"m"}"#, Some("messages")),
            (br#"{"model":"m","messages":[],"max_tokens":-1}"#, Some("max_tokens")),
            (br#"{"model":"m","messages":[],"max_tokens":1.5}"#, Some("max_tokens")),
            (br#"{"model":"m","messages":[],"max_completion_tokens":99999999999999999999}"#, Some("max_completion_tokens")),
            (br#"{"model":"m","messages":[],"n":0}"#, Some("n")),
            (br#"{"model":"m","messages":[],"stream":"yes"}"#, Some("stream")),
        ] {
            assert_eq!(Call::read(body, Shape::Chat).unwrap_err().1, member, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_picture_counts_as_a_picture_and_not_as_text() {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}]}}"#,
            "A".repeat(100_000)
        );
        let call = Call::read(body.as_bytes(), Shape::Chat).unwrap();
        assert!(!call.is_plain() && call.text_bytes < 200, "{}", call.text_bytes);
        assert!(call.input_tokens(1.0, 1_000_000) < 2500);
    }

    #[test]
    fn text_that_is_dressed_as_a_picture_counts_as_text() {
        let picture = format!("data:image/png;base64,{}", "word".repeat(1000));
        for body in [
            json!({"model": "m", "messages": [{"role": "user", "content": picture}]}),
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": picture}]}]}),
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": format!("{picture} and on")}}]}]}),
            json!({"model": "m", "messages": [], "tools": [{"function": {"parameters": {"image_url": {"url": picture}}}}]}),
        ] {
            let call = Call::read(body.to_string().as_bytes(), Shape::Chat).unwrap();
            assert!(call.text_bytes > 4000, "{} of {body}", call.text_bytes);
        }
    }

    #[test]
    fn linked_pictures_and_short_forms_are_counted() {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "which?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": "data:image/png;base64,AAAABBBB"},
        ]}, {"role": "assistant", "content": null}]});
        let call = Call::read(body.to_string().as_bytes(), Shape::Chat).unwrap();
        assert_eq!((call.beside.tokens, call.text_bytes), (4000, i64::try_from(body.to_string().len()).unwrap() - 8));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            for shape in Shape::ALL {
                let _ = Call::read(&bytes, shape);
            }
        }
    }
}
