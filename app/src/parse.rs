//! What people type into forms, as values.

use crate::server_fns::providers::ModelForm;
use contract::{Code, Micros, ModelChange, Price, Problem, Unit};

type Parsed<T> = Result<T, Problem>;

/// A number of days, or none for never.
pub fn days(text: &str) -> Parsed<Option<u16>> {
    match text.trim() {
        "" | "never" => Ok(None),
        text => text.parse().map(Some).map_err(|_| wrong("days", "The number of days is not a number.")),
    }
}

/// A number of minutes, or none for what is usual.
pub fn minutes(text: &str) -> Parsed<Option<i32>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| wrong("minutes", "The number of minutes is not a number.")),
    }
}

/// A limit's amount in its unit; none where nothing is typed.
pub fn amount(unit: Unit, text: &str) -> Parsed<Option<i64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let amount = match unit {
        Unit::Money => Micros::parse(text).map(|micros| micros.0).ok_or("Write an amount of dollars, as 20 or 12.50."),
        Unit::Tokens => count(text).ok_or("Write a whole number of tokens, as 500000 or 2 M."),
    };
    amount.map(Some).map_err(|message| wrong("amount", message))
}

/// What is typed, or none where nothing is.
pub fn some(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What is typed, or else `name`.
pub fn name_or(text: &str, name: &str) -> String {
    some(Some(text.to_owned())).unwrap_or_else(|| name.to_owned())
}

/// A model's form.
pub fn model(form: &ModelForm) -> Parsed<ModelChange> {
    let money = |field: &'static str, text: &str| {
        Micros::parse(text).ok_or_else(|| wrong(&format!("model[{field}]"), "Write dollars for a million tokens, as 3 or 0.25."))
    };
    let tokens = |field: &'static str, text: &str| {
        count(text)
            .filter(|count| *count > 0)
            .ok_or_else(|| wrong(&format!("model[{field}]"), "Write a number of tokens, as 32000 or 128 k."))
    };
    let price = match form.pricing.as_str() {
        "free" => Some(Price::FREE),
        "priced" => {
            let input = money("input", &form.input)?;
            let cached_input = if form.cached_input.trim().is_empty() { input } else { money("cached_input", &form.cached_input)? };
            Some(Price { input, cached_input, output: money("output", &form.output)? })
        }
        _ => None,
    };
    Ok(ModelChange {
        name: form.name.trim().to_owned(),
        upstream: form.upstream.trim().to_owned(),
        description: form.description.trim().to_owned(),
        context_tokens: tokens("context_tokens", &form.context_tokens)?,
        output_tokens: tokens("output_tokens", &form.output_tokens)?,
        price,
        published: form.published.is_some(),
        is_default: form.is_default.is_some(),
    })
}

/// A whole number with an optional `k` or `M`; spaces and commas between digits are fine.
fn count(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != ',' && *c != '_').collect();
    let (digits, times) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1_000_000),
            None => (text.as_str(), 1),
        },
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(times)
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem::new(Code::Invalid, message).field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_their_unit() {
        assert_eq!(amount(Unit::Money, "$12.50"), Ok(Some(12_500_000)));
        assert_eq!(amount(Unit::Money, " "), Ok(None));
        assert_eq!(amount(Unit::Tokens, "2 M"), Ok(Some(2_000_000)));
        assert_eq!(amount(Unit::Tokens, "500,000"), Ok(Some(500_000)));
        for (unit, text) in [(Unit::Money, "much"), (Unit::Tokens, "1.5k"), (Unit::Tokens, "-3"), (Unit::Tokens, "99999999999999 M")] {
            assert_eq!(amount(unit, text).map_err(|problem| problem.field), Err(Some("amount".to_owned())), "{text}");
        }
    }

    #[test]
    fn minutes_are_a_number_or_what_is_usual() {
        assert_eq!((minutes(""), minutes(" 15 "), minutes("0")), (Ok(None), Ok(Some(15)), Ok(Some(0))));
        assert!(minutes("soon").is_err() && minutes("99999999999").is_err());
    }

    #[test]
    fn days_are_a_number_or_never() {
        assert_eq!(days("never"), Ok(None));
        assert_eq!(days("90"), Ok(Some(90)));
        assert!(days("soon").is_err());
    }
}
