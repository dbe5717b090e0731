//! The app's `accounts` port.
