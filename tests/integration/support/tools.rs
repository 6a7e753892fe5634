//! Tools of other languages, installed once into the build directory where their registries can be reached.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A program of another language with packages of its own.
pub(crate) struct Tool {
    /// What runs a script: `python3` or `node`.
    pub(crate) program: &'static str,
    /// Name and version, as its registry has them.
    pub(crate) package: &'static str,
}

impl Tool {
    /// The folder with the package; `None`, and a sentence on standard error, where it cannot be had.
    pub(crate) fn provision(&self) -> Option<PathBuf> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
        let name = self.package.replace(['@', '/', '='], "-");
        let folder = tools.join(name.trim_start_matches('-'));
        if folder.is_dir() {
            return Some(folder);
        }
        match self.install(&tools, &folder) {
            Ok(()) => Some(folder),
            Err(reason) => {
                // Past the harness, which keeps what a passing test prints to itself.
                let not_held = format!("NOT HELD AGAINST {} of {}: {reason}\n", self.package, self.program);
                std::io::stderr().write_all(not_held.as_bytes()).unwrap();
                None
            }
        }
    }

    /// In a folder of this process first, so that half of a package is never taken for one.
    fn install(&self, tools: &Path, folder: &Path) -> Result<(), String> {
        let unfinished = tools.join(format!("unfinished-{}", std::process::id()));
        fs::create_dir_all(&unfinished).map_err(|e| e.to_string())?;
        let target = unfinished.to_string_lossy();
        let mut install = match self.program {
            "node" => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts"]);
                npm.args(["--fetch-retries=1", "--fetch-timeout=20000", "--prefix", &target, self.package]);
                npm
            }
            python => {
                let mut pip = Command::new(python);
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
                pip.args(["--retries", "1", "--timeout", "20", "--target", &target, self.package]);
                pip
            }
        };
        let placed = match install.stdin(Stdio::null()).output() {
            Ok(outcome) if outcome.status.success() => {
                fs::rename(&unfinished, folder).map_err(|e| e.to_string())
            }
            Ok(outcome) => {
                let errors = String::from_utf8_lossy(&outcome.stderr);
                Err(errors.lines().next_back().unwrap_or("its installer failed").to_owned())
            }
            Err(e) => Err(format!("no installer: {e}")),
        };
        _ = fs::remove_dir_all(&unfinished);
        placed
    }

    /// Runs a script of `tests/` over some input: what it prints, or what it complains of.
    pub(crate) fn run(&self, folder: &Path, script: &Path, input: &str) -> Result<String, String> {
        let mut child = Command::new(self.program)
            .env("PYTHONPATH", folder)
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // One that ends before it has read everything says why in its output.
        let writer = std::thread::spawn(move || _ = stdin.write_all(input.as_bytes()));
        let outcome = child.wait_with_output().map_err(|e| e.to_string())?;
        writer.join().unwrap();
        match outcome.status.success() {
            true => Ok(String::from_utf8_lossy(&outcome.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&outcome.stderr).into_owned()),
        }
    }
}
