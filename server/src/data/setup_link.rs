//! SQL of `setup_link`.
