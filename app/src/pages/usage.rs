//! One's usage: cost, calls and tokens, by day and by model.

use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, no_skeleton, page_skeleton},
        chart,
        form::{close_when_done, form_problem, wrong},
        frame::{Me, top},
        limit, more, notice,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::usage::{AskMore, MyLimits, MyRequests, MyUsage},
    words,
};
use contract::{Breakdown, Micros, Totals, UsageLine, UsageReport};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// How wide the chart is, in pixels.
const CHART: f64 = 1010.0;

/// The page of one's usage.
pub fn page() -> AnyView {
    let live = Live::here();
    let shown = shown(&Breakdown::OF_ONE);
    let asked = ask(move || {
        live.usage.track();
        let Shown { days, by } = shown.get();
        MyUsage { days, by }
    });
    let limits = ask(move || {
        live.usage.track();
        MyLimits {}
    });
    let more = Deed::of::<AskMore>();
    close_when_done(more);
    let choices = ask(|| MyLimits {});
    let requests = ask(move || {
        live.usage.track();
        more.done();
        MyRequests {}
    });
    let verbs = view! { {aside(limits, no_skeleton, |limits| more::ask_opener(&limits))}{files(routes::USAGE, shown)}{spans(routes::USAGE, shown)} };
    view! {
        {top("Usage", zone(), verbs)}
        <div class="stack">
            {form_problem(wrong(more), &["amount", "reason"])}
            {aside(limits, no_skeleton, |limits| limit::warnings(&limits))}
            {aside(requests, no_skeleton, |requests| more::own(&requests))}
            {answer(asked, page_skeleton, move |report| whole(&report, choice(routes::USAGE, &Breakdown::OF_ONE, shown)))}
            {answer(limits, page_skeleton, |limits| view! { <div class="thirds wide-thirds">{limit::cards(&limits)}</div> }.into_any())}
        </div>
        {more::ask_dialog(more, choices)}
    }
    .into_any()
}

/// What is shown of usage: the days up to today, and what they are broken down by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// 7, 30 or 90.
    pub days: u16,
    /// One of what the page offers.
    pub by: Breakdown,
}

impl Shown {
    /// What an address asks for; 30 days and the first that is offered where it asks for nothing that there is.
    fn read(days: Option<&str>, by: Option<&str>, offered: &[Breakdown]) -> Self {
        Self {
            days: days.and_then(|days| days.parse().ok()).filter(|days| [7, 30, 90].contains(days)).unwrap_or(30),
            by: offered.iter().find(|offered| Some(offered.code()) == by).or(offered.first()).copied().unwrap_or_default(),
        }
    }

    /// The address of that on a page.
    fn on(self, page: &str) -> String {
        format!("{page}?days={}&by={}", self.days, self.by.code())
    }
}

/// What the address asks for.
pub fn shown(offered: &'static [Breakdown]) -> Memo<Shown> {
    let query = use_query_map();
    Memo::new(move |_| query.with(|query| Shown::read(query.get("days").as_deref(), query.get("by").as_deref(), offered)))
}

/// In whose days the numbers are.
pub fn zone() -> AnyView {
    let zone = use_context::<Me>().map(Me::time_zone).unwrap_or_default();
    view! { <p class="muted small">"Days in "{zone}</p> }.into_any()
}

/// The links to the other spans.
pub fn spans(page: &'static str, shown: Memo<Shown>) -> AnyView {
    let links =
        [(7, "Week"), (30, "Month"), (90, "Quarter")].map(|(days, name)| tab(page, shown, name, move |shown| Shown { days, ..shown }));
    view! { <div class="tabs" role="group" aria-label="Span">{links}</div> }.into_any()
}

/// The links to the other break-downs of the chart.
pub fn choice(page: &'static str, offered: &'static [Breakdown], shown: Memo<Shown>) -> AnyView {
    let links = offered.iter().map(|by| tab(page, shown, names(*by).1, move |shown| Shown { by: *by, ..shown })).collect_view();
    view! { <div class="tabs" role="group" aria-label="By">{links}</div> }.into_any()
}

/// A link to what is shown with one thing changed.
fn tab(
    page: &'static str,
    shown: Memo<Shown>,
    name: &'static str,
    changed: impl Fn(Shown) -> Shown + Copy + Send + Sync + 'static,
) -> AnyView {
    let href = move || changed(shown.get()).on(page);
    view! { <a href=href aria-current=move || (changed(shown.get()) == shown.get()).then_some("page")>{name}</a> }.into_any()
}

/// The title of a break-down, and what each of its lines is.
fn names(by: Breakdown) -> (&'static str, &'static str) {
    match by {
        Breakdown::Model => ("By model", "Model"),
        Breakdown::Person => ("By person", "Person"),
        Breakdown::Group => ("By group", "Group"),
        Breakdown::Runtime => ("By runtime", "Runtime"),
        Breakdown::Key => ("By key of your own", "Key"),
    }
}

/// The big numbers, the chart with `choice` in its head, and all break-downs.
pub fn whole(report: &UsageReport, choice: AnyView) -> AnyView {
    if report.totals == Totals::default() {
        return view! { <section class="card">{notice::empty("No model was called in this time.")}</section> }.into_any();
    }
    let all = [Breakdown::Person, Breakdown::Model, Breakdown::Group, Breakdown::Runtime, Breakdown::Key];
    view! { {figures(report)}{chart::card(report, CHART, choice)}{all.map(|by| broken_down(report, by))} }.into_any()
}

/// The links to the records as files.
pub fn files(page: &'static str, shown: Memo<Shown>) -> AnyView {
    let link = |kind: &'static str, name: &'static str| {
        let href = move || format!("{page}.{kind}?days={}", shown.get().days);
        view! { <a class="btn quiet" href=href download="" aria-label=format!("Download the records as {name}")>{name}</a> }
    };
    view! { {link("csv", "CSV")}{link("json", "JSON")} }.into_any()
}

/// The big numbers.
fn figures(report: &UsageReport) -> AnyView {
    let totals = report.totals;
    let figure = |name: &'static str, big: String, below: String| {
        view! { <section class="card"><div class="body figure"><span class="small muted">{name}</span><span class="big">{big}</span><span class="delta">{below}</span></div></section> }
    };
    view! {
        <div class="thirds">
            {figure("Cost", totals.cost.to_string(), format!("since {}", words::day(report.from)))}
            {figure("Calls", words::count(totals.calls), format!("{} refused by a limit", words::count(totals.refused)))}
            {figure("Tokens in", words::tokens(totals.input_tokens), "sent to models".to_owned())}
            {figure("Tokens out", words::tokens(totals.output_tokens), "answered by models".to_owned())}
        </div>
    }
    .into_any()
}

/// A break-down as a table, in the chart's colours where the chart shows it; nothing where there is none.
fn broken_down(report: &UsageReport, by: Breakdown) -> AnyView {
    let (lines, (title, first)) = (report.lines(by), names(by));
    if lines.is_empty() {
        return ().into_any();
    }
    let rows = lines.iter().enumerate().map(|(place, line)| {
        let name = match line.person_id {
            Some(person) => view! { <a href=routes::person(person)>{line.name.clone()}</a> }.into_any(),
            None => line.name.clone().into_any(),
        };
        let is_drawn = by == report.by;
        let chip = |name| view! { <span class="chip"><i style=format!("--c:{}", chart::colour(place))></i>{name}</span> }.into_any();
        row(if is_drawn { chip(name) } else { name }, line)
    });
    view! {
        <section class="card flush">
            <header><h2>{title}</h2></header>
            <div class="body scroll" tabindex="0" role="region" aria-label=title>
                <table>
                    <thead><tr>
                        <th>{first}</th><th class="right">"Calls"</th><th class="right">"Refused"</th>
                        <th class="right">"Tokens in"</th><th class="right">"Tokens out"</th><th class="right">"Cost"</th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// A line of totals.
fn row(first: AnyView, line: &UsageLine) -> AnyView {
    let totals = line.totals;
    let counts = match line.pieces {
        Some((counted_in, number)) => view! { <td class="right" colspan="2">{words::pieces(counted_in, number)}</td> }.into_any(),
        None => view! {
            <td class="right">{words::tokens(totals.input_tokens)}</td>
            <td class="right">{words::tokens(totals.output_tokens)}</td>
        }
        .into_any(),
    };
    let cost = if totals.cost == Micros::ZERO { "Free".to_owned() } else { totals.cost.to_string() };
    view! {
        <tr>
            <td>{first}</td>
            <td class="right">{words::count(totals.calls)}</td>
            <td class="right muted">{words::count(totals.refused)}</td>
            {counts}
            <td class="right"><b>{cost}</b></td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::Shown;
    use contract::Breakdown;

    #[test]
    fn an_address_says_what_is_shown_and_nonsense_shows_what_nothing_shows() {
        let plain = Shown { days: 30, by: Breakdown::Model };
        for (days, by) in
            [(None, None), (Some("31"), Some("colour")), (Some("-7"), Some("key")), (Some(""), Some("")), (Some("99999"), Some("Person"))]
        {
            assert_eq!(Shown::read(days, by, &Breakdown::OF_EVERYONE), plain, "{days:?} {by:?}");
        }
        assert_eq!(Shown::read(Some("7"), None, &Breakdown::OF_ONE), Shown { days: 7, ..plain });
        assert_eq!(Shown::read(Some("7"), Some("person"), &Breakdown::OF_ONE), Shown { days: 7, ..plain }, "not one's own");
        for offered in [&Breakdown::OF_EVERYONE[..], &Breakdown::OF_ONE[..]] {
            for by in offered {
                let shown = Shown { days: 90, by: *by };
                let address = shown.on("/usage");
                let (days, code) = address.strip_prefix("/usage?days=").unwrap().split_once("&by=").unwrap();
                assert_eq!(Shown::read(Some(days), Some(code), offered), shown);
            }
        }
    }
}
