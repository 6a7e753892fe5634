//! The bridges of others. Those in Go, Python and Node are built or installed under `target/`, at the versions that
//! `peers/` pins, when there is a toolchain and a package index. Vector and Redpanda Connect are programs that a variable
//! names, and `peers/` has their configurations. What is not there is left out, with a sentence.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contender::Contender;

/// What each is started with: the program, then its arguments.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<Contender, Vec<PathBuf>>);

impl Peers {
    /// Finds or installs those that are wanted; what cannot be is said, and is no error.
    pub(crate) fn install(wanted: &[Contender], root: &Path, work: &Path) -> Self {
        let mut peers = Self::default();
        for contender in wanted {
            let source = root.join("crates/bench/peers").join(contender.name());
            let words = match contender {
                Contender::Vector => {
                    named_by("VECTOR", &["--quiet", "--config"], &source.join("vector.toml"))
                }
                Contender::Redpanda => named_by("REDPANDA_CONNECT", &["run"], &source.join("connect.yaml")),
                Contender::Go => install_go(&source, &work.join("go")),
                Contender::Python => install_python(&source, &work.join("python")),
                Contender::Node => install_node(&source, &work.join("node")),
                _ => continue,
            };
            match words {
                Ok(words) => drop(peers.0.insert(*contender, words)),
                Err(reason) => eprintln!("{contender} is left out: {reason}"),
            }
        }
        peers
    }

    /// Peers that are not there are left out; ours always are.
    pub(crate) fn lacks(&self, contender: Contender) -> bool {
        contender.is_peer() && !self.0.contains_key(&contender)
    }

    pub(crate) fn command(&self, contender: Contender) -> Result<Command, String> {
        let words = self.0.get(&contender).ok_or_else(|| format!("{contender} is not there"))?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        Ok(command)
    }

    /// A peer's own program; interpreters are not.
    pub(crate) fn program(&self, contender: Contender) -> Option<&Path> {
        let compiled = matches!(contender, Contender::Vector | Contender::Redpanda | Contender::Go);
        self.0.get(&contender).filter(|_| compiled).map(|words| words[0].as_path())
    }
}

fn named_by(variable: &str, arguments: &[&str], configuration: &Path) -> Result<Vec<PathBuf>, String> {
    let program = env::var_os(variable).ok_or_else(|| format!("{variable} names no program"))?;
    let program = fs::canonicalize(&program).map_err(|error| format!("{variable}: {error}"))?;
    let configuration = fs::canonicalize(configuration).map_err(|error| error.to_string())?;
    Ok([program].into_iter().chain(arguments.iter().map(PathBuf::from)).chain([configuration]).collect())
}

fn install_go(source: &Path, dir: &Path) -> Result<Vec<PathBuf>, String> {
    fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let program = fs::canonicalize(dir).map_err(|error| error.to_string())?.join("bridge");
    let build = ["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"];
    // The toolchain that is there, instead of one that go.mod might ask to be fetched.
    run(Command::new("go").args(build).arg(&program).current_dir(source).env("GOTOOLCHAIN", "local"))?;
    Ok(vec![program])
}

fn install_python(source: &Path, dir: &Path) -> Result<Vec<PathBuf>, String> {
    let (interpreter, pins) = (dir.join("bin/python"), source.join("requirements.txt"));
    if is_outdated(&pins, dir) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        run(Command::new(&interpreter).args(pip).arg(&pins))?;
        remember(&pins, dir)?;
    }
    Ok(vec![interpreter, source.join("bridge.py")])
}

/// Modules are looked for beside the program: so it is copied to where they are.
fn install_node(source: &Path, dir: &Path) -> Result<Vec<PathBuf>, String> {
    let pins = source.join("package.json");
    if is_outdated(&pins, dir) {
        fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        fs::copy(&pins, dir.join("package.json")).map_err(|error| error.to_string())?;
        run(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(dir))?;
        remember(&pins, dir)?;
    }
    let program = dir.join("bridge.mjs");
    fs::copy(source.join("bridge.mjs"), &program).map_err(|error| error.to_string())?;
    Ok(vec!["node".into(), program])
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
