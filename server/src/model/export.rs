//! The records of usage as a file: CSV (RFC 4180) or JSON, read page by page, so that neither the whole is held in memory nor a connection for long.

use crate::{
    Result,
    data::{
        self, Pool,
        usage::{Mark, Record, Scope},
    },
};
use futures::{
    StreamExt as _,
    stream::{BoxStream, try_unfold},
};
use time::format_description::well_known::Rfc3339;

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

/// The head of a CSV file: the members of a record, in their order.
const HEAD: &str = "id,at,person,email,runtime,key,model,route,input_tokens,cached_input_tokens,output_tokens,input_price_micros,\
                    cached_input_price_micros,output_price_micros,cost_micros,latency_ms,first_token_ms,outcome,estimated\r\n";

/// The file, piece by piece, oldest record first. Prices are micro-units of a dollar for a million tokens.
pub fn file(pool: Pool, scope: Scope<'_>, format: Format) -> BoxStream<'static, Result<String>> {
    let (person_id, from, time_zone) = (scope.person_id, scope.from, scope.time_zone.to_owned());
    let page = move |place: Option<Option<Mark>>| {
        let (pool, time_zone) = (pool.clone(), time_zone.clone());
        async move {
            let Some(after) = place else { return Ok(None) };
            let scope = Scope { person_id, from, time_zone: &time_zone };
            let records = data::usage::records(&mut *pool.acquire().await?, scope, after, PAGE).await?;
            let ends = records.len() < PAGE;
            let text = match format {
                Format::Csv => csv(&records, after.is_none()),
                Format::Json => json(&records, after.is_none(), ends),
            };
            let next = if ends { None } else { records.last().map(|record| Some((record.at, record.id))) };
            Ok(Some((text, next)))
        }
    };
    try_unfold(Some(None), page).boxed()
}

fn csv(records: &[Record], begins: bool) -> String {
    let mut text = if begins { HEAD.to_owned() } else { String::new() };
    for record in records {
        let number = |number: i64| number.to_string();
        let fields = [
            record.id.to_string(),
            record.at.format(&Rfc3339).unwrap_or_default(),
            field(&record.person),
            field(&record.email),
            field(record.runtime.as_deref().unwrap_or_default()),
            field(record.key.as_deref().unwrap_or_default()),
            field(&record.model),
            field(&record.route),
            number(record.input_tokens),
            number(record.cached_input_tokens),
            number(record.output_tokens),
            number(record.input_price_micros),
            number(record.cached_input_price_micros),
            number(record.output_price_micros),
            number(record.cost_micros),
            number(record.latency_ms),
            record.first_token_ms.map(number).unwrap_or_default(),
            record.outcome.clone(),
            record.estimated.to_string(),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// What people wrote, as a field. A spreadsheet would take what begins like a formula for one and run it: an apostrophe makes it text.
fn field(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{guard}{}\"", text.replace('"', "\"\"")) } else { format!("{guard}{text}") }
}

fn json(records: &[Record], begins: bool, ends: bool) -> String {
    let records: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap_or_default()).collect();
    let before = match (begins, records.is_empty()) {
        (true, _) => "[\n",
        (false, false) => ",\n",
        (false, true) => "",
    };
    format!("{before}{}{}", records.join(",\n"), if ends { "\n]\n" } else { "" })
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
        assert_eq!(read(&json(&[], true, true)), 0);
        assert_eq!(json(&[], false, true), "\n]\n");
    }
}
