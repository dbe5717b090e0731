//! Times: absolute and in UTC from the server; relative, and in the person's zone, once the page is alive.

use crate::{browser, browser::Clock, components::frame::Me, words};
use leptos::prelude::*;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment.
pub fn time(at: OffsetDateTime) -> AnyView {
    let clock = use_context::<Clock>();
    let zone = use_context::<Me>().map_or_else(|| "UTC".to_owned(), Me::time_zone);
    let minute = clock.map(Clock::minute);
    let ms = at.unix_timestamp() as f64 * 1000.0;
    let local = StoredValue::new(zone);
    let exact = move || match minute {
        Some(minute) if minute.read().is_some() => local.with_value(|zone| browser::local_time(ms, zone)),
        Some(_) | None => words::moment(at),
    };
    let text = move || match minute.and_then(|minute| minute.get()) {
        Some(now) => words::relative(now - at.unix_timestamp() / 60).unwrap_or_else(exact),
        None => words::moment(at),
    };
    view! { <time datetime=at.format(&Rfc3339).unwrap_or_default() title=exact>{text}</time> }.into_any()
}

/// A moment, or a word where there is none.
pub fn time_or(at: Option<OffsetDateTime>, none: &'static str) -> AnyView {
    at.map_or_else(|| none.into_any(), time)
}

/// A moment that comes, by its day and the clock, in the person's zone without script too: the server tells both moments in it.
pub fn coming(at: OffsetDateTime, told_at: OffsetDateTime) -> AnyView {
    let minute = use_context::<Clock>().map(Clock::minute);
    let now = move || {
        let minute = minute.and_then(|minute| minute.get())?;
        Some(OffsetDateTime::from_unix_timestamp(minute * 60).ok()?.to_offset(told_at.offset()))
    };
    let text = move || words::coming(at, now().unwrap_or(told_at));
    view! { <time class="num" datetime=at.format(&Rfc3339).unwrap_or_default()>{text}</time> }.into_any()
}

/// A moment with its day and its minute, not relative; in UTC until the page is alive.
pub fn exact(at: OffsetDateTime) -> AnyView {
    told(at, browser::local_time, words::moment)
}

/// The clock at a moment that is near, to the second; in UTC until the page is alive.
pub fn second(at: OffsetDateTime) -> AnyView {
    told(at, browser::local_clock, words::second)
}

/// A moment as the browser tells it, and until then the server.
fn told(at: OffsetDateTime, local: fn(f64, &str) -> String, plain: fn(OffsetDateTime) -> String) -> AnyView {
    let alive = use_context::<Clock>().map(Clock::alive);
    let zone = StoredValue::new(use_context::<Me>().map_or_else(|| "UTC".to_owned(), Me::time_zone));
    let ms = at.unix_timestamp() as f64 * 1000.0;
    let text = move || match alive {
        Some(alive) if alive.get() => zone.with_value(|zone| local(ms, zone)),
        Some(_) | None => plain(at),
    };
    view! { <time class="num" datetime=at.format(&Rfc3339).unwrap_or_default()>{text}</time> }.into_any()
}
