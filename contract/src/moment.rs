//! Moments (RFC 3339) and days on the wire, read by few lines of our own: what the `time` crate brings to read any format at all would weigh as
//! much in the page as some pages do.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset, format_description::well_known::Rfc3339};

/// Writes `2026-11-22T08:12:00Z`.
///
/// # Errors
/// Years that RFC 3339 does not have.
pub fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.format(&Rfc3339).map_err(S::Error::custom)?)
}

/// Reads what `serialize` writes.
///
/// # Errors
/// Anything that is no moment.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    moment(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a moment"))
}

/// A moment, or none.
pub mod option {
    use super::*;

    /// Writes the moment, or nothing.
    ///
    /// # Errors
    /// Years that RFC 3339 does not have.
    pub fn serialize<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what `serialize` writes.
    ///
    /// # Errors
    /// Anything that is neither a moment nor nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OffsetDateTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| moment(&text).ok_or_else(|| D::Error::custom("not a moment"))).transpose()
    }
}

/// A day, `2026-11-22`.
pub mod day {
    use super::*;

    /// Writes the day.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()))
    }

    /// Reads what `serialize` writes.
    ///
    /// # Errors
    /// Anything that is no day.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        date(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a day"))
    }

    /// Reads a day as a form writes it, `2026-11-22`.
    #[must_use]
    pub fn read(text: &str) -> Option<Date> {
        date(text)
    }
}

/// Numbers with a sign between each two: `08:12:00` is 8, 12 and 0.
fn numbers<const N: usize>(text: &str, sign: char) -> Option<[u16; N]> {
    let mut parts = text.split(sign);
    let mut numbers = [0; N];
    for number in &mut numbers {
        let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn date(text: &str) -> Option<Date> {
    let [year, month, day] = numbers(text, '-')?;
    Date::from_calendar_date(year.into(), Month::try_from(u8::try_from(month).ok()?).ok()?, day.try_into().ok()?).ok()
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    let day = date(text.get(..10)?)?;
    let [hour, minute, second] = numbers(text.get(10..19)?.strip_prefix('T')?, ':')?;
    let rest = text.get(19..)?;
    let (nanos, zone) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit())?;
            let nanos = format!("{:0<9}", fraction.get(..end)?.get(..9).or(fraction.get(..end))?).parse().ok()?;
            (nanos, fraction.get(end..)?)
        }
        None => (0, rest),
    };
    let time = Time::from_hms_nano(hour.try_into().ok()?, minute.try_into().ok()?, second.try_into().ok()?, nanos).ok()?;
    let at = day.with_time(time);
    if zone == "Z" {
        return Some(at.assume_utc());
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(zone.get(1..)?, ':')?;
    let offset = UtcOffset::from_whole_seconds(sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60).ok()?;
    Some(at.assume_offset(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, datetime};

    #[test]
    fn what_is_written_is_read() {
        for at in [
            datetime!(2026-11-22 08:12 UTC),
            datetime!(2026-02-28 23:59:59.000000001 UTC),
            datetime!(1999-12-31 00:00:00.25 -03:30),
            datetime!(2026-11-22 08:12:01.123456789 +05:45),
        ] {
            assert_eq!(moment(&at.format(&Rfc3339).unwrap()), Some(at), "{at}");
        }
        assert_eq!(super::date("2024-02-29"), Some(date!(2024 - 02 - 29)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T08:12:00",
            "2026-13-22T08:12:00Z",
            "2026-11-22T24:12:00Z",
            "2026-11-22T08:12Z",
            "2026-11-22 08:12:00Z",
            "2026-11-22T08:12:00.Zx",
            "2026-11-22T08:12:00 01:00",
            "2026-11-22T08:12:00+0100",
            "2026-11-2éT08:12:00Z",
            "+026-11-22T08:12:00Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
        assert_eq!(super::date("2023-02-29"), None);
        assert_eq!(super::date("2023-02-02-02"), None);
    }
}
