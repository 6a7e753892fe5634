//! `cargo xtask fuzz`: every target of `tests/fuzz`, one after the other on all cores, for a share of the time each.
//!
//! | file | holds |
//! |---|---|
//! | `seeds.rs` | the inputs to begin with, made of the fixtures |
//! | `run.rs` | one target: its processes, and what they said |
//!
//! The targets are built without a sanitizer, which would need a nightly compiler: no crate of ours has `unsafe` code, and
//! what is looked for are panics, wrong results and slowness.

mod run;
mod seeds;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cargo;
use crate::tool::CARGO_FUZZ;
use run::{Report, Target};

/// The folder of the targets.
pub(crate) fn folder() -> PathBuf {
    cargo::root().join("tests/fuzz")
}

/// Runs the targets, or the one that is named, and prints what each came to.
///
/// # Errors
/// A find, or something that cannot be built or started.
pub(crate) fn run(minutes: u64, only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let names = chosen(names()?, only)?;
    let home = cargo::target_dir().join("fuzz");
    let programs = build(&home)?;
    let jobs = std::thread::available_parallelism()?.get();
    let share = Duration::from_secs(minutes * 60 / u64::try_from(names.len())?);
    println!("{} targets, {} s each, {jobs} processes at once", names.len(), share.as_secs());
    println!("{}", row(["target", "inputs", "a second", "coverage", "finds"]));
    let (mut inputs, mut finds) = (0, Vec::new());
    for name in &names {
        let target = Target::prepare(name, &home, &programs)?;
        let report = target.run(jobs, share)?;
        println!("{}", row_of(name, &report));
        inputs += report.inputs;
        finds.extend(report.finds.iter().map(|find| target.replay(find)));
    }
    println!("{}", row(["all", &inputs.to_string(), "", "", &finds.len().to_string()]));
    match finds.is_empty() {
        true => Ok(()),
        false => Err(explain(&finds).into()),
    }
}

fn row_of(name: &str, report: &Report) -> String {
    let Report { inputs, coverage, took, finds } = report;
    let rate = *inputs as f64 / took.as_secs_f64();
    row([name, &inputs.to_string(), &format!("{rate:.0}"), &coverage.to_string(), &finds.len().to_string()])
}

fn row([target, inputs, rate, coverage, finds]: [&str; 5]) -> String {
    format!("{target:10} {inputs:>12} {rate:>10} {coverage:>9} {finds:>6}")
}

fn explain(finds: &[String]) -> String {
    format!(
        "{} found; to see each again:\n{}\nFix it, and keep the input under tests/fuzz/corpus/TARGET/ with a name that says \
         what went wrong: `cargo xtask test -p ci-bridge --test fuzz` repeats it from then on.",
        finds.len(),
        finds.join("\n")
    )
}

/// The programs of `fuzz_targets/`, in order.
fn names() -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder().join("fuzz_targets"))? {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn chosen(names: Vec<String>, only: Option<&str>) -> Result<Vec<String>, String> {
    let known = names.join(", ");
    let chosen: Vec<_> = names.into_iter().filter(|name| only.is_none_or(|only| name == only)).collect();
    match chosen.is_empty() {
        true => Err(format!("there is no target '{}': there are {known}", only.unwrap_or_default())),
        false => Ok(chosen),
    }
}

/// The folder of the programs, instrumented and optimised, with debug assertions.
fn build(home: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let build = home.join("build");
    let mut command = Command::new(CARGO_FUZZ.provision()?);
    command.current_dir(cargo::root()).args(["build", "--sanitizer", "none"]);
    command.arg("--fuzz-dir").arg(folder()).arg("--target-dir").arg(&build);
    let status = command.status()?;
    if !status.success() {
        return Err(format!(
            "cargo fuzz build ended with {status}; libFuzzer needs a C++ compiler (g++ or clang++)"
        )
        .into());
    }
    Ok(build.join(host()?).join("release"))
}

/// This machine's triple, which cargo-fuzz builds for.
fn host() -> Result<String, Box<dyn Error>> {
    let output = cargo::cargo(&["-vV"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("cargo -vV names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_chosen_by_its_name() {
        let names = names().expect("the folder of the targets");
        assert!(names.len() >= 4, "{names:?}");
        assert_eq!(chosen(names.clone(), None).as_deref(), Ok(names.as_slice()));
        assert_eq!(chosen(names.clone(), Some("xml")), Ok(vec!["xml".to_owned()]));
        let error = chosen(names, Some("yaml")).expect_err("no such target");
        assert!(error.starts_with("there is no target 'yaml': there are callback, json, "), "{error}");
    }
}
