//! What senders may take of the bridge.

use std::time::Duration;

use ci_bridge_schema as schema;

use crate::cost;
use crate::framing::HeadLimits;

/// What senders may take of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// From the end of a body to the answer.
    pub deadline: Duration,
    /// From a connection's start to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From a connection's start, or its last answer, to the end of the next request's head.
    pub header_timeout: Duration,
    /// Connections open at once.
    pub max_connections: usize,
    /// Requests being read or answered at once.
    pub max_in_flight: usize,
    /// Bytes of all bodies that are held at once, from their arrival to their answer.
    pub max_bytes_in_flight: usize,
    /// Requests at once of one HTTP/2 connection.
    pub max_streams: u32,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// What a body may cost to parse.
    pub parse: schema::Limits,
}

impl Limits {
    /// What the largest body that is taken can cost of `max_bytes_in_flight`, in bytes.
    #[must_use]
    pub fn largest_cost(&self) -> usize {
        cost::at_most(self.max_body, &self.parse)
    }

    /// Of a head.
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits { fields: self.max_headers, bytes: self.max_header_bytes }
    }
}
