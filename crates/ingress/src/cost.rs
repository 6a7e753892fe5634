//! What a body costs in memory beside its own bytes: a large one is far more than what arrived.

use ci_bridge_schema::{Limits, NODE_BYTES};

/// Bodies of at most so many bytes are counted by what arrived: `max_in_flight` bounds the rest well enough.
const SMALL: usize = 64 * 1024;

/// So many times the bytes of a body are kept as its messages.
const MESSAGES: usize = 2;

/// What keeping the messages of a body costs until it is answered, in bytes, beside the body itself: its canonical form,
/// and a copy for the spool.
pub(crate) fn of_messages(body: &[u8]) -> usize {
    if body.len() > SMALL { MESSAGES * body.len() } else { 0 }
}

/// What reading it costs for as long as that takes, in bytes.
pub(crate) fn of_reading(body: &[u8], limits: &Limits) -> usize {
    if body.len() > SMALL { limits.likely_nodes(body) * NODE_BYTES } else { 0 }
}

/// What a body of so many bytes costs at most, itself included: when it is as dense as the limits allow.
pub(crate) fn at_most(bytes: usize, limits: &Limits) -> usize {
    if bytes <= SMALL {
        return bytes;
    }
    // A value and a comma: `[1,1,1]`.
    let nodes = (bytes / 2).min(limits.max_nodes);
    bytes.saturating_mul(1 + MESSAGES).saturating_add(nodes.saturating_mul(NODE_BYTES))
}

/// Whether reading the body takes so long that other callbacks should not wait for the thread.
pub(crate) fn is_long(body: &[u8]) -> bool {
    /// About 10 ms of reading, in bytes.
    const LONG: usize = 1024 * 1024;
    body.len() > LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_costs_what_arrived_and_a_large_one_its_nodes_and_messages_as_well() {
        let limits = Limits { max_nodes: 1_000_000, ..Limits::default() };
        let small = b"<a><b>1</b></a>";
        assert_eq!((of_messages(small), of_reading(small, &limits)), (0, 0));
        let large = "<a>1</a>".repeat(10_000);
        assert_eq!(of_messages(large.as_bytes()), 160_000);
        assert_eq!(of_reading(large.as_bytes(), &limits), 10_001 * 100);
        let fewer = Limits { max_nodes: 5000, ..limits };
        assert_eq!(of_reading(large.as_bytes(), &fewer), 5000 * 100);
    }

    #[test]
    fn no_body_costs_more_than_the_most() {
        for limits in [Limits::default(), Limits { max_nodes: 5000, ..Limits::default() }] {
            for body in
                ["{\"a\":[1,1,1]}".to_owned(), format!("[{}1]", "1,".repeat(40_000)), "<a/>".repeat(40_000)]
            {
                let cost = body.len() + of_messages(body.as_bytes()) + of_reading(body.as_bytes(), &limits);
                assert!(cost <= at_most(body.len(), &limits), "{cost}: {body:.20}");
            }
        }
    }
}
