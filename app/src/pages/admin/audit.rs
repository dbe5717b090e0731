//! The audit log.

use crate::{
    components::{
        answer::{answer, list_skeleton},
        face::face,
        frame::top,
        notice, time,
    },
    live::Live,
    pages::home::verb,
    routes,
    server_fns::admin::audit,
};
use contract::{AuditEntry, AuditEntryId};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// As many entries as a page has at most.
const PAGE: usize = 200;

/// The page of the audit log.
pub fn page() -> AnyView {
    let query = use_query_map();
    let before = Memo::new(move |_| query.with(|query| query.get("before").and_then(|id| id.parse::<AuditEntryId>().ok())));
    let live = Live::here();
    let entries = Resource::new(move || (before.get(), live.people.get()), |(before, _)| audit(before));
    view! {
        {top("Audit", view! { <p class="muted small">"Who did what, to whom or what. Nothing is ever taken out."</p> }, ())}
        <section class="card flush"><div class="body scroll" tabindex="0" role="region" aria-label="Entries">{answer(entries, list_skeleton, |entries| table(&entries))}</div></section>
    }
    .into_any()
}

fn table(entries: &[AuditEntry]) -> AnyView {
    if entries.is_empty() {
        return notice::empty("Nothing further back.");
    }
    let rows = entries.iter().map(|entry| {
        view! {
            <tr>
                <td class="muted nowrap">{time::exact(entry.at)}</td>
                <td><span class="person small-face">{face(&entry.actor)}<span><b>{entry.actor.clone()}</b></span></span></td>
                <td>{verb(&entry.action)}</td>
                <td>{entry.subject.clone()}" "<span class="muted">{entry.detail.clone()}</span></td>
            </tr>
        }
    });
    let older = (entries.len() >= PAGE)
        .then(|| entries.last())
        .flatten()
        .map(|last| view! { <p class="foot"><a class="btn" href=format!("{}?before={}", routes::ADMIN_AUDIT, last.audit_entry_id)>"Older"</a></p> });
    view! {
        <table>
            <thead><tr><th>"When"</th><th>"Who"</th><th>"Did"</th><th>"To what"</th></tr></thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
        {older}
    }
    .into_any()
}
