//! Everything that talks to a NATS server. Nothing outside this module does.

mod acknowledgement;
mod connection;
mod headers;
mod link;
mod micro;
mod streams;

pub use acknowledgement::Failure;
pub(crate) use acknowledgement::Stored;
pub use connection::{Authentication, Connection, Tls, connect};
pub(crate) use link::{Link, LinkEvent};
pub(crate) use micro::be_found;
pub use streams::{Missing, Origin, StreamSpec, StreamState, covers};
