//! How often the pure stages ask for memory: a cost that is the same on every machine, and most of what a callback costs
//! beside reading its bytes. Instructions are counted by `cargo xtask instructions`, where there is a valgrind.

use ci_bridge_publisher::{Origin, Router};
use ci_bridge_schema::{Limits, Normalised, normalise, parse};
use counted::workload::Workload;

mod counted;

#[test]
fn a_callback_keeps_to_its_budget_of_allocations() {
    // A little above what they take: lower a number when the count has fallen; raise one with a reason.
    let rows = [
        (Workload::Xml, 10),
        (Workload::Json, 10),
        (Workload::Jobs(64), 525),
        (Workload::Moderation(200_000), 40),
    ];
    let exceeded: Vec<_> = rows
        .into_iter()
        .map(|(workload, budget)| (workload, allocations(workload), budget))
        .filter(|(_, count, budget)| count > budget)
        .map(|(workload, count, budget)| format!("{workload}: {count} allocations, budget {budget}"))
        .collect();
    assert!(exceeded.is_empty(), "{exceeded:#?}");
}

fn allocations(workload: Workload) -> u64 {
    let (body, router) = (workload.body(), counted::router().expect("valid templates"));
    // What is made once, in the first callback of a process, is no part of a callback.
    assert_eq!(stages(body.as_bytes(), &router), workload.messages(), "{workload}");
    let measured = allocation_counter::measure(|| {
        stages(body.as_bytes(), &router);
    });
    measured.count_total
}

/// From bytes to messages, as `Ingress::receive` takes them.
fn stages(body: &[u8], router: &Router) -> usize {
    let callback = parse(body, &Limits::default()).expect("a callback");
    let origin = Origin { endpoint: "default", trace: None };
    let events = match normalise(callback) {
        Normalised::Events(events) => events,
        Normalised::Probe => Vec::new(),
    };
    events.iter().map(|event| router.route(event, origin).into_messages().len()).sum()
}
