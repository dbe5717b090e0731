//! SQL of `person`.
