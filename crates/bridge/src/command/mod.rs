//! One file a command.

pub(crate) mod check;
pub(crate) mod demo;
mod post;
mod printer;
pub(crate) mod quarantine;
pub(crate) mod reload;
pub(crate) mod render;
mod samples;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod spool;
pub(crate) mod tail;

use std::io;

/// A runtime for commands that wait for the network.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
