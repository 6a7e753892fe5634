//! `cargo xtask versions`: the tests of what servers of other people do, on several versions of nats-server.
//!
//! | file | holds |
//! |---|---|
//! | `tally.rs` | what a test program says at its end |
//! | `table.rs` | what each version came to, for people |

mod table;
mod tally;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::cargo::cargo;
use crate::nats_server::{self, Version};
use crate::step::{NATS_SERVER, Outcome, announce};
use table::{CameTo, Row};
use tally::Tally;

/// The modules of the integration tests in which the version of the server matters. `connection` is not among them: a
/// handshake that begins with TLS needs 2.10.
const FILTERS: [&str; 8] = [
    "streams_of_others::",
    "outage::",
    "answers::",
    "delivery::",
    "endpoints::",
    "quarantine::refused::",
    "tail::tail_",
    "nats_user::",
];

/// Prints the table to standard output, and everything else to standard error.
pub(crate) fn run(args: &[OsString]) -> Outcome {
    let words = words(args);
    let versions = nats_server::several();
    if versions.iter().any(|version| version.server.is_ok()) {
        let mut build = integration_tests(&["--no-run"]);
        announce(&build);
        let status = build.status()?;
        if !status.success() {
            return Ok(status);
        }
    }
    let rows: Vec<Row> =
        versions.into_iter().map(|version| row(version, &words)).collect::<io::Result<_>>()?;
    print!("{}", table::render(&rows));
    verdict(&rows, &words)?;
    Ok(ExitStatus::default())
}

fn integration_tests(args: &[&str]) -> Command {
    let mut command = cargo(&["test", "--package", "ci-bridge", "--test", "integration"]);
    command.args(args);
    command
}

/// What the test program is told: the usual filters, unless it is told one first. `--` is what people type after
/// `cargo test`.
fn words(args: &[OsString]) -> Vec<OsString> {
    let args: Vec<_> = args.iter().filter(|arg| *arg != "--").cloned().collect();
    match args.first() {
        Some(first) if !first.as_encoded_bytes().starts_with(b"-") => args,
        _ => FILTERS.map(OsString::from).into_iter().chain(args).collect(),
    }
}

fn row(version: Version, words: &[OsString]) -> io::Result<Row> {
    let Version { name, server } = version;
    let (server, came_to) = match server {
        Ok(server) => {
            eprintln!("\n==> nats-server {name}");
            let came_to = test(&server, words)?;
            (server, came_to)
        }
        Err(reason) => (Default::default(), CameTo::LeftOut(reason)),
    };
    Ok(Row { name, server, came_to })
}

fn test(server: &Path, words: &[OsString]) -> io::Result<CameTo> {
    let started = Instant::now();
    let mut command = integration_tests(&["--"]);
    let (status, said) = heard(command.args(words).env(NATS_SERVER, server))?;
    let seconds = started.elapsed().as_secs();
    Ok(CameTo::of(Tally::read(&said), seconds, &status.to_string()))
}

/// Runs a command to its end: what it wrote to standard output is shown at once, and kept.
fn heard(command: &mut Command) -> io::Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).split(b'\n')) {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        said.push_str(&line);
        said.push('\n');
    }
    Ok((child.wait()?, said))
}

/// # Errors
///
/// A version failed, or there is none; with what to type to see it again.
fn verdict(rows: &[Row], words: &[OsString]) -> Result<(), Box<dyn Error>> {
    if rows.iter().all(Row::is_left_out) {
        return Err("no nats-server could be fetched".into());
    }
    let again: Vec<_> = rows.iter().filter_map(|row| row.again(words)).collect();
    match again.is_empty() {
        true => Ok(()),
        false => Err(format!("tests failed; to see them again:\n{}", again.join("\n")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_filter_replaces_the_usual_ones_and_an_option_does_not() {
        let usual = FILTERS.join(" ");
        for (args, expect) in [
            ("", usual.clone()),
            ("endpoints", "endpoints".to_owned()),
            ("endpoints outage --nocapture", "endpoints outage --nocapture".to_owned()),
            ("--test-threads 1", format!("{usual} --test-threads 1")),
            ("-- --nocapture", format!("{usual} --nocapture")),
        ] {
            assert_eq!(words(&split(args)), split(&expect), "{args}");
        }
    }

    #[test]
    fn a_version_that_failed_fails_all_and_one_that_is_left_out_does_not() {
        let row = |came_to| Row { name: "2.9.10".into(), server: "nats-server".into(), came_to };
        let good = || row(CameTo::of(Tally::read("test result: ok. 3 passed; 0 failed;"), 1, ""));
        let bad = || row(CameTo::of(Tally::read("test result: FAILED. 2 passed; 1 failed;"), 1, ""));
        let none = || row(CameTo::LeftOut("offline".into()));
        for (rows, expect) in [
            (vec![good(), good()], None),
            (vec![none(), good()], None),
            (vec![none(), bad(), good()], Some("tests failed; ")),
            (vec![none(), none()], Some("no nats-server could be fetched")),
        ] {
            let said = verdict(&rows, &[]).err().map(|error| error.to_string());
            assert_eq!(said.is_some(), expect.is_some(), "{rows:?}");
            assert!(said.unwrap_or_default().starts_with(expect.unwrap_or_default()), "{rows:?}");
        }
    }
}
