//! The app's `providers` port.
