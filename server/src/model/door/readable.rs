//! An answer of ours that can be read where a model's would be: whole, or as a stream, in each shape. It costs nothing.

use crate::model::shape::Shape;
use axum::{
    Json,
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

/// Who is said to answer.
const MODEL: &str = "clawloops";

/// The text as an answer of this shape; none where an answer is no text.
pub fn answer(text: &str, shape: Shape, stream: bool, id: Uuid, now: OffsetDateTime) -> Option<Response> {
    let said = Said { text, id: id.simple().to_string(), created: now.unix_timestamp() };
    let (whole, events) = match shape {
        Shape::Chat => (said.chat(), said.chat_events()),
        Shape::Completions => (said.completion(), said.completion_events()),
        Shape::Responses => (said.response("completed"), said.response_events()),
        Shape::Messages => (said.message(), said.message_events()),
        Shape::Embeddings | Shape::TokenCount | Shape::Images | Shape::Speech | Shape::Transcription => return None,
    };
    if !stream {
        return Some(Json(whole).into_response());
    }
    let mut response = Body::from(events).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    Some(response)
}

/// The first event of a chat's stream, with this text before the model's own.
pub fn chat_event(text: &str, id: Uuid, now: OffsetDateTime) -> Bytes {
    plain(&json!({
        "id": format!("chatcmpl-{}", id.simple()), "object": "chat.completion.chunk", "created": now.unix_timestamp(), "model": MODEL,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}],
    }))
    .into()
}

/// A chat's whole answer with this text before the model's own; as it is where it is none.
pub fn before_chat(text: &str, body: Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
    let Some(content) = answer.pointer_mut("/choices/0/message/content") else { return body };
    match content {
        Value::String(own) => own.insert_str(0, text),
        // Tools are called without a word.
        Value::Null => *content = Value::from(text.trim_end()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return body,
    }
    answer.to_string().into()
}

struct Said<'a> {
    text: &'a str,
    id: String,
    created: i64,
}

/// An event without a name.
fn plain(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// An event whose name is its type.
fn named(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

fn nothing() -> Value {
    json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})
}

impl Said<'_> {
    fn chat(&self) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id), "object": "chat.completion", "created": self.created, "model": MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop", "logprobs": null}],
            "usage": nothing(),
        })
    }

    fn chat_events(&self) -> String {
        let chunk = |choices: Value, usage: Option<Value>| {
            let mut chunk = json!({
                "id": format!("chatcmpl-{}", self.id), "object": "chat.completion.chunk", "created": self.created, "model": MODEL,
                "choices": choices,
            });
            if let Some(usage) = usage {
                chunk["usage"] = usage;
            }
            plain(&chunk)
        };
        let delta = |delta: Value, finish: Option<&str>| chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}]), None);
        [
            delta(json!({"role": "assistant", "content": ""}), None),
            delta(json!({"content": self.text}), None),
            delta(json!({}), Some("stop")),
            chunk(json!([]), Some(nothing())),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat()
    }

    fn completion(&self) -> Value {
        json!({
            "id": format!("cmpl-{}", self.id), "object": "text_completion", "created": self.created, "model": MODEL,
            "choices": [{"index": 0, "text": self.text, "finish_reason": "stop", "logprobs": null}], "usage": nothing(),
        })
    }

    fn completion_events(&self) -> String {
        [plain(&self.completion()), "data: [DONE]\n\n".to_owned()].concat()
    }

    fn output_text(&self) -> Value {
        json!({"type": "output_text", "text": self.text, "annotations": []})
    }

    fn item(&self, status: &str) -> Value {
        let content = if status == "completed" { json!([self.output_text()]) } else { json!([]) };
        json!({"id": format!("msg_{}", self.id), "type": "message", "role": "assistant", "status": status, "content": content})
    }

    fn response(&self, status: &str) -> Value {
        let is_done = status == "completed";
        json!({
            "id": format!("resp_{}", self.id), "object": "response", "created_at": self.created, "status": status, "model": MODEL,
            "output": if is_done { json!([self.item(status)]) } else { json!([]) },
            "usage": is_done.then(|| json!({
                "input_tokens": 0, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 0,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0,
            })),
            "error": null, "incomplete_details": null, "instructions": null, "metadata": {}, "parallel_tool_calls": true, "temperature": null,
            "tool_choice": "auto", "tools": [], "top_p": null,
        })
    }

    fn response_events(&self) -> String {
        let place = |kind: &str, members: Value| {
            let mut event = json!({"type": kind, "item_id": format!("msg_{}", self.id), "output_index": 0, "content_index": 0});
            if let (Some(event), Value::Object(members)) = (event.as_object_mut(), members) {
                event.extend(members);
            }
            event
        };
        let empty = json!({"type": "output_text", "text": "", "annotations": []});
        let events = [
            json!({"type": "response.created", "response": self.response("in_progress")}),
            json!({"type": "response.in_progress", "response": self.response("in_progress")}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": self.item("in_progress")}),
            place("response.content_part.added", json!({"part": empty})),
            place("response.output_text.delta", json!({"delta": self.text, "logprobs": []})),
            place("response.output_text.done", json!({"text": self.text, "logprobs": []})),
            place("response.content_part.done", json!({"part": self.output_text()})),
            json!({"type": "response.output_item.done", "output_index": 0, "item": self.item("completed")}),
            json!({"type": "response.completed", "response": self.response("completed")}),
        ];
        let mut text = String::new();
        for (number, mut event) in events.into_iter().enumerate() {
            event["sequence_number"] = json!(number);
            text.push_str(&named(&event));
        }
        text
    }

    fn message(&self) -> Value {
        json!({
            "id": format!("msg_{}", self.id), "type": "message", "role": "assistant", "model": MODEL,
            "content": [{"type": "text", "text": self.text}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        })
    }

    fn message_events(&self) -> String {
        let mut begun = self.message();
        begun["content"] = json!([]);
        begun["stop_reason"] = Value::Null;
        [
            json!({"type": "message_start", "message": begun}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": self.text}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 0}}),
            json!({"type": "message_stop"}),
        ]
        .iter()
        .map(named)
        .collect()
    }
}
