//! SQL of `start_history`.
