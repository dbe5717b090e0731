//! SQL of `ticket`.
