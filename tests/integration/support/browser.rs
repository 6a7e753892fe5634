//! Chromium and what drives it, from npm, pinned by `tests/page/package-lock.json`; `CHROMIUM` names another one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::repository;

/// Where npm's browser runs.
const HAS_A_BROWSER: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// The folder with the browser; `None`, and a sentence on standard error, where it cannot be had.
pub(crate) fn browser() -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    install()
        .map_err(|reason| {
            // Past the harness, which keeps what a passing test prints to itself.
            let left_out = format!("LEFT OUT, the page in a browser: {reason}\n");
            std::io::stderr().write_all(left_out.as_bytes()).unwrap();
        })
        .ok()
}

/// In a folder of this process first, so that half of a browser is never taken for one.
fn install() -> Result<PathBuf, String> {
    if !HAS_A_BROWSER && std::env::var_os("CHROMIUM").is_none() {
        return Err("npm has no browser for this machine; CHROMIUM=/path/to/chromium names one".to_owned());
    }
    let lock = fs::read(repository("tests/page/package-lock.json")).map_err(|e| e.to_string())?;
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    // Another lock file is another folder.
    let name: String = Sha256::digest(&lock).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let folder = tools.join(format!("page-{name}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    let unfinished = tools.join(format!("unfinished-page-{}", std::process::id()));
    fs::create_dir_all(&unfinished).map_err(|e| e.to_string())?;
    let installed =
        fill(&unfinished).and_then(|()| fs::rename(&unfinished, &folder).map_err(|e| e.to_string()));
    _ = fs::remove_dir_all(&unfinished);
    installed.map(|()| folder)
}

fn fill(folder: &Path) -> Result<(), String> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(repository("tests/page").join(file), folder.join(file)).map_err(|e| e.to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--no-fund", "--no-audit", "--ignore-scripts"]);
    npm.args(["--fetch-retries=1", "--fetch-timeout=20000"]).current_dir(folder);
    let mut unpack = Command::new("node");
    unpack.arg(repository("tests/page/unpack.mjs")).arg(folder);
    for command in [&mut npm, &mut unpack] {
        let name = command.get_program().display().to_string();
        let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{name}: {}", errors.lines().next_back().unwrap_or("it failed")));
        }
    }
    Ok(())
}
