//! One's usage: cost, calls and tokens, by day and by model.

use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, no_skeleton, page_skeleton},
        chart,
        form::{close_when_done, form_problem, opener, wrong},
        frame::{Me, top},
        limit, more, notice,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::usage::{AskMore, MyLimits, MyRequests, MyUsage},
    words,
};
use contract::{Micros, UsageLine, UsageReport};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// How wide the chart of a page of usage is, in pixels.
pub const CHART: f64 = 1010.0;

/// The page of one's usage.
pub fn page() -> AnyView {
    let live = Live::here();
    let days = days();
    let asked = ask(move || {
        live.usage.track();
        MyUsage { days: days.get() }
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
    let verbs = view! { {opener("ask-more", "btn", Some("plus"), "Ask for more")}{files(routes::USAGE, days)}{spans(routes::USAGE, days)} };
    view! {
        {top("Usage", zone(), verbs)}
        <div class="stack">
            {form_problem(wrong(more), &["amount", "reason"])}
            {aside(limits, no_skeleton, |limits| limit::warnings(&limits))}
            {aside(requests, no_skeleton, |requests| more::own(&requests))}
            {answer(asked, page_skeleton, |report| whole(&report))}
            {answer(limits, page_skeleton, |limits| view! { <div class="thirds wide-thirds">{limit::cards(&limits)}</div> }.into_any())}
        </div>
        {more::ask_dialog(more, choices)}
    }
    .into_any()
}

/// The days that the address asks for: 7, 30 or 90.
pub fn days() -> Memo<u16> {
    let query = use_query_map();
    Memo::new(move |_| {
        query.with(|query| query.get("days").and_then(|days| days.parse().ok())).filter(|days| [7, 30, 90].contains(days)).unwrap_or(30)
    })
}

/// In whose days the numbers are.
pub fn zone() -> AnyView {
    let zone = use_context::<Me>().map(Me::time_zone).unwrap_or_default();
    view! { <p class="muted small">"Days in "{zone}</p> }.into_any()
}

/// The links to the other spans.
pub fn spans(page: &'static str, days: Memo<u16>) -> AnyView {
    let links = [(7, "Week"), (30, "Month"), (90, "Quarter")].map(|(span, name)| {
        view! { <a href=format!("{page}?days={span}") aria-current=move || (days.get() == span).then_some("page")>{name}</a> }
    });
    view! { <div class="tabs" role="group" aria-label="Span">{links}</div> }.into_any()
}

fn whole(report: &UsageReport) -> AnyView {
    if report.totals.calls == 0 && report.totals.refused == 0 {
        return view! { <section class="card">{notice::empty("No model was called in this time.")}</section> }.into_any();
    }
    view! {
        {figures(report)}{chart::card(report, CHART)}{by_model(report)}
        {lines("By runtime", "Runtime", &report.by_runtime)}{lines("By key of your own", "Key", &report.by_key)}
    }
    .into_any()
}

/// The links to the records as files.
pub fn files(page: &'static str, days: Memo<u16>) -> AnyView {
    let link = |kind: &'static str, name: &'static str| {
        let href = move || format!("{page}.{kind}?days={}", days.get());
        view! { <a class="btn quiet" href=href download="" aria-label=format!("Download the records as {name}")>{name}</a> }
    };
    view! { {link("csv", "CSV")}{link("json", "JSON")} }.into_any()
}

/// The big numbers.
pub fn figures(report: &UsageReport) -> AnyView {
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

/// The table by model.
pub fn by_model(report: &UsageReport) -> AnyView {
    let rows = report.by_model.iter().map(|line| {
        let colour = chart::colour(report, &line.name);
        row(view! { <span class="chip"><i style=format!("--c:{colour}")></i>{line.name.clone()}</span> }.into_any(), line)
    });
    table("By model", "Model", rows.collect_view().into_any())
}

/// A break-down by name; nothing where there is none.
pub fn lines(title: &'static str, first: &'static str, lines: &[UsageLine]) -> AnyView {
    if lines.is_empty() {
        return ().into_any();
    }
    let rows = lines.iter().map(|line| row(line.name.clone().into_any(), line)).collect_view();
    table(title, first, rows.into_any())
}

/// A table of totals.
pub fn table(title: &'static str, first: &'static str, rows: AnyView) -> AnyView {
    view! {
        <section class="card flush">
            <header><h2>{title}</h2></header>
            <div class="body scroll" tabindex="0" role="region" aria-label=title>
                <table>
                    <thead><tr>
                        <th>{first}</th><th class="right">"Calls"</th><th class="right">"Refused"</th>
                        <th class="right">"Tokens in"</th><th class="right">"Tokens out"</th><th class="right">"Cost"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// A line of totals.
pub fn row(first: AnyView, line: &UsageLine) -> AnyView {
    let totals = line.totals;
    let cost = if totals.cost == Micros::ZERO { "Free".to_owned() } else { totals.cost.to_string() };
    view! {
        <tr>
            <td>{first}</td>
            <td class="right">{words::count(totals.calls)}</td>
            <td class="right muted">{words::count(totals.refused)}</td>
            <td class="right">{words::tokens(totals.input_tokens)}</td>
            <td class="right">{words::tokens(totals.output_tokens)}</td>
            <td class="right"><b>{cost}</b></td>
        </tr>
    }
    .into_any()
}

/// A name that leads to a page.
pub fn linked(name: &str, href: String) -> AnyView {
    let name = name.to_owned();
    view! { <a href=href>{name}</a> }.into_any()
}
