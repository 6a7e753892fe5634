//! Everything that talks to a NATS server. Nothing outside this module does.

mod acknowledgement;
mod connection;
mod link;
mod streams;

pub use acknowledgement::Failure;
pub use connection::{Authentication, Connection, Tls, connect};
pub(crate) use link::{Link, LinkEvent};
pub use streams::{Missing, Origin, StreamSpec, StreamState, covers};
