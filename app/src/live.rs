//! Live updates: a counter a subject, raised when the server says that something changed. Resources read it and fetch anew.

use crate::browser;
use leptos::prelude::*;
use serde::Deserialize;

/// What changed, as the event stream tells it. The page reads the present state anew, so the ids in it are not needed.
#[derive(Deserialize)]
struct Event {
    what: String,
}

/// The counters.
#[derive(Clone, Copy)]
pub struct Live {
    /// Runtimes.
    pub runtimes: RwSignal<u32>,
    /// Usage and limits.
    pub usage: RwSignal<u32>,
    /// Keys.
    pub keys: RwSignal<u32>,
    /// Providers and models.
    pub catalog: RwSignal<u32>,
    /// People and invitations.
    pub people: RwSignal<u32>,
}

impl Live {
    /// Counters at zero.
    pub fn new() -> Self {
        let zero = || RwSignal::new(0);
        Self { runtimes: zero(), usage: zero(), keys: zero(), catalog: zero(), people: zero() }
    }

    /// The counters of the app.
    pub fn here() -> Self {
        use_context().unwrap_or_else(Self::new)
    }

    /// Hears the server from when the page is alive until the present owner goes.
    pub fn listen(self) {
        Effect::new(move |_| browser::listen("/events", move |text| self.hear(&text)));
    }

    fn hear(self, text: &str) {
        let raise = |counters: &[RwSignal<u32>]| counters.iter().for_each(|counter| counter.update(|n| *n = n.wrapping_add(1)));
        let all = [self.runtimes, self.usage, self.keys, self.catalog, self.people];
        match serde_json::from_str::<Event>(text).as_ref().map(|event| event.what.as_str()) {
            Ok("runtime") => raise(&[self.runtimes]),
            Ok("usage") => raise(&[self.usage]),
            Ok("keys") => raise(&[self.keys]),
            Ok("catalog") => raise(&[self.catalog]),
            Ok("people") => raise(&[self.people]),
            // The server closes the session: the next page is the sign-in page.
            Ok("session_ended" | "person_closed") => drop(window().location().reload()),
            Ok(_) => raise(&all),
            Err(_) => {}
        }
    }
}
