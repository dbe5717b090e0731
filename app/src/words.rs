//! Numbers, sizes and times as people read them: never more digits than mean something.

use contract::{CountedIn, Micros, ModelView, Subject, Unit, Window};
use time::{Date, Month, OffsetDateTime, UtcOffset, Weekday};

/// `1.1 GiB`, `640 MiB`.
pub fn bytes(bytes: i64) -> String {
    let gib = bytes as f64 / (1024.0 * 1024.0 * 1024.0);
    if gib >= 1.0 { format!("{} GiB", short(gib)) } else { format!("{:.0} MiB", gib * 1024.0) }
}

/// The same to be edited: exactly what it is, in whole units.
pub fn typed_bytes(bytes: i64) -> String {
    if bytes % (1 << 30) == 0 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// `1,716`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `820`, `204 k`, `1.82 M`.
pub fn tokens(number: i64) -> String {
    match number {
        ..=9_999 => count(number),
        10_000..=999_499 => format!("{:.0} k", number as f64 / 1e3),
        999_500..=99_999_999 => format!("{:.2} M", number as f64 / 1e6),
        _ => format!("{:.0} M", number as f64 / 1e6),
    }
}

/// What was used of a model: `12 images`, `2 min 5 s of audio`, `3,200 characters`.
pub fn pieces(counted_in: CountedIn, number: i64) -> String {
    match counted_in {
        CountedIn::Tokens => format!("{} tokens", tokens(number)),
        CountedIn::Images => plural(number, "image"),
        CountedIn::Seconds => format!("{} of audio", duration(number.saturating_mul(1000))),
        CountedIn::Characters => format!("{} characters", tokens(number)),
    }
}

/// A model's price: `$3.00 in · $15.00 out`, `$0.04 an image`, `Free`, `No price`.
pub fn price(model: &ModelView) -> String {
    let Some(price) = model.price else { return "No price".to_owned() };
    if price.input == Micros::ZERO && price.output == Micros::ZERO {
        return "Free".to_owned();
    }
    match model.counted_in {
        CountedIn::Tokens => format!("{} in · {} out", price.input, price.output),
        counted_in @ (CountedIn::Images | CountedIn::Seconds | CountedIn::Characters) => {
            format!("{} {}", counted_in.of_priced(price.input), counted_in.priced_words())
        }
    }
}

/// `200k`, for a context window.
pub fn context(number: i64) -> String {
    if number >= 1_000_000 { format!("{}M", short(number as f64 / 1e6)) } else { format!("{}k", (number + 500) / 1000) }
}

/// `0.3 s`, `7 s`, `2 min 5 s`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        ..=9_949 => format!("{:.1} s", ms as f64 / 1e3),
        9_950..=59_499 => format!("{:.0} s", ms as f64 / 1e3),
        _ => {
            let seconds = (ms + 500) / 1000;
            if seconds % 60 == 0 { format!("{} min", seconds / 60) } else { format!("{} min {} s", seconds / 60, seconds % 60) }
        }
    }
}

/// `11 s`: about how long something takes.
pub fn about(ms: i64) -> String {
    duration(((ms + 500) / 1000).max(1) * 1000).replace(".0 s", " s")
}

/// `22 Nov 2026, 08:12 UTC`.
pub fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{} {}, {:02}:{:02} UTC", day(at.date()), at.year(), at.hour(), at.minute())
}

/// `06:59:30 UTC`.
pub fn second(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{:02}:{:02}:{:02} UTC", at.hour(), at.minute(), at.second())
}

/// `06:59`.
pub fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// What comes, by its day and the clock: `today 06:59`, `tomorrow 06:59`, `Monday 06:59` within a week, and the date from then on. Both moments stand in
/// the zone of whoever reads it, each with the offset that the zone has then.
pub fn coming(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let (date, clock) = (at.date(), clock(at));
    match date.to_julian_day() - now.date().to_julian_day() {
        0 => format!("today {clock}"),
        1 => format!("tomorrow {clock}"),
        2..=6 => format!("{} {clock}", weekday(date.weekday())),
        _ if date.year() == now.year() => format!("{} {clock}", day(date)),
        _ => format!("{} {clock}", full_day(date)),
    }
}

/// `22 Nov`.
pub fn day(date: Date) -> String {
    format!("{} {}", date.day(), month(date.month()))
}

/// `22 Nov 2026`.
pub fn full_day(date: Date) -> String {
    format!("{} {}", day(date), date.year())
}

/// `3 minutes ago`, `in 2 days`; none from a week on, where a date says more.
pub fn relative(minutes_ago: i64) -> Option<String> {
    let span = |number: i64, unit: &str| {
        let text = if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") };
        if minutes_ago < 0 { format!("in {text}") } else { format!("{text} ago") }
    };
    match minutes_ago.abs() {
        0 => Some("now".to_owned()),
        minutes @ 1..=59 => Some(span(minutes, "minute")),
        minutes @ 60..=1_439 => Some(span(minutes / 60, "hour")),
        minutes if minutes / 1_440 == 1 && minutes_ago > 0 => Some("yesterday".to_owned()),
        minutes @ 1_440..=10_079 => Some(span(minutes / 1_440, "day")),
        _ => None,
    }
}

/// An amount of a limit in its unit, `$20.00` or `500 k tokens`.
pub fn amount(unit: Unit, amount: i64) -> String {
    match unit {
        Unit::Money => contract::Micros(amount).to_string(),
        Unit::Tokens => format!("{} tokens", tokens(amount)),
        Unit::Requests => plural(amount, "call"),
        Unit::Concurrency => format!("{} at once", plural(amount, "call")),
    }
}

/// The name of a window as a title.
pub const fn window(window: Window) -> &'static str {
    match window {
        Window::Minute => "This minute",
        Window::Hour => "This hour",
        Window::Day => "Today",
        Window::Week => "This week",
        Window::Month => "This month",
        Window::Total => "In all",
    }
}

/// The window as in `$20 a month`.
pub const fn per(window: Window) -> &'static str {
    match window {
        Window::Minute => "a minute",
        Window::Hour => "an hour",
        Window::Day => "a day",
        Window::Week => "a week",
        Window::Month => "a month",
        Window::Total => "in all",
    }
}

/// A limit in words: `$20.00 a month`, `60 calls a minute`, `4 calls at once`.
pub fn limit(unit: Unit, limit: i64, window: Window) -> String {
    match unit {
        Unit::Concurrency => amount(unit, limit),
        Unit::Money | Unit::Tokens | Unit::Requests => format!("{} {}", amount(unit, limit), per(window)),
    }
}

/// What a limit is for: `Each person`, `Group Research`.
pub fn subject(subject: Subject, name: &str) -> String {
    match subject {
        Subject::Everyone => "Each person".to_owned(),
        Subject::Person(_) => name.to_owned(),
        Subject::Group(_) => format!("Group {name}"),
        Subject::Runtime(_) => format!("Runtime {name}"),
        Subject::Key(_) => format!("Key {name}"),
        Subject::Model(_) => format!("Model {name}"),
    }
}

/// `1 runtime`, `2 runtimes`.
pub fn plural(number: i64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", count(number)) }
}

/// The browser and the system of a `User-Agent`, `Firefox on Linux`.
pub fn agent(agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "An unknown browser".to_owned(),
    }
}

/// One digit behind the point, and none where it is zero or the number is large.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if number >= 100.0 => format!("{number:.0}"),
        None => text,
    }
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

const fn month(month: Month) -> &'static str {
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn numbers_are_short_and_true() {
        assert_eq!(bytes(2 * 1024 * 1024 * 1024), "2 GiB");
        assert_eq!(bytes(1_181_116_006), "1.1 GiB");
        assert_eq!(bytes(671_088_640), "640 MiB");
        assert_eq!(count(1_716), "1,716");
        assert_eq!(count(-12_345_678), "-12,345,678");
        for (number, text) in
            [(820, "820"), (9_999, "9,999"), (204_400, "204 k"), (999_600, "1.00 M"), (1_820_000, "1.82 M"), (123_400_000, "123 M")]
        {
            assert_eq!(tokens(number), text);
        }
        assert_eq!(context(200_000), "200k");
        assert_eq!(context(32_768), "33k");
        assert_eq!(context(1_000_000), "1M");
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        for (ms, text) in [(300, "0.3 s"), (6_200, "6.2 s"), (11_400, "11 s"), (60_000, "1 min"), (125_000, "2 min 5 s"), (-4, "0.0 s")] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(about(7_400), "7 s");
        assert_eq!(about(125_000), "2 min 5 s");
        for (minutes, text) in [
            (0, Some("now")),
            (1, Some("1 minute ago")),
            (59, Some("59 minutes ago")),
            (60, Some("1 hour ago")),
            (1_500, Some("yesterday")),
            (4_320, Some("3 days ago")),
            (-2_880, Some("in 2 days")),
            (10_080, None),
        ] {
            assert_eq!(relative(minutes).as_deref(), text, "{minutes}");
        }
    }

    #[test]
    fn what_comes_is_told_by_its_day() {
        let now = datetime!(2026-11-22 23:30 +01:00);
        for (at, text) in [
            (datetime!(2026-11-22 23:59:45 +01:00), "today 23:59"),
            (datetime!(2026-11-23 06:59:45 +01:00), "tomorrow 06:59"),
            // The same moment as an hour to midnight of the day before in UTC.
            (datetime!(2026-11-24 00:00 +01:00), "Tuesday 00:00"),
            (datetime!(2026-11-28 07:00 +01:00), "Saturday 07:00"),
            (datetime!(2026-11-29 07:00 +01:00), "29 Nov 07:00"),
            (datetime!(2027-01-04 07:00 +01:00), "4 Jan 2027 07:00"),
            (datetime!(2026-11-21 07:00 +01:00), "21 Nov 07:00"),
        ] {
            assert_eq!(coming(at, now), text);
        }
        // The clocks change in between: each moment has its own offset.
        assert_eq!(coming(datetime!(2026-10-25 00:30 +02:00), datetime!(2026-10-24 23:30 +02:00)), "tomorrow 00:30");
        assert_eq!(coming(datetime!(2026-10-25 23:30 +01:00), datetime!(2026-10-24 00:10 +02:00)), "tomorrow 23:30");
        assert_eq!(coming(datetime!(2027-01-01 06:00 UTC), datetime!(2026-12-31 23:00 UTC)), "tomorrow 06:00");
    }

    #[test]
    fn a_browser_is_known_by_its_agent() {
        assert_eq!(agent("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"), "Firefox on Linux");
        assert_eq!(
            agent("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"),
            "Chrome on macOS"
        );
        assert_eq!(agent(""), "An unknown browser");
    }
}
