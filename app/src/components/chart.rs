//! Cost by day as stacked columns: SVG from the server, with a table for readers and for those who copy.

use super::notice;
use crate::words;
use contract::{Breakdown, Micros, Totals, UsageReport};
use leptos::prelude::*;
use time::{Date, Duration};

/// What all lines share that have no colour of their own.
const OTHERS: (&str, &str) = ("others", "var(--series-others)");

/// The colour of a line of the chart, by its place.
pub fn colour(place: usize) -> String {
    if place < UsageReport::LEADERS { format!("var(--series-{})", place + 1) } else { OTHERS.1.to_owned() }
}

/// A part of every column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Series {
    name: String,
    colour: String,
}

/// The largest lines, and what is left as the last one.
fn series(report: &UsageReport) -> Vec<Series> {
    let leaders = report.lines(report.by).iter().take(UsageReport::LEADERS).enumerate();
    let mut series: Vec<Series> = leaders.map(|(place, line)| Series { name: line.name.clone(), colour: colour(place) }).collect();
    if report.by_day.iter().any(|day| day.line.is_none()) {
        series.push(Series { name: OTHERS.0.to_owned(), colour: OTHERS.1.to_owned() });
    }
    series
}

/// Their names and colours.
fn legend(series: &[Series]) -> AnyView {
    let entry = |series: &Series| view! { <span><i style=format!("--c:{}", series.colour)></i>{series.name.clone()}</span> };
    view! { <div class="legend">{series.iter().map(entry).collect_view()}</div> }.into_any()
}

/// What a break-down leaves out or counts twice.
fn note(by: Breakdown) -> Option<&'static str> {
    match by {
        Breakdown::Model | Breakdown::Person => None,
        Breakdown::Group => Some("Who is in two groups counts in both, and who is in none is left out."),
        Breakdown::Runtime => Some("What people's own keys called is left out."),
        Breakdown::Key => Some("What runtimes called is left out."),
    }
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

    fn value(self, totals: Totals) -> i64 {
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

fn columns(report: &UsageReport, parts: usize, measure: Measure) -> Vec<Column> {
    let days = (report.to - report.from).whole_days().clamp(0, 366);
    (0..=days)
        .map(|offset| {
            let day = report.from + Duration::days(offset);
            let mut values = vec![0; parts];
            for used in report.by_day.iter().filter(|used| used.day == day) {
                let place = used.line.map_or(parts.saturating_sub(1), usize::from);
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

/// The chart as a card, with `choice` in its head; nothing where nothing was used.
pub fn card(report: &UsageReport, width: f64, choice: AnyView) -> AnyView {
    if report.totals == Totals::default() {
        return ().into_any();
    }
    let body = if report.by_day.is_empty() { notice::empty("None of what was used belongs here.") } else { by_day(report, width) };
    view! {
        <section class="card">
            <header><h2>{title(report)}</h2><span class="grow"></span>{choice}</header>
            <div class="body">{body}{note(report.by).map(|note| view! { <p class="tiny muted">{note}</p> })}</div>
        </section>
    }
    .into_any()
}

/// The chart, `width` pixels wide. It is drawn twice, for a wide place and for a narrow one, so that its labels stay readable on a phone.
fn by_day(report: &UsageReport, width: f64) -> AnyView {
    let measure = Measure::of(report);
    let series = series(report);
    let columns = columns(report, series.len(), measure);
    let table = table(&series, &columns, measure);
    view! {
        {legend(&series)}
        {drawn(&series, &columns, measure, width, 190.0, "chart wide")}
        {drawn(&series, &columns, measure, 340.0, 170.0, "chart narrow")}
        <details class="as-table"><summary class="tiny muted">"Show as table"</summary><div class="scroll" tabindex="0" role="region" aria-label="Table">{table}</div></details>
    }
    .into_any()
}

fn drawn(series: &[Series], columns: &[Column], measure: Measure, width: f64, height: f64, class: &'static str) -> AnyView {
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
            .zip(series)
            .filter(|(value, _)| **value > 0)
            .map(|(value, series)| {
                let (high, low) = (y(below + value), y(below));
                below += value;
                let tall = (low - high - 1.0).max(0.8);
                view! { <rect x=point(x) y=point(low - 1.0 - tall) width=point(slot * 0.66) height=point(tall) rx=point((slot * 0.1).min(2.0)) fill=series.colour.clone() /> }
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

fn table(series: &[Series], columns: &[Column], measure: Measure) -> AnyView {
    let used = columns.iter().rev().filter(|column| column.values.iter().any(|value| *value > 0));
    view! {
        <table>
            <thead><tr><th>"Day"</th>{series.iter().map(|series| view! { <th class="right">{series.name.clone()}</th> }).collect_view()}</tr></thead>
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

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::{Measure, card, columns, series, step};
    use contract::{Breakdown, Micros, Totals, UsageDay, UsageLine, UsageReport};
    use leptos::prelude::{IntoAny as _, Owner, RenderHtml as _};
    use time::macros::date;

    #[test]
    fn the_grid_is_round_and_has_two_to_five_lines() {
        for most in [1, 7, 9, 10, 19, 2_440_000, 999_999, 3_000_000, 47_000_000, 5] {
            let step = step(most);
            let lines = most / step + 1;
            assert!((2..=5).contains(&lines), "{most}: {step} makes {lines}");
        }
    }

    fn cost(cost: i64) -> Totals {
        Totals { calls: 1, cost: Micros(cost), ..Totals::default() }
    }

    /// So many groups; on the first of three days each cost its number, on the last one the second and all beyond the leaders cost 50.
    fn report(groups: i64) -> UsageReport {
        let name = |number: i64| UsageLine { name: format!("group {number}"), person_id: None, totals: cost(number), pieces: None };
        let most = groups.min(5);
        let mut by_day: Vec<UsageDay> = (1..=most)
            .map(|number| UsageDay { day: date!(2026 - 11 - 20), line: u8::try_from(number - 1).ok(), totals: cost(number) })
            .collect();
        by_day.push(UsageDay { day: date!(2026 - 11 - 22), line: Some(1), totals: cost(50) });
        if groups > 5 {
            by_day.push(UsageDay { day: date!(2026 - 11 - 22), line: None, totals: cost(50) });
        }
        UsageReport {
            from: date!(2026 - 11 - 20),
            to: date!(2026 - 11 - 22),
            totals: cost(100),
            by: Breakdown::Group,
            by_day,
            by_model: vec![name(99)],
            by_person: Vec::new(),
            by_group: (1..=groups).map(name).collect(),
            by_runtime: Vec::new(),
            by_key: Vec::new(),
        }
    }

    fn stacked(report: &UsageReport) -> (Vec<String>, Vec<Vec<i64>>) {
        let series = series(report);
        let columns = columns(report, series.len(), Measure::Cost);
        let names = series.into_iter().map(|series| format!("{} {}", series.name, series.colour)).collect();
        (names, columns.into_iter().map(|column| column.values).collect())
    }

    #[test]
    fn the_largest_have_a_colour_and_the_rest_share_one() {
        let (names, columns) = stacked(&report(3));
        assert_eq!(names, ["group 1 var(--series-1)", "group 2 var(--series-2)", "group 3 var(--series-3)"]);
        assert_eq!(columns, [vec![1, 2, 3], vec![0, 0, 0], vec![0, 50, 0]]);

        let (names, columns) = stacked(&report(9));
        assert_eq!((names.len(), names[4].as_str(), names[5].as_str()), (6, "group 5 var(--series-5)", "others var(--series-others)"));
        assert_eq!(columns, [vec![1, 2, 3, 4, 5, 0], vec![0; 6], vec![0, 50, 0, 0, 0, 50]]);
    }

    #[test]
    fn the_chart_is_drawn_in_those_colours_and_told_as_a_table() {
        let drawn = |report: &UsageReport| Owner::new().with(|| card(report, 640.0, ().into_any()).to_html());
        let html = drawn(&report(9));
        for part in ["group 5", "others", r#"fill="var(--series-5)""#, r#"fill="var(--series-others)""#, "Show as table", "left out"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains("group 6"));
        let nothing = UsageReport { by_day: Vec::new(), by_group: Vec::new(), ..report(0) };
        assert!(drawn(&nothing).contains("None of what was used belongs here."));
        assert!(!drawn(&UsageReport { totals: Totals::default(), ..nothing }).contains("<section"));
    }
}
