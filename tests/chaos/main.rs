//! The oracle: faults at random against the real `ci-bridge` and a real nats-server under load, and afterwards an
//! account of every promise that an answer made.
//!
//! | file | holds |
//! |---|---|
//! | `stage.rs` | the programs, and how the accounts are settled |
//! | `ledger.rs` | what was promised, and which requests were left without an answer |
//! | `fault.rs`, `run.rs` | what goes wrong, one after another |
//! | `single.rs` | one fault at a time, with sharper claims |
//! | `lost.rs` | callbacks that never come, and the account that makes up for them |
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
#[path = "../fake_ci/mod.rs"]
mod fake_ci;
mod fault;
mod http;
mod ledger;
mod load;
mod lost;
mod process;
mod proxy;
mod random;
mod run;
mod single;
mod stage;

use run::Plan;

/// A hundredth of all callbacks is never sent, and more meet a bridge that is down, or a broker.
#[test]
fn each_job_is_on_the_bus_once_though_callbacks_are_lost() {
    let (jobs, seed) = match (number("CI_BRIDGE_CHAOS_JOBS"), number("CI_BRIDGE_CHAOS_SEED")) {
        (Some(jobs), Some(seed)) => (jobs, seed),
        _ => (1_500, 20_261_126),
    };
    lost::run(jobs, seed);
}

/// Every fault once, or as many as `cargo xtask chaos` asks for.
#[test]
fn what_was_answered_200_survives_every_fault() {
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

/// What `cargo xtask chaos` asks for.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
