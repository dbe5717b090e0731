//! A call's body: what we must know of it, and the few members that are rewritten. Everything else keeps its bytes.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON object whose values keep their bytes. Of a member given twice the last one counts, as it does upstream.
#[derive(Clone, Debug)]
pub struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object(Vec::new());
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    object.put(&name, value);
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Object {
    /// A member, read as `T`. `None` when it is absent, null or not a `T`.
    pub fn get<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(member, _)| member == name)?;
        serde_json::from_str::<Option<T>>(value.get()).ok().flatten()
    }

    /// Whether a member is there and not null.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, value)| member == name && value.get() != "null")
    }

    fn put(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Sets a member to plain JSON.
    pub fn set(&mut self, name: &str, value: &serde_json::Value) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.put(name, raw);
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(member, _)| member != name);
    }

    /// Takes out all members whose name `is_out`.
    pub fn drop_named(&mut self, is_out: fn(&str) -> bool) {
        self.0.retain(|(member, _)| !is_out(member));
    }

    /// The JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.0.iter().map(|(name, value)| name.len() + value.get().len() + 8).sum());
        text.push(b'{');
        for (place, (name, value)) in self.0.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            text.extend_from_slice(serde_json::Value::String(name.clone()).to_string().as_bytes());
            text.push(b':');
            text.extend_from_slice(value.get().as_bytes());
        }
        text.push(b'}');
        text
    }
}

/// Tokens that a picture costs at most with today's providers; its bytes say nothing about it.
const PICTURE_TOKENS: i64 = 2000;
/// Tokens that the template around the messages may add.
const FRAME_TOKENS: i64 = 16;

/// What a call asks for.
#[derive(Debug)]
pub struct Call {
    body: Object,
    /// The model, by our name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller wants to see the usage at the end of the stream.
    pub wants_usage: bool,
    /// How many tokens an answer may have, where the caller says so.
    pub most_output: Option<i64>,
    /// How many answers; at least one.
    pub answers: i64,
    /// Bytes that are read as text upstream.
    pub text_bytes: i64,
    /// Pictures beside the text.
    pub pictures: i64,
}

/// A body that cannot be a call: what is wrong, and the member that is.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub String, pub Option<&'static str>);

impl Call {
    /// Reads a body. `content` is the member that must be there, `messages` or `input`.
    ///
    /// # Errors
    /// When it is no JSON object, or one of the members that we need is missing or wrong.
    pub fn read(bytes: &[u8], content: &'static str) -> Result<Self, Malformed> {
        let body: Object =
            serde_json::from_slice(bytes).map_err(|error| Malformed(format!("The request's body is not a JSON object: {error}."), None))?;
        let model = body
            .get::<String>("model")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Malformed("The member `model` must name a model.".to_owned(), Some("model")))?;
        if !body.has(content) {
            return Err(Malformed(format!("The member `{content}` is missing."), Some(content)));
        }
        let count = |name: &'static str, least: i64| match (body.has(name), body.get::<i64>(name)) {
            (false, _) => Ok(None),
            (true, Some(number)) if (least..=1 << 40).contains(&number) => Ok(Some(number)),
            (true, _) => Err(Malformed(format!("The member `{name}` must be a whole number, {least} or more."), Some(name))),
        };
        let most_output = match (count("max_completion_tokens", 1)?, count("max_tokens", 1)?) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        let answers = count("n", 1)?.unwrap_or(1);
        if answers > 128 {
            return Err(Malformed("The member `n` must be at most 128.".to_owned(), Some("n")));
        }
        let stream = match (body.has("stream"), body.get::<bool>("stream")) {
            (false, _) => false,
            (true, Some(stream)) => stream,
            (true, None) => return Err(Malformed("The member `stream` must be true or false.".to_owned(), Some("stream"))),
        };
        let wants_usage = body.get::<Object>("stream_options").and_then(|options| options.get::<bool>("include_usage")).unwrap_or(false);
        let (embedded, pictures) = pictures(&body);
        let text_bytes = i64::try_from(bytes.len().saturating_sub(embedded)).unwrap_or(i64::MAX);
        Ok(Self { body, model, stream, wants_usage, most_output, answers, text_bytes, pictures })
    }

    /// Tokens sent, at most, where a byte is at most `appetite` tokens.
    #[must_use]
    pub fn input_tokens(&self, appetite: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded by the body limit, and an estimate")]
        let text = (self.text_bytes as f64 * appetite).ceil() as i64;
        text + FRAME_TOKENS + self.pictures * PICTURE_TOKENS
    }

    /// Tokens sent, as a rule: four bytes of text are one.
    #[must_use]
    pub fn likely_input_tokens(&self) -> i64 {
        self.text_bytes / 4 + self.pictures * PICTURE_TOKENS
    }

    /// The body to send: usage asked for on a stream, and the answer's length bound where `most_output` is given.
    #[must_use]
    pub fn to_upstream(&self, most_output: Option<i64>) -> Vec<u8> {
        let mut body = self.body.clone();
        body.drop_named(is_steering);
        if self.stream {
            let mut options = body.get::<serde_json::Map<String, serde_json::Value>>("stream_options").unwrap_or_default();
            options.insert("include_usage".to_owned(), true.into());
            body.set("stream_options", &options.into());
        }
        if let Some(most) = most_output {
            // The caller's own word for it stays; one is enough upstream.
            let (used, other) = if body.has("max_completion_tokens") {
                ("max_completion_tokens", "max_tokens")
            } else {
                ("max_tokens", "max_completion_tokens")
            };
            body.set(used, &most.into());
            body.remove(other);
        }
        body.to_json()
    }
}

/// Members by which a caller would steer LiteLLM itself: to another model than the one that was reserved, to more calls than one, to another
/// account. Everything else is the provider's business and passes.
fn is_steering(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "api_base",
        "api_key",
        "api_version",
        "base_url",
        "cache",
        "caching",
        "callbacks",
        "cooldown_time",
        "custom_llm_provider",
        "deployment_id",
        "drop_params",
        "enable_tag_filtering",
        "extra_body",
        "extra_headers",
        "extra_query",
        "failure_callback",
        "guardrails",
        "headers",
        "input_cost_per_second",
        "input_cost_per_token",
        "litellm_call_id",
        "litellm_logging_obj",
        "litellm_params",
        "litellm_session_id",
        "litellm_trace_id",
        "max_retries",
        "metadata",
        "model_info",
        "model_list",
        "models",
        "no-log",
        "num_retries",
        "organization",
        "output_cost_per_token",
        "proxy_server_request",
        "region_name",
        "request_timeout",
        "retry_policy",
        "route",
        "router_settings_override",
        "rpm",
        "success_callback",
        "tags",
        "timeout",
        "stream_timeout",
        "tpm",
        "use_in_pass_through",
        "user_config",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
    ];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&name.as_str())
        || name.ends_with("fallbacks")
        || ["mock_", "litellm_", "aws_", "azure_", "s3_", "langfuse_"].iter().any(|start| name.starts_with(start))
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    url: &'a RawValue,
}

/// Bytes of pictures that are written into the body, and how many pictures there are, linked ones too.
///
/// A picture is one by its place, and not by its words: text that begins like a picture is text.
fn pictures(body: &Object) -> (usize, i64) {
    let (mut embedded, mut count) = (0, 0_i64);
    for message in body.get::<Vec<Message<'_>>>("messages").unwrap_or_default() {
        let Some(content) = message.content.filter(|content| content.get().starts_with('[')) else { continue };
        for part in serde_json::from_str::<Vec<Part<'_>>>(content.get()).unwrap_or_default() {
            let Some(given) = part.image_url else { continue };
            let url = serde_json::from_str::<Address<'_>>(given.get()).map_or(given, |address| address.url);
            embedded += embedded_bytes(url.get());
            count += 1;
        }
    }
    (embedded, count)
}

/// How long the data of an embedded picture is; none where it is linked, or has what no picture has.
fn embedded_bytes(url: &str) -> usize {
    let Some(encoded) = url.strip_prefix("\"data:image/").and_then(|rest| rest.split_once(";base64,")).map(|(_, data)| data) else {
        return 0;
    };
    let data = encoded.trim_end_matches('"');
    let is_plain = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
    if is_plain { data.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_keeps_its_bytes_but_for_what_must_change() {
        let text =
            br#"{"model":"demo","temperature":1.50,"messages":[{"role":"user","content":"h\u00ef"}],"x":{"b":1,"a":[ ]},"stream":true}"#;
        let call = Call::read(text, "messages").unwrap();
        assert_eq!((call.model.as_str(), call.stream, call.wants_usage, call.most_output, call.answers), ("demo", true, false, None, 1));
        assert_eq!(
            String::from_utf8(call.to_upstream(Some(64))).unwrap(),
            r#"{"model":"demo","temperature":1.50,"messages":[{"role":"user","content":"h\u00ef"}],"x":{"b":1,"a":[ ]},"stream":true,"stream_options":{"include_usage":true},"max_tokens":64}"#
        );
    }

    #[test]
    fn the_length_is_bound_in_the_callers_own_word() {
        let call = Call::read(br#"{"model":"m","messages":[],"max_completion_tokens":900,"max_tokens":5}"#, "messages").unwrap();
        assert_eq!(call.most_output, Some(900));
        assert_eq!(String::from_utf8(call.to_upstream(Some(20))).unwrap(), r#"{"model":"m","messages":[],"max_completion_tokens":20}"#);
        assert_eq!(call.to_upstream(None), br#"{"model":"m","messages":[],"max_completion_tokens":900,"max_tokens":5}"#);
    }

    #[test]
    fn a_member_given_twice_cannot_mean_two_things() {
        let call = Call::read(br#"{"model":"cheap","messages":[],"model":"dear","max_tokens":1,"max_tokens":9}"#, "messages").unwrap();
        assert_eq!((call.model.as_str(), call.most_output), ("dear", Some(9)));
        assert_eq!(call.to_upstream(None), br#"{"model":"dear","messages":[],"max_tokens":9}"#);
    }

    #[test]
    fn a_caller_does_not_steer_the_translator() {
        let text = br#"{"model":"cheap","messages":[],"fallbacks":["dear"],"context_window_fallbacks":[],"num_retries":9,"api_key":"x","api_base":"y",
            "Metadata":{},"litellm_metadata":{},"mock_response":"z","extra_headers":{},"timeout":1,"temperature":1,"top_k":4,"user":"u"}"#;
        let call = Call::read(text, "messages").unwrap();
        assert_eq!(
            String::from_utf8(call.to_upstream(None)).unwrap(),
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
            assert_eq!(Call::read(body, "messages").unwrap_err().1, member, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_picture_counts_as_a_picture_and_not_as_text() {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]}}]}}"#,
            "A".repeat(100_000)
        );
        let call = Call::read(body.as_bytes(), "messages").unwrap();
        assert!(call.pictures == 1 && call.text_bytes < 200, "{} {}", call.pictures, call.text_bytes);
        assert!(call.input_tokens(1.0) < 2500);
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
            let call = Call::read(body.to_string().as_bytes(), "messages").unwrap();
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
        let call = Call::read(body.to_string().as_bytes(), "messages").unwrap();
        assert_eq!((call.pictures, call.text_bytes), (2, i64::try_from(body.to_string().len()).unwrap() - 8));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = Call::read(&bytes, "messages");
        }
    }
}
