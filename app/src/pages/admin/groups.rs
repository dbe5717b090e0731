//! Groups of persons.

use crate::{
    ask::ask,
    components::{
        answer::{answer, aside, list_skeleton, no_skeleton},
        face,
        form::{
            Field, Form, Press, Sure, cancel, close_when_done, dialog, dialog_of, form_problem, opener, press, submit, sure, wrong, wrongs,
        },
        frame::top,
        icon::icon,
        notice,
    },
    deed::Deed,
    live::Live,
    routes,
    server_fns::{
        admin::People,
        groups::{AddGroup, Groups, JoinGroup, LeaveGroup, RemoveGroup, RenameGroup},
    },
    words,
};
use contract::{GroupMember, GroupView};
use leptos::prelude::*;

/// The addresses that may be put into a group.
const ADDRESSES: &str = "addresses";

/// The verbs on groups, made outside of what is drawn anew.
#[derive(Clone, Copy)]
struct Deeds {
    add: Deed,
    rename: Deed,
    remove: Deed,
    join: Deed,
    leave: Deed,
}

/// The page of groups.
pub fn page() -> AnyView {
    let live = Live::here();
    let deeds = Deeds {
        add: Deed::of::<AddGroup>(),
        rename: Deed::of::<RenameGroup>(),
        remove: Deed::of::<RemoveGroup>(),
        join: Deed::of::<JoinGroup>(),
        leave: Deed::of::<LeaveGroup>(),
    };
    close_when_done(deeds.add);
    close_when_done(deeds.rename);
    // The change stream tells what was saved, here and elsewhere.
    let groups = ask(move || {
        live.catalog.track();
        Groups {}
    });
    let people = ask(move || {
        live.people.track();
        People {}
    });
    let wrong = wrongs([deeds.add, deeds.rename, deeds.remove, deeds.join, deeds.leave].map(wrong));
    view! {
        {top("Groups", (), opener("add-group", "btn primary", Some("plus"), "Make a group"))}
        <div class="stack">
            {form_problem(wrong, &[])}
            {answer(groups, list_skeleton, move |groups| cards(&groups, deeds))}
            <p class="small muted">"A model is published to everyone or to some groups, on the page of models. Who joins a group may call its models from the next call on."</p>
        </div>
        {aside(people, no_skeleton, |people| {
            let addresses = people.into_iter().map(|person| view! { <option value=person.email>{person.name}</option> }).collect_view();
            view! { <datalist id=ADDRESSES>{addresses}</datalist> }.into_any()
        })}
        {add_dialog(deeds.add)}
    }
    .into_any()
}

fn cards(groups: &[GroupView], deeds: Deeds) -> AnyView {
    if groups.is_empty() {
        return view! { <section class="card">{notice::empty("There is no group. Models are offered to everyone until one is published to a group.")}</section> }
            .into_any();
    }
    groups.iter().map(|group| card(group, deeds)).collect_view().into_any()
}

fn card(group: &GroupView, deeds: Deeds) -> AnyView {
    let id = || ("group_id", group.group_id.to_string());
    let dialog = format!("rename-group-{}", group.group_id);
    let ask = Sure {
        opener: icon("bin"),
        class: "btn quiet icon",
        name: Some(format!("Remove {}", group.name)),
        lost: "Its persons stay. Models that are published to it alone are offered to nobody then.",
    };
    let remove = Press {
        fields: vec![id()],
        label: "Remove now",
        name: Some(format!("Remove {} now", group.name)),
        icon: None,
        class: "btn danger block",
    };
    let members = match group.members.as_slice() {
        [] => notice::empty("Nobody is in this group."),
        members => {
            let lines = members.iter().map(|member| line(group, member, deeds.leave)).collect_view();
            view! { <ul class="list">{lines}</ul> }.into_any()
        }
    };
    let address = format!("join-{}", group.group_id);
    let (group_id, label) = (group.group_id.to_string(), format!("E-mail address of a person to put into {}", group.name));
    let join = view! {
        <Form deed=deeds.join class="row tight" label="Put a person in">
            <input r#type="hidden" name="group_id" value=group_id />
            <label class="visually-hidden" r#for=address.clone()>{label}</label>
            <input class="input grow" id=address name="email" r#type="email" list=ADDRESSES placeholder="name@company.example" required=true autocomplete="off" />
            {submit("Put in", "btn", deeds.join.pending())}
        </Form>
    };
    view! {
        <section class="card flush">
            <header>
                <h2>{group.name.clone()}</h2>
                <span class="tiny faint">{words::plural(group.members.len() as i64, "person")}" · "{words::plural(group.models, "model")}</span>
                <span class="grow"></span>
                {opener(dialog.clone(), "btn quiet", None, "Rename")}
                {sure(deeds.remove, ask, remove)}
            </header>
            <div class="body">{members}</div>
            <div class="body">{join}</div>
        </section>
        {rename_dialog(group, dialog, deeds.rename)}
    }
    .into_any()
}

fn line(group: &GroupView, member: &GroupMember, leave: Deed) -> AnyView {
    let out = Press {
        fields: vec![("group_id", group.group_id.to_string()), ("person_id", member.person_id.to_string())],
        label: "Take out",
        name: Some(format!("Take {} out of {}", member.name, group.name)),
        icon: None,
        class: "btn quiet",
    };
    view! {
        <li>
            <a class="plain" href=routes::person(member.person_id)>{face::person(&member.name, &member.email)}</a>
            <span class="aside">{press(leave, out)}</span>
        </li>
    }
    .into_any()
}

fn add_dialog(add: Deed) -> AnyView {
    let wrong = wrong(add);
    let body = view! {
        <Form deed=add>
            <div class="body stack">
                {form_problem(wrong, &["name"])}
                <Field label="Name" name="name" id="group-name".to_owned() placeholder="Research" wrong=wrong />
                <div class="row end">{cancel("add-group")}{submit("Make the group", "btn primary", add.pending())}</div>
            </div>
        </Form>
    };
    dialog("add-group", "Make a group", body.into_any())
}

fn rename_dialog(group: &GroupView, dialog: String, rename: Deed) -> AnyView {
    let (id, cancel) = (format!("{dialog}-name"), cancel(dialog.clone()));
    let (group_id, name) = (group.group_id.to_string(), group.name.clone());
    let wrong = form_problem(wrong(rename), &[]);
    let body = view! {
        <Form deed=rename>
            <div class="body stack">
                <input r#type="hidden" name="group_id" value=group_id />
                {wrong}
                <Field label="Name" name="name" id=id value=name />
                <div class="row end">{cancel}{submit("Rename", "btn primary", rename.pending())}</div>
            </div>
        </Form>
    };
    dialog_of(dialog, format!("Rename {}", group.name), body.into_any())
}
