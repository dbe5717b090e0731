//! The request parser. What is sent on differs from what came only where it must, asks for no more than was granted, is the same call when it is read
//! again, and the count of what is sent is not below the text in it.
#![no_main]

use fuzz::model::{
    request::{Call, LENGTHS},
    shape::Shape,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// What every provider knows, and what none does: it passes as it came.
const KEPT: [&str; 22] = [
    "best_of",
    "input",
    "instructions",
    "logit_bias",
    "messages",
    "model",
    "n",
    "prompt",
    "reasoning",
    "response_format",
    "seed",
    "stop",
    "store",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_p",
    "user",
    "x_unknown",
];

/// What would lead the call elsewhere. No spelling of it passes.
const NEVER: [&str; 12] = [
    "api_base",
    "api_key",
    "base_url",
    "custom_llm_provider",
    "extra_body",
    "extra_headers",
    "fallbacks",
    "litellm_metadata",
    "metadata",
    "mock_response",
    "num_retries",
    "timeout",
];

/// Tools that the provider runs, which no limit holds.
const RUN_THERE: [&str; 6] = ["code_interpreter", "file_search", "image_generation", "mcp", "web_search", "web_search_preview"];

fuzz_target!(|body: &[u8]| {
    // What makes pictures and speaks has no tools and no length to judge by.
    for shape in Shape::ALL.into_iter().filter(|shape| !shape.is_media()) {
        judge(body, shape);
    }
});

/// An object's members as the judge reads them: by name, in their own bytes, the last one of those given twice.
type Members = BTreeMap<String, String>;

fn members(text: &[u8]) -> Option<Members> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(text).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}

fn judge(body: &[u8], shape: Shape) {
    let Ok(call) = Call::read(body, shape) else { return };
    let came = members(body).expect("what is a call is an object");
    counts(&call, body, &came, shape);
    for granted in [None, Some(16), Some(1000), Some(1 << 20)] {
        let bound = granted.and_then(|granted| call.bound(granted));
        let sent = call.to_upstream(&call.model, bound);
        let left = members(&sent).expect("what is sent is an object");
        changes(&call, &came, &left, bound, shape);
        if let Some(granted) = granted.filter(|_| shape.answers()) {
            holds(&left, granted, bound, shape);
        }
        again(&call, &sent, granted, bound, shape);
    }
}

/// The estimate is no less than the text, and the likely one is no more.
fn counts(call: &Call, body: &[u8], came: &Members, shape: Shape) {
    let most = call.input_tokens(1.0, 0);
    let likely = call.likely_input_tokens();
    let length = i64::try_from(body.len()).unwrap();
    assert!((0..=length).contains(&call.text_bytes));
    assert!(0 <= likely && likely <= most);
    assert!(!call.is_plain() || most >= length, "{most} tokens of {length} bytes of text");
    assert!(most >= text_bytes(came, shape), "{most} tokens, and more bytes of text");
    assert!(call.input_tokens(1.0, 1 << 30) >= most);
}

/// Bytes of what is certainly text: prompts and contents that are strings, and parts that say so.
fn text_bytes(came: &Members, shape: Shape) -> i64 {
    let list = match shape {
        Shape::Chat | Shape::Messages | Shape::TokenCount => "messages",
        Shape::Completions | Shape::Images => "prompt",
        Shape::Embeddings | Shape::Responses | Shape::Speech | Shape::Transcription => "input",
    };
    let Some(given) = came.get(list).and_then(|given| serde_json::from_str::<Value>(given).ok()) else { return 0 };
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    let is_text = |part: &&Value| matches!(part["type"].as_str(), Some("text" | "input_text" | "output_text"));
    let content = |content: &Value| match content {
        Value::Array(parts) => parts.iter().filter(is_text).map(|part| length(&part["text"])).sum(),
        text => length(text),
    };
    let bytes: usize = match &given {
        Value::Array(items) => items.iter().map(|item| if item.is_object() { content(&item["content"]) } else { length(item) }).sum(),
        text => length(text),
    };
    i64::try_from(bytes).unwrap()
}

/// What is sent is what came, but for what is ours to say.
fn changes(call: &Call, came: &Members, left: &Members, bound: Option<i64>, shape: Shape) {
    let asks_for_usage = call.stream && shape.usage_is_asked_for();
    for (name, value) in left {
        let is_ours = asks_for_usage && name == "stream_options" || bound.is_some() && shape.length().contains(&name.as_str());
        assert!(is_ours || came.get(name) == Some(value), "{name} is not as it came");
        assert!(!NEVER.contains(&name.to_ascii_lowercase().as_str()), "{name} is sent");
    }
    for name in KEPT {
        assert_eq!(came.get(name), left.get(name), "{name} is not as it came");
    }
    if asks_for_usage {
        let options = |of: &Members| of.get("stream_options").and_then(|options| members(options.as_bytes())).unwrap_or_default();
        let (mut before, mut after) = (options(came), options(left));
        assert_eq!(after.remove("include_usage").as_deref(), Some("true"));
        before.remove("include_usage");
        assert_eq!(before, after, "what else stands in stream_options");
    }
    let said = |name: &str| left.get(name).and_then(|value| serde_json::from_str::<Value>(value).ok()).unwrap_or_default();
    assert!(matches!(said("background"), Value::Null | Value::Bool(false)), "an answer in the background is asked for");
    assert!(!said("context_management").to_string().contains("compact"), "a summary is asked for, which is a call of its own");
    for tool in said("tools").as_array().into_iter().flatten() {
        assert!(!tool["type"].as_str().is_some_and(|kind| RUN_THERE.contains(&kind)), "{tool} is sent");
    }
}

/// Where a limit applies, no word for the answer's length says more than was granted, and one that the shape knows says it.
fn holds(left: &Members, granted: i64, bound: Option<i64>, shape: Shape) {
    let said =
        |name: &&str| left.get(*name).filter(|value| *value != "null").map(|value| value.parse::<i64>().expect("a length is a number"));
    let all: Vec<i64> = LENGTHS.iter().filter_map(said).collect();
    assert!(all.iter().all(|length| *length <= granted), "{all:?} where {granted} are granted");
    assert!(shape.length().iter().filter_map(said).count() > 0, "nothing bounds the answer");
    assert!(bound.is_none_or(|bound| bound == granted && all == [granted]));
}

/// What is sent is the same call when it is read again, and nothing is left to change.
fn again(call: &Call, sent: &[u8], granted: Option<i64>, bound: Option<i64>, shape: Shape) {
    let again = Call::read(sent, shape).expect("what is sent is a call");
    assert_eq!(
        (&again.model, again.stream, again.answers, again.least_output, again.is_plain(), again.is_prose()),
        (&call.model, call.stream, call.answers, call.least_output, call.is_plain(), call.is_prose())
    );
    assert_eq!(again.wants_usage, call.wants_usage || call.stream);
    assert_eq!(again.most_output, bound.or(call.most_output));
    assert_eq!(granted.and_then(|granted| again.bound(granted)), None);
    assert_eq!(again.to_upstream(&again.model, None), sent);
}
