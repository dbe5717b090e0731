//! Limits: how much of one is gone, in two parts, and when it comes back.

use super::{frame::Me, notice, time};
use crate::{routes, words};
use contract::{BudgetView, Role, SetBy, Subject, Unit, Window};
use leptos::prelude::*;

/// What to know of limits of which half or more is gone; of those that return within the hour, nothing.
pub fn warnings(limits: &[BudgetView]) -> AnyView {
    let near = limits.iter().filter(|limit| limit.unit != Unit::Concurrency && !matches!(limit.window, Window::Minute | Window::Hour));
    let told = near.filter(|limit| limit.percent() >= 50).map(|limit| {
        let (which, amount) = (title(limit), words::limit(limit.unit, limit.amount, limit.window));
        let resets = limit.resets_at.map(|at| view! { " It resets "{time::time(at)}"." });
        let (page, verb) = match limit.set_by {
            SetBy::Owner => (routes::MODELS, "Change it"),
            SetBy::Administrator => (routes::USAGE, "Ask for more"),
        };
        let more = view! { " "<a href=page>{verb}</a>"." };
        let percent = limit.percent();
        match percent {
            100 => notice::warning(view! { <b>{which}": "{amount}" is used up."</b>{resets}{more} }),
            85.. => notice::warning(view! { <b>{which}": "{percent}" % of "{amount}" is gone."</b>{resets}{more} }),
            _ => notice::info(view! { {which}": "{percent}" % of "{amount}" is gone."{resets} }),
        }
    });
    view! { <div class="stack close" role="status">{told.collect_view()}</div> }.into_any()
}

/// A card a limit; one sentence where there is none.
pub fn cards(limits: &[BudgetView]) -> AnyView {
    if limits.is_empty() {
        return view! {
            <section class="card">
                <header><h2>"Your limit"</h2></header>
                <div class="body"><p class="small muted">"No limit is set: your team pays for what you use."</p></div>
            </section>
        }
        .into_any();
    }
    limits.iter().map(card).collect_view().into_any()
}

/// One limit as a card.
pub fn card(limit: &BudgetView) -> AnyView {
    let resets = limit.resets_at.map(|at| view! { <span class="tiny faint">"resets "{time::time(at)}</span> });
    view! {
        <section class="card">
            <header><h2>{title(limit)}</h2><span class="grow"></span>{resets}</header>
            <div class="body stack close">{inside(limit)}</div>
        </section>
    }
    .into_any()
}

/// Which limit it is: `This month`, `Today, group Research`, `Calls at once`.
pub fn title(limit: &BudgetView) -> String {
    let window = match limit.unit {
        Unit::Concurrency => "Calls at once",
        Unit::Money | Unit::Tokens | Unit::Requests => words::window(limit.window),
    };
    match limit.subject {
        Subject::Everyone | Subject::Person(_) => window.to_owned(),
        of => {
            let whose = if limit.set_by == SetBy::Owner { ", set by its owner" } else { "" };
            format!("{window}, {}{whose}", lower_first(&words::subject(of, &limit.name)))
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// A limit without its card.
pub fn inside(limit: &BudgetView) -> AnyView {
    let figure = |amount: i64| match limit.unit {
        Unit::Money => words::amount(Unit::Money, amount),
        Unit::Tokens => words::tokens(amount),
        Unit::Requests | Unit::Concurrency => words::count(amount),
    };
    let unit = match limit.unit {
        Unit::Money => "",
        Unit::Tokens => " tokens",
        Unit::Requests | Unit::Concurrency => " calls",
    };
    let gone = limit.settled + limit.reserved;
    let told = (gone >= limit.amount).then(|| view! { <p class="small wrong">"It is used up. "{what_to_do(limit)}</p> });
    view! {
        <div class="figure"><span class="big">{figure(limit.settled)}<span class="of faint">" of "{figure(limit.amount)}{unit}</span></span></div>
        {meter(limit)}
        <div class="legend">
            <span><i style=format!("--c:var(--{})", tone(limit).1)></i>"Used "{figure(limit.settled)}</span>
            {(limit.reserved > 0).then(|| view! { <span><i class="held" style=format!("--c:var(--{})", tone(limit).1)></i>"In progress "{figure(limit.reserved)}</span> })}
        </div>
        {told}
    }
    .into_any()
}

/// Who reads of a limit that is used up can raise it, or knows who can.
fn what_to_do(limit: &BudgetView) -> &'static str {
    match (limit.set_by, use_context::<Me>().map(|me| me.caller().role)) {
        // An administrator may be looking at another person's.
        (SetBy::Owner, Some(Role::Administrator)) => "Its owner set it, and changes it on the page Models & keys.",
        (SetBy::Owner, Some(Role::Person) | None) => "You set it yourself: change it on the page Models & keys.",
        (SetBy::Administrator, Some(Role::Administrator)) => "Set a higher one, and calls go on at once.",
        (SetBy::Administrator, Some(Role::Person) | None) => "Ask your administrator for more.",
    }
}

/// The bar of a limit: solid what is used, hatched what is in progress.
pub fn meter(limit: &BudgetView) -> AnyView {
    let (used, held) = (percent(limit.settled, limit.amount), percent(limit.reserved, limit.amount));
    view! {
        <div
            class=format!("meter {}", tone(limit).0)
            style=format!("--v:{used}%;--r:{held}%")
            role="img"
            aria-label=format!("{used} % used, {held} % in progress")
        ></div>
    }
    .into_any()
}

/// Green to 80 %, amber to 95 %, red above.
fn tone(limit: &BudgetView) -> (&'static str, &'static str) {
    match percent(limit.settled + limit.reserved, limit.amount) {
        ..=79 => ("ok", "good"),
        80..=94 => ("warn", "series-3"),
        95.. => ("bad", "bad"),
    }
}

fn percent(part: i64, whole: i64) -> i64 {
    if whole <= 0 { 100 } else { (part.saturating_mul(100) / whole).clamp(0, 100) }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_stays_between_nothing_and_all() {
        assert_eq!([percent(5, 20), percent(0, 20), percent(30, 20), percent(1, 0)], [25, 0, 100, 100]);
    }
}
