//! SQL of `audit`.
