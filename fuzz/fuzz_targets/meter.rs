//! The stream meter. However a stream is cut, the same passes and the same is counted; nothing is counted that was not said; nothing is kept of what
//! has passed.
#![no_main]

use fuzz::model::{
    meter::{Count, Meter, whole},
    shape::{Dialect, Shape},
};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// The most that a count may be.
const PLAUSIBLE: i64 = 1 << 40;
/// Longer ones are not cut byte by byte: it takes long and shows nothing more.
const SHORT: usize = 150;

fuzz_target!(|stream: &[u8]| {
    let said = numbers(stream);
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        is_said(whole(stream, dialect), dialect, &said);
    }
    for shape in [Shape::Chat, Shape::Completions, Shape::Responses, Shape::Messages] {
        judge(stream, shape, true, &said);
        // Only these tell their usage to who asks alone.
        if shape.usage_is_asked_for() {
            judge(stream, shape, false, &said);
        }
    }
});

/// What a meter makes of a stream.
#[derive(Debug, PartialEq)]
struct Metered {
    out: Vec<u8>,
    count: Option<Count>,
    estimate: i64,
    done: bool,
    failed: bool,
}

fn judge(stream: &[u8], shape: Shape, shows_usage: bool, said: &BTreeSet<i64>) {
    let metered = meter(stream, shape, shows_usage, |rest| rest);
    // Cuts that the stream itself decides: deterministic, and other ones for each.
    let mut dice = crc32fast::hash(stream) | 1;
    let cut = meter(stream, shape, shows_usage, |_| {
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        dice as usize % 23
    });
    assert_eq!(metered, cut, "{shape:?} cut anywhere");
    if stream.len() <= SHORT {
        assert_eq!(metered, meter(stream, shape, shows_usage, |_| 1), "{shape:?} byte by byte");
    }

    is_said(metered.count, shape.dialect(), said);
    assert!((0..=i64::try_from(stream.len()).unwrap()).contains(&metered.estimate), "an estimate of {}", metered.estimate);
    if !shows_usage {
        // Whoever did not ask hears all of it but the usage.
        let heard = meter(&metered.out, shape, true, |rest| rest);
        assert_eq!(heard.count, None, "the usage is told");
        assert_eq!((heard.estimate, heard.done, heard.failed), (metered.estimate, metered.done, metered.failed));
        only_usage_is_gone(stream, &metered.out);
    } else if metered.out != stream {
        // Left out is only what an Anthropic client would not hear, and then the door tells it.
        assert!(shape.dialect() == Dialect::Anthropic && !metered.done, "bytes are lost");
    }
}

/// Passes a stream in steps, and looks whether anything is kept but an event that has not come whole.
fn meter(stream: &[u8], shape: Shape, shows_usage: bool, mut step: impl FnMut(usize) -> usize) -> Metered {
    let mut meter = Meter::new(shape, shows_usage);
    let (mut out, mut at) = (Vec::new(), 0);
    let mut ends = events(stream).map(|(_, end)| end).peekable();
    let mut passed = 0;
    let drops = !shows_usage || shape.dialect() == Dialect::Anthropic;
    while at < stream.len() {
        let next = at + step(stream.len() - at).min(stream.len() - at);
        out.extend_from_slice(&meter.pass(&stream[at..next]));
        at = next;
        while let Some(end) = ends.next_if(|end| *end <= at) {
            passed = end;
        }
        assert!(drops || out.len() == passed, "{} bytes passed of {passed}", out.len());
    }
    out.extend_from_slice(&meter.end());
    Metered { out, count: meter.count(), estimate: meter.estimate(), done: meter.is_done(), failed: meter.has_failed() }
}

/// The whole events of a stream: where each begins, and where it ends behind its empty line.
fn events(stream: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let end = (begin + 2..=stream.len()).find(|end| {
            let event = &stream[begin..*end];
            event.ends_with(b"\n\n") || event.ends_with(b"\r\n\r\n")
        })?;
        let event = (begin, end);
        begin = end;
        Some(event)
    })
}

/// Every whole number in it.
fn numbers(text: &[u8]) -> BTreeSet<i64> {
    let digits = text.split(|byte| !byte.is_ascii_digit()).filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    digits.chain([0]).collect()
}

/// A count is of numbers that were said, none below zero.
fn is_said(count: Option<Count>, dialect: Dialect, said: &BTreeSet<i64>) {
    let Some(Count { input, cached, output }) = count else { return };
    assert!((0..=PLAUSIBLE).contains(&input) && (0..=PLAUSIBLE).contains(&output) && (0..=input).contains(&cached));
    assert!(input + output > 0, "a count of nothing");
    assert!(said.contains(&output), "{output} tokens answered were not said");
    assert!(said.contains(&cached) || cached == input, "{cached} cached tokens were not said");
    // Anthropic's is a sum of three.
    let is_told = match dialect {
        Dialect::OpenAi => said.contains(&input) || said.contains(&(input + output)),
        Dialect::Anthropic => said.iter().any(|one| said.iter().any(|other| said.contains(&(input - one - other)))),
    };
    assert!(is_told, "{input} tokens sent were not said");
}

/// Every event passed in its own bytes, or without its usage, or was left out with it.
fn only_usage_is_gone(stream: &[u8], out: &[u8]) {
    let mut left = out;
    let tail = events(stream).last().map_or(0, |(_, end)| end);
    for (begin, end) in events(stream).chain([(tail, stream.len())]) {
        let event = &stream[begin..end];
        if let Some(after) = left.strip_prefix(event) {
            left = after;
            continue;
        }
        let data = event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:")).expect("only data is changed");
        let mut members = members(data).expect("only objects are changed");
        assert!(members.remove("usage").is_some(), "what has no usage passes as it is");
        let end = events(left).next().map_or(0, |(_, end)| end);
        let passed = left[..end].strip_prefix(b"data: ").and_then(self::members);
        if passed == Some(members) {
            left = &left[end..];
        }
    }
    assert!(left.is_empty(), "more passed than came");
}

fn members(text: &[u8]) -> Option<BTreeMap<String, String>> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(text).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}
