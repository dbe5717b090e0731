//! What a runtime is made of: values in, values out, no IO.

pub mod checksum;
pub mod mask;
pub mod openclaw;
pub mod spec;
pub mod token;
