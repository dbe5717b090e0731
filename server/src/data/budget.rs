//! SQL of `budget`.
