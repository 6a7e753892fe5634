//! Programs of other projects that the commands need, built once from the registry that cargo is set up for.

use std::fs;
use std::path::PathBuf;

use crate::cargo;

/// A program at one version, so that a check means the same everywhere.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Of the crate and of its program.
    name: &'static str,
    version: &'static str,
}

/// Builds and lays out libFuzzer targets.
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

/// Holds the dependencies to `deny.toml`.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

impl Tool {
    /// A crate that installs a program of its own name.
    pub(crate) const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version }
    }

    /// The path of the program, built if it is not there yet.
    ///
    /// # Errors
    /// It does not build, or the registry is out of reach.
    pub(crate) fn provision(&self) -> Result<PathBuf, String> {
        let Self { name, version } = self;
        let tools = cargo::target_dir().join("tools");
        let home = tools.join(format!("{name}-{version}"));
        let program = home.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        if program.is_file() {
            return Ok(program);
        }
        eprintln!("xtask: {name} {version} is built once, which takes some minutes");
        let build = tools.join("build");
        // Not in the workspace: its settings are for its own crates.
        let status =
            cargo::cargo(&["install", name, "--version", &format!("={version}"), "--locked", "--quiet"])
                .current_dir(std::env::temp_dir())
                .arg("--root")
                .arg(&home)
                .arg("--target-dir")
                .arg(&build)
                .status();
        // Hundreds of megabytes that nobody reads again.
        let _ = fs::remove_dir_all(&build);
        match status {
            Ok(status) if status.success() && program.is_file() => Ok(program),
            Ok(status) => Err(format!("cargo install {name} --version {version} ended with {status}")),
            Err(error) => Err(format!("cargo install {name}: {error}")),
        }
    }
}
