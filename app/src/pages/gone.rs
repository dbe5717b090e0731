//! A runtime that was deleted: when, and what is left of it.

use super::runtime::{Tasks, task_card};
use crate::{
    ask::Asked,
    components::{
        answer::{aside, no_skeleton},
        form::{Form, submit},
        frame::{Me, top},
        icon::icon,
        state::state,
        time,
    },
    deed::Deed,
    routes,
};
use contract::{Leftover, ProfileView, RuntimeView};
use leptos::prelude::*;

/// The page of a runtime that is gone. Who may see it could see the runtime.
pub fn of(runtime: &RuntimeView, create: Deed, profiles: Asked<Vec<ProfileView>>, tasks: Tasks) -> AnyView {
    #[cfg(feature = "ssr")]
    crate::request::set_page_status(410);
    let mine = use_context::<Me>().is_some_and(|me| me.caller().person_id == runtime.person_id);
    let back = view! { <a href=routes::RUNTIMES class="btn quiet">{icon("back")}"All runtimes"</a> };
    view! {
        {top(runtime.name.clone(), (), back)}
        <div class="stack">
            <section class="card runtime" aria-label=runtime.name.clone() data-phase="deleted">
                <div class="body stack">
                    <div class="row">{state(runtime)}<span class="grow"></span>{verb(runtime, mine, create, profiles)}</div>
                    <p class="small">"It was deleted "{time::time(runtime.phase_since)}". "{left(runtime, mine)}</p>
                </div>
            </section>
            {task_card(tasks)}
        </div>
    }
    .into_any()
}

/// What is left, and how it is had again.
fn left(runtime: &RuntimeView, mine: bool) -> String {
    let (name, owner) = (&runtime.name, &runtime.owner);
    match runtime.leftover {
        Some(Leftover::Workspace) if mine => {
            format!("Its workspace was kept: a new runtime named {name} finds its files and conversations again.")
        }
        Some(Leftover::Workspace) => {
            format!("Its workspace was kept: {owner} finds its files and conversations again with a new runtime named {name}.")
        }
        Some(Leftover::InUse(_)) => "Its workspace was kept, and a new runtime has it.".to_owned(),
        Some(Leftover::Nothing) | None => "Its workspace was wiped with it: files and conversations are gone for good.".to_owned(),
    }
}

/// The one thing to do next: its owner makes it again, or goes where its workspace is.
fn verb(runtime: &RuntimeView, mine: bool, create: Deed, profiles: Asked<Vec<ProfileView>>) -> AnyView {
    let (name, present) = (runtime.name.clone(), runtime.profile_id);
    match runtime.leftover {
        Some(Leftover::Workspace) if mine => {
            // The profile that it had, where that is still offered.
            let profile = aside(profiles, no_skeleton, move |profiles| {
                let offered = profiles.iter().any(|profile| profile.profile_id == present);
                offered.then(|| view! { <input r#type="hidden" name="profile_id" value=present.to_string() /> }).into_any()
            });
            view! {
                <Form deed=create label="Make it again">
                    <input r#type="hidden" name="name" value=name />
                    {profile}
                    {submit("Make it again", "btn primary", create.pending())}
                </Form>
            }
            .into_any()
        }
        Some(Leftover::InUse(runtime_id)) => view! { <a class="btn" href=routes::runtime(runtime_id)>"Go to it"</a> }.into_any(),
        Some(Leftover::Workspace | Leftover::Nothing) | None => ().into_any(),
    }
}
