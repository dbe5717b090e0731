//! Profiles as people choose them, and how much of what they may use is in use.

use super::runtime_card::cores;
use crate::words;
use contract::{ProfileId, ProfileView, QuotaView};
use leptos::prelude::*;

/// `4 GiB, 2 cores, 20 GiB of disk`.
pub fn figures(profile: &ProfileView) -> String {
    let gpu = if profile.gpu { ", GPUs" } else { "" };
    format!("{}, {}, {} of disk{gpu}", words::bytes(profile.memory_bytes), cores(profile.cpu_millis), words::bytes(profile.workspace_bytes))
}

/// The choice of a profile for a new runtime; nothing where there is nothing to choose.
pub fn select(profiles: &[ProfileView], id: &'static str) -> AnyView {
    if profiles.len() < 2 {
        return ().into_any();
    }
    let options = profiles.iter().map(|profile| {
        view! { <option value=profile.profile_id.to_string()>{format!("{}: {}", profile.name, figures(profile))}</option> }
    });
    view! {
        <div class="field">
            <label r#for=id>"Profile"</label>
            <select class="input" id=id name="profile_id">{options.collect_view()}</select>
        </div>
    }
    .into_any()
}

/// The choice of another profile, the present one marked.
pub fn choices(profiles: &[ProfileView], present: ProfileId) -> AnyView {
    let lines = profiles.iter().map(|profile| {
        let description = (!profile.description.is_empty()).then(|| format!(" · {}", profile.description));
        view! {
            <label class="choice">
                <input r#type="radio" name="profile_id" value=profile.profile_id.to_string() checked=profile.profile_id == present required=true />
                <span><b>{profile.name.clone()}</b><span class="small muted">{figures(profile)}{description}</span></span>
            </label>
        }
    });
    lines.collect_view().into_any()
}

/// What a person may use and uses, a meter each.
pub fn quota(view: &QuotaView) -> AnyView {
    let (may, used, own) = (view.quota, view.used, view.own);
    let count = |number: i64| words::count(number);
    type Line = (&'static str, i64, i64, fn(i64) -> String, bool);
    let lines: [Line; 4] = [
        ("Runtimes", used.runtimes, may.runtimes, count, own.runtimes.is_some()),
        ("Memory at once", used.memory_bytes, may.memory_bytes, words::bytes, own.memory_bytes.is_some()),
        ("Processor at once", used.cpu_millis, may.cpu_millis, cores, own.cpu_millis.is_some()),
        ("Disk", used.workspace_bytes, may.workspace_bytes, words::bytes, own.workspace_bytes.is_some()),
    ];
    let lines = lines.into_iter().map(|(label, used, may, told, own)| {
        let percent = if may <= 0 { 100 } else { (used.saturating_mul(100) / may).clamp(0, 100) };
        let tone = if used > may { "meter bad" } else { "meter ok" };
        view! {
            <div class="figure">
                <span class="tiny faint">{label}{own.then_some(", set for this person")}</span>
                <b class="num">{told(used)}<span class="faint">" of "{told(may)}</span></b>
                <div class=tone style=format!("--v:{percent}%") role="img" aria-label=format!("{label}: {percent} % in use")></div>
            </div>
        }
    });
    view! { <div class="stack close">{lines.collect_view()}</div> }.into_any()
}
