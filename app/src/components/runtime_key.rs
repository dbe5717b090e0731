//! The key of a runtime, to be rotated while it runs.

use super::form::{Form, cancel, dialog, form_problem, opener, submit, wrong};
use crate::deed::Deed;
use contract::{DesiredState, RuntimeView};
use leptos::prelude::*;

/// The dialog that rotates it, and the button that opens it. One that is stopped gets a new key with its next start.
pub fn rotation(runtime: &RuntimeView, rotate: Deed) -> AnyView {
    if runtime.desired_state != DesiredState::Running {
        return ().into_any();
    }
    let id = runtime.runtime_id.to_string();
    let body = view! {
        <Form deed=rotate>
            <div class="body stack">
                {form_problem(wrong(rotate), &[])}
                <input r#type="hidden" name="runtime_id" value=id />
                <p class="small muted">"It gets a new key for the models while it runs. OpenClaw reads it within seconds, without a restart."</p>
                <div class="field">
                    <label r#for="rotate-minutes">"The old key works on"</label>
                    <select class="input" id="rotate-minutes" name="minutes">
                        <option value="5" selected=true>"For 5 minutes"</option>
                        <option value="60">"For an hour"</option>
                        <option value="0">"Not at all: what it says at this moment is cut off"</option>
                    </select>
                </div>
                <div class="row end">{cancel("rotate-key")}{submit("Rotate the key", "btn primary", rotate.pending())}</div>
            </div>
        </Form>
    };
    view! { {opener("rotate-key", "btn block", Some("key"), "Rotate key")}{dialog("rotate-key", "Rotate key", body.into_any())} }.into_any()
}
