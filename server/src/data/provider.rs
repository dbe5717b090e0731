//! SQL of `provider`.
