//! The oracle: faults at random against the real `ci-bridge` and a real nats-server under load, and afterwards an
//! account of every promise that an answer made.
//!
//! | file | holds |
//! |---|---|
//! | `stage.rs` | the programs, and how the accounts are settled |
//! | `ledger.rs` | what was promised, and which requests were left without an answer |
//! | `fault.rs`, `run.rs` | what goes wrong, one after another |
//! | `single.rs` | one fault at a time, with sharper claims |
//! | `callback.rs`, `load.rs`, `http.rs` | what is posted, and how |
//! | `bridge.rs`, `broker.rs`, `proxy.rs`, `process.rs` | the processes, and the wire between them |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run of minutes says how far it is, and ends in a table"
)]

mod bridge;
mod broker;
mod callback;
mod fault;
mod http;
mod ledger;
mod load;
mod process;
mod proxy;
mod random;
mod run;
mod single;
mod stage;

use run::Plan;

/// Every fault once, or as many as `cargo xtask chaos` asks for.
#[test]
fn what_was_answered_200_survives_every_fault() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let short = Plan { seed: 20_261_107, faults: 20, senders: 4, least_callbacks: 0 };
    let plan = match (number("CI_BRIDGE_CHAOS_FAULTS"), number("CI_BRIDGE_CHAOS_SEED")) {
        (Some(faults), Some(seed)) => Plan {
            seed,
            faults: usize::try_from(faults).expect("a number of faults"),
            senders: 8,
            least_callbacks: 500 * faults,
        },
        _ => short,
    };
    plan.run();
}
