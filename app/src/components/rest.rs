//! A runtime's rest: how it sleeps, and what wakes it.

use super::{
    form::{Form, Wrong, submit},
    time,
};
use crate::{deed::Deed, words};
use ::time::OffsetDateTime;
use contract::{Phase, RuntimeView, SleepDepth, SleepRule, SleepView};
use leptos::prelude::*;

/// The sentence about a runtime that sleeps; nothing for others.
pub fn line(runtime: &RuntimeView) -> AnyView {
    let Some(sleep) = runtime.sleep.as_ref().filter(|_| runtime.phase == Phase::Asleep) else { return ().into_any() };
    let how = match sleep.depth {
        SleepDepth::Frozen => " Opening it takes a moment.",
        SleepDepth::Stopped => " It gave its memory back, so opening it takes a start.",
    };
    view! { <p class="small muted">"It sleeps, and wakes "{wakes(sleep, runtime.told_at)}"."{how}</p> }.into_any()
}

/// The same in a few words, for a table.
pub fn brief(runtime: &RuntimeView) -> AnyView {
    match (runtime.phase, &runtime.sleep) {
        (Phase::Asleep, Some(sleep)) => view! { <div class="tiny faint">"wakes "{wakes(sleep, runtime.told_at)}</div> }.into_any(),
        (_, _) => ().into_any(),
    }
}

/// `tomorrow 06:59 for daily digest, due 07:00`; whoever opens it wakes it sooner, which goes without saying.
fn wakes(sleep: &SleepView, told_at: OffsetDateTime) -> AnyView {
    let Some(wakes_at) = sleep.wakes_at else { return "when it is opened; nothing is scheduled".into_any() };
    let name = sleep.wakes_for.clone().map(|name| view! { " for "<em>{name}</em> });
    // Told where the clock shows another minute then.
    let due = sleep.due_at.filter(|due_at| words::clock(*due_at) != words::clock(wakes_at)).map(|due_at| {
        let due = if due_at.date() == wakes_at.date() { words::clock(due_at).into_any() } else { time::coming(due_at, told_at) };
        view! { ", due "{due} }
    });
    view! { {time::coming(wakes_at, told_at)}{name}{due} }.into_any()
}

/// When it goes to sleep, to be chosen by its owner.
pub fn choice(runtime: &RuntimeView, choose: Deed, wrong: Wrong) -> AnyView {
    let rule = runtime.sleep_rule;
    let usual = format!("As usual: {}", after(rule.usual_minutes));
    let id = runtime.runtime_id.to_string();
    let options = rule.choices().into_iter().map(move |minutes| {
        view! { <option value=minutes.to_string() selected=rule.chosen_minutes == Some(minutes)>{capital(&after(minutes))}</option> }
    });
    let told = move || wrong.get().filter(|problem| problem.field.as_deref() == Some("minutes")).map(|problem| problem.message);
    view! {
        <section class="card">
            <header><h2>"Sleep"</h2></header>
            <div class="body stack close">
                <Form deed=choose class="stack close" label="Sleep">
                    <input r#type="hidden" name="runtime_id" value=id />
                    <div class="field">
                        <label r#for="sleep-minutes">"When nobody uses it"</label>
                        <select class="input" id="sleep-minutes" name="minutes" aria-describedby="sleep-about">
                            <option value="" selected=rule.chosen_minutes.is_none()>{usual}</option>
                            {options.collect_view()}
                        </select>
                        {move || told().map(|told| view! { <p class="tiny wrong">{told}</p> })}
                    </div>
                    <div class="row end">{submit("Save", "btn", choose.pending())}</div>
                </Form>
                <p class="tiny muted" id="sleep-about">{about(&rule)}</p>
            </div>
        </section>
    }
    .into_any()
}

/// What sleep means, and what it costs.
fn about(rule: &SleepRule) -> String {
    let deep = match rule.stop_after_minutes {
        0 => String::new(),
        minutes => format!(" After {} of sleep it gives its memory back as well, and then wakes in a start.", time_of(minutes)),
    };
    format!(
        "Opening it wakes it in a moment, and its schedules wake it in time. It never sleeps while it works.{deep} What cannot wake it is a message: \
         a chat channel that holds a line open (Telegram, Discord, Slack) hears nothing while it sleeps, and neither does a webhook."
    )
}

/// `sleeps after 30 minutes`, `never sleeps`.
fn after(minutes: i32) -> String {
    if minutes == 0 { "never sleeps".to_owned() } else { format!("sleeps after {}", time_of(minutes)) }
}

/// `5 minutes`, `an hour`, `a day`.
fn time_of(minutes: i32) -> String {
    match minutes {
        1 => "a minute".to_owned(),
        60 => "an hour".to_owned(),
        1440 => "a day".to_owned(),
        minutes if minutes % 1440 == 0 => format!("{} days", minutes / 1440),
        minutes if minutes % 60 == 0 => format!("{} hours", minutes / 60),
        minutes => format!("{minutes} minutes"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        assert_eq!([5, 60, 240, 1440, 2880, 90].map(time_of), ["5 minutes", "an hour", "4 hours", "a day", "2 days", "90 minutes"]);
        assert_eq!((after(0).as_str(), capital(&after(15)).as_str()), ("never sleeps", "Sleeps after 15 minutes"));
        let rule = SleepRule { chosen_minutes: None, usual_minutes: 30, most_minutes: 0, stop_after_minutes: 480 };
        assert!(about(&rule).contains("After 8 hours of sleep") && about(&rule).contains("Telegram"));
        assert!(!about(&SleepRule { stop_after_minutes: 0, ..rule }).contains("memory"));
    }
}
