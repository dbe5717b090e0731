//! Everyone's runtimes.

use crate::{
    ask::ask,
    components::{
        answer::{answer, list_skeleton},
        form::form_problem,
        frame::top,
        notice,
        runtime_card::{Verbs, cores},
        state::state,
        time,
    },
    live::Live,
    routes,
    server_fns::runtimes::AllRuntimes,
    words,
};
use contract::RuntimeView;
use leptos::prelude::*;

/// The page of everyone's runtimes.
pub fn page() -> AnyView {
    let live = Live::here();
    let verbs = Verbs::new();
    let all = ask(move || {
        live.runtimes.track();
        verbs.done();
        AllRuntimes {}
    });
    view! {
        {top("All runtimes", (), ())}
        <div class="stack">
            {form_problem(verbs.wrong(), &[])}
            <section class="card flush"><div class="body scroll" tabindex="0" role="region" aria-label="Runtimes">{answer(all, list_skeleton, move |all| table(&all, verbs))}</div></section>
        </div>
    }
    .into_any()
}

fn table(runtimes: &[RuntimeView], verbs: Verbs) -> AnyView {
    if runtimes.is_empty() {
        return notice::empty("Nobody has a runtime yet.");
    }
    let rows = runtimes.iter().map(|runtime| {
        let told = runtime.problem.as_ref().map(|problem| view! { <div class="tiny wrong">{problem.message.clone()}</div> });
        view! {
            <tr>
                <td><b><a href=routes::runtime(runtime.runtime_id)>{runtime.name.clone()}</a></b><br /><a class="tiny faint plain" href=routes::person(runtime.person_id)>{runtime.owner.clone()}</a></td>
                <td>{state(runtime.phase)}{told}</td>
                <td class="right">{words::bytes(runtime.memory_bytes)}</td>
                <td class="right">{cores(runtime.cpu_millis)}</td>
                <td class="muted">{time::time(runtime.phase_since)}</td>
                <td class="right">{verbs.stop_if_running(runtime, "btn quiet")}</td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Runtime"</th><th>"State"</th><th class="right">"Memory"</th><th class="right">"Processor"</th><th>"Since"</th><th></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
