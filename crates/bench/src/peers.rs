//! The bridges in Python and Node: their packages are installed under `target/`, at the versions that `peers/` pins,
//! when there is an interpreter and a package index; otherwise they are left out, with a sentence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contender::Contender;

#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The interpreter of the virtual environment, and the program.
    python: Option<(PathBuf, PathBuf)>,
    /// The program, beside its modules.
    node: Option<PathBuf>,
}

impl Peers {
    /// Installs those that are wanted; what cannot be is said, and is no error.
    pub(crate) fn install(wanted: &[Contender], root: &Path, work: &Path) -> Self {
        let source = root.join("crates/bench/peers");
        let mut peers = Self::default();
        if wanted.contains(&Contender::Python) {
            match install_python(&source.join("python"), &work.join("python")) {
                Ok(found) => peers.python = Some(found),
                Err(reason) => eprintln!("python is left out: {reason}"),
            }
        }
        if wanted.contains(&Contender::Node) {
            match install_node(&source.join("node"), &work.join("node")) {
                Ok(found) => peers.node = Some(found),
                Err(reason) => eprintln!("node is left out: {reason}"),
            }
        }
        peers
    }

    pub(crate) fn has(&self, contender: Contender) -> bool {
        match contender {
            Contender::Python => self.python.is_some(),
            Contender::Node => self.node.is_some(),
            _ => true,
        }
    }

    pub(crate) fn python(&self) -> Option<Command> {
        let (interpreter, program) = self.python.as_ref()?;
        let mut command = Command::new(interpreter);
        command.arg(program);
        Some(command)
    }

    pub(crate) fn node(&self) -> Option<Command> {
        let mut command = Command::new("node");
        command.arg(self.node.as_ref()?);
        Some(command)
    }
}

fn install_python(source: &Path, dir: &Path) -> Result<(PathBuf, PathBuf), String> {
    let (interpreter, pins) = (dir.join("bin/python"), source.join("requirements.txt"));
    if is_outdated(&pins, dir) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&interpreter).args(pip).arg(&pins))?;
        remember(&pins, dir)?;
    }
    Ok((interpreter, source.join("bridge.py")))
}

/// Modules are looked for beside the program: so it is copied to where they are.
fn install_node(source: &Path, dir: &Path) -> Result<PathBuf, String> {
    let pins = source.join("package.json");
    if is_outdated(&pins, dir) {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        fs::copy(&pins, dir.join("package.json")).map_err(|error| error.to_string())?;
        run(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(dir))?;
        remember(&pins, dir)?;
    }
    fs::copy(source.join("bridge.mjs"), dir.join("bridge.mjs")).map_err(|error| error.to_string())?;
    Ok(dir.join("bridge.mjs"))
}

/// What was installed last, and whole.
const INSTALLED: &str = ".installed";

fn is_outdated(pins: &Path, dir: &Path) -> bool {
    let read = |file: &Path| fs::read(file).ok();
    let installed = read(&dir.join(INSTALLED));
    installed.is_none() || installed != read(pins)
}

fn remember(pins: &Path, dir: &Path) -> Result<(), String> {
    fs::copy(pins, dir.join(INSTALLED)).map(drop).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed");
    Err(format!("{program}: {line}"))
}
