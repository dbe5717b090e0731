//! SQL of `session`.
