//! The upstream in the other shapes: completions, responses, messages. It does what the call's own body asks of it, and counts ten tokens sent, four
//! of them cached.

use crate::support::{INPUT, Seen, Upstream, misbehaves, paced};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What stands in each shape: the whole answer, and the events of a stream.
struct Shape {
    length: &'static str,
    whole: fn(i64) -> Value,
    begin: fn() -> Vec<String>,
    piece: fn() -> String,
    end: fn(i64, bool) -> Vec<String>,
}

pub fn router() -> Router<Arc<Upstream>> {
    Router::new()
        .route("/v1/completions", post(async |state, headers, body| answer(state, headers, body, &COMPLETIONS).await))
        .route("/v1/responses", post(async |state, headers, body| answer(state, headers, body, &RESPONSES).await))
        .route("/v1/messages", post(async |state, headers, body| answer(state, headers, body, &MESSAGES).await))
        .route("/v1/messages/count_tokens", post(count_tokens))
}

async fn answer(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>, shape: &'static Shape) -> Response {
    let does = body.pointer("/x_fake/does").and_then(Value::as_str).unwrap_or("answers").to_owned();
    let asked = body.pointer("/x_fake/output").and_then(Value::as_i64).unwrap_or(5);
    let output = asked.min(body.get(shape.length).and_then(Value::as_i64).unwrap_or(i64::MAX));
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    if let Some(response) = misbehaves(&does).await {
        return response;
    }
    *upstream.tokens.lock().unwrap() += INPUT + output;
    let counts = does != "counts nothing";
    if !stream {
        let mut answer = (shape.whole)(output);
        if !counts {
            answer.as_object_mut().unwrap().remove("usage");
        }
        return Json(answer).into_response();
    }
    let mut events: Vec<Result<String, std::io::Error>> = (shape.begin)().into_iter().map(Ok).collect();
    if does == "stops in the middle" {
        events.extend((0..output / 2).map(|_| Ok((shape.piece)())));
        events.push(Ok((shape.piece)()[..20].to_owned()));
        events.push(Err(std::io::Error::other("gone")));
    } else {
        events.extend((0..output).map(|_| Ok((shape.piece)())));
        events.extend((shape.end)(output, counts).into_iter().map(Ok));
    }
    ([("content-type", "text/event-stream")], Body::from_stream(paced(&does, events))).into_response()
}

async fn count_tokens(State(upstream): State<Arc<Upstream>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let does = body.pointer("/x_fake/does").and_then(Value::as_str).unwrap_or("answers").to_owned();
    upstream.seen.lock().unwrap().push(Seen { headers, body });
    match misbehaves(&does).await {
        Some(response) => response,
        None => Json(json!({"input_tokens": INPUT})).into_response(),
    }
}

/// The events of a stream as they come from this upstream, to compare with what passed.
pub fn whole_stream(path: &str, output: i64) -> String {
    let shape = match path {
        "completions" => &COMPLETIONS,
        "responses" => &RESPONSES,
        _ => &MESSAGES,
    };
    let mut events = (shape.begin)();
    events.extend((0..output).map(|_| (shape.piece)()));
    events.extend((shape.end)(output, true));
    events.concat()
}

fn plain(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn named(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

static COMPLETIONS: Shape = Shape {
    length: "max_tokens",
    whole: |output| {
        json!({"id": "1", "object": "text_completion", "model": "priced", "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}],
               "usage": completion_usage(output)})
    },
    begin: Vec::new,
    piece: || plain(&json!({"id": "1", "object": "text_completion", "choices": [{"index": 0, "text": "word"}]})),
    end: |output, counts| {
        let mut events = vec![plain(&json!({"id": "1", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}))];
        if counts {
            events.push(plain(&json!({"id": "1", "choices": [], "usage": completion_usage(output)})));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    },
};

fn completion_usage(output: i64) -> Value {
    json!({"prompt_tokens": INPUT, "completion_tokens": output, "total_tokens": INPUT + output, "prompt_tokens_details": {"cached_tokens": 4}})
}

static RESPONSES: Shape = Shape {
    length: "max_output_tokens",
    whole: |output| response("completed", Some(output)),
    begin: || vec![named(&json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", None)}))],
    piece: || named(&json!({"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "word"})),
    end: |output, counts| vec![named(&json!({"type": "response.completed", "response": response("completed", counts.then_some(output))}))],
};

fn response(status: &str, output: Option<i64>) -> Value {
    let usage = output.map(|output| {
        json!({"input_tokens": INPUT, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": output,
               "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": INPUT + output})
    });
    json!({"id": "resp_1", "object": "response", "status": status, "model": "priced", "usage": usage,
           "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}]})
}

static MESSAGES: Shape = Shape {
    length: "max_tokens",
    whole: |output| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "priced", "content": [{"type": "text", "text": "hi"}],
               "stop_reason": "end_turn", "usage": message_usage(output)})
    },
    begin: || {
        let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": message_usage(1)});
        vec![
            named(&json!({"type": "message_start", "message": message})),
            named(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            named(&json!({"type": "ping"})),
        ]
    },
    piece: || named(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word"}})),
    end: |output, counts| {
        let usage = if counts { json!({"output_tokens": output}) } else { Value::Null };
        vec![
            named(&json!({"type": "content_block_stop", "index": 0})),
            named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})),
            named(&json!({"type": "message_stop"})),
        ]
    },
};

/// Anthropic counts what came from the cache, and what was written to it, beside the rest.
fn message_usage(output: i64) -> Value {
    json!({"input_tokens": INPUT - 6, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": output})
}
