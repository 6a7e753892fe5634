//! The dependencies, held to `deny.toml`: licences, bans, duplicates, sources; and known vulnerabilities on request.

use std::process::{Command, ExitStatus};

use crate::cargo;
use crate::tool::CARGO_DENY;

/// What can be told from the registry alone, wherever the project builds.
const OFFLINE_CHECKS: [&str; 3] = ["licenses", "bans", "sources"];

/// Needs the advisory database, a git repository that not every machine reaches: hence not part of `lint`.
const ADVISORIES: &str = "advisories";

pub(crate) fn run(advisories: bool) -> Result<ExitStatus, String> {
    let program = CARGO_DENY.provision()?;
    let mut deny = Command::new(program);
    deny.current_dir(cargo::root()).args(["--locked", "--all-features", "--workspace"]);
    deny.args(["--config", "deny.toml", "check", "--hide-inclusion-graph"]);
    match advisories {
        true => deny.arg(ADVISORIES),
        false => deny.args(OFFLINE_CHECKS),
    };
    let status = deny.status().map_err(|error| format!("cargo-deny: {error}"))?;
    if advisories && !status.success() {
        eprintln!(
            "xtask: if it could not be fetched: the advisory database is RustSec's public git repository"
        );
    }
    Ok(status)
}
