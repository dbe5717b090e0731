//! SQL of `setting`.
