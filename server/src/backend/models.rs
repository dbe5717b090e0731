//! The app's `models` port.
