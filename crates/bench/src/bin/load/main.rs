//! The load generator: one thread, epoll, requests copied from a template in which only the numbers differ. It must cost
//! far less than what it measures, because it shares a core with nats-server.
//!
//! | file | holds |
//! |---|---|
//! | `arguments.rs` | what can be typed |
//! | `client.rs` | the loop: send what is due, read what has come |
//! | `connection.rs` | one connection: a request out, an answer in |
//! | `response.rs` | where an answer ends, and its status |
//! | `tally.rs` | what is counted |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the measurement on standard output is its interface"
)]

mod arguments;
mod client;
mod connection;
mod response;
mod tally;

use std::process::ExitCode;

use arguments::Arguments;
use client::Client;

fn main() -> ExitCode {
    let run = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| {
        let client = Client::connect(&arguments).map_err(|error| format!("{}: {error}", arguments.host))?;
        client.run(&arguments).map_err(|error| error.to_string())
    });
    match run.and_then(|measurement| serde_json::to_string(&measurement).map_err(|error| error.to_string())) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
