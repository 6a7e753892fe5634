//! h2spec: HTTP/2 and HPACK, each case on a connection of its own, with the strict ones.

mod junit;
mod served;

use std::fs;
use std::path::{Path, PathBuf};

use super::case::{CameTo, Case};
use super::report::Report;
use crate::cargo;
use crate::nats_server::{self, child};
use served::Served;

pub(super) const NAME: &str = "h2spec";
const VERSION: &str = "2.2.1, strict (Go module summerwind/h2spec)";

/// The module that names it and all that it is built of.
const MODULE: &str = "tests/conformance/h2spec";
const PROGRAM: &str = "github.com/summerwind/h2spec/cmd/h2spec";

/// Seconds after which a case has failed: more than its own two, for a busy machine.
const PATIENCE: &str = "10";

/// A suite that ended early looks like one that has nothing to complain of.
const CASES: usize = 146;

pub(super) fn run(bridge: &Path) -> Result<Vec<Report>, String> {
    let home = cargo::target_dir().join("conformance").join("h2spec");
    fs::create_dir_all(&home).map_err(|e| e.to_string())?;
    let program = build(&home)?;
    let certificate = Certificate::make(&home)?;
    let server = nats_server::provision().map_err(|e| e.to_string())?;
    let served = Served::start(bridge, &server, &certificate, &home)?;
    let try_section = |section: Option<&str>| cases(&program, section, served.port(), &home);
    let mut cases = try_section(None)?;
    if cases.len() != CASES {
        return Err(format!("h2spec ran {} cases, not {CASES}", cases.len()));
    }
    for case in cases.iter_mut().filter(|case| case.came_to == CameTo::Differs).take(MOST_TRIED_AGAIN) {
        if agrees_at_times(case, try_section)? {
            case.found.push_str(AT_TIMES);
        }
    }
    served.takes_a_callback(bridge, &certificate)?;
    Ok(vec![Report { suite: NAME, version: VERSION, cases }])
}

/// What is said of a case that agrees when it is tried again.
const AT_TIMES: &str = " (not each time)";
const TRIES: usize = 10;

/// When more differ, something is wrong with all, and each try may take as long as [`PATIENCE`] says.
const MOST_TRIED_AGAIN: usize = 3;

/// Tries the section of a case again: an answer that comes too early for a case differs from one that is wrong.
fn agrees_at_times(
    case: &Case,
    try_section: impl Fn(Option<&str>) -> Result<Vec<Case>, String>,
) -> Result<bool, String> {
    let section = case.name.split(' ').next();
    for _ in 0..TRIES {
        let again = try_section(section)?;
        if again.iter().any(|again| again.name == case.name && again.came_to == CameTo::Agreed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs all sections, or the one that is named.
fn cases(program: &Path, section: Option<&str>, port: &str, home: &Path) -> Result<Vec<Case>, String> {
    let file = home.join("report.xml");
    let _ = fs::remove_file(&file);
    let mut line = vec![program.into()];
    line.extend(section.map(Into::into));
    line.extend(
        ["--tls", "--insecure", "--strict", "--path", "/ci/callback", "--port", port].map(Into::into),
    );
    line.extend([
        "--timeout".into(),
        PATIENCE.into(),
        "--junit-report".into(),
        file.clone().into_os_string(),
    ]);
    // It ends with 1 when a case fails, which its report says better.
    let ended = child::run(&line, home);
    // A case that fails quotes what came, which need not be text.
    let report = fs::read(&file).map_err(|_| format!("h2spec wrote no report: {ended:?}"))?;
    Ok(junit::cases(&String::from_utf8_lossy(&report)))
}

fn build(home: &Path) -> Result<PathBuf, String> {
    let program = home.join(format!("h2spec{}", std::env::consts::EXE_SUFFIX));
    let line = ["go", "build", "-mod=readonly", "-o"].map(Into::into).into_iter();
    let line: Vec<_> = line.chain([program.clone().into_os_string(), PROGRAM.into()]).collect();
    child::run(&line, &cargo::root().join(MODULE)).map_err(|error| format!("go build: {error}"))?;
    Ok(program)
}

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
pub(super) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// By the program that comes with Go, which is there when h2spec could be built.
    fn make(folder: &Path) -> Result<Self, String> {
        let root = child::run(&["go".into(), "env".into(), "GOROOT".into()], folder)?;
        let program = Path::new(root.trim()).join("src/crypto/tls/generate_cert.go");
        let line = ["go".into(), "run".into(), program.into_os_string()].into_iter();
        let line = line.chain(["--host", "127.0.0.1", "--ecdsa-curve", "P256"].map(Into::into));
        child::run(&line.collect::<Vec<_>>(), folder).map_err(|error| format!("a certificate: {error}"))?;
        Ok(Self { cert: folder.join("cert.pem"), key: folder.join("key.pem") })
    }
}
