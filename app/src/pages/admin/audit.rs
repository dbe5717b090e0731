//! The audit log.

use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, list_skeleton},
        face::face,
        frame::top,
        notice, time,
    },
    live::Live,
    pages::home::verb,
    routes,
    server_fns::admin::{Audit, People},
};
use contract::{AuditEntry, AuditEntryId, PersonView};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

/// As many entries as a page has at most.
const PAGE: usize = 200;

/// The page of the audit log.
pub fn page() -> AnyView {
    let query = use_query_map();
    let before = Memo::new(move |_| query.with(|query| query.get("before").and_then(|id| id.parse::<AuditEntryId>().ok())));
    let live = Live::here();
    let entries = ask(move || {
        live.people.track();
        Audit { before: before.get() }
    });
    let people = ask(|| People {});
    // An entry knows addresses; a face belongs to the name.
    let drawn = move |entries: Vec<AuditEntry>| aside(people, list_skeleton, move |people| table(&entries, &people));
    view! {
        {top("Audit", view! { <p class="muted small">"Who did what, to whom or what. Nothing is ever taken out."</p> }, ())}
        <section class="card flush"><div class="body scroll" tabindex="0" role="region" aria-label="Entries">{answer(entries, list_skeleton, drawn)}</div></section>
    }
    .into_any()
}

fn table(entries: &[AuditEntry], people: &[PersonView]) -> AnyView {
    if entries.is_empty() {
        return notice::empty("Nothing further back.");
    }
    let rows = entries.iter().map(|entry| {
        let name = people.iter().find(|person| person.email == entry.actor).map_or(&entry.actor, |person| &person.name);
        view! {
            <tr>
                <td class="muted nowrap">{time::exact(entry.at)}</td>
                <td><span class="person small-face" title=entry.actor.clone()>{face(name)}<span><b>{name.clone()}</b></span></span></td>
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
