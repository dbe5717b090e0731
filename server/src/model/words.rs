//! Limits in words: for refusals and warnings, and for the audit log.

use contract::{Micros, Unit, Window};

/// So much of a unit in a window: `$20.00 a day`, `1,000 tokens a month`, `8 calls at once`.
pub(super) fn limit(amount: i64, unit: Unit, window: Window) -> String {
    let amount = match unit {
        Unit::Money => Micros(amount).to_string(),
        Unit::Tokens => format!("{} token{}", grouped(amount), plural(amount)),
        Unit::Requests | Unit::Concurrency => format!("{} call{}", grouped(amount), plural(amount)),
    };
    format!("{amount} {}", within(unit, window))
}

/// What was limited, once no amount is: `tokens a month`.
pub(super) fn limited(unit: Unit, window: Window) -> String {
    let what = match unit {
        Unit::Money => "money",
        Unit::Tokens => "tokens",
        Unit::Requests | Unit::Concurrency => "calls",
    };
    format!("{what} {}", within(unit, window))
}

const fn within(unit: Unit, window: Window) -> &'static str {
    match (unit, window) {
        (Unit::Concurrency, _) => "at once",
        (_, Window::Minute) => "a minute",
        (_, Window::Hour) => "an hour",
        (_, Window::Day) => "a day",
        (_, Window::Week) => "a week",
        (_, Window::Month) => "a month",
        (_, Window::Total) => "in total",
    }
}

const fn plural(number: i64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_as_people_say_them() {
        assert_eq!(limit(20_000_000, Unit::Money, Window::Day), "$20.00 a day");
        assert_eq!(limit(900_000_000, Unit::Tokens, Window::Month), "900,000,000 tokens a month");
        assert_eq!(limit(1, Unit::Requests, Window::Hour), "1 call an hour");
        assert_eq!(limit(8, Unit::Concurrency, Window::Total), "8 calls at once");
        assert_eq!(limited(Unit::Money, Window::Total), "money in total");
        assert_eq!(limited(Unit::Concurrency, Window::Total), "calls at once");
    }
}
