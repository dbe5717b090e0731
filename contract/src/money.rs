//! Money as whole micro-units of a US dollar: no fraction is ever rounded away unseen.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
};

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads what a person types: `12`, `12.5`, `$12.50`, at most six decimals, not negative.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('$').trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.len() > 6 {
            return None;
        }
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut micros: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        for _ in fraction.len()..6 {
            micros *= 10;
        }
        whole.checked_mul(1_000_000)?.checked_add(micros).map(Self)
    }
}

impl fmt::Display for Micros {
    /// `$11.84`; below one cent as many digits as mean something, `$0.0004`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        if micros > 0 && micros < 10_000 {
            let text = format!("{:06}", micros);
            return write!(f, "{sign}$0.{}", text.trim_end_matches('0'));
        }
        let cents = (micros + 5_000) / 10_000;
        let (dollars, cents) = (cents / 100, cents % 100);
        let mut grouped = String::new();
        let digits = dollars.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        write!(f, "{sign}${grouped}.{cents:02}")
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn amounts_are_read_as_typed_and_shown_as_meant() {
        for (text, micros) in [("12", 12_000_000), ("$12.50", 12_500_000), (" .5 ", 500_000), ("0.000001", 1)] {
            assert_eq!(Micros::parse(text), Some(Micros(micros)), "{text}");
        }
        for text in ["", "-1", "1.2345678", "1e3", "9999999999999999", "."] {
            assert_eq!(Micros::parse(text), None, "{text}");
        }
        for (micros, text) in
            [(0, "$0.00"), (1, "$0.000001"), (400, "$0.0004"), (11_840_000, "$11.84"), (1_234_567_890_000, "$1,234,567.89")]
        {
            assert_eq!(Micros(micros).to_string(), text);
        }
    }
}
