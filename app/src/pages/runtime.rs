//! One runtime: its start, its state, its log, and every verb.

use crate::{
    ask::{Asked, ask},
    browser,
    components::{
        answer::{answer, aside, list_skeleton, no_skeleton, page_skeleton, reload_without_script},
        form::{Form, Press, cancel, close_when_done, dialog, form_problem, opener, press, submit, wrong, wrongs},
        frame::top,
        icon::icon,
        notice, profile, rest,
        runtime_card::{Verbs, cores, host},
        runtime_key,
        sharing::Sharing,
        start_steps::{StartLine, StartSteps, held_up, image},
        state::state,
        time, under_way, wish,
    },
    deed::Deed,
    live::Live,
    pages::{
        gone,
        runtime_log::{Log, log_card, searched_for},
        runtimes::offered,
    },
    routes,
    server_fns::runtimes::{
        AskRuntimeStats, ChangeRuntimeProfile, ChooseSleep, CreateRuntime, DeleteRuntime, ResumeCalls, RotateRuntimeKey, Runtime,
        RuntimeLogs, RuntimeTasks,
    },
    words,
};
use contract::{DesiredState, MoreMemory, Phase, ProfileView, RuntimeId, RuntimeView, TaskView};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use std::time::Duration;

/// The runtime that the address names; one that cannot be is nobody's.
pub fn named() -> Memo<RuntimeId> {
    let params = use_params_map();
    Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse().ok())).unwrap_or(RuntimeId(Default::default())))
}

/// A runtime, fetched anew on each change, and every two seconds while it moves.
pub fn watched(id: Memo<RuntimeId>, verbs: Verbs) -> Asked<RuntimeView> {
    let live = Live::here();
    let found = ask(move || {
        live.runtimes.track();
        verbs.done();
        Runtime { runtime_id: id.get() }
    });
    Effect::new(move |_| {
        if found.now().is_some_and(|runtime| runtime.phase.is_moving()) {
            browser::every(Duration::from_secs(2), move || found.again());
        }
    });
    found
}

/// The page of one runtime.
pub fn page() -> AnyView {
    let id = named();
    let verbs = Verbs::new();
    let delete = Deed::of::<DeleteRuntime>();
    let choose = Deed::of::<ChooseSleep>();
    let change = Deed::of::<ChangeRuntimeProfile>();
    let create = Deed::of::<CreateRuntime>();
    let rotate = Deed::of::<RotateRuntimeKey>();
    let resume = Deed::of::<ResumeCalls>();
    close_when_done(change);
    close_when_done(rotate);
    let sharing = Sharing::of(id);
    let profiles = offered();
    let found = watched(id, verbs);
    Effect::new(move |before: Option<usize>| {
        let done = change.done() + resume.done();
        if before.is_some_and(|before| before != done) {
            found.again();
        }
        done
    });
    let live = Live::here();
    let find = searched_for();
    let logs = ask(move || {
        live.runtimes.track();
        RuntimeLogs { runtime_id: id.get(), find: find.get() }
    });
    let tasks = ask(move || {
        live.runtimes.track();
        verbs.done();
        RuntimeTasks { runtime_id: id.get() }
    });
    let stats = ask(move || {
        live.runtimes.track();
        AskRuntimeStats { runtime_id: id.get() }
    });
    Effect::new(move |_| {
        if found.now().is_some_and(|runtime| !matches!(runtime.phase, Phase::Stopped | Phase::Deleted)) {
            browser::every(Duration::from_secs(2), move || {
                // What was found stands still to be read.
                if find.get_untracked().is_none() {
                    logs.again();
                }
            });
            browser::every(Duration::from_secs(4), move || stats.again());
        }
    });
    let wrong =
        wrongs([verbs.wrong(), wrong(delete), wrong(change), wrong(choose), wrong(create), wrong(rotate), wrong(resume), sharing.wrong()]);
    view! {
        {form_problem(wrong, &["minutes", "email"])}
        {answer(found, page_skeleton, move |runtime| {
            if runtime.phase == Phase::Deleted {
                return gone::of(&runtime, create, profiles, tasks);
            }
            whole(&runtime, verbs, Changes { delete, choose, change, rotate, resume, profiles }, Log { find, lines: logs }, tasks, stats, sharing)
        })}
    }
    .into_any()
}

pub(super) type Tasks = Asked<Vec<TaskView>>;
type Stats = Asked<Option<contract::RuntimeStats>>;

/// What changes the runtime itself, made outside of what is drawn anew.
#[derive(Clone, Copy)]
struct Changes {
    delete: Deed,
    choose: Deed,
    change: Deed,
    rotate: Deed,
    resume: Deed,
    profiles: Asked<Vec<ProfileView>>,
}

fn whole(runtime: &RuntimeView, verbs: Verbs, changes: Changes, log: Log, tasks: Tasks, stats: Stats, sharing: Sharing) -> AnyView {
    let moving = runtime.phase.is_moving();
    let below = view! { <p class="muted small mono">{host(runtime)}</p> };
    view! {
        {top(runtime.name.clone(), below, view! { <a href=routes::RUNTIMES class="btn quiet">{icon("back")}"All runtimes"</a> })}
        {reload_without_script(moving)}
        <div class="split">
            <div class="stack">
                {hero(runtime, verbs, changes, stats)}
                {log_card(log, runtime)}
                {task_card(tasks)}
            </div>
            <div class="stack">{facts(runtime)}{sharing.card(runtime)}{rest::choice(runtime, changes.choose, wrong(changes.choose))}{danger(runtime, verbs, changes)}</div>
        </div>
    }
    .into_any()
}

fn hero(runtime: &RuntimeView, verbs: Verbs, Changes { change, resume, .. }: Changes, stats: Stats) -> AnyView {
    let below = match (&runtime.progress, runtime.phase) {
        (_, Phase::Queued) | (None, Phase::Retrying) => held_up(runtime, "you"),
        (Some(progress), _) => view! {
            {held_up(runtime, "you")}
            <StartLine name=runtime.name.clone() progress=progress.clone() />
            <StartSteps runtime=runtime.clone() progress=progress.clone() />
        }
        .into_any(),
        (None, Phase::Ready) => usage_now(stats),
        (None, Phase::Asleep) => rest::line(runtime),
        (None, Phase::Waking | Phase::Draining | Phase::Stopping | Phase::Deleting) => under_way::line(runtime),
        (None, Phase::Failed) => {
            view! { <p class="muted small">"Your workspace is safe. Nothing runs until you try again."</p> }.into_any()
        }
        (None, Phase::Stopped) => view! { <p class="muted small">"Your files and conversations wait in its workspace."</p> }.into_any(),
        (None, _) => ().into_any(),
    };
    view! {
        <section class="card runtime" aria-label=runtime.name.clone() data-phase=format!("{:?}", runtime.phase).to_lowercase()>
            <div class="body stack">
                <div class="row">
                    {state(runtime)}
                    <span class="grow"></span>
                    <div class="row">{verbs.next(runtime)}</div>
                </div>
                {wish::by_others(runtime)}
                {runtime.calls_paused.as_ref().map(|pause| paused(runtime, &pause.message, resume))}
                {runtime.problem.as_ref().map(notice::problem)}
                {runtime.more_memory.as_ref().map(|way| more_memory(runtime, way, change))}
                {runtime.restart_brings.as_ref().map(|what| view! { <p class="muted small">"A restart brings "{what.clone()}"."</p> })}
                {below}
            </div>
        </section>
    }
    .into_any()
}

/// Why its model calls are paused, and the button that lets them go on.
fn paused(runtime: &RuntimeView, reason: &str, resume: Deed) -> AnyView {
    let fields = vec![("runtime_id", runtime.runtime_id.to_string())];
    let name = Some(format!("Resume the model calls of {}", runtime.name));
    let verb = press(resume, Press { fields, label: "Resume", name, icon: Some("play"), class: "btn primary" });
    let told = format!("Its model calls are paused: {reason}, which looks like a loop. Nothing is spent meanwhile.");
    notice::warning(view! { <div class="row"><span class="grow">{told}</span>{verb}</div> })
}

/// What helps a runtime that ran out of memory: one press, or whom to ask.
fn more_memory(runtime: &RuntimeView, way: &MoreMemory, change: Deed) -> AnyView {
    match way {
        MoreMemory::Profile { profile_id, name, memory_bytes } => {
            let fields =
                vec![("runtime_id", runtime.runtime_id.to_string()), ("profile_id", profile_id.to_string()), ("restart", "on".to_owned())];
            let label = Some(format!("Change {} to {name} and start it", runtime.name));
            let press =
                press(change, Press { fields, label: "Change to it and start", name: label, icon: Some("play"), class: "btn primary" });
            view! { <div class="row"><p class="small grow">"The profile "<b>{name.clone()}</b>" gives "{words::bytes(*memory_bytes)}"."</p>{press}</div> }
                .into_any()
        }
        MoreMemory::Ask { whom } => {
            let whom = whom.clone().unwrap_or_else(|| "your administrator".to_owned());
            view! { <p class="small muted">"No larger profile is offered that fits what you may use. Ask "{whom}"."</p> }.into_any()
        }
    }
}

fn usage_now(stats: Stats) -> AnyView {
    aside(stats, no_skeleton, |stats| match stats {
        Some(stats) => {
            let percent = stats.memory_bytes * 100 / stats.memory_limit_bytes.max(1);
            view! {
                <div class="facts-row two">
                    <div class="figure">
                        <span class="tiny faint">"Memory"</span>
                        <b class="num">{words::bytes(stats.memory_bytes)}<span class="faint">" of "{words::bytes(stats.memory_limit_bytes)}</span></b>
                        <div class="meter" style=format!("--v:{percent}%") role="img" aria-label=format!("{percent} % of its memory")></div>
                    </div>
                    <div class="figure"><span class="tiny faint">"Processor"</span><b class="num">{format!("{:.0} %", stats.cpu_percent)}<span class="faint">" of a core"</span></b></div>
                </div>
            }
            .into_any()
        }
        None => ().into_any(),
    })
}

pub(super) fn task_card(tasks: Tasks) -> AnyView {
    view! {
        <section class="card flush">
            <header><h2>"What was asked"</h2></header>
            <div class="body">{aside(tasks, list_skeleton, |tasks| wish::list(&tasks))}</div>
        </section>
    }
    .into_any()
}

fn facts(runtime: &RuntimeView) -> AnyView {
    view! {
        <section class="card">
            <header><h2>"About it"</h2></header>
            <div class="body">
                <dl class="facts">
                    <dt>"Owner"</dt><dd>{runtime.owner.clone()}</dd>
                    <dt>"Profile"</dt><dd>{runtime.profile.clone()}</dd>
                    <dt>"Memory"</dt><dd class="num">"up to "{words::bytes(runtime.memory_bytes)}</dd>
                    <dt>"Processor"</dt><dd class="num">"up to "{cores(runtime.cpu_millis)}</dd>
                    <dt>"Workspace"</dt><dd class="num">{workspace(runtime)}</dd>
                    <dt>"Image"</dt><dd class="mono">{image(&runtime.image)}</dd>
                    <dt>{runtime.phase.label()}</dt><dd>{time::time(runtime.phase_since)}</dd>
                    {(runtime.restarts > 0).then(|| view! { <dt>"Restarts"</dt><dd class="num">{words::count(runtime.restarts)}</dd> })}
                    <dt>"Made"</dt><dd>{time::time(runtime.created_at)}</dd>
                </dl>
            </div>
        </section>
    }
    .into_any()
}

/// `1.3 GiB of 10 GiB`.
fn workspace(runtime: &RuntimeView) -> String {
    let most = words::bytes(runtime.workspace_bytes);
    runtime.workspace_used_bytes.map_or_else(|| format!("up to {most}"), |used| format!("{} of {most}", words::bytes(used)))
}

/// The dialog that changes the profile, and the button that opens it.
fn profile_change(runtime: &RuntimeView, change: Deed, profiles: Asked<Vec<ProfileView>>) -> AnyView {
    let (id, present) = (runtime.runtime_id.to_string(), runtime.profile_id);
    let choices = aside(profiles, list_skeleton, move |profiles| profile::choices(&profiles, present));
    let when = match runtime.phase {
        Phase::Ready => view! {
            <label class="check"><input r#type="checkbox" name="restart" />"Restart it now"</label>
            <p class="hint">"Without a restart it gets at once what can be changed while it runs, and the rest with its next start."</p>
        }
        .into_any(),
        _ if runtime.desired_state == DesiredState::Stopped => {
            view! { <p class="hint">"It takes effect with its next start."</p> }.into_any()
        }
        _ => view! { <p class="hint">"It starts anew with it."</p> }.into_any(),
    };
    let body = view! {
        <Form deed=change>
            <div class="body stack">
                {form_problem(wrong(change), &[])}
                <input r#type="hidden" name="runtime_id" value=id />
                <fieldset class="stack close"><legend class="small muted">"Its present one is marked."</legend>{choices}</fieldset>
                {when}
                <div class="row end">{cancel("change-profile")}{submit("Change the profile", "btn primary", change.pending())}</div>
            </div>
        </Form>
    };
    view! { {opener("change-profile", "btn block", Some("layers"), "Change profile")}{dialog("change-profile", "Change profile", body.into_any())} }
        .into_any()
}

fn danger(runtime: &RuntimeView, verbs: Verbs, Changes { delete, change, rotate, profiles, .. }: Changes) -> AnyView {
    let id = runtime.runtime_id.to_string();
    let body = view! {
        <Form deed=delete>
            <div class="body stack">
                <input r#type="hidden" name="runtime_id" value=id />
                <fieldset class="stack close">
                    <legend class="small muted">"Its container and its address go. What becomes of its files and conversations?"</legend>
                    <label class="choice"><input r#type="radio" name="retention" value="preserve_workspace" checked=true />
                        <span><b>"Keep the workspace"</b><span class="small muted">"A new runtime of the same name finds it again."</span></span></label>
                    <label class="choice"><input r#type="radio" name="retention" value="wipe_workspace" />
                        <span><b>"Wipe the workspace"</b><span class="small muted">"Files and conversations are gone for good."</span></span></label>
                </fieldset>
                <div class="row end">{cancel("delete-runtime")}{submit("Delete", "btn danger", delete.pending())}</div>
            </div>
        </Form>
    };
    let restart = (runtime.phase == Phase::Ready).then(|| verbs.restart(runtime, "btn block"));
    view! {
        <section class="card">
            <div class="body stack close">
                {restart}
                {profile_change(runtime, change, profiles)}
                {runtime_key::rotation(runtime, rotate)}
                {opener("delete-runtime", "btn danger block", Some("bin"), "Delete")}
            </div>
        </section>
        {dialog("delete-runtime", "Delete this runtime", body.into_any())}
    }
    .into_any()
}
