//! Usage as a file: CSV (RFC 4180) or JSON, read page by page, so that neither the whole is held in memory nor a connection for long.

use crate::{
    Result,
    data::{
        self, Pool,
        usage::{Mark, Record, Scope},
        usage_total::DayTotal,
    },
};
use contract::PersonId;
use futures::{
    StreamExt as _,
    stream::{BoxStream, try_unfold},
};
use serde::{Deserialize, Serialize};
use time::{Date, format_description::well_known::Rfc3339};

/// Records read at once.
const PAGE: usize = 1000;

/// The form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line a record, with a head.
    Csv,
    /// One array.
    Json,
}

/// What a line of the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A call, as long as its record is kept.
    #[default]
    Call,
    /// All calls of a day that were made and ended the same way, whether their records are still there or not.
    Day,
}

/// What a file is made of.
trait Line: Serialize {
    /// The head of a CSV file: the members of a line, in their order.
    const HEAD: &str;
    /// Its fields, likewise.
    fn fields(&self) -> Vec<String>;
}

impl Line for Record {
    const HEAD: &str = "id,at,person,email,runtime,key,model,route,input_tokens,cached_input_tokens,output_tokens,\
                        input_price_micros,cached_input_price_micros,output_price_micros,cost_micros,latency_ms,first_token_ms,outcome,estimated,counted_in\r\n";

    fn fields(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.at.format(&Rfc3339).unwrap_or_default(),
            field(&self.person),
            field(&self.email),
            field(self.runtime.as_deref().unwrap_or_default()),
            field(self.key.as_deref().unwrap_or_default()),
            field(&self.model),
            field(&self.route),
            self.input_tokens.to_string(),
            self.cached_input_tokens.to_string(),
            self.output_tokens.to_string(),
            self.input_price_micros.to_string(),
            self.cached_input_price_micros.to_string(),
            self.output_price_micros.to_string(),
            self.cost_micros.to_string(),
            self.latency_ms.to_string(),
            self.first_token_ms.map(|ms| ms.to_string()).unwrap_or_default(),
            self.outcome.clone(),
            self.estimated.to_string(),
            self.counted_in.code().to_owned(),
        ]
    }
}

impl Line for DayTotal {
    const HEAD: &str =
        "day,person,email,runtime,key,model,route,outcome,calls,input_tokens,cached_input_tokens,output_tokens,cost_micros,counted_in\r\n";

    fn fields(&self) -> Vec<String> {
        vec![
            self.day.to_string(),
            field(&self.person),
            field(&self.email),
            field(self.runtime.as_deref().unwrap_or_default()),
            field(self.key.as_deref().unwrap_or_default()),
            field(&self.model),
            field(&self.route),
            self.outcome.clone(),
            self.calls.to_string(),
            self.input_tokens.to_string(),
            self.cached_input_tokens.to_string(),
            self.output_tokens.to_string(),
            self.cost_micros.to_string(),
            self.counted_in.code().to_owned(),
        ]
    }
}

/// Whose usage of which days a file has, and where it is read.
#[derive(Clone)]
struct Source {
    pool: Pool,
    person_id: Option<PersonId>,
    from: Date,
    time_zone: String,
}

impl Source {
    /// The scope, from that day on.
    fn since(&self, from: Date) -> Scope<'_> {
        Scope { person_id: self.person_id, from, time_zone: &self.time_zone }
    }
}

/// The records of the scope, piece by piece, oldest first. Prices are micro-units of a dollar for a million tokens.
pub fn records(pool: Pool, scope: Scope<'_>, format: Format) -> BoxStream<'static, Result<String>> {
    let source = Source { pool, person_id: scope.person_id, from: scope.from, time_zone: scope.time_zone.to_owned() };
    let page = move |place: Option<Option<Mark>>| {
        let source = source.clone();
        async move {
            let Some(after) = place else { return Ok(None) };
            let records = data::usage::records(&mut *source.pool.acquire().await?, source.since(source.from), after, PAGE).await?;
            let ends = records.len() < PAGE;
            let next = if ends { None } else { records.last().map(|record| Some((record.at, record.id))) };
            Ok(Some((piece(&records, format, after.is_none(), ends), next)))
        }
    };
    try_unfold(Some(None), page).boxed()
}

/// Totals of the days of the scope until `to`, piece by piece, oldest first.
pub fn days(pool: Pool, scope: Scope<'_>, to: Date, format: Format) -> BoxStream<'static, Result<String>> {
    let source = Source { pool, person_id: scope.person_id, from: scope.from, time_zone: scope.time_zone.to_owned() };
    let page = move |place: Option<Option<Date>>| {
        let source = source.clone();
        async move {
            let Some(day) = place else { return Ok(None) };
            let mut connection = source.pool.acquire().await?;
            // The day that is begun with has a line, and what goes before a line depends on whether it is the first.
            let today = match day {
                Some(day) => day,
                None => data::usage_total::first_day(&mut connection, source.since(source.from)).await?.unwrap_or(to),
            };
            let totals = data::usage_total::of_day(&mut connection, source.since(today)).await?;
            let next = today.next_day().filter(|next| *next <= to);
            Ok(Some((piece(&totals, format, day.is_none(), next.is_none()), next.map(Some))))
        }
    };
    try_unfold(Some(None), page).boxed()
}

/// A piece of the file: the first one has the head, the last one the end.
fn piece<L: Line>(lines: &[L], format: Format, begins: bool, ends: bool) -> String {
    match format {
        Format::Csv => csv(lines, begins),
        Format::Json => json(lines, begins, ends),
    }
}

fn csv<L: Line>(lines: &[L], begins: bool) -> String {
    let mut text = if begins { L::HEAD.to_owned() } else { String::new() };
    for line in lines {
        text.push_str(&line.fields().join(","));
        text.push_str("\r\n");
    }
    text
}

/// What people wrote, as a field. A spreadsheet would take what begins like a formula for one and run it: an apostrophe makes it text.
fn field(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{guard}{}\"", text.replace('"', "\"\"")) } else { format!("{guard}{text}") }
}

/// Only a file that ends with its first piece may have none in it.
fn json(lines: &[impl Serialize], begins: bool, ends: bool) -> String {
    let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap_or_default()).collect();
    let before = match (begins, lines.is_empty()) {
        (true, _) => "[\n",
        (false, false) => ",\n",
        (false, true) => "",
    };
    format!("{before}{}{}", lines.join(",\n"), if ends { "\n]\n" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{field, json};

    #[test]
    fn a_field_is_quoted_and_no_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-2", "'-2"),
            ("@sum(a1)", "'@sum(a1)"),
            ("\tx", "'\tx"),
            ("=hyperlink(\"http://x\",1)", "\"'=hyperlink(\"\"http://x\"\",1)\""),
        ] {
            assert_eq!(field(text), written);
        }
    }

    #[test]
    fn nothing_is_an_empty_array() {
        let read = |text: &str| serde_json::from_str::<Vec<()>>(text).unwrap().len();
        let none: [(); 0] = [];
        assert_eq!(read(&json(&none, true, true)), 0);
        assert_eq!(json(&none, false, true), "\n]\n");
    }
}
