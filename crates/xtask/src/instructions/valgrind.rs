//! Valgrind's callgrind, which counts instructions: the one that is installed, else Debian's, unpacked under `target/`
//! without root.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::target_dir;
use crate::nats_server::child;

/// Where there is neither: what to do.
const ADVICE: &str = "there is no valgrind, and none could be fetched: install it (`apt install valgrind`, `dnf install valgrind`)";

/// A valgrind that runs.
#[derive(Debug)]
pub(crate) struct Valgrind {
    program: PathBuf,
    /// Where its tools are, when it was not installed where it expects to be.
    tools: Option<PathBuf>,
}

impl Valgrind {
    /// # Errors
    ///
    /// What to install.
    pub(crate) fn provision() -> Result<Self, String> {
        let installed = Self { program: "valgrind".into(), tools: None };
        if installed.runs() {
            return Ok(installed);
        }
        let dir = target_dir().join("valgrind");
        let fetched =
            Self { program: dir.join("usr/bin/valgrind"), tools: Some(dir.join("usr/libexec/valgrind")) };
        if !fetched.runs() {
            fetch(&dir).map_err(|reason| format!("{ADVICE}\n  {reason}"))?;
        }
        if fetched.runs() { Ok(fetched) } else { Err(ADVICE.to_owned()) }
    }

    fn runs(&self) -> bool {
        let status = self.command().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(tools) = &self.tools {
            command.env("VALGRIND_LIB", tools);
        }
        command
    }

    /// Instructions of one run of a program.
    ///
    /// # Errors
    ///
    /// It does not run, or callgrind does not say.
    pub(crate) fn count(&self, program: &Path, args: &[&str]) -> Result<u64, String> {
        let mut command = self.command();
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(args);
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        collected
            .filter(|_| output.status.success())
            .ok_or_else(|| format!("callgrind counted nothing of {}: {said}", args.join(" ")))
    }
}

/// Unpacked beside its place and then renamed: an interrupted run leaves nothing that looks whole.
fn fetch(dir: &Path) -> Result<(), String> {
    eprintln!("fetching valgrind from Debian with apt-get ...");
    let staging = dir.with_extension("partial");
    let _ = fs::remove_dir_all(&staging);
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(&staging).map_err(|error| error.to_string())?;
    let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
    child::run(&words("apt-get download valgrind"), &staging)?;
    let mut files = fs::read_dir(&staging).map_err(|error| error.to_string())?.flatten();
    let archive = files.next().ok_or("apt-get brought no file")?.path();
    child::run(&["dpkg-deb".into(), "-x".into(), archive.into(), "package".into()], &staging)?;
    fs::rename(staging.join("package"), dir).map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(&staging);
    Ok(())
}
