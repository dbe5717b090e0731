//! Everyone's runtimes: how each is, and what to do about one or about many.

use crate::{
    ask::ask,
    browser,
    components::{
        answer::{answer, aside, list_skeleton},
        form::{Form, Press, form_problem, press, wrong},
        frame::top,
        notice, rest,
        start_steps::held_up,
        state::state,
        time,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::runtimes::{ActOnRuntimes, AllRuntimeStats, AllRuntimes},
    words,
};
use contract::{Acted, Phase, RuntimeId, RuntimeUse, RuntimeView};
use leptos::prelude::*;
use std::time::Duration;

/// The form that the selected rows belong to.
const FORM: &str = "act";

/// The rows that are selected, for as long as the page stands: the table is drawn anew below them.
type Picked = RwSignal<Vec<RuntimeId>>;

/// The page of everyone's runtimes.
pub fn page() -> AnyView {
    let live = Live::here();
    let act = Deed::of::<ActOnRuntimes>();
    let picked: Picked = RwSignal::new(Vec::new());
    let all = ask(move || {
        live.runtimes.track();
        act.done();
        AllRuntimes {}
    });
    let stats = ask(|| AllRuntimeStats {});
    Effect::new(move |_| browser::every(Duration::from_secs(4), move || stats.again()));
    Effect::new(move |_| {
        if act.succeeded() {
            picked.set(Vec::new());
        }
    });
    let drawn = move |all: Vec<RuntimeView>| {
        let refused = act.made::<Vec<Acted>>().unwrap_or_default();
        aside(stats, list_skeleton, move |stats| table(&all, &stats, &refused, act, picked))
    };
    view! {
        {top("All runtimes", (), ())}
        <div class="stack">
            {form_problem(wrong(act), &[])}
            <section class="card flush">
                <header class="acts">
                    <span class="small muted needs-script">{move || format!("{} selected", picked.read().len())}</span>
                    <span class="grow"></span>
                    {verbs_for_many(act)}
                </header>
                <div class="body scroll" tabindex="0" role="region" aria-label="Runtimes">{answer(all, list_skeleton, drawn)}</div>
            </section>
        </div>
    }
    .into_any()
}

/// The verbs for all rows that are selected.
fn verbs_for_many(act: Deed) -> AnyView {
    let verb = move |value: &'static str, label: &'static str| {
        let pending = act.pending();
        view! { <button class="btn" r#type="submit" name="act" value=value aria-label=format!("{label} the selected") disabled=move || pending.get()>{label}</button> }
    };
    view! { <Form deed=act id=FORM class="row tight" label="The selected runtimes">{verb("start", "Start")}{verb("stop", "Stop")}{verb("restart", "Restart")}</Form> }
        .into_any()
}

fn table(runtimes: &[RuntimeView], uses: &[(RuntimeId, RuntimeUse)], refused: &[Acted], act: Deed, picked: Picked) -> AnyView {
    if runtimes.is_empty() {
        return notice::empty("Nobody has a runtime yet.");
    }
    let rows = runtimes.iter().map(|runtime| {
        let id = runtime.runtime_id;
        let now = uses.iter().find(|(of, _)| *of == id).map(|(_, now)| now);
        let (used, open) = (now.and_then(|now| now.stats.as_ref()), now.map(|now| now.open).unwrap_or_default());
        let memory = used.map_or_else(|| "–".to_owned(), |used| words::bytes(used.memory_bytes));
        let cpu = used.map_or_else(|| "–".to_owned(), |used| format!("{:.0} %", used.cpu_percent));
        let refusal = refused.iter().find(|one| one.runtime_id == id).and_then(|one| one.problem.as_ref());
        let refusal = refusal.map(|problem| view! { <div class="tiny wrong" role="alert">{problem.message.clone()}</div> });
        view! {
            <tr>
                <td>{pick(runtime, picked)}</td>
                <td><b><a href=routes::runtime(id)>{runtime.name.clone()}</a></b><br /><a class="tiny faint plain" href=routes::person(runtime.person_id)>{runtime.owner.clone()}</a></td>
                <td>{state(runtime)}{refusal}{held_up(runtime, "it")}{rest::brief(runtime)}{paused(runtime)}{errors(runtime)}</td>
                <td>{runtime.profile.clone()}</td>
                <td class="right num nowrap">{memory}<div class="tiny faint">"of "{words::bytes(runtime.memory_bytes)}</div></td>
                <td class="right num">{cpu}</td>
                <td class="right num nowrap">{if open.websockets > 0 { words::count(open.websockets.into()) } else { "–".to_owned() }}{(open.streams > 0).then(|| view! { <div class="tiny faint">{words::plural(open.streams.into(), "request")}</div> })}</td>
                <td class="muted">{time::time(runtime.created_at)}</td>
                <td class="right num">{words::count(runtime.restarts)}</td>
                <td class="right"><span class="row tight nowrap end">{verbs_for_one(runtime, act)}</span></td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr>
                <th><span class="visually-hidden">"Select"</span></th><th>"Runtime"</th><th>"State"</th><th>"Profile"</th>
                <th class="right">"Memory"</th>
                <th class="right">"Processor"</th><th class="right">"WebSockets"</th><th>"Made"</th><th class="right">"Restarts"</th><th></th>
            </tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
        <p class="small muted open-in-all">{open_in_all(uses)}</p>
    }
    .into_any()
}

/// All that is open, in a sentence.
fn open_in_all(uses: &[(RuntimeId, RuntimeUse)]) -> String {
    let sum = |part: fn(&RuntimeUse) -> u32| uses.iter().map(|(_, now)| i64::from(part(now))).sum();
    let (websockets, requests) = (sum(|now| now.open.websockets), sum(|now| now.open.streams));
    format!("Open through this server: {}, {}.", words::plural(websockets, "WebSocket"), words::plural(requests, "request"))
}

/// The box that selects a row. Without script the browser alone remembers it.
fn pick(runtime: &RuntimeView, picked: Picked) -> AnyView {
    let id = runtime.runtime_id;
    let change = move |_| {
        picked.update(|picked| match picked.iter().position(|one| *one == id) {
            Some(at) => drop(picked.remove(at)),
            None => picked.push(id),
        });
    };
    view! {
        <input
            r#type="checkbox"
            name="runtime_ids[]"
            value=id.to_string()
            form=FORM
            aria-label=format!("Select {} of {}", runtime.name, runtime.owner)
            prop:checked=move || picked.read().contains(&id)
            on:change=change
        />
    }
    .into_any()
}

/// That its model calls are paused, where they are.
fn paused(runtime: &RuntimeView) -> AnyView {
    let told = runtime.calls_paused.as_ref().map(|pause| format!("Model calls paused: {}", pause.message));
    told.map(|told| view! { <div class="tiny wrong">{told}</div> }).into_any()
}

/// What is wrong now; otherwise what was wrong last.
fn errors(runtime: &RuntimeView) -> AnyView {
    match (&runtime.problem, &runtime.last_error) {
        (Some(problem), _) => view! { <div class="tiny wrong">{problem.message.clone()}</div> }.into_any(),
        (None, Some(last)) => view! { <div class="tiny faint">{time::time(last.at)}": "{last.message.clone()}</div> }.into_any(),
        (None, None) => ().into_any(),
    }
}

fn verbs_for_one(runtime: &RuntimeView, act: Deed) -> AnyView {
    let verb = |value: &'static str, label: &'static str| {
        let fields = vec![("act", value.to_owned()), ("runtime_ids[]", runtime.runtime_id.to_string())];
        press(
            act,
            Press { fields, label, name: Some(format!("{label} {} of {}", runtime.name, runtime.owner)), icon: None, class: "btn quiet" },
        )
    };
    match runtime.phase {
        Phase::Stopped => verb("start", "Start"),
        Phase::Failed => view! { {verb("stop", "Stop")}{verb("start", "Start")} }.into_any(),
        Phase::Ready | Phase::Asleep => view! { {verb("restart", "Restart")}{verb("stop", "Stop")} }.into_any(),
        Phase::Pending | Phase::Queued | Phase::Creating | Phase::Starting | Phase::Waiting | Phase::Waking | Phase::Retrying => {
            verb("stop", "Stop")
        }
        Phase::Draining | Phase::Stopping | Phase::Deleting | Phase::Deleted => ().into_any(),
    }
}
