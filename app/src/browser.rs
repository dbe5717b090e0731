//! What only a browser has: its clock, its clipboard, its event stream. Called in effects and event handlers only, which never run on the server.

use leptos::{leptos_dom::helpers::set_interval_with_handle, prelude::*};
use leptos_router::location::Url;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

/// The browser's clock as a signal: none on the server and until the page is alive, so that both render the same.
#[derive(Clone, Copy)]
pub struct Clock(RwSignal<Option<f64>>);

impl Clock {
    /// A clock that begins to tick when the page is alive.
    pub fn new() -> Self {
        let now = RwSignal::new(None);
        Effect::new(move |_| {
            now.set(Some(now_ms()));
            let ticking = set_interval_with_handle(move || now.set(Some(now_ms())), Duration::from_millis(500));
            on_cleanup(move || {
                if let Ok(handle) = ticking {
                    handle.clear();
                }
            });
        });
        Self(now)
    }

    /// Milliseconds since 1970, twice a second.
    pub fn now(self) -> Option<f64> {
        self.0.get()
    }

    /// Whether the page is alive. Does not tick.
    pub fn alive(self) -> Memo<bool> {
        Memo::new(move |_| self.0.read().is_some())
    }

    /// Minutes since 1970, for what need not be renewed twice a second.
    pub fn minute(self) -> Memo<Option<i64>> {
        Memo::new(move |_| self.0.read().map(|ms| (ms / 60_000.0) as i64))
    }
}

/// The browser's clock now, in milliseconds since 1970; zero on the server.
pub fn now_ms() -> f64 {
    if cfg!(feature = "ssr") { 0.0 } else { js_sys::Date::now() }
}

/// A moment in words of the person's zone, `22 Nov 2026, 08:12`; the browser's own zone where theirs is unknown to it.
pub fn local_time(unix_ms: f64, zone: &str) -> String {
    local(unix_ms, zone, &[("dateStyle", "medium"), ("timeStyle", "short")])
}

/// The clock at a moment in the person's zone, `08:12:05`.
pub fn local_clock(unix_ms: f64, zone: &str) -> String {
    local(unix_ms, zone, &[("timeStyle", "medium")])
}

fn local(unix_ms: f64, zone: &str, styles: &[(&str, &str)]) -> String {
    let options = js_sys::Object::new();
    for (key, value) in styles.iter().copied().chain([("timeZone", zone)]) {
        drop(js_sys::Reflect::set(&options, &key.into(), &value.into()));
    }
    let date = js_sys::Date::new(&JsValue::from_f64(unix_ms));
    let format = js_sys::Reflect::get(&js_sys::global(), &"Intl".into())
        .and_then(|intl| js_sys::Reflect::get(&intl, &"DateTimeFormat".into()))
        .and_then(|constructor| {
            js_sys::Reflect::construct(constructor.unchecked_ref::<js_sys::Function>(), &js_sys::Array::of2(&"en-GB".into(), &options))
        });
    format
        .and_then(|format| {
            let method = js_sys::Reflect::get(&format, &"format".into())?;
            js_sys::Function::from(method).call1(&format, &date)
        })
        .ok()
        .and_then(|text| text.as_string())
        .unwrap_or_else(|| date.to_utc_string().into())
}

/// The browser's own time zone, by its IANA name.
pub fn time_zone() -> Option<String> {
    let options = js_sys::Intl::DateTimeFormat::new(&js_sys::Array::new(), &js_sys::Object::new()).resolved_options();
    js_sys::Reflect::get(&options, &"timeZone".into()).ok()?.as_string()
}

/// Puts a text on the clipboard.
pub fn copy(text: &str) {
    // The promise may be refused by the person's settings; the text is selectable beside the button then.
    drop(window().navigator().clipboard().write_text(text));
}

/// Hears the event stream for as long as the present owner lives; connects again by itself.
pub fn listen(address: &str, hear: impl Fn(String) + 'static) {
    let Ok(source) = web_sys::EventSource::new(address) else {
        return;
    };
    let hearer = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |event: web_sys::MessageEvent| {
        if let Some(text) = event.data().as_string() {
            hear(text);
        }
    });
    source.set_onmessage(Some(hearer.as_ref().unchecked_ref()));
    let kept = StoredValue::new_local((source, hearer));
    on_cleanup(move || {
        let _ = kept.try_with_value(|(source, _)| source.close());
    });
}

/// Gives the page the whole screen, or takes it back. A browser that refuses leaves the page in its window.
pub fn fill_screen(whole: bool) {
    if whole {
        if let Some(page) = document().document_element() {
            drop(page.request_fullscreen());
        }
    } else if document().fullscreen_element().is_some() {
        document().exit_fullscreen();
    }
}

/// Calls when the person leaves the whole screen by the browser's own way, or presses Escape, for as long as the present owner lives.
pub fn on_narrowed(call: impl Fn() + Clone + 'static) {
    Effect::new(move |_| {
        let (left, escaped) = (call.clone(), call.clone());
        let change = window_event_listener_untyped("fullscreenchange", move |_| {
            if document().fullscreen_element().is_none() {
                left();
            }
        });
        let key = window_event_listener(leptos::ev::keydown, move |event| {
            if event.key() == "Escape" {
                escaped();
            }
        });
        on_cleanup(move || {
            change.remove();
            key.remove();
        });
    });
}

/// The fields of the form that is being sent, encoded as in an address.
pub fn fields(event: &web_sys::SubmitEvent) -> Option<String> {
    let form = event.target()?.dyn_into::<web_sys::HtmlFormElement>().ok()?;
    let data = web_sys::FormData::new_with_form(&form).ok()?;
    // The button that was pressed has a say, too, where it has a name.
    if let Some(button) = event.submitter()
        && let (Some(name), Some(value)) = (button.get_attribute("name"), button.get_attribute("value"))
    {
        data.append_with_str(&name, &value).ok()?;
    }
    web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?.to_string().as_string()
}

/// Closes the open dialogs and questions: what they asked for is done.
pub fn close_dialogs() {
    while let Ok(Some(open)) = document().query_selector("dialog[open], details.sure[open]") {
        match open.dyn_into::<web_sys::HtmlDialogElement>() {
            Ok(dialog) => dialog.close(),
            Err(question) => drop(question.remove_attribute("open")),
        }
    }
}

/// Calls again and again for as long as the present owner lives.
pub fn every(period: Duration, call: impl Fn() + 'static) {
    if let Ok(handle) = set_interval_with_handle(call, period) {
        on_cleanup(move || handle.clear());
    }
}

/// What the head of the page says of this.
#[cfg(feature = "hydrate")]
pub fn meta(name: &str) -> Option<String> {
    document().query_selector(&format!("meta[name={name}]")).ok()??.get_attribute("content")
}

/// Loads an address as a page of its own.
pub fn go(to: &Url) {
    let query = if to.search().is_empty() { "" } else { "?" };
    drop(window().location().set_href(&[to.path(), query, to.search(), to.hash()].concat()));
}
