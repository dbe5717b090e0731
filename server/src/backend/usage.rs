//! The app's `usage` port.
