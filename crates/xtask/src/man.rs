//! Man pages and completions.

use std::process;

use crate::cargo::{cargo, root};

/// Man pages and completions, where `[package.metadata.deb]` looks for them.
pub(crate) fn man() -> process::Command {
    let mut run = cargo(&["run", "--quiet", "--package", "ci-bridge", "--example", "man", "--"]);
    run.arg(root().join("target"));
    run
}
