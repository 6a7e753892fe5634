//! Everything that talks to a NATS server. Nothing outside this module does.

mod acknowledgement;
mod complaint;
mod connect_failure;
mod connection;
mod credentials;
mod fitness;
mod headers;
mod link;
mod micro;
mod payload_limit;
mod pending;
mod server_choice;
mod server_url;
mod servers;
mod stream_config;
mod streams;
mod tls;
mod user_jwt;
mod version;
mod write_check;

pub use acknowledgement::Failure;
pub(crate) use acknowledgement::{Scope, Stored};
pub(crate) use complaint::Complaint;
pub use connection::{Connection, Part, Problem, connect, open};
pub use credentials::{Authentication, Secret};
pub use fitness::{Finding, Verdict, judged_settings};
pub use link::ExpectStream;
pub(crate) use link::{Link, LinkEvent, LinkSettings};
pub use micro::Instance;
pub(crate) use micro::register_service;
pub use servers::Servers;
pub use streams::{Missing, StreamSpec, covers};
pub(crate) use streams::{QUESTION_TIMEOUT, StreamOrigin, StreamState, StreamTrouble};
pub use tls::Tls;
pub use write_check::WriteCheck;
