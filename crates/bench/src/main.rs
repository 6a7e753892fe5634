//! The runner of `cargo xtask bench`: contenders in turn, several rounds, medians, each beside the floor of the same run.
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | what can be typed |
//! | `rounds.rs` | the order in which everything is measured |
//! | `contender.rs`, `start.rs` | who is measured, and how each is started |
//! | `nats.rs` | a nats-server and its streams, new for each contender |
//! | `load.rs` | asking the load generator |
//! | `outage.rs` | what the spool takes while NATS is away, and how it empties |
//! | `curves.rs` | how cost grows with what a callback holds, and how many come (`--curves`) |
//! | `peers.rs` | the bridges of others, built, installed or named by a variable |
//! | `prepared.rs` | what the bridge publishes, for the floor that publishes the same |
//! | `affinity.rs` | which core each process runs on |
//! | `programs.rs` | the programs of this crate, built beside it |
//! | `http.rs` | asking a contender whether it is ready |
//! | `results.rs`, `aims.rs` | medians, and what they are held against |
//! | `report/`, `chart.rs`, `plot.rs`, `numbers.rs`, `machine.rs` | what is written |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: its output is its interface"
)]

mod affinity;
mod aims;
mod chart;
mod contender;
mod curves;
mod http;
mod load;
mod machine;
mod nats;
mod numbers;
mod options;
mod outage;
mod peers;
mod plot;
mod prepared;
mod programs;
mod report;
mod results;
mod rounds;
mod start;

use std::error::Error;
use std::process::ExitCode;

use options::Options;

/// Why a run came to nothing, for the person who started it.
type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let run = Options::parse(std::env::args().skip(1)).and_then(|options| {
        if options.curves {
            let before = machine::Clocks::read()?;
            let curves = curves::run(&options)?;
            return report::write_curves(&options, &curves, before.others_since()?);
        }
        report::write(&options, &rounds::run(&options)?)
    });
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
