//! A runtime's rest: how it sleeps and what wakes it, and by when it ends at the latest.

use super::{
    form::{Form, Wrong, submit},
    time,
};
use crate::deed::Deed;
use contract::{Phase, RuntimeView, SleepDepth, SleepRule};
use leptos::prelude::*;

/// The sentence about a runtime that sleeps, or finishes before it ends; nothing for others.
pub fn line(runtime: &RuntimeView) -> AnyView {
    match (runtime.phase, &runtime.sleep) {
        (Phase::Asleep, Some(sleep)) => {
            let wakes = match (sleep.wakes_at, sleep.wakes_for.clone()) {
                (Some(at), Some(name)) => {
                    view! { "It wakes "{time::exact(at)}" for "<em>{name}</em>", and whenever it is opened." }.into_any()
                }
                (Some(at), None) => view! { "It wakes "{time::exact(at)}", and whenever it is opened." }.into_any(),
                (None, _) => "It wakes when it is opened. Nothing is scheduled.".into_any(),
            };
            let how = match sleep.depth {
                SleepDepth::Frozen => " Opening takes a moment.",
                SleepDepth::Stopped => " It gave its memory back, so opening takes a start.",
            };
            view! { <p class="small muted">{wakes}{how}</p> }.into_any()
        }
        (Phase::Draining, _) => match runtime.drain_until {
            Some(until) => {
                view! { <p class="small muted">"It finishes what it does, until "{time::exact(until)}" at the latest."</p> }.into_any()
            }
            None => view! { <p class="small muted">"It finishes what it does."</p> }.into_any(),
        },
        (_, _) => ().into_any(),
    }
}

/// When it goes to sleep, to be chosen by its owner.
pub fn choice(runtime: &RuntimeView, choose: Deed, wrong: Wrong) -> AnyView {
    let rule = runtime.sleep_rule;
    let usual = format!("As usual here: {}", after(rule.usual_minutes));
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
