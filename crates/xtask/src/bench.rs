//! `cargo xtask bench`: builds the product and the crate that measures it, and hands over. What is measured, and how, is
//! `crates/bench`'s own affair.

use std::error::Error;
use std::ffi::OsString;
use std::process::{Command, ExitStatus};

use crate::cargo::{cargo, root, target_dir};
use crate::nats_server;
use crate::step::{NATS_SERVER, Outcome, announce, become_child};

/// A workspace of its own; its manifest says why.
const MANIFEST: &str = "crates/bench/Cargo.toml";

/// The words are read by the program that is built; what they may be should not take a build to find out.
const USAGE: &str = include_str!("../../bench/src/usage.txt");

pub(crate) fn run(args: &[OsString]) -> Outcome {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{USAGE}");
        return Ok(ExitStatus::default());
    }
    only_on_linux()?;
    let server = nats_server::provision()?;
    let product = cargo(&["build", "--release", "--locked", "--package", "ci-bridge", "--bin", "ci-bridge"]);
    // A bridge that is built already need not be built again.
    let given = args.iter().any(|arg| arg == "--bridge");
    let builds =
        (!given).then_some(product).into_iter().chain([of_bench(&["build", "--release", "--locked"])]);
    for mut build in builds {
        announce(&build);
        let status = build.status()?;
        if !status.success() {
            return Ok(status);
        }
    }
    let programs = target_dir().join("release");
    let mut bench = Command::new(programs.join("ci-bridge-bench"));
    bench.arg("--root").arg(root()).arg("--work").arg(target_dir().join("bench"));
    bench.arg("--bridge").arg(programs.join("ci-bridge"));
    become_child(bench.args(args).env(NATS_SERVER, server))
}

/// A cargo command on the crate that measures, with everything it builds beside what the product builds.
pub(crate) fn of_bench(args: &[&str]) -> Command {
    let mut command = cargo(args);
    command.arg("--manifest-path").arg(MANIFEST);
    if args.first() != Some(&"fmt") {
        command.arg("--target-dir").arg(target_dir());
    }
    command
}

fn only_on_linux() -> Result<(), Box<dyn Error>> {
    if cfg!(target_os = "linux") {
        return Ok(());
    }
    Err("bench needs Linux: it pins processes to cores, waits with epoll, and reads CPU time from /proc"
        .into())
}
