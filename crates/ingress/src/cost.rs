//! What a body costs in memory beside its own bytes: a large one is far more than what arrived.

use ci_bridge_schema::NODE_BYTES;

/// Bodies of at most so many bytes are counted by what arrived: `max_in_flight` bounds the rest well enough.
const SMALL: usize = 64 * 1024;

/// What reading a body and keeping its message will cost, in bytes, beside the body itself: its nodes, its canonical
/// form, and a copy for the spool. An upper bound, found by looking at each byte once.
pub(crate) fn of_parsing(body: &[u8], max_nodes: usize) -> usize {
    if body.len() <= SMALL {
        return 0;
    }
    let nodes = body.iter().filter(|byte| matches!(byte, b'<' | b',' | b':')).count();
    // Each element has two of these characters in XML, each member two in JSON.
    let nodes = (nodes / 2 + 1).min(max_nodes);
    2 * body.len() + nodes * NODE_BYTES
}

/// Whether reading the body takes so long that other callbacks should not wait for the thread.
pub(crate) fn is_long(body: &[u8]) -> bool {
    /// About 10 ms of reading, in bytes.
    const LONG: usize = 1024 * 1024;
    body.len() > LONG
}

#[cfg(test)]
mod tests {
    use super::of_parsing;

    #[test]
    fn a_small_body_costs_what_arrived_and_a_large_one_its_nodes_as_well() {
        assert_eq!(of_parsing(b"<a><b>1</b></a>", 1000), 0);
        let large = "<a>1</a>".repeat(10_000);
        assert_eq!(of_parsing(large.as_bytes(), 1_000_000), 2 * 80_000 + 10_001 * 100);
        assert_eq!(of_parsing(large.as_bytes(), 5000), 2 * 80_000 + 5000 * 100);
    }
}
