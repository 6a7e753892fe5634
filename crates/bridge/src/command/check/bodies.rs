//! Whether the largest body that is taken can be read.

use bytesize::ByteSize;
use ci_bridge_ingress::Limits;

use super::finding::{Finding, Verdict};

pub(super) fn check(limits: &Limits) -> Option<Finding> {
    let cost = limits.largest_cost();
    (cost > limits.max_bytes_in_flight).then(|| {
        let [body, cost, held] = [limits.max_body, cost, limits.max_bytes_in_flight]
            .map(|bytes| ByteSize::b(u64::try_from(bytes).unwrap_or(u64::MAX)));
        Finding::new(
            Verdict::Note,
            format!(
                "memory: a body of {body} (ingress.max_body) can cost {cost} while it is read, and all bodies together may \
                 cost {held}: one that costs more is answered 503 each time; raise ingress.max_bytes_in_flight, or lower \
                 ingress.max_body or ingress.max_nodes"
            ),
        )
    })
}
