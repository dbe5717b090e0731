//! SQL of `invitation`.
