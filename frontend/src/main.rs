//! The UI alone, under Trunk: it renders in the browser and asks a running server for the rest.

fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
