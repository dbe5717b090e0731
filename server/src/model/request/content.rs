//! What a call carries that its bytes do not tell: pictures, token ids, documents, and what lies at the provider.

use super::object::Object;
use crate::model::shape::Shape;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Tokens that a picture costs at most with today's providers; its bytes say nothing about it.
const PICTURE_TOKENS: i64 = 2000;
/// Lists within lists are followed so far: a picture in a tool's result is the deepest there is.
const DEEPEST: usize = 6;

/// What is beside the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Bytes of the body that are no text.
    pub bytes: usize,
    /// Tokens that stand for them, and for pictures that are linked.
    pub tokens: i64,
    /// Whether something is only named here and lies elsewhere: an earlier answer, a stored prompt, a document. It may fill the whole context.
    pub elsewhere: bool,
    /// How many prompts there are; at least one.
    pub prompts: i64,
}

impl Beside {
    /// What is beside the text in a body of this shape.
    #[must_use]
    pub fn read(body: &Object, shape: Shape) -> Self {
        let mut beside = Self { prompts: 1, ..Self::default() };
        match shape {
            Shape::Chat | Shape::Messages | Shape::TokenCount => beside.follow(body.get("messages"), 0),
            Shape::Responses => {
                beside.elsewhere = ["previous_response_id", "conversation", "prompt"].iter().any(|name| body.has(name));
                beside.follow(body.get("input"), 0);
            }
            Shape::Completions => beside.prompts(body.get("prompt")),
            Shape::Embeddings => {
                beside.prompts(body.get("input"));
                beside.prompts = 1;
            }
            Shape::Images | Shape::Speech | Shape::Transcription => {}
        }
        beside
    }

    /// One prompt, or a list of them; each as text or as token ids.
    fn prompts(&mut self, given: Option<&RawValue>) {
        let Some(given) = given.map(RawValue::get).filter(|given| given.starts_with('[')) else { return };
        let ids = |list: &str| serde_json::from_str::<Vec<u64>>(list).ok().map(|ids| i64::try_from(ids.len()).unwrap_or(i64::MAX));
        if let Some(tokens) = ids(given).filter(|tokens| *tokens > 0) {
            self.bytes += given.len();
            self.tokens += tokens;
            return;
        }
        let prompts: Vec<&RawValue> = serde_json::from_str(given).unwrap_or_default();
        for prompt in &prompts {
            if let Some(tokens) = ids(prompt.get()) {
                self.bytes += prompt.get().len();
                self.tokens += tokens;
            }
        }
        self.prompts = i64::try_from(prompts.len()).unwrap_or(i64::MAX).max(1);
    }

    /// Messages, items of a conversation, or parts of one.
    fn follow(&mut self, given: Option<&RawValue>, depth: usize) {
        let Some(list) = given.map(RawValue::get).filter(|given| given.starts_with('[')) else { return };
        // What cannot be read, or lies deeper than anything real, may be anything.
        let Some(parts) = serde_json::from_str::<Vec<&RawValue>>(list).ok().filter(|_| depth < DEEPEST) else {
            self.elsewhere = true;
            return;
        };
        for part in parts.into_iter().map(RawValue::get).filter(|part| part.starts_with('{')) {
            match serde_json::from_str::<Part<'_>>(part) {
                Ok(part) => self.add(&part, depth),
                Err(_) => self.elsewhere = true,
            }
        }
    }

    /// A picture is one by its place, and not by its words: text that begins like a picture is text.
    fn add(&mut self, part: &Part<'_>, depth: usize) {
        self.follow(part.content, depth + 1);
        let kind = part.kind.as_deref().unwrap_or_default();
        if let Some(given) = part.image_url {
            let url = serde_json::from_str::<Address<'_>>(given.get()).map_or(given, |address| address.url);
            self.picture(embedded_bytes(url.get()));
            return;
        }
        match kind {
            "input_image" | "computer_screenshot" => self.picture(0),
            "image" => {
                let data = part.source.and_then(|source| serde_json::from_str::<Source<'_>>(source.get()).ok()?.data);
                self.picture(data.map_or(0, |data| picture_bytes(data.get().trim_matches('"'))));
            }
            "document" => match part.source.and_then(|source| serde_json::from_str::<Source<'_>>(source.get()).ok()) {
                Some(source) if source.kind.as_deref() == Some("text") => {}
                Some(source) if source.kind.as_deref() == Some("content") => self.follow(source.content, depth + 1),
                _ => self.elsewhere = true,
            },
            // A file of few bytes can have many pages, and a link or an id says nothing.
            "file" | "input_file" | "item_reference" | "container_upload" | "video_url" | "input_video" => self.elsewhere = true,
            _ => {}
        }
        // A tool's output: text, a picture, or a list of both.
        if let Some(output) = part.output {
            self.follow(Some(output), depth + 1);
            if output.get().starts_with('{') {
                match serde_json::from_str::<Part<'_>>(output.get()) {
                    Ok(part) if depth < DEEPEST => self.add(&part, depth + 1),
                    _ => self.elsewhere = true,
                }
            }
        }
    }

    fn picture(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.tokens += PICTURE_TOKENS;
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    url: &'a RawValue,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// How long the data of an embedded picture is; none where it is linked, or has what no picture has.
fn embedded_bytes(url: &str) -> usize {
    let encoded = url.strip_prefix("\"data:image/").and_then(|rest| rest.split_once(";base64,"));
    encoded.map_or(0, |(_, data)| picture_bytes(data.trim_end_matches('"')))
}

fn picture_bytes(data: &str) -> usize {
    let is_plain = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
    if is_plain { data.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn beside(shape: Shape, body: &Value) -> Beside {
        Beside::read(&serde_json::from_value(body.clone()).unwrap(), shape)
    }

    #[test]
    fn pictures_are_found_where_each_shape_puts_them() {
        let data = "QUJD".repeat(500);
        let url = format!("data:image/png;base64,{data}");
        for (shape, body) in [
            (Shape::Chat, json!({"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]})),
            (Shape::Chat, json!({"messages": [{"content": [{"type": "image_url", "image_url": url}]}]})),
            (Shape::Responses, json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]})),
            (Shape::Responses, json!({"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": url}]}]})),
            (
                Shape::Responses,
                json!({"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": url}}]}),
            ),
            (
                Shape::Messages,
                json!({"messages": [{"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]}]}),
            ),
            (
                Shape::Messages,
                json!({"messages": [{"content": [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": data}}]}]}]}),
            ),
        ] {
            let found = beside(shape, &body);
            assert_eq!(found, Beside { bytes: 2000, tokens: PICTURE_TOKENS, elsewhere: false, prompts: 1 }, "{shape:?}");
        }
        for (shape, body) in [
            (Shape::Responses, json!({"input": [{"content": [{"type": "input_image", "file_id": "file-1"}]}]})),
            (
                Shape::Messages,
                json!({"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]}),
            ),
        ] {
            assert_eq!(beside(shape, &body).tokens, PICTURE_TOKENS, "{shape:?}");
        }
    }

    #[test]
    fn what_lies_elsewhere_may_fill_the_context() {
        for (shape, body) in [
            (Shape::Responses, json!({"previous_response_id": "resp_1", "input": "go on"})),
            (Shape::Responses, json!({"conversation": {"id": "conv_1"}, "input": "go on"})),
            (Shape::Responses, json!({"prompt": {"id": "pmpt_1"}})),
            (Shape::Responses, json!({"input": [{"type": "item_reference", "id": "msg_1"}]})),
            (Shape::Responses, json!({"input": [{"content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]})),
            (Shape::Chat, json!({"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]})),
            (Shape::Messages, json!({"messages": [{"content": [{"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}]}]})),
            // What cannot be read is not taken for harmless.
            (Shape::Messages, json!({"messages": [{"content": [{"type": 7}]}]})),
        ] {
            assert!(beside(shape, &body).elsewhere, "{body}");
        }
        let twice = r#"{"input":[{"type":"message","type":"item_reference","id":"msg_1"}]}"#;
        assert!(Beside::read(&serde_json::from_str(twice).unwrap(), Shape::Responses).elsewhere);
        let deep = format!("{{\"messages\":{}\"\"{}}}", "[{\"content\":".repeat(20), "}]".repeat(20));
        assert!(Beside::read(&serde_json::from_str(&deep).unwrap(), Shape::Chat).elsewhere);
        for (shape, body) in [
            (Shape::Responses, json!({"input": "hello", "instructions": "be brief"})),
            (Shape::Responses, json!({"input": [{"role": "user", "content": "hello"}, {"type": "function_call_output", "output": "42"}]})),
            (Shape::Messages, json!({"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "words"}}]}]})),
            (Shape::Chat, json!({"messages": [{"content": null}, {"content": [{"type": "text", "text": "input_file"}]}]})),
        ] {
            assert_eq!(beside(shape, &body), Beside { prompts: 1, ..Beside::default() }, "{body}");
        }
    }

    #[test]
    fn token_ids_are_counted_and_prompts_too() {
        for (prompt, tokens, prompts) in [
            (json!("hello"), 0, 1),
            (json!(["hello", "there"]), 0, 2),
            (json!([1, 22, 333]), 3, 1),
            (json!([[1, 22], [333]]), 3, 2),
            (json!([]), 0, 1),
        ] {
            let found = beside(Shape::Completions, &json!({"prompt": prompt}));
            assert_eq!((found.tokens, found.prompts), (tokens, prompts), "{prompt}");
            assert_eq!(beside(Shape::Embeddings, &json!({"input": prompt})).tokens, tokens);
        }
    }
}
