//! Cost by day as stacked columns: SVG from the server, with a table for readers and for those who copy.

use crate::words;
use contract::{Micros, UsageReport};
use leptos::prelude::*;
use time::{Date, Duration};

/// The colours that tell models apart; all further models share the last place, "others".
const SERIES: usize = 4;
const OTHERS: &str = "others";

/// The models that have a colour of their own: the most expensive ones.
fn series(report: &UsageReport) -> Vec<String> {
    let mut names: Vec<String> = report.by_model.iter().map(|line| line.name.clone()).collect();
    if names.len() > SERIES {
        names.truncate(SERIES - 1);
        names.push(OTHERS.to_owned());
    }
    names
}

/// The colour of a model.
pub fn colour(report: &UsageReport, model: &str) -> String {
    let names = series(report);
    let place = names.iter().position(|name| name == model).unwrap_or(names.len().saturating_sub(1));
    format!("var(--series-{})", place + 1)
}

/// The models and their colours.
fn legend(report: &UsageReport) -> AnyView {
    let names = series(report).into_iter().enumerate();
    view! { <div class="legend">{names.map(|(place, name)| view! { <span><i style=format!("--c:var(--series-{})", place + 1)></i>{name}</span> }).collect_view()}</div> }.into_any()
}

/// What the columns stand for: cost, or tokens where nothing costs anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Cost,
    Tokens,
}

impl Measure {
    fn of(report: &UsageReport) -> Self {
        if report.totals.cost > Micros::ZERO { Self::Cost } else { Self::Tokens }
    }

    fn value(self, totals: contract::Totals) -> i64 {
        match self {
            Self::Cost => totals.cost.0,
            Self::Tokens => totals.input_tokens + totals.output_tokens,
        }
    }

    fn text(self, value: i64) -> String {
        match self {
            Self::Cost => Micros(value).to_string(),
            Self::Tokens => words::tokens(value),
        }
    }

    /// As `text`, without digits that a round value does not need.
    fn tick(self, value: i64) -> String {
        let text = self.text(value);
        if self == Self::Cost { text.strip_suffix(".00").map(str::to_owned).unwrap_or(text) } else { text }
    }
}

/// The title that fits what the columns stand for.
fn title(report: &UsageReport) -> &'static str {
    match Measure::of(report) {
        Measure::Cost => "Cost by day",
        Measure::Tokens => "Tokens by day",
    }
}

/// One day's column: the value of each series.
struct Column {
    day: Date,
    values: Vec<i64>,
}

fn columns(report: &UsageReport, names: &[String], measure: Measure) -> Vec<Column> {
    let days = (report.to - report.from).whole_days().clamp(0, 366);
    (0..=days)
        .map(|offset| {
            let day = report.from + Duration::days(offset);
            let mut values = vec![0; names.len()];
            for used in report.by_day.iter().filter(|used| used.day == day) {
                let place = names.iter().position(|name| *name == used.model).unwrap_or(names.len().saturating_sub(1));
                if let Some(value) = values.get_mut(place) {
                    *value += measure.value(used.totals);
                }
            }
            Column { day, values }
        })
        .collect()
}

/// The step between two lines of the grid, round, so that three or four lines hold `most`.
fn step(most: i64) -> i64 {
    let mut power = 1_i64;
    while power.saturating_mul(10) <= most {
        power = power.saturating_mul(10);
    }
    [power / 10, power / 5, power / 2, power, power * 2, power * 5]
        .into_iter()
        .find(|step| *step > 0 && most / step < 4)
        .unwrap_or(power * 10)
}

/// The chart as a card; nothing where nothing was used.
pub fn card(report: &UsageReport, width: f64) -> AnyView {
    if report.by_day.is_empty() {
        return ().into_any();
    }
    view! {
        <section class="card">
            <header><h2>{title(report)}</h2><span class="grow"></span>{legend(report)}</header>
            <div class="body">{by_day(report, width)}</div>
        </section>
    }
    .into_any()
}

/// The chart, `width` pixels wide. It is drawn twice, for a wide place and for a narrow one, so that its labels stay readable on a phone.
fn by_day(report: &UsageReport, width: f64) -> AnyView {
    let measure = Measure::of(report);
    let names = series(report);
    let columns = columns(report, &names, measure);
    let table = table(&names, &columns, measure);
    view! {
        {drawn(&columns, measure, width, 190.0, "chart wide")}
        {drawn(&columns, measure, 340.0, 170.0, "chart narrow")}
        <details class="as-table"><summary class="tiny muted">"Show as table"</summary><div class="scroll" tabindex="0" role="region" aria-label="Table">{table}</div></details>
    }
    .into_any()
}

fn drawn(columns: &[Column], measure: Measure, width: f64, height: f64, class: &'static str) -> AnyView {
    let most = columns.iter().map(|column| column.values.iter().sum::<i64>()).max().unwrap_or(0).max(1);
    let step = step(most);
    let lines = most / step + 1;
    let (left, top, bottom) = (44.0, 6.0, height - 20.0);
    let y = |value: i64| bottom - (bottom - top) * value as f64 / (lines * step) as f64;
    let grid = (0..=lines).map(|line| {
        let (at, text) = (y(line * step), measure.tick(line * step));
        view! {
            <line class="grid" x1=left x2=width y1=point(at) y2=point(at) />
            <text x="38" y=point(at + 3.5) text-anchor="end">{text}</text>
        }
    });
    let slot = (width - left) / columns.len().max(1) as f64;
    let every = (64.0 / slot).ceil().max(1.0) as usize;
    let bars = columns.iter().enumerate().map(|(place, column)| {
        let x = left + slot * (place as f64 + 0.17);
        let mut below = 0;
        let parts: Vec<_> = column
            .values
            .iter()
            .enumerate()
            .filter(|(_, value)| **value > 0)
            .map(|(series, value)| {
                let (high, low) = (y(below + value), y(below));
                below += value;
                let tall = (low - high - 1.0).max(0.8);
                view! { <rect x=point(x) y=point(low - 1.0 - tall) width=point(slot * 0.66) height=point(tall) rx=point((slot * 0.1).min(2.0)) fill=format!("var(--series-{})", series + 1) /> }
            })
            .collect();
        let label = (place % every == 0).then(|| view! { <text x=point(x + slot * 0.33) y=height - 4.0 text-anchor="middle">{words::day(column.day)}</text> });
        view! { <g><title>{format!("{}: {}", words::day(column.day), measure.text(below))}</title>{parts}</g>{label} }
    });
    view! {
        <svg class=class viewBox=format!("0 0 {width} {height}") role="img" aria-label="Columns by day; the table below has the numbers">
            {grid.collect_view()}
            {bars.collect_view()}
        </svg>
    }
    .into_any()
}

fn table(names: &[String], columns: &[Column], measure: Measure) -> AnyView {
    let used = columns.iter().rev().filter(|column| column.values.iter().any(|value| *value > 0));
    view! {
        <table>
            <thead><tr><th>"Day"</th>{names.iter().map(|name| view! { <th class="right">{name.clone()}</th> }).collect_view()}</tr></thead>
            <tbody>
                {used.map(|column| view! {
                    <tr>
                        <td class="num">{words::full_day(column.day)}</td>
                        {column.values.iter().map(|value| view! { <td class="right">{measure.text(*value)}</td> }).collect_view()}
                    </tr>
                }).collect_view()}
            </tbody>
        </table>
    }
    .into_any()
}

fn point(number: f64) -> String {
    format!("{number:.1}")
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn the_grid_is_round_and_has_two_to_five_lines() {
        for most in [1, 7, 9, 10, 19, 2_440_000, 999_999, 3_000_000, 47_000_000, 5] {
            let step = step(most);
            let lines = most / step + 1;
            assert!((2..=5).contains(&lines), "{most}: {step} makes {lines}");
        }
    }
}
