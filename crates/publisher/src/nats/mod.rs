//! Everything that talks to a NATS server. Nothing outside this module does.

mod acknowledgement;
mod awaiting;
mod connect;
mod connect_failure;
mod connection;
mod credentials;
mod events;
mod fitness;
mod headers;
mod lease;
mod link;
mod micro;
mod object_store;
mod payload_limit;
mod pending;
mod problem;
mod read_back;
mod server_choice;
mod server_error;
mod server_url;
mod servers;
mod stored_message;
mod stream_config;
mod stream_spec;
mod streams;
mod tls;
mod user_jwt;
mod version;
mod wire;
mod write_check;

pub use crate::filter::{covers, overlap};
pub use acknowledgement::Failure;
pub(crate) use acknowledgement::{Scope, Stored};
pub use awaiting::{Await, Taker};
pub(crate) use awaiting::{Waiting, takers};
pub use connect::{connect, open};
pub use connection::Connection;
pub use credentials::{Authentication, Secret};
pub(crate) use events::LinkEvent;
pub use fitness::{Finding, Verdict, judged_settings};
pub use lease::{Held, LEASE, Lease, RENEW_INTERVAL};
pub use link::ExpectStream;
pub(crate) use link::{Link, LinkSettings};
pub use micro::Instance;
pub(crate) use micro::register_service;
pub(crate) use object_store::{Object, ObjectStore};
pub use problem::{Part, Problem};
pub use read_back::{CannotTell, ReadBack};
pub(crate) use server_error::ServerError;
pub use servers::Servers;
pub(crate) use stored_message::Which;
pub use stored_message::{LookupError, Range, StoredMessage};
pub use stream_spec::{Holds, Missing, StreamSpec};
pub(crate) use streams::{QUESTION_TIMEOUT, StreamOrigin, StreamState, StreamTrouble};
pub use tls::Tls;
pub use write_check::WriteCheck;

/// What comes on a reply subject, for tests.
#[cfg(test)]
fn reply_with(payload: &'static str) -> async_nats::Message {
    async_nats::Message {
        subject: "_INBOX.x.1".into(),
        reply: None,
        payload: payload.into(),
        headers: None,
        status: None,
        description: None,
        length: payload.len(),
    }
}
