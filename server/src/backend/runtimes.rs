//! The app's `runtimes` port.
