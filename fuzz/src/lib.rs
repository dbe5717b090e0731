//! The server's own files, as they are: only what a target needs of them is built, so that a short run fits into `make test`.

#[path = "../../server/src/error.rs"]
pub mod error;
pub use error::{Error, Result};

#[path = "../../server/src/runtime"]
pub mod runtime {
    //! A key's checksum, and a runtime's key.
    pub mod checksum;
    pub mod token;
}

#[path = "../../server/src/model"]
pub mod model {
    //! What the model door reads.
    pub mod key_text;
    pub mod meter;
    pub mod request;
    pub mod shape;
}
