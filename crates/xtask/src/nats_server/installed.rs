//! A nats-server that is there already, and the proof that a file is one: `--version` says so.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Attempt, child};

/// The program's file name on this platform.
pub(super) fn program() -> String {
    format!("nats-server{}", env::consts::EXE_SUFFIX)
}

/// Debian installs the server where an ordinary user's PATH does not look.
const SYSTEM_DIRECTORY: &str = "/usr/sbin";

/// The server that somebody named, as an absolute path: tests run in other directories than this one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn named(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    if !path.is_file() {
        let what = if path.exists() { "is not a file" } else { "does not exist" };
        return Err(format!(
            "is set to '{shown}', which {what}: give the path of a nats-server program, or unset it"
        ));
    }
    let path = std::path::absolute(path).map_err(|error| format!("is set to '{shown}': {error}"))?;
    check(&path)
        .map_err(|said| format!("is set to '{shown}', which does not run as a nats-server: {said}"))?;
    Ok(path)
}

/// The first server on PATH that runs.
///
/// # Errors
/// There is none, or what is there does not run.
pub(super) fn on_path() -> Result<PathBuf, Vec<Attempt>> {
    let mut search = env::var_os("PATH").unwrap_or_default();
    if cfg!(unix) {
        search.push(":");
        search.push(SYSTEM_DIRECTORY);
    }
    let mut attempts = Vec::new();
    for file in find(&search, &program()) {
        match check(&file) {
            Ok(()) => return Ok(file),
            Err(said) => attempts.push(Attempt::new(file.display().to_string(), said)),
        }
    }
    if attempts.is_empty() {
        attempts.push(Attempt::new("PATH", "no nats-server there"));
    }
    Err(attempts)
}

/// Every executable file of that name in the directories of a PATH, as absolute paths.
pub(super) fn find(path: &OsStr, name: &str) -> Vec<PathBuf> {
    let files = env::split_paths(path).filter(|dir| !dir.as_os_str().is_empty()).map(|dir| dir.join(name));
    files.filter(|file| is_executable(file)).filter_map(|file| std::path::absolute(file).ok()).collect()
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// Any version will do: the bridge works with 2.9 and later, and the tests say themselves what a server lacks.
///
/// # Errors
/// It does not start, or says it is something else.
pub(super) fn check(server: &Path) -> Result<(), String> {
    version(server).map(drop)
}

/// The version of a server, as in `2.9.10`.
///
/// # Errors
/// As [`check`].
pub(super) fn version(server: &Path) -> Result<String, String> {
    let said = child::run(&[server.into(), "--version".into()], Path::new("."))?;
    let line = said.lines().next().unwrap_or_default();
    match line.strip_prefix("nats-server") {
        Some(version) => Ok(version.trim_start_matches([':', ' ', 'v']).to_owned()),
        None => Err(format!("--version says '{line}'")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(dir: &Path, name: &str, mode: u32, text: &str) -> PathBuf {
        let file = dir.join(name);
        fs::write(&file, text).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
        file
    }

    #[test]
    fn a_named_server_must_be_one() {
        let _alone = child::ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let good = script(dir.path(), "good", 0o755, "#!/bin/sh\necho 'nats-server: v2.9.10'\n");
        assert_eq!(version(&good).as_deref(), Ok("2.9.10"));
        assert_eq!(named(&good), Ok(good));
        for (file, expect) in [
            (dir.path().join("none"), "does not exist"),
            (dir.path().to_path_buf(), "is not a file"),
            (script(dir.path(), "plain", 0o644, "text"), "ermission denied"),
            (script(dir.path(), "other", 0o755, "#!/bin/sh\necho redis 7\n"), "--version says 'redis 7'"),
            (script(dir.path(), "fails", 0o755, "#!/bin/sh\necho no GLIBC >&2; exit 1\n"), "no GLIBC"),
        ] {
            let said = named(&file).expect_err(expect);
            assert!(said.contains(expect) && said.contains("is set to '"), "{said}");
        }
    }

    #[test]
    fn only_executable_files_are_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = script(dir.path(), "tool", 0o755, "");
        script(dir.path(), "notes", 0o644, "");
        let path = env::join_paths([Path::new("/nonexistent"), dir.path()]).expect("a PATH");
        assert_eq!(find(&path, "tool"), [file]);
        assert!(find(&path, "notes").is_empty());
        assert!(find(OsStr::new(""), "tool").is_empty());
    }
}
