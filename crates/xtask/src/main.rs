//! The project's own commands, `cargo xtask <command>`: this file runs what was typed and reports how it went.
//!
//! | file | holds |
//! |---|---|
//! | `command.rs` | what can be typed |
//! | `task.rs` | what each command does |
//! | `step.rs` | how a step is told of, and how it ends |
//! | `bench.rs` | building what `bench` measures, and handing over |
//! | `instructions/` | what the pure stages cost, and may cost |
//! | `cargo.rs` | the cargo that runs us, and where the workspace is |
//! | `fuzz/` | the fuzz targets: their seeds, their processes, and what they found |
//! | `conformance/` | the suites of others, and where the bridge differs from them on purpose |
//! | `man.rs` | man pages and completions, for packages |
//! | `deny.rs` | the dependencies, held to `deny.toml` |
//! | `deploy_check/` | everything in `deploy/`, without a cluster |
//! | `release/` | what a tag would publish, as far as it can be made here |
//! | `tool.rs` | programs of other projects, built once |
//! | `nats_server/` | a real nats-server, found or fetched |
//! | `versions/` | the tests against other people's servers, on several versions |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "xtask is a command-line program for developers: its output is its interface"
)]

mod bench;
mod cargo;
mod command;
mod conformance;
mod deny;
mod deploy_check;
mod fuzz;
mod instructions;
mod man;
mod nats_server;
mod release;
mod step;
mod task;
mod tool;
mod versions;

use std::process::{ExitCode, ExitStatus};

use clap::{CommandFactory, Parser};
use command::CommandLine;

fn main() -> ExitCode {
    let Some(command) = CommandLine::parse().command else {
        // Not an error: whoever types no more wants to know what there is.
        let shown = CommandLine::command().print_help();
        return if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    match task::run(command) {
        Ok(status) => ExitCode::from(exit_code(status)),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The child's exit code as our own; 128 + n for a child that signal n ended, as shells report it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| signal(status).map(|number| 128 + number));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn exit_codes_are_passed_through() {
        // Wait statuses: the exit code is the second byte, a signal the first.
        for (wait_status, expect) in [(0, 0), (78 << 8, 78), (255 << 8, 255), (2, 130), (9, 137)] {
            assert_eq!(exit_code(ExitStatus::from_raw(wait_status)), expect);
        }
    }
}
