//! SQL of `runtime`.
