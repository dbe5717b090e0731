//! Profiles: what a runtime may be and use.

use crate::{
    ask::ask,
    components::{
        answer::{answer, list_skeleton},
        form::{Field, Form, Press, cancel, close_when_done, dialog_of, form_problem, opener, press, submit, wrong, wrongs},
        frame::top,
        notice,
        runtime_card::cores,
        state::labelled,
    },
    deed::Deed,
    live::Live,
    server_fns::{
        profiles::{AddProfile, AllProfiles, EditProfile, OfferProfile},
        providers::AllModels,
    },
    words,
};
use contract::{ModelView, ProfileView};
use leptos::prelude::*;

/// The verbs on profiles, made outside of what is drawn anew.
#[derive(Clone, Copy)]
struct Deeds {
    add: Deed,
    edit: Deed,
    offer: Deed,
}

/// The page of profiles.
pub fn page() -> AnyView {
    let live = Live::here();
    let deeds = Deeds { add: Deed::of::<AddProfile>(), edit: Deed::of::<EditProfile>(), offer: Deed::of::<OfferProfile>() };
    close_when_done(deeds.add);
    close_when_done(deeds.edit);
    // Asked anew when something was saved, which the change stream tells, and for nothing else: what is drawn anew closes a form that somebody fills in.
    let profiles = ask(move || {
        live.catalog.track();
        AllProfiles {}
    });
    let models = ask(move || {
        live.catalog.track();
        AllModels {}
    });
    // Both at once: a form names the models that there are.
    let whole = move |profiles: Vec<ProfileView>| {
        answer(models, list_skeleton, move |models| {
            view! {
                <section class="card flush">
                    <header>
                        <h2>"Profiles"</h2><span class="grow"></span>{opener("add-profile", "btn", Some("plus"), "Add a profile")}
                    </header>
                    <div class="body scroll" tabindex="0" role="region" aria-label="Profiles">{table(&profiles, &models, deeds)}</div>
                </section>
                {form(deeds.add, None, &models, "add-profile".to_owned(), "Add a profile".to_owned())}
            }
            .into_any()
        })
    };
    view! {
        {top("Profiles", (), ())}
        <div class="stack">
            {form_problem(wrongs([wrong(deeds.add), wrong(deeds.edit), wrong(deeds.offer)]), &[])}
            {answer(profiles, list_skeleton, whole)}
            <p class="small muted">
                "A change comes to a runtime with its next start; when it sleeps and which models it may call, at once. The first that is offered is the one that new runtimes take. What a person may use in all is set on the person's page."
            </p>
        </div>
    }
    .into_any()
}

fn table(profiles: &[ProfileView], models: &[ModelView], deeds: Deeds) -> AnyView {
    if profiles.is_empty() {
        return notice::empty("There is no profile. Add one: a new runtime needs it.");
    }
    let rows = profiles.iter().map(|profile| {
        let dialog = format!("edit-profile-{}", profile.profile_id);
        let (label, name) = if profile.offered { ("Withdraw", "Withdraw {}") } else { ("Offer", "Offer {}") };
        let offer = Press {
            fields: vec![("profile_id", profile.profile_id.to_string()), ("offered", (!profile.offered).to_string())],
            label,
            name: Some(name.replace("{}", &profile.name)),
            icon: None,
            class: "btn quiet",
        };
        let chip = |there: bool, text: String| there.then(|| view! { <span class="chip">{text}</span> });
        view! {
            <tr>
                <td>
                    <b>{profile.name.clone()}</b>" "{chip(profile.gpu, "GPUs".to_owned())}{chip(profile.oci_runtime.is_some(), profile.oci_runtime.clone().unwrap_or_default())}
                    <br /><span class="small faint">{profile.description.clone()}</span>
                </td>
                <td class="right">{words::bytes(profile.memory_bytes)}</td>
                <td class="right">{cores(profile.cpu_millis)}</td>
                <td class="right">{words::bytes(profile.workspace_bytes)}</td>
                <td>{profile.models.as_ref().map_or_else(|| "all".to_owned(), |some| words::plural(some.len() as i64, "model"))}</td>
                <td class="right">{profile.runtimes}</td>
                <td>{if profile.offered { labelled("state running", "Offered") } else { labelled("state stopped", "Withdrawn") }}</td>
                <td class="right"><span class="row tight end nowrap">
                    {press(deeds.offer, offer)}
                    {opener(dialog.clone(), "btn quiet", None, "Change")}
                    {form(deeds.edit, Some(profile), models, dialog, format!("Change {}", profile.name))}
                </span></td>
            </tr>
        }
    });
    view! {
        <table>
            <thead><tr><th>"Profile"</th><th class="right">"Memory"</th><th class="right">"Processor"</th><th class="right">"Disk"</th><th>"Models"</th><th class="right">"Runtimes"</th><th>"State"</th><th></th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// The dialog that adds a profile, or changes one. Input names are those of the server functions' `profile` argument.
fn form(deed: Deed, profile: Option<&ProfileView>, models: &[ModelView], dialog: String, title: String) -> AnyView {
    let id = |field: &str| format!("{dialog}-{field}");
    let text = |of: fn(&ProfileView) -> String, without: &str| profile.map_or_else(|| without.to_owned(), of);
    let chosen = profile.and_then(|profile| profile.models.clone());
    let some = chosen.is_some();
    let models = models.iter().map(|model| {
        let checked = chosen.as_ref().is_some_and(|chosen| chosen.contains(&model.model_id));
        view! { <label class="check"><input r#type="checkbox" name="profile[model][]" value=model.model_id.to_string() checked=checked />{model.name.clone()}</label> }
    });
    let (offered, gpu) = profile.map_or((true, false), |profile| (profile.offered, profile.gpu));
    let hidden = profile.map(|profile| view! { <input r#type="hidden" name="profile_id" value=profile.profile_id.to_string() /> });
    let models = models.collect_view();
    let fields = view! {
                <Field label="Name" name="profile[name]" id=id("name") value=text(|profile| profile.name.clone(), "") />
                <Field label="What it is for" name="profile[description]" id=id("description") optional=true value=text(|profile| profile.description.clone(), "") />
                <div class="row pair">
                    <Field label="Memory" name="profile[memory]" id=id("memory") value=text(|profile| words::typed_bytes(profile.memory_bytes), "4 GiB") />
                    <Field label="Cores" name="profile[cpu]" id=id("cpu") value=text(|profile| typed_cores(profile.cpu_millis), "2") />
                </div>
                <div class="row pair">
                    <Field label="Disk" name="profile[disk]" id=id("disk") value=text(|profile| words::typed_bytes(profile.workspace_bytes), "10 GiB") />
                    <Field label="Processes" name="profile[pids]" id=id("pids") value=text(|profile| profile.pids.to_string(), "512") />
                </div>
                <div class="row pair">
                    <Field label="Sleeps after" name="profile[sleep_after]" id=id("sleep-after") optional=true placeholder="30" value=text(|profile| typed_sleep(profile.sleep_after_minutes), "") />
                    <Field label="Gives memory back after" name="profile[sleep_stop_after]" id=id("sleep-stop-after") optional=true placeholder="8 h" value=text(|profile| typed_sleep(profile.sleep_stop_after_minutes), "") />
                </div>
                <p class="hint">"Minutes without use until a runtime is frozen, and of sleep until its memory is free for others; hours as 8 h, or never. Empty: what the server's settings say. A person may choose a shorter time before it sleeps, no longer one."</p>
                <fieldset class="stack close">
                    <legend class="label">"Models"</legend>
                    <label class="check"><input r#type="radio" name="profile[models]" value="all" checked=!some />"All that are offered"</label>
                    <label class="check"><input r#type="radio" name="profile[models]" value="chosen" checked=some />"Only these"</label>
                    <div class="stack close indent">{models}</div>
                </fieldset>
                <Field label="Image" name="profile[image]" id=id("image") optional=true hint="The installation's where it is empty." value=text(|profile| profile.image.clone().unwrap_or_default(), "") />
                <Field label="OCI runtime" name="profile[oci_runtime]" id=id("oci") optional=true placeholder="runsc" hint="The engine's own where it is empty." value=text(|profile| profile.oci_runtime.clone().unwrap_or_default(), "") />
                <Field label="Place in the list" name="profile[position]" id=id("position") optional=true value=text(|profile| profile.position.to_string(), "1") />
                <label class="check"><input r#type="checkbox" name="profile[gpu]" checked=gpu />"Give it this machine's GPUs"</label>
                <label class="check"><input r#type="checkbox" name="profile[offered]" checked=offered />"Offer it to people"</label>
    };
    let (wrong, cancel) = (form_problem(wrong(deed), &[]), cancel(dialog.clone()));
    let body = view! {
        <Form deed=deed>
            <div class="body stack">
                {hidden}
                {wrong}
                {fields}
                <div class="row end">{cancel}{submit("Save", "btn primary", deed.pending())}</div>
            </div>
        </Form>
    };
    dialog_of(dialog, title, body.into_any())
}

/// Minutes until a sleep as a person types them; nothing for what the settings say.
fn typed_sleep(minutes: Option<i32>) -> String {
    match minutes {
        None => String::new(),
        Some(0) => "never".to_owned(),
        Some(minutes) if minutes % 60 == 0 => format!("{} h", minutes / 60),
        Some(minutes) => minutes.to_string(),
    }
}

/// Cores as a person types them.
pub fn typed_cores(millis: i64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{typed_cores, typed_sleep};

    #[test]
    fn sleeps_are_typed_as_they_are_read() {
        assert_eq!([None, Some(0), Some(45), Some(480)].map(typed_sleep), ["", "never", "45", "8 h"]);
    }

    #[test]
    fn cores_are_typed_as_they_are_read() {
        for (millis, text) in [(2000, "2"), (500, "0.5"), (1250, "1.25"), (10_000, "10")] {
            assert_eq!(typed_cores(millis), text);
        }
    }
}
