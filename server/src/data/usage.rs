//! SQL of `usage`.
