//! The form that sets a limit, and how its choices are sent.

use super::form::{Field, Wrong};
use contract::{BudgetView, SetBy, Subject, SubjectView, Unit, Window};
use leptos::prelude::*;

/// The names of a limit's fields, where the form is about nothing else.
pub const PLAIN: [&str; 3] = ["amount", "unit", "window"];

/// The fields of a limit: how much of what, in which window. `prefix` tells its ids apart on a page with several.
pub fn limit_fields(prefix: &str, [amount, unit, window]: [&'static str; 3], optional: bool, wrong: Wrong) -> AnyView {
    let id = |field: &str| format!("{prefix}-{field}");
    view! {
        <Field label="Amount" name=amount id=id("amount") placeholder="20" optional=optional wrong=wrong
            hint="Dollars as 20 or 12.50; tokens as 500000 or 2 M; calls as 60. It replaces a limit of the same kind." />
        <div class="field">
            <label r#for=id("unit")>"Of"</label>
            <select class="input" id=id("unit") name=unit>
                <option value=unit_word(Unit::Money) selected=true>"US dollars"</option>
                <option value=unit_word(Unit::Tokens)>"Tokens, sent and answered together"</option>
                <option value=unit_word(Unit::Requests)>"Calls"</option>
                <option value=unit_word(Unit::Concurrency)>"Calls at once, whenever"</option>
            </select>
        </div>
        <div class="field">
            <label r#for=id("window")>"In"</label>
            <select class="input" id=id("window") name=window>
                <option value=window_word(Window::Minute)>"A minute"</option>
                <option value=window_word(Window::Hour)>"An hour"</option>
                <option value=window_word(Window::Day)>"A day"</option>
                <option value=window_word(Window::Week)>"A week"</option>
                <option value=window_word(Window::Month) selected=true>"A month"</option>
                <option value=window_word(Window::Total)>"All time"</option>
            </select>
        </div>
    }
    .into_any()
}

/// The choice of what a limit is for.
pub fn subject_field(subjects: &[SubjectView]) -> AnyView {
    let group = |label: &'static str, is: fn(Subject) -> bool| {
        let options = subjects.iter().filter(|one| is(one.subject)).map(|one| {
            view! { <option value=one.subject.to_string()>{one.name.clone()}</option> }
        });
        let options = options.collect_view();
        (!options.is_empty()).then(|| view! { <optgroup label=label>{options}</optgroup> })
    };
    view! {
        <div class="field">
            <label r#for="limit-subject">"For"</label>
            <select class="input" id="limit-subject" name="subject">
                <option value="everyone" selected=true>"Each person, where no own limit is set"</option>
                {group("All members of a group together", |subject| matches!(subject, Subject::Group(_)))}
                {group("A person", |subject| matches!(subject, Subject::Person(_)))}
                {group("All who use a model together", |subject| matches!(subject, Subject::Model(_)))}
                {group("A runtime", |subject| matches!(subject, Subject::Runtime(_)))}
                {group("A key", |subject| matches!(subject, Subject::Key(_)))}
            </select>
        </div>
    }
    .into_any()
}

/// The hidden fields that name a limit.
pub fn named(limit: &BudgetView) -> Vec<(&'static str, String)> {
    let set_by = match limit.set_by {
        SetBy::Administrator => "administrator",
        SetBy::Owner => "owner",
    };
    let whose = [("subject", limit.subject.to_string()), ("set_by", set_by.to_owned())];
    whose.into_iter().chain(kind(limit.window, limit.unit)).collect()
}

/// The hidden fields that tell limits of one subject apart.
pub fn kind(window: Window, unit: Unit) -> [(&'static str, String); 2] {
    [("window", window_word(window).to_owned()), ("unit", unit_word(unit).to_owned())]
}

/// A window as the form sends it.
const fn window_word(window: Window) -> &'static str {
    match window {
        Window::Minute => "minute",
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Week => "week",
        Window::Month => "month",
        Window::Total => "total",
    }
}

/// A unit as the form sends it.
pub const fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Money => "money",
        Unit::Tokens => "tokens",
        Unit::Requests => "requests",
        Unit::Concurrency => "concurrency",
    }
}
