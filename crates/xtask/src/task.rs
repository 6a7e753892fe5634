//! What each command does, as the cargo calls it consists of.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;
use std::time::SystemTime;

use crate::cargo::cargo;
use crate::command::{Chaos, Command, Flood, Fuzz};
use crate::man::man;
use crate::step::{NATS_SERVER, Outcome, announce, become_child};
use crate::{bench, conformance, deny, deploy_check, fuzz, instructions, nats_server, release, versions};

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Demo(demo_args) => demo(&demo_args.args),
        Command::Test(args) => test(&args.all()),
        Command::Chaos(chaos) => run_chaos(&chaos),
        Command::Flood(flood) => run_flood(&flood),
        Command::Page { minutes } => run_page(minutes),
        Command::Versions(tests) => versions::run(&tests.args),
        Command::Bench(bench_args) => bench::run(&bench_args.args),
        Command::Instructions => instructions::run(),
        Command::Fuzz(fuzz) => run_fuzz(&fuzz),
        Command::Conformance { suite } => run_conformance(suite.as_deref()),
        Command::Lint => lint(),
        Command::Deny { advisories } => Ok(deny::run(advisories)?),
        Command::DeployCheck { write } => Ok(deploy_check::run(write).map(|()| ExitStatus::default())?),
        Command::Release(release) => {
            Ok(release::run(release.tag.as_deref()).map(|()| ExitStatus::default())?)
        }
        Command::Man => Ok(man().status()?),
        Command::Ci => ci(),
        Command::NatsServer => print_nats_server(),
    }
}

fn demo(args: &[OsString]) -> Outcome {
    let server = nats_server::provision()?;
    if args == ["--reconcile"] {
        return demo_reconcile(&server);
    }
    let mut run = cargo(&["run", "--package", "ci-bridge", "--bin", "ci-bridge", "--", "demo"]);
    become_child(run.args(args).env(NATS_SERVER, server))
}

/// With the fake CI of the tests, which is no part of the program.
fn demo_reconcile(server: &Path) -> Outcome {
    let built = cargo(&["build", "--package", "ci-bridge", "--bin", "ci-bridge"]).status()?;
    if !built.success() {
        return Ok(built);
    }
    let mut run = cargo(&["run", "--package", "ci-bridge", "--example", "reconcile"]);
    become_child(run.env(NATS_SERVER, server))
}

fn test(args: &[OsString]) -> Outcome {
    let server = nats_server::provision()?;
    // Cargo builds the ci-bridge binary along with the integration tests that start it.
    let mut test = cargo(&["test"]);
    if !names_a_package(args) {
        test.arg("--workspace");
    }
    let status = test.args(args).env(NATS_SERVER, server).status()?;
    // Arguments are about the product.
    if !status.success() || !args.is_empty() || !cfg!(target_os = "linux") {
        return Ok(status);
    }
    let mut measuring = bench::of_bench(&["test", "--locked"]);
    announce(&measuring);
    let status = measuring.status()?;
    if status.success() { instructions::run_if_possible() } else { Ok(status) }
}

/// The bridge as it is shipped: what is built for speed has other races than what is built for debugging.
fn run_chaos(chaos: &Chaos) -> Outcome {
    let server = nats_server::provision()?;
    let seed = chaos.seed.unwrap_or_else(seconds_since_1970);
    let which = if chaos.jobs.is_some() { "each_job_is_on_the_bus_once" } else { "what_was_answered_200" };
    let mut test = cargo(&[
        "test",
        "--release",
        "--package",
        "ci-bridge",
        "--test",
        "chaos",
        "--",
        which,
        "--nocapture",
    ]);
    test.env(NATS_SERVER, server).env("CI_BRIDGE_CHAOS_SEED", seed.to_string());
    test.env("CI_BRIDGE_CHAOS_FAULTS", chaos.faults.to_string());
    if let Some(jobs) = chaos.jobs {
        test.env("CI_BRIDGE_CHAOS_JOBS", jobs.to_string());
    }
    Ok(test.status()?)
}

fn run_flood(flood: &Flood) -> Outcome {
    let server = nats_server::provision()?;
    let mut test = cargo(&["test", "--release", "--package", "ci-bridge", "--test", "integration", "--"]);
    test.args(["flood::", "--nocapture"]).env(NATS_SERVER, server);
    test.env("CI_BRIDGE_FLOOD_CONNECTIONS", flood.connections.to_string());
    Ok(test.status()?)
}

fn run_page(minutes: u64) -> Outcome {
    let server = nats_server::provision()?;
    let mut test = cargo(&["test", "--release", "--package", "ci-bridge", "--test", "integration", "--"]);
    test.args(["three_pages_keep_up", "--nocapture"]).env(NATS_SERVER, server);
    test.env("CI_BRIDGE_PAGE_MINUTES", minutes.to_string());
    Ok(test.status()?)
}

fn seconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

fn run_fuzz(options: &Fuzz) -> Outcome {
    fuzz::run(options.minutes, options.target.as_deref())?;
    Ok(ExitStatus::default())
}

fn run_conformance(suite: Option<&str>) -> Outcome {
    conformance::run(suite)?;
    Ok(ExitStatus::default())
}

/// `--workspace` beside `--package NAME` would still run everything.
fn names_a_package(args: &[OsString]) -> bool {
    let for_cargo = args.iter().take_while(|arg| *arg != "--");
    for_cargo.filter_map(|arg| arg.to_str()).any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

fn lint() -> Outcome {
    let mut steps = vec![
        cargo(&["fmt", "--all", "--check"]),
        // A workspace of its own.
        cargo(&["fmt", "--manifest-path", "tests/fuzz/Cargo.toml", "--check"]),
        cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]),
        // Without traces it is another program in part.
        cargo(&[
            "clippy",
            "--package",
            "ci-bridge",
            "--no-default-features",
            "--locked",
            "--",
            "--deny",
            "warnings",
        ]),
        cargo(&["doc", "--workspace", "--no-deps", "--locked"]),
        bench::of_bench(&["fmt", "--check"]),
    ];
    if cfg!(target_os = "linux") {
        let mut clippy = bench::of_bench(&["clippy", "--all-targets", "--locked"]);
        clippy.args(["--", "--deny", "warnings"]);
        steps.push(clippy);
    }
    for step in &mut steps {
        announce(step);
        let status = step.env("RUSTDOCFLAGS", "--deny warnings").status()?;
        if !status.success() {
            return Ok(status);
        }
    }
    eprintln!("==> cargo deny");
    Ok(deny::run(false)?)
}

fn ci() -> Outcome {
    eprintln!("==> cargo xtask test");
    let status = test(&[])?;
    if status.success() { lint() } else { Ok(status) }
}

fn print_nats_server() -> Outcome {
    println!("{}", nats_server::provision()?.display());
    Ok(ExitStatus::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_package_replaces_the_workspace() {
        for (line, expect) in [
            ("", false),
            ("subject_tokens", false),
            ("-p xtask", true),
            ("-pxtask", true),
            ("--package=xtask", true),
            ("--test e2e -- --nocapture", false),
            ("-- -p", false),
        ] {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(names_a_package(&args), expect, "{line}");
        }
    }
}
