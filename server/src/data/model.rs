//! SQL of `model`.
