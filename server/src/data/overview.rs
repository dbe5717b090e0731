//! SQL of `overview`.
