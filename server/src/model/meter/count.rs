//! What an upstream counted, in each shape's words.

use crate::model::shape::Dialect;
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

/// The member `usage`, as far as an answer or an event tells it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Usage {
    #[serde(default)]
    prompt_tokens: Option<i64>,
    #[serde(default)]
    completion_tokens: Option<i64>,
    #[serde(default)]
    total_tokens: Option<i64>,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
    #[serde(default)]
    input_tokens: Option<i64>,
    #[serde(default)]
    output_tokens: Option<i64>,
    #[serde(default)]
    input_tokens_details: Option<Details>,
    #[serde(default)]
    cache_read_input_tokens: Option<i64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<i64>,
    #[serde(default)]
    seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<i64>,
}

impl Usage {
    /// Seconds of audio, begun ones whole. None when it says none, or what cannot be.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        self.seconds.and_then(begun)
    }

    /// The count, in the words of this dialect. None when it says nothing, or what cannot be.
    #[must_use]
    pub fn count(&self, dialect: Dialect) -> Option<Count> {
        let (input, cached, output) = match dialect {
            // Completions say prompt and completion, responses say input and output; both count cached tokens among those sent.
            Dialect::OpenAi => {
                let output = self.completion_tokens.or(self.output_tokens).unwrap_or(0);
                let input =
                    self.prompt_tokens.or(self.input_tokens).or_else(|| self.total_tokens.and_then(|total| total.checked_sub(output)))?;
                let details = self.prompt_tokens_details.or(self.input_tokens_details);
                (input, details.and_then(|details| details.cached_tokens).unwrap_or(0), output)
            }
            // Anthropic counts what was read from the cache, and what was written to it, beside the rest.
            Dialect::Anthropic => {
                let read = self.cache_read_input_tokens.unwrap_or(0);
                let parts = [self.input_tokens.unwrap_or(0), read, self.cache_creation_input_tokens.unwrap_or(0)];
                if parts.iter().any(|part| !is_plausible(*part)) {
                    return None;
                }
                (parts.iter().sum(), read, self.output_tokens.unwrap_or(0))
            }
        };
        (is_plausible(input) && is_plausible(output) && input + output > 0).then(|| Count { input, cached: cached.clamp(0, input), output })
    }

    /// What two events of one stream say together: each counts from the beginning, and may leave out or set to zero what the other told.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.max(later.prompt_tokens),
            completion_tokens: self.completion_tokens.max(later.completion_tokens),
            total_tokens: self.total_tokens.max(later.total_tokens),
            prompt_tokens_details: later.prompt_tokens_details.or(self.prompt_tokens_details),
            input_tokens: self.input_tokens.max(later.input_tokens),
            output_tokens: self.output_tokens.max(later.output_tokens),
            input_tokens_details: later.input_tokens_details.or(self.input_tokens_details),
            cache_read_input_tokens: self.cache_read_input_tokens.max(later.cache_read_input_tokens),
            cache_creation_input_tokens: self.cache_creation_input_tokens.max(later.cache_creation_input_tokens),
            seconds: later.seconds.or(self.seconds),
        }
    }
}

fn is_plausible(tokens: i64) -> bool {
    (0..=1 << 40).contains(&tokens)
}

#[derive(Deserialize)]
struct Whole {
    usage: Option<Usage>,
}

/// The count in a whole answer.
#[must_use]
pub fn whole(body: &[u8], dialect: Dialect) -> Option<Count> {
    serde_json::from_slice::<Whole>(body).ok()?.usage?.count(dialect)
}

/// Whole seconds of which the last may have just begun.
fn begun(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "within these bounds it fits")]
    (seconds > 0.0 && seconds <= 1e9).then(|| seconds.ceil() as i64)
}

#[derive(Deserialize)]
struct Made {
    data: Vec<serde::de::IgnoredAny>,
}

/// How many pictures are in a whole answer.
#[must_use]
pub fn pictures(body: &[u8]) -> Option<i64> {
    i64::try_from(serde_json::from_slice::<Made>(body).ok()?.data.len()).ok()
}

#[derive(Deserialize)]
struct Heard {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    duration: Option<Length>,
}

/// A length in seconds: some write it as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Length {
    Number(f64),
    Text(String),
}

/// How many seconds of audio a whole answer says were heard: what is billed before what the recording is long.
#[must_use]
pub fn seconds(body: &[u8]) -> Option<i64> {
    let heard: Heard = serde_json::from_slice(body).ok()?;
    let told = heard.usage.and_then(|usage| usage.seconds());
    told.or_else(|| match heard.duration? {
        Length::Number(seconds) => begun(seconds),
        Length::Text(text) => begun(text.trim().parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_counts_in_its_own_words() {
        for (dialect, usage, count) in [
            (Dialect::OpenAi, r#"{"prompt_tokens":9,"total_tokens":9}"#, (9, 0, 0)),
            (Dialect::OpenAi, r#"{"prompt_tokens":8,"completion_tokens":6,"prompt_tokens_details":{"cached_tokens":3}}"#, (8, 3, 6)),
            (
                Dialect::OpenAi,
                r#"{"input_tokens":8,"output_tokens":6,"input_tokens_details":{"cached_tokens":3},"total_tokens":14}"#,
                (8, 3, 6),
            ),
            (Dialect::OpenAi, r#"{"input_tokens":8,"output_tokens":6,"input_tokens_details":null}"#, (8, 0, 6)),
            (Dialect::Anthropic, r#"{"input_tokens":8,"output_tokens":6}"#, (8, 0, 6)),
            (
                Dialect::Anthropic,
                r#"{"input_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":6}"#,
                (10, 3, 6),
            ),
            // LiteLLM's chat answer of a Claude has both: there the cache is within.
            (
                Dialect::OpenAi,
                r#"{"prompt_tokens":110,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40},"cache_read_input_tokens":40}"#,
                (110, 40, 20),
            ),
        ] {
            let (input, cached, output) = count;
            assert_eq!(whole(format!("{{\"usage\":{usage}}}").as_bytes(), dialect), Some(Count { input, cached, output }), "{usage}");
        }
    }

    #[test]
    fn pictures_and_seconds_are_counted_as_they_are_told() {
        assert_eq!(pictures(br#"{"created":1,"data":[{"url":"a"},{"b64_json":"b"}]}"#), Some(2));
        assert_eq!(pictures(br#"{"data":null}"#), None);
        for (body, told) in [
            (r#"{"text":"a","usage":{"type":"duration","seconds":3}}"#, Some(3)),
            (r#"{"text":"a","usage":{"type":"duration","seconds":3.01},"duration":9}"#, Some(4)),
            (r#"{"text":"a","duration":"12.5"}"#, Some(13)),
            (r#"{"text":"a","duration":0.2}"#, Some(1)),
            (r#"{"text":"a","duration":-1}"#, None),
            (r#"{"text":"a","duration":1e300}"#, None),
            (r#"{"text":"a","usage":null}"#, None),
            ("just text", None),
        ] {
            assert_eq!(seconds(body.as_bytes()), told, "{body}");
        }
    }

    #[test]
    fn an_impossible_count_is_no_count() {
        for (dialect, usage) in [
            (Dialect::OpenAi, "{}"),
            (Dialect::OpenAi, r#"{"prompt_tokens":-5,"completion_tokens":1}"#),
            (Dialect::OpenAi, r#"{"prompt_tokens":0,"completion_tokens":0}"#),
            (Dialect::OpenAi, r#"{"total_tokens":-9223372036854775808,"completion_tokens":1}"#),
            (Dialect::OpenAi, "null"),
            (Dialect::OpenAi, "7"),
            (Dialect::Anthropic, "{}"),
            (Dialect::Anthropic, r#"{"input_tokens":0,"output_tokens":0}"#),
            (Dialect::Anthropic, r#"{"input_tokens":9223372036854775807,"cache_read_input_tokens":9223372036854775807}"#),
            (Dialect::Anthropic, r#"{"input_tokens":5,"cache_read_input_tokens":-3,"output_tokens":1}"#),
        ] {
            assert_eq!(whole(format!("{{\"usage\":{usage}}}").as_bytes(), dialect), None, "{usage}");
        }
    }
}
