//! A small signed client of Tencent CI's query API: which jobs and runs ended, and what each came to.
//!
//! ```text
//! credentials ──► sign ──► pace ──► exchange ──► ApiAnswer ──► the same events as callbacks give
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `signature.rs` | how COS signs a request: pure |
//! | `credentials/` | where keys come from, and when they are fetched again |
//! | `wire.rs` | connections, TLS, and what an answer may cost |
//! | `client.rs`, `pace.rs` | one question: signed, at its turn, and again when CI is busy |
//! | `calls.rs`, `pages.rs` | the questions, and lists that come in pages |
//! | `bucket.rs` | a bucket's name and region |
//! | `error.rs` | what went wrong, and what to do about it |
//!
//! It only ever reads: there is no call here that changes anything at Tencent.

mod bucket;
mod calls;
mod client;
mod credentials;
mod error;
mod pace;
mod pages;
mod signature;
mod wire;

pub use bucket::{Bucket, BucketError};
pub use calls::{JobQuery, Lookup, QUEUE_FAMILIES, documented_tags, path_of, path_of_all};
pub use client::{Client, Config, Within};
pub use credentials::{Credentials, Keys, Sources, Variable};
pub use error::{Ahead, Error, Refusal};
pub use pages::Pages;
pub use signature::{Signed, authorization};
