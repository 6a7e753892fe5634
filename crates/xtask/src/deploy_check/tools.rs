//! What the checks need, fetched into `target/`: pinned Python packages with their hashes, Debian's promtool, cargo-deb.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{Report, fresh, output, run_tool};
use crate::tool::Tool;

/// Made of `requirements.in` by `uv pip compile --universal --generate-hashes`; its programs bring their own binaries.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Builds the Debian package.
const CARGO_DEB: Tool = Tool::new("cargo-deb", "3.8.0");

pub(super) struct Tools {
    programs: PathBuf,
    pub(super) promtool: Option<PathBuf>,
    pub(super) cargo_deb: PathBuf,
}

impl Tools {
    pub(super) fn provision(home: &Path, report: &mut Report) -> Result<Self, String> {
        let programs = virtual_environment(home)?;
        if run_tool(programs.join("python"), &["-c", "import helm_python"]).is_err() {
            report.left_out("both charts: helm-python-sdk has no build for this platform");
        }
        let promtool = promtool(home).inspect_err(|said| eprintln!("promtool: {said}")).ok();
        Ok(Self { programs, promtool, cargo_deb: CARGO_DEB.provision()? })
    }

    /// Where the programs of the virtual environment are.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    pub(super) fn python(&self, program: &str) -> PathBuf {
        self.programs.join(program)
    }
}

/// One for each version of the requirements. It is complete when its mark is there.
fn virtual_environment(home: &Path) -> Result<PathBuf, String> {
    let hash: String =
        Sha256::digest(REQUIREMENTS).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let dir = home.join(format!("python-{hash}"));
    let programs = dir.join("bin");
    let mark = dir.join("complete");
    if mark.is_file() {
        return Ok(programs);
    }
    fresh(&dir)?;
    let say = |error: std::io::Error| format!("{}: {error}", dir.display());
    let requirements = dir.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(say)?;
    output(Command::new("python3").args(["-m", "venv"]).arg(&dir))
        .map_err(|said| format!("Python 3.11 or later with venv is needed: {said}"))?;
    // No code of a package is run to install it: a wheel is only unpacked.
    let mut pip = Command::new(programs.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement"]).arg(&requirements);
    output(pip.env("PIP_USER", "0")).map_err(|said| format!("the Python packages of the checks: {said}"))?;
    fs::write(&mark, "").map_err(say)?;
    Ok(programs)
}

/// The one on PATH, or Debian's, unpacked without being installed: apt checks its signature.
fn promtool(home: &Path) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(found) = env::split_paths(&path).map(|dir| dir.join("promtool")).find(|file| file.is_file()) {
        return Ok(found);
    }
    let dir = home.join("prometheus");
    let program = dir.join("usr/bin/promtool");
    if program.is_file() {
        return Ok(program);
    }
    fresh(&dir)?;
    let fetch = |dir: &Path| {
        let archive =
            "apt-get download --quiet prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb";
        output(Command::new("sh").arg("-c").arg(format!("cd \"$0\" && {archive}")).arg(dir))
    };
    // A new machine has no lists yet, and only root can fetch them.
    if fetch(&dir).is_err() {
        output(Command::new("apt-get").args(["update", "--quiet"]))?;
        fetch(&dir)?;
    }
    Ok(program)
}
