//! `target/nats-server/`, where fetched servers are kept, one folder each. A server appears there whole or not at all:
//! it is unpacked and verified in a staging directory, then renamed, so an interrupted run or a second one alongside
//! leaves nothing half done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Attempt;
use super::installed::{check, program};
use super::pin::{self, VERSION};

/// The folder of a server that the system's package manager vouches for, instead of a pinned hash. Every other folder is
/// named after a version that is pinned.
pub(super) const SYSTEM_PACKAGE: &str = "system-package";

pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where a server of that name is, or would be.
    fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name).join(program())
    }

    /// A server that an earlier run left here, verified again: the usual one, else the system's package.
    ///
    /// # Errors
    /// What is wrong with those that are there; nothing when there is none.
    pub(super) fn fetched_earlier(&self) -> Result<PathBuf, Vec<Attempt>> {
        let mut attempts = Vec::new();
        for name in [VERSION, SYSTEM_PACKAGE] {
            match self.kept(name) {
                Ok(server) => return Ok(server),
                Err(tried) => attempts.extend(tried),
            }
        }
        Err(attempts)
    }

    /// The server of that name, if an earlier run left it here, verified again.
    ///
    /// # Errors
    /// What is wrong with it; nothing when it is not there.
    pub(super) fn kept(&self, name: &str) -> Result<PathBuf, Option<Attempt>> {
        let server = self.place(name);
        if !server.is_file() {
            return Err(None);
        }
        match genuine(&server, name) {
            Ok(()) => Ok(server),
            Err(said) => Err(Some(Attempt::new(server.display().to_string(), said))),
        }
    }

    /// An empty directory on the same file system, removed when dropped.
    pub(super) fn staging(&self) -> io::Result<Staging> {
        // The time as well: containers that share a build directory may share process ids.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let dir = self.dir.join(format!(".staging-{}-{now}", process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Staging { dir })
    }

    /// Moves a server from the staging directory to its place, once it is shown to be the right one.
    ///
    /// # Errors
    /// It is not the pinned one, does not run, or cannot be moved.
    pub(super) fn keep(&self, unpacked: &Path, name: &str) -> Result<PathBuf, String> {
        genuine(unpacked, name)?;
        let server = self.place(name);
        fs::create_dir_all(self.dir.join(name))
            .and_then(|()| fs::rename(unpacked, &server))
            .map_err(|error| format!("{}: {error}", server.display()))?;
        Ok(server)
    }
}

/// The hash comes first: bytes that are not the pinned ones are never run.
fn genuine(server: &Path, name: &str) -> Result<(), String> {
    if name != SYSTEM_PACKAGE {
        let pin = pin::of_this_platform(name).ok_or("no build is pinned for this platform")?;
        pin::verify(server, pin.program_sha256)?;
    }
    check(server)
}

/// See [`Store::staging`].
pub(super) struct Staging {
    dir: PathBuf,
}

impl Staging {
    pub(super) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Left-overs are harmless: nothing ever looks into a staging directory again.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::child;
    use super::*;

    /// A program that would pass as a server, and leaves a trace when it is run.
    fn impostor(dir: &Path) -> PathBuf {
        let file = dir.join("nats-server");
        let script =
            format!("#!/bin/sh\ntouch '{}'\necho 'nats-server: v2.15.1'\n", dir.join("was-run").display());
        fs::write(&file, script).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
        file
    }

    #[test]
    fn a_wrong_hash_is_refused_before_it_runs() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(dir.path().join("store"));
        let staging = store.staging().expect("a staging directory");
        let server = impostor(staging.path());
        let said = store.keep(&server, VERSION).expect_err("not the pinned bytes");
        assert!(said.starts_with("refused") || said.starts_with("no build"), "{said}");
        assert!(store.keep(&server, "2.9.10").expect_err("not pinned").starts_with("no build"));
        assert!(!staging.path().join("was-run").exists());
        assert!(store.fetched_earlier().is_err_and(|attempts| attempts.is_empty()));
    }

    #[test]
    fn a_kept_server_is_found_again_and_staging_is_not() {
        let _alone = child::ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(dir.path().join("store"));
        let staging = store.staging().expect("a staging directory");
        let kept = store.keep(&impostor(staging.path()), SYSTEM_PACKAGE).expect("vouched for");
        drop(staging);
        assert_eq!(store.fetched_earlier().expect("the kept one"), kept);
        let left: Vec<_> =
            fs::read_dir(&store.dir).expect("the store").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [SYSTEM_PACKAGE]);
    }

    #[test]
    fn a_kept_server_that_was_damaged_is_not_used() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(dir.path().to_path_buf());
        let place = dir.path().join(VERSION);
        fs::create_dir_all(&place).expect("its folder");
        impostor(&place);
        assert_eq!(store.fetched_earlier().expect_err("damaged").len(), 1);
        assert!(!place.join("was-run").exists());
    }
}
