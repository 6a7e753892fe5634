//! Everything that talks to a NATS server. Nothing outside this module does.

mod acknowledgement;
mod complaint;
mod connection;
mod fitness;
mod headers;
mod link;
mod micro;
mod payload_limit;
mod pending;
mod stream_config;
mod streams;
mod version;
mod write_check;

pub use acknowledgement::Failure;
pub(crate) use acknowledgement::{Scope, Stored};
pub(crate) use complaint::Complaint;
pub use connection::{Authentication, Connection, Tls, connect};
pub use fitness::{Finding, Verdict, judged_settings};
pub use link::ExpectStream;
pub(crate) use link::{Link, LinkEvent, LinkSettings};
pub use micro::Instance;
pub(crate) use micro::register_service;
pub use streams::{Missing, StreamSpec, covers};
pub(crate) use streams::{QUESTION_TIMEOUT, StreamOrigin, StreamState, StreamTrouble};
pub use write_check::WriteCheck;
