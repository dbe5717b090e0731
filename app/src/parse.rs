//! What people type into forms, as values.

use crate::{
    components::limit_form::unit_word,
    server_fns::{models::KeyLimits, profiles::ProfileForm, providers::ModelForm},
};
use contract::{
    Code, CountedIn, GroupId, KeyEnd, Limit, Micros, ModelChange, ModelId, NewRequest, OwnQuota, Price, Problem, ProfileChange, Subject,
    Unit, Window, moment,
};

type Parsed<T> = Result<T, Problem>;

/// When a key ends: after a number of days, `never`, or with a `day`.
pub fn key_end(ends: &str, day: &str) -> Parsed<KeyEnd> {
    match ends.trim() {
        "never" => Ok(KeyEnd::Never),
        "day" => {
            moment::day::read(day.trim()).map(KeyEnd::With).ok_or_else(|| wrong("day", "Choose the last day of the key, as 2027-01-31."))
        }
        days => days.parse().map(KeyEnd::After).map_err(|_| wrong("days", "The number of days is not a number.")),
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
        Unit::Requests | Unit::Concurrency => count(text).ok_or("Write a whole number of calls, as 60."),
    };
    amount.map(Some).map_err(|message| wrong("amount", message))
}

/// What a limit is for, as a form sends it.
pub fn subject(text: &str) -> Parsed<Subject> {
    text.parse().map_err(|_| wrong("subject", "Choose what the limit is for."))
}

/// A limit's amount and what must be said with it; none where nothing is typed. Calls at once have no window.
pub fn limit(amount_text: &str, unit: Unit, window: Window) -> Parsed<Option<Limit>> {
    let window = if unit == Unit::Concurrency { Window::Total } else { window };
    Ok(amount(unit, amount_text)?.map(|amount| Limit { window, unit, amount }))
}

/// A limit that is to be set.
pub fn some_limit(amount_text: &str, unit: Unit, window: Window) -> Parsed<Limit> {
    limit(amount_text, unit, window)?.ok_or_else(|| wrong("amount", "Write how much it is."))
}

/// A key's own limits, those that are typed.
pub fn key_limits(form: &KeyLimits) -> Parsed<Vec<Limit>> {
    let spent = limit(&form.amount, form.unit.unwrap_or(Unit::Money), form.window.unwrap_or(Window::Month))?;
    let rate = limit(&form.rate, Unit::Requests, Window::Minute)?;
    Ok(spent.into_iter().chain(rate).collect())
}

/// A request for more: the limit as `<id>:<unit>`, and the amount in that unit.
pub fn more(limit: &str, text: &str, reason: String) -> Parsed<NewRequest> {
    let found = limit.split_once(':').and_then(|(id, unit)| Some((id.parse().ok()?, unit_named(unit)?)));
    let (budget_id, unit) = found.ok_or_else(|| wrong("limit", "Choose a limit."))?;
    let amount = amount(unit, text)?.ok_or_else(|| wrong("amount", "Write how much it should be."))?;
    Ok(NewRequest { budget_id, amount, reason })
}

fn unit_named(word: &str) -> Option<Unit> {
    [Unit::Money, Unit::Tokens, Unit::Requests, Unit::Concurrency].into_iter().find(|unit| unit_word(*unit) == word)
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
    let mut counted_in = CountedIn::Tokens;
    let price = match form.pricing.as_str() {
        "free" => Some(Price::FREE),
        "pieces" => {
            counted_in = form.counted_in;
            if counted_in == CountedIn::Tokens {
                return Err(wrong("model[counted_in]", "Choose what the price is for."));
            }
            let each = Micros::parse(&form.each);
            let each = each.ok_or_else(|| wrong("model[each]", "Write dollars for what it is counted in, as 0.04 or 0.006."))?;
            Some(Price::each(counted_in, each))
        }
        "priced" => {
            let input = money("input", &form.input)?;
            let cached_input = if form.cached_input.trim().is_empty() { input } else { money("cached_input", &form.cached_input)? };
            Some(Price { input, cached_input, output: money("output", &form.output)? })
        }
        _ => None,
    };
    let groups = match form.groups.as_str() {
        "chosen" => {
            let ids: Result<Vec<GroupId>, _> = form.group.iter().map(|id| id.parse()).collect();
            Some(ids.map_err(|_| wrong("model[groups]", "One of the groups is none of those that there are."))?)
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
        counted_in,
        published: form.published.is_some(),
        groups,
        is_default: form.is_default.is_some(),
        fallbacks: form.fallbacks.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    })
}

/// A profile's form.
pub fn profile(form: &ProfileForm) -> Parsed<ProfileChange> {
    let of = |field: &str| format!("profile[{field}]");
    let models = match form.models.as_str() {
        "chosen" => {
            let ids: Result<Vec<ModelId>, _> = form.model.iter().map(|id| id.parse()).collect();
            Some(ids.map_err(|_| wrong(&of("models"), "One of the models is none of the catalog's."))?)
        }
        _ => None,
    };
    Ok(ProfileChange {
        name: form.name.clone(),
        description: form.description.clone(),
        image: some(Some(form.image.clone())),
        memory_bytes: size(&of("memory"), &form.memory)?,
        cpu_millis: cores(&of("cpu"), &form.cpu)?,
        pids: count(&form.pids).ok_or_else(|| wrong(&of("pids"), "Write a number of processes, as 512."))?,
        workspace_bytes: size(&of("disk"), &form.disk)?,
        models,
        gpu: form.gpu.is_some(),
        oci_runtime: some(Some(form.oci_runtime.clone())),
        sleep_after_minutes: sleep(&of("sleep_after"), &form.sleep_after)?,
        sleep_stop_after_minutes: sleep(&of("sleep_stop_after"), &form.sleep_stop_after)?,
        position: match form.position.trim() {
            "" => 0,
            text => count(text).ok_or_else(|| wrong(&of("position"), "Write a whole number, as 1."))?,
        },
        offered: form.offered.is_some(),
    })
}

/// What one person may use, as typed; what is empty is everyone's.
pub fn quota(runtimes: &str, memory: &str, cpu: &str, disk: &str) -> Parsed<OwnQuota> {
    let typed = |text: &str| !text.trim().is_empty();
    Ok(OwnQuota {
        runtimes: typed(runtimes)
            .then(|| count(runtimes).ok_or_else(|| wrong("runtimes", "Write a number of runtimes, as 3.")))
            .transpose()?,
        memory_bytes: typed(memory).then(|| size("memory", memory)).transpose()?,
        cpu_millis: typed(cpu).then(|| cores("cpu", cpu)).transpose()?,
        workspace_bytes: typed(disk).then(|| size("disk", disk)).transpose()?,
    })
}

/// Minutes until a sleep: a number, with `h` or `d` behind it hours or days; 0 or `never` is never, nothing is what the settings say.
fn sleep(field: &str, text: &str) -> Parsed<Option<i32>> {
    let text = text.trim().to_ascii_lowercase();
    if text.is_empty() {
        return Ok(None);
    }
    if text == "never" {
        return Ok(Some(0));
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let minutes = match unit.trim() {
        "" | "m" | "min" | "minute" | "minutes" => Some(1),
        "h" | "hour" | "hours" => Some(60),
        "d" | "day" | "days" => Some(1440),
        _ => None,
    };
    let minutes = minutes.and_then(|minutes: i32| number.parse::<i32>().ok()?.checked_mul(minutes));
    minutes.map(Some).ok_or_else(|| wrong(field, "Write minutes as 30, hours as 8 h, or never."))
}

/// Bytes: a number of GiB, or with `MiB`, `GiB` or `TiB` behind it.
fn size(field: &str, text: &str) -> Parsed<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let (number, unit) = match lower.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => lower.split_at(at),
        None => (lower.as_str(), "gib"),
    };
    let bytes = match unit {
        "m" | "mb" | "mib" => 1_i64 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => 0,
    };
    thousandths(number.trim())
        .filter(|_| bytes > 0)
        .and_then(|thousandths| thousandths.checked_mul(bytes))
        .map(|bytes| bytes / 1000)
        .ok_or_else(|| wrong(field, "Write a size, as 4 GiB or 512 MiB."))
}

/// Thousandths of a core, from a number of cores.
fn cores(field: &str, text: &str) -> Parsed<i64> {
    thousandths(text.trim()).ok_or_else(|| wrong(field, "Write a number of cores, as 2 or 0.5."))
}

/// A number with at most three digits behind its point, in thousandths.
fn thousandths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    Some(whole.parse::<i64>().ok()? * 1000 + part)
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
    fn a_model_has_one_price_and_says_what_it_is_for() {
        let form = |pricing: &str, each: &str, counted_in| ModelForm {
            name: "m".to_owned(),
            upstream: "m".to_owned(),
            description: String::new(),
            context_tokens: "8 k".to_owned(),
            output_tokens: "1000".to_owned(),
            pricing: pricing.to_owned(),
            input: "3".to_owned(),
            cached_input: String::new(),
            output: "15".to_owned(),
            each: each.to_owned(),
            counted_in,
            published: None,
            groups: String::new(),
            group: Vec::new(),
            is_default: None,
            fallbacks: String::new(),
        };
        let read = |form| model(&form).map(|change| (change.counted_in, change.price.map(|price| (price.input.0, price.output.0))));
        // What stands in the fields of the other price is not read.
        assert_eq!(read(form("priced", "0.04", CountedIn::Images)), Ok((CountedIn::Tokens, Some((3_000_000, 15_000_000)))));
        assert_eq!(read(form("pieces", "$0.04", CountedIn::Images)), Ok((CountedIn::Images, Some((40_000_000_000, 0)))));
        assert_eq!(read(form("pieces", "0.006", CountedIn::Seconds)), Ok((CountedIn::Seconds, Some((100_000_000, 0)))));
        assert_eq!(read(form("pieces", "15", CountedIn::Characters)), Ok((CountedIn::Characters, Some((15_000_000, 0)))));
        assert_eq!(read(form("none", "", CountedIn::Images)), Ok((CountedIn::Tokens, None)));
        for (each, counted_in, field) in [("", CountedIn::Images, "model[each]"), ("15", CountedIn::Tokens, "model[counted_in]")] {
            assert_eq!(read(form("pieces", each, counted_in)).map_err(|problem| problem.field), Err(Some(field.to_owned())));
        }
    }

    #[test]
    fn minutes_are_a_number_or_what_is_usual() {
        assert_eq!((minutes(""), minutes(" 15 "), minutes("0")), (Ok(None), Ok(Some(15)), Ok(Some(0))));
        assert!(minutes("soon").is_err() && minutes("99999999999").is_err());
    }

    #[test]
    fn sizes_and_cores_are_read_as_people_write_them() {
        for (text, bytes) in [("4", 4 << 30), ("1.5 GiB", 3 << 29), ("512 MiB", 512 << 20), ("2t", 2 << 40), (" 0.25GB ", 1 << 28)] {
            assert_eq!(size("memory", text), Ok(bytes), "{text}");
        }
        for text in ["", "much", "-1", "4 KiB", "1,5", "1.2345", "99999999999", ".", "1.", "4 GiB GiB", "999999999 TiB"] {
            assert_eq!(size("memory", text).map_err(|problem| problem.field), Err(Some("memory".to_owned())), "{text}");
        }
        assert_eq!((cores("cpu", "2"), cores("cpu", "0.5")), (Ok(2000), Ok(500)));
        assert!(cores("cpu", "two").is_err());
    }

    #[test]
    fn a_sleep_is_read_in_minutes() {
        for (text, minutes) in [
            (" ", None),
            ("never", Some(0)),
            ("0", Some(0)),
            ("30", Some(30)),
            ("8 h", Some(480)),
            ("2 days", Some(2880)),
            ("45min", Some(45)),
        ] {
            assert_eq!(sleep("sleep_after", text), Ok(minutes), "{text}");
        }
        for text in ["soon", "-1", "h", "1.5 h", "99999999999", "99999999 d", "5 weeks"] {
            assert_eq!(sleep("sleep_after", text).map_err(|problem| problem.field), Err(Some("sleep_after".to_owned())), "{text}");
        }
    }

    #[test]
    fn a_quota_that_is_left_empty_is_everyones() {
        assert_eq!(quota("", " ", "", ""), Ok(OwnQuota::default()));
        let own = OwnQuota { runtimes: Some(5), memory_bytes: None, cpu_millis: Some(500), workspace_bytes: Some(1 << 40) };
        assert_eq!(quota("5", "", "0.5", "1 TiB"), Ok(own));
        for (runtimes, memory, cpu, disk, field) in
            [("x", "", "", "", "runtimes"), ("", "x", "", "", "memory"), ("", "", "x", "", "cpu"), ("", "", "", "x", "disk")]
        {
            assert_eq!(quota(runtimes, memory, cpu, disk).map_err(|problem| problem.field), Err(Some(field.to_owned())));
        }
    }

    #[test]
    fn a_profile_is_read_from_its_form() {
        let form = ProfileForm {
            name: "Large".to_owned(),
            memory: "4".to_owned(),
            cpu: "2.5".to_owned(),
            pids: "1 k".to_owned(),
            disk: "20 GiB".to_owned(),
            models: "chosen".to_owned(),
            model: vec![ModelId(Default::default()).to_string()],
            sleep_after: "8 h".to_owned(),
            offered: Some("on".to_owned()),
            ..ProfileForm::default()
        };
        let read = profile(&form).unwrap();
        assert_eq!((read.memory_bytes, read.cpu_millis, read.pids, read.workspace_bytes), (4 << 30, 2500, 1000, 20 << 30));
        assert_eq!((read.image, read.oci_runtime, read.gpu, read.offered, read.position), (None, None, false, true, 0));
        assert_eq!((read.sleep_after_minutes, read.sleep_stop_after_minutes), (Some(480), None));
        assert_eq!(read.models, Some(vec![ModelId(Default::default())]));
        type Spoil = fn(&mut ProfileForm);
        let cases: [(&str, Spoil); 8] = [
            ("memory", |form| form.memory = "a lot".to_owned()),
            ("cpu", |form| form.cpu = "fast".to_owned()),
            ("pids", |form| form.pids = "some".to_owned()),
            ("disk", |form| form.disk.clear()),
            ("position", |form| form.position = "first".to_owned()),
            ("sleep_after", |form| form.sleep_after = "soon".to_owned()),
            ("sleep_stop_after", |form| form.sleep_stop_after = "-5".to_owned()),
            ("models", |form| form.model = vec!["x".to_owned()]),
        ];
        for (field, spoil) in cases {
            let mut spoiled = form.clone();
            spoil(&mut spoiled);
            assert_eq!(profile(&spoiled).map_err(|problem| problem.field), Err(Some(format!("profile[{field}]"))));
        }
    }

    #[test]
    fn a_key_ends_after_days_with_a_day_or_never() {
        assert_eq!(key_end("never", ""), Ok(KeyEnd::Never));
        assert_eq!(key_end("90", "2027-01-31"), Ok(KeyEnd::After(90)));
        let day = moment::day::read("2027-01-31").unwrap();
        assert_eq!(key_end("day", " 2027-01-31 "), Ok(KeyEnd::With(day)));
        for (ends, typed, field) in
            [("soon", "", "days"), ("", "", "days"), ("day", "", "day"), ("day", "31.1.2027", "day"), ("day", "2027-02-30", "day")]
        {
            assert_eq!(key_end(ends, typed).map_err(|problem| problem.field), Err(Some(field.to_owned())), "{ends} {typed}");
        }
    }
}
