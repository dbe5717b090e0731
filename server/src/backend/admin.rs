//! The app's `admin` port.
