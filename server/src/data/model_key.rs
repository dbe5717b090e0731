//! SQL of `model_key`.
